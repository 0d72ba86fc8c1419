"""Ledgers in processes of their own, so that they write while the rig picks the moment of a crash."""

import multiprocessing
import signal

from harness import _die_with_parent
from ledger import Findings, Ledger, Lost, draw_from


def _serve(pipe, ledger, seed):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    draw = draw_from(seed)
    while True:
        try:
            order, *arguments = pipe.recv()
        except EOFError:
            return
        try:
            if order == "run":
                answer = ledger.run(arguments[0], draw, pipe.poll)
                if pipe.poll():
                    pipe.recv()  # "stop", which may also have come after the daemon's end.
                else:
                    pipe.send(("ended",))
                    pipe.recv()
                pipe.send(answer)
            elif order == "check":
                pipe.send(ledger.check(arguments[0], draw, *arguments[1:]))
            elif order == "clear":
                ledger.clear(*arguments)
                pipe.send(ledger.present())
            elif order == "present":
                pipe.send(ledger.present())
        except (AssertionError, Lost, OSError) as error:
            pipe.send(error)


class Writers:
    """Several processes, each with a ledger, on the addresses given in turn. A context."""

    def __init__(self, addresses, seed, processes=2, keys=1000, counters=0, connections=4):
        self.addresses = [addresses[n % len(addresses)] for n in range(processes)]
        self.pipes = []
        self.processes = []
        context = multiprocessing.get_context("fork")
        for number in range(processes):
            ours, theirs = context.Pipe()
            ledger = Ledger(number * keys, keys, counters, connections)
            process = context.Process(target=_serve, args=(theirs, ledger, f"{seed}:{number}"), daemon=True)
            process.start()
            theirs.close()
            self.pipes.append(ours)
            self.processes.append(process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pipe in self.pipes:
            pipe.close()
        for process in self.processes:
            process.kill()
            process.join()

    def tell(self, *order):
        for pipe, address in zip(self.pipes, self.addresses):
            pipe.send((order[0], address, *order[1:]) if order[0] in ("run", "check") else order)

    def answers(self):
        """One from each; the error of one that failed is raised, after all have answered."""
        answers = []
        for pipe in self.pipes:
            answer = pipe.recv()
            if answer == ("ended",):
                answer = pipe.recv()
            answers.append(answer)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    def start(self):
        """All write, until stop()."""
        self.tell("run")

    def stop(self):
        self.tell("stop")
        return self.sum(self.answers())

    def check(self, earlier=False, settle=True):
        self.tell("check", earlier, settle)
        return self.sum(self.answers())

    def cleared(self, answered):
        """A FLUSHALL that was answered, or may have been done. How many keys there were is answered."""
        self.tell("clear", answered)
        return sum(self.answers())

    def present(self):
        self.tell("present")
        return sum(self.answers())

    @staticmethod
    def sum(answers):
        total = Findings()
        for answer in answers:
            total.add(answer)
        return total

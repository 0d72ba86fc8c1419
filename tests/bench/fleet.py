"""Several daemons with much data in them, the load put on them, and what a bench says of its goals."""

import argparse
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time

from servers import BUILD, cpu_seconds, on_disk  # Which also finds the harness.
from harness import CLIENT_PORT, Cluster, _die_with_parent, wait_until
from knit_replies import status_of

TOOLS = os.path.join(BUILD, "tests")
PIPELINE = 1000


def parser_of(name, description):
    """What every bench takes. From here on an interrupt or a SIGTERM ends it in order, with all it started."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(130))
    parser = argparse.ArgumentParser(prog=f"./dev bench {name}", description=description,
                                     formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--directory", default=os.path.join(BUILD, "bench-data"), help="for the data, on a disk")
    return parser


class Report:
    """Prints a JSON object a line; with a goal, whether it was met."""

    def __init__(self, bench):
        self.bench = bench

    def __call__(self, metric, value, unit, at_most=None, at_least=None, **more):
        if isinstance(value, float):
            value = round(value, 4) if math.isfinite(value) else None
        row = {"bench": self.bench, "metric": metric, "value": value, "unit": unit}
        if at_most is not None:
            row.update(goal=f"at most {at_most:g}", met=value is not None and value <= at_most)
        if at_least is not None:
            row.update(goal=f"at least {at_least:g}", met=value is not None and value >= at_least)
        print(json.dumps({**row, **more}), flush=True)

    def skipped(self, what, why):
        print(json.dumps({"bench": self.bench, "metric": what, "skipped": why}), flush=True)


def share(values, part):
    """The value that `part` of them do not exceed."""
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))] if values else math.nan


class Fleet(Cluster):
    """Daemons with the defaults of their configs, but for what is given; their data on a disk."""

    def __init__(self, *names, directory, **sections):
        super().__init__(*names, parent=on_disk(directory))
        for node in self.nodes:
            node.config.update({"anti_entropy": {}, "debug": {"commands": True}, "log": {},
                                "store": {"map_bytes": "64GiB"}})
            del node.config["peer"]["timeout"]
            for section, keys in sections.items():
                node.config.setdefault(section, {}).update(keys)

    def make_stores(self, rows, value_bytes):
        """The same rows in all directories, as if they had been written to the first node. All are down."""
        first, *others = [node.directory for node in self.nodes]
        subprocess.run([os.path.join(TOOLS, "make_store"), first, self.key_path, str(rows), str(value_bytes), "200000",
                        *others], check=True, stdout=subprocess.DEVNULL)

    def begin(self, rows=0, value_bytes=0):
        """All run, know each other, and hold the same rows."""
        if rows:
            self.make_stores(rows, value_bytes)
        self.start()
        self.await_links()
        self.await_equal(120)
        self.await_rest()

    def equal(self):
        """All run, and hold the same rows, durably."""
        states = [status_of(node) for node in self.nodes if node.process]
        return (len({state["root"] for state in states}) == 1 and all(state["tree_complete"] for state in states) and
                all(peer["clock_equal"] for state in states for peer in state["peers"] if peer["reachable"]))

    def await_equal(self, seconds):
        wait_until(self.equal, "all hold the same", seconds)

    def await_links(self, seconds=60):
        """Every node has met all others, and says so."""
        wait_until(lambda: all(sum(peer["reachable"] for peer in status_of(node)["peers"]) == len(self.nodes) - 1
                               for node in self.nodes), "all nodes are reachable", seconds)

    def await_rest(self, seconds=120):
        """Nothing is left to be written to any disk."""
        wait_until(lambda: all(status_of(node)["pending_bytes"] == 0 for node in self.nodes if node.process),
                   "all is committed", seconds)


def server_of(node):
    return f"{node.host}:{CLIENT_PORT}"


def main_thread_seconds(pid):
    """Of the processor, by the loop alone: what bounds how much a daemon can take."""
    return cpu_seconds(f"{pid}/task/{pid}")


def key_of(number):
    return b"key:%012d" % number


def command(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


class Connection:
    """A bare socket: a client library would be most of what is measured."""

    def __init__(self, node):
        self.socket = socket.create_connection((node.host, CLIENT_PORT), timeout=120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answers = self.socket.makefile("rb", buffering=1 << 16)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.answers.close()
        self.socket.close()

    def write(self, numbers, value_bytes):
        """Each key of `numbers`, in order, with bytes that cannot be compressed."""
        numbers = list(numbers)
        for first in range(0, len(numbers), PIPELINE):
            batch = numbers[first:first + PIPELINE]
            self.socket.sendall(b"".join(command(b"SET", key_of(number), os.urandom(value_bytes)) for number in batch))
            answers = self.answers.read(5 * len(batch))
            assert answers == b"+OK\r\n" * len(batch), answers[:200]


class Load:
    """redis_load in the background. `samples(kind)`: its lines of one kind, as tuples of numbers."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([os.path.join(TOOLS, "redis_load"), *map(str, arguments)], text=True,
                                        stdout=subprocess.PIPE, preexec_fn=_die_with_parent)
        self.lines = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        return self.finish()

    def finish(self):
        output, _ = self.process.communicate()
        if self.process.returncode != 0:
            raise RuntimeError(f"redis_load ended with {self.process.returncode}")
        self.lines = [line.split() for line in output.splitlines()]
        return self

    def samples(self, kind):
        return [tuple(map(int, words[1:])) for words in self.lines if words[0] == kind]

    def waits(self, begin=0.0, end=math.inf):
        """Milliseconds that GETs waited that were due between two moments of the monotonic clock."""
        return [waited / 1e6 for due, waited in self.samples("get") if begin <= due / 1e9 < end]

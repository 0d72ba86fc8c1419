"""A client writes on one node and reads at once on another one, with the token that the first one gave it and without;
one of the readers stands still half of the time. How many reads were stale, and how long those with a token waited."""

import os
import signal
import threading
import time

from fleet import Connection, Fleet, Report, command, parser_of, share

report = Report("sessions")
STOPPED_SECONDS = 0.05


def arguments():
    parser = parser_of("sessions", __doc__)
    parser.add_argument("--rate", type=int, default=1000, help="writes, each with a read elsewhere, a second")
    parser.add_argument("--seconds", type=float, default=20, help="with tokens, and as long without")
    parser.add_argument("--clients", type=int, default=16)
    return parser.parse_args()


class Halting:
    """A context in which a process stands still half of the time."""

    def __init__(self, node):
        self.pid = node.process.pid
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def run(self):
        while not self.over.wait(STOPPED_SECONDS):
            os.kill(self.pid, signal.SIGSTOP)
            time.sleep(STOPPED_SECONDS)
            os.kill(self.pid, signal.SIGCONT)


class Client(threading.Thread):
    """Writes on the first node and reads on one of the others, in turns."""

    def __init__(self, nodes, number, options, with_token):
        super().__init__()
        self.lines = [Connection(node) for node in nodes]
        self.number = number
        self.options = options
        self.with_token = with_token
        self.reads = self.stale = self.behind = 0
        self.waits = []
        self.late = 0

    def run(self):
        interval = self.options.clients / self.options.rate
        count = int(self.options.seconds / interval)
        begin = time.monotonic() + interval * self.number / self.options.clients
        for turn in range(count):
            wait = begin + turn * interval - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            self.turn(turn)
        self.late = max(0.0, time.monotonic() - begin - self.options.seconds)
        for line in self.lines:
            line.__exit__()

    def turn(self, turn):
        key, value = b"key:%d" % self.number, b"%d" % turn
        writer, reader = self.lines[0], self.lines[1 + turn % (len(self.lines) - 1)]
        writer.socket.sendall(command(b"SET", key, value) + (command(b"KNIT", b"TOKEN") if self.with_token else b""))
        assert writer.answers.readline() == b"+OK\r\n"
        request = command(b"GET", key)
        if self.with_token:
            request = command(b"KNIT", b"WAITFOR", self.bulk(writer), b"5000") + request
        begin = time.monotonic()
        reader.socket.sendall(request)
        if self.with_token:
            self.behind += reader.answers.readline() != b"+OK\r\n"
            self.waits.append(1000 * (time.monotonic() - begin))
        self.reads += 1
        self.stale += self.bulk(reader) != value

    @staticmethod
    def bulk(line):
        size = int(line.answers.readline()[1:])
        return line.answers.read(size + 2)[:-2] if size >= 0 else None


def measure(nodes, options, with_token):
    clients = [Client(nodes, number, options, with_token) for number in range(options.clients)]
    begin = time.monotonic()
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    took = time.monotonic() - begin
    reads = sum(client.reads for client in clients)
    more = {"with_token": with_token, "reads": reads, "per_second": round(reads / took)}
    report("stale_reads", sum(client.stale for client in clients), "reads", **more,
           **({"at_most": 0} if with_token else {}))
    if with_token:
        waits = [wait for client in clients for wait in client.waits]
        report("not_in_time", sum(client.behind for client in clients), "waits", at_most=0)
        for name, part in (("wait_median", 0.5), ("wait_p99", 0.99), ("wait_p999", 0.999)):
            report(name, share(waits, part), "ms")


def main():
    options = arguments()
    with Fleet("alpha", "beta", "gamma", directory=options.directory) as cluster:
        cluster.begin()
        with Halting(cluster.nodes[2]):
            for with_token in (False, True):
                measure(cluster.nodes, options, with_token)


main()

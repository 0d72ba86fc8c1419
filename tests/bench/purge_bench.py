"""Many keys are written and deleted on three nodes: how soon their rows are gone once the last node has the deletes,
whether roots agree all the while, and whether the room is used again; then the same while one node is away, which comes
back and revives nothing; then all of them expire at one instant."""

import threading
import time
from collections import Counter

from fleet import Connection, Fleet, Report, command, key_of, parser_of
from harness import wait_until
from knit_replies import status_of

PIPELINE = 1000

report = Report("purge")


def arguments():
    parser = parser_of("purge", __doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=100, help="bytes of a value")
    return parser.parse_args()


def for_each(connection, numbers, verb, *arguments):
    numbers = list(numbers)
    for first in range(0, len(numbers), PIPELINE):
        batch = numbers[first:first + PIPELINE]
        connection.socket.sendall(b"".join(command(verb, key_of(number), *arguments) for number in batch))
        answers = connection.answers.read(4 * len(batch))
        assert answers == b":1\r\n" * len(batch), answers[:200]


def expire(cluster, options):
    """From the moment they expire on all nodes alike."""
    fill(cluster, options)
    begin = time.time() + 10 + options.rows / 20_000
    with Connection(cluster.nodes[0]) as connection:
        for_each(connection, range(options.rows), b"PEXPIREAT", b"%d" % (begin * 1000))
    cluster.await_equal(300)
    assert time.time() < begin, "they have expired too soon"
    time.sleep(begin - time.time())
    with Watch(cluster.nodes) as watch:
        wait_until(lambda: all(status_of(node)["rows"] == 0 for node in cluster.nodes), "what has expired is purged", 300)
        report("expired", time.time() - begin, "s until all that has expired is purged", at_most=10)
        cluster.await_equal(60)
    report("unequal_when_expired", watch.unequal, "times `knit status` found a difference", at_most=0, looks=watch.looks, said=watch.verdicts)


class Watch:
    """Asks all nodes again and again, as an operator would, whether the replicas agree or are in step."""

    def __init__(self, nodes):
        self.nodes = nodes
        self.over = threading.Event()
        self.looks = self.unequal = 0
        self.verdicts = Counter()  # What was said when they did not.
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.over.wait(0.1):
            for node in self.nodes:
                told = node.knit("status")
                self.looks += 1
                if told.returncode == 0 and b"differ" not in told.stdout:
                    continue
                self.unequal += 1
                self.verdicts[told.stdout.split(b"\n")[0].decode()] += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def clocks_equal(cluster):
    return all(peer["clock_equal"] for node in cluster.nodes if node.process
               for peer in status_of(node)["peers"] if peer["reachable"])


def await_purged(cluster, what, goal=10):
    """From the moment the last node has the deletes."""
    wait_until(lambda: clocks_equal(cluster), "all have the deletes", 300)
    begin = time.monotonic()
    running = [node for node in cluster.nodes if node.process]
    wait_until(lambda: all(status_of(node)["rows"] == 0 for node in running), "all is purged", 300)
    report(what, time.monotonic() - begin, "s", at_most=goal, purged=[status_of(node)["purged_rows"] for node in running])


def fill(cluster, options):
    with Connection(cluster.nodes[0]) as connection:
        connection.write(range(options.rows), options.size)
    cluster.await_equal(300)
    cluster.await_rest()


def main():
    options = arguments()
    with Fleet("alpha", "beta", "gamma", directory=options.directory) as cluster:
        alpha, _, gamma = cluster.nodes
        cluster.begin()
        sizes, logs = [], []
        for number in range(2):
            fill(cluster, options)
            with Watch(cluster.nodes) as watch:
                with Connection(alpha) as connection:
                    for_each(connection, range(options.rows), b"DEL")
                await_purged(cluster, f"purged_{number + 1}")
                cluster.await_equal(60)
            report("unequal", watch.unequal, "times `knit status` found a difference", at_most=0, looks=watch.looks, said=watch.verdicts)
            cluster.await_rest()
            told = status_of(alpha)
            sizes.append(told["bytes_on_disk"])
            logs.append(told["log_bytes"])
        # The log keeps what was written, up to a bound of its own.
        room = sizes[0] + logs[1] - logs[0]
        report("grown", sizes[1] / room, "times, the file of the second round, beside the first one and what its log grew by",
               at_most=1.2, bytes=sizes, log_bytes=logs)
        fill(cluster, options)
        gamma.end()
        with Connection(alpha) as connection:
            for_each(connection, range(options.rows), b"DEL")
        kept = status_of(alpha)["rows"]
        report("kept_while_one_is_away", kept, "rows", at_least=options.rows)
        begin = time.monotonic()
        gamma.start()
        cluster.await_links()
        await_purged(cluster, "purged_after_return")
        report("return", time.monotonic() - begin, "s, from the start of the daemon until all is purged")
        cluster.await_equal(60)
        report("revived", sum(status_of(node)["keys"] for node in cluster.nodes), "keys", at_most=0)
        expire(cluster, options)


main()

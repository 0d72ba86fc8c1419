"""Rows that vanish from a node's file, or rot in it, behind its back: how soon that is noticed, and healed by a peer
without a command."""

import os
import random
import time

from fleet import Connection, Fleet, Report, command, parser_of
from harness import wait_until
from knit_replies import status_of
from lmdb_rows import delete_random_rows, random_places

report = Report("heal")


def arguments():
    parser = parser_of("heal", __doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=250, help="bytes of a value")
    parser.add_argument("--deleted", type=int, nargs="*", default=[1, 1000], help="rows, of a trial each")
    parser.add_argument("--damaged", type=int, default=100, help="values whose bytes are changed")
    parser.add_argument("--scrub-interval", default="20s", help="that a scrub pass may take")
    parser.add_argument("--seed", default=str(random.randrange(1 << 32)))
    return parser.parse_args()


def data_path(node):
    return os.path.join(node.directory, "data.mdb")


def seconds_of(duration):
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
    number = duration.rstrip("msh")
    return float(number) * units[duration[len(number):]]


def values_of(connection, keys):
    """None for what is absent or an error."""
    connection.socket.sendall(b"".join(command(b"GET", key) for key in keys))
    return [value_from(connection.answers) for _ in keys]


def value_from(answers):
    line = answers.readline()
    if not line.startswith(b"$") or line.startswith(b"$-"):
        return None
    return answers.read(int(line[1:]) + 2)[:-2]


def tree_complete(node):
    return status_of(node)["tree_complete"]


def noticed(node, before):
    """Rows came by an exchange since, or one runs."""
    status = status_of(node)
    return status["rows_received"] > before or any(peer["exchange_progress"] for peer in status["peers"])


def measure_deleted(cluster, count, draw):
    """Beta loses rows while it is down. Alpha has them, and nobody writes."""
    alpha, beta = cluster.nodes
    cluster.await_rest()
    assert beta.end() == 0
    keys = delete_random_rows(beta.directory, draw, count)
    with Connection(alpha) as connection:
        expected = values_of(connection, keys)
    beta.start()
    wait_until(lambda: tree_complete(beta), "the tree is complete", seconds=120)
    built = time.monotonic()
    wait_until(lambda: noticed(beta, 0) or cluster.equal(), "it is noticed", seconds=120)
    report("deleted_noticed", time.monotonic() - built, "s after the tree was built", at_most=1, rows=len(keys))
    cluster.await_equal(120)
    report("deleted_healed", time.monotonic() - built, "s after the tree was built", rows=len(keys))
    with Connection(beta) as connection:
        wrong = sum(value != right for value, right in zip(values_of(connection, keys), expected))
    report("deleted_missing_afterwards", wrong, "rows", at_most=0, rows=len(keys))


def damage(cluster, count, draw):
    """Changes a byte of some values in beta's file under the running daemon. Answers their keys and what they were."""
    cluster.await_rest()
    beta = cluster.nodes[1]
    places = random_places(beta.directory, draw, count)
    keys = list(places)
    with Connection(beta) as connection:
        values = values_of(connection, keys)
    with open(data_path(beta), "r+b", buffering=0) as file:
        for key, value in zip(keys, values):
            offset, size = places[key]
            row = os.pread(file.fileno(), size, offset)
            assert value in row, "the row is not where it was looked for"
            middle = row.index(value) + len(value) // 2
            os.pwrite(file.fileno(), bytes([row[middle] ^ 0x10]), offset + middle)
    return keys, values


def right(connection, keys, values):
    return sum(value == read for value, read in zip(values, values_of(connection, keys)))


def measure_read(cluster, options, draw):
    """Damaged values that are read: never shown, and healed because of the read."""
    keys, values = damage(cluster, options.damaged, draw)
    with Connection(cluster.nodes[1]) as connection:
        begin = time.monotonic()
        first = values_of(connection, keys)
        shown = sum(read is not None and read != value for read, value in zip(first, values))
        report("damaged_value_shown", shown, "rows", at_most=0, rows=len(keys))
        wait_until(lambda: right(connection, keys, values) == len(keys), "what was read is healed", seconds=120)
        report("damaged_healed_after_read", time.monotonic() - begin, "s", rows=len(keys))
    cluster.await_equal(60)


def measure_scrub(cluster, options, draw):
    """Damaged values that nobody reads."""
    beta = cluster.nodes[1]
    received = status_of(beta)["rows_received"]
    keys, values = damage(cluster, options.damaged, draw)
    begin = time.monotonic()
    limit = seconds_of(options.scrub_interval)
    # Asking for the rows would be what heals them: that they came is seen by their number.
    wait_until(lambda: status_of(beta)["rows_received"] >= received + len(keys), "the scrub found all",
               seconds=3 * limit + 60)
    took = time.monotonic() - begin
    # What the pass that was under way had behind it waits for the next one.
    report("damaged_healed_by_scrub", took, "s", at_most=2 * limit, rows=len(keys), scrub_interval_s=limit)
    with Connection(beta) as connection:
        report("damaged_wrong_afterwards", len(keys) - right(connection, keys, values), "rows", at_most=0)
    cluster.await_equal(60)


def main():
    options = arguments()
    draw = random.Random(options.seed)
    with Fleet("alpha", "beta", directory=options.directory,
               anti_entropy={"scrub_interval": options.scrub_interval}) as cluster:
        cluster.begin(options.rows, options.size)
        for count in options.deleted:
            measure_deleted(cluster, count, draw)
        if options.damaged:
            measure_scrub(cluster, options, draw)
            measure_read(cluster, options, draw)


main()

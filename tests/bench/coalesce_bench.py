"""Keys are overwritten again and again while a peer is away: how many rows it is sent when it comes back."""

import time

from fleet import Connection, Fleet, Report, parser_of
from knit_replies import rows_sent_to

report = Report("coalesce")


def arguments():
    parser = parser_of("coalesce", __doc__)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--overwrites", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=250, help="bytes of a value")
    parser.add_argument("--partition", action="store_true", help="the peer is cut off, where else it is stopped")
    return parser.parse_args()


def main():
    options = arguments()
    with Fleet("alpha", "beta", directory=options.directory) as cluster:
        cluster.begin()
        alpha, beta = cluster.nodes
        with Connection(alpha) as connection:
            connection.write(range(options.keys), options.size)
            cluster.await_equal(60)
            alpha.isolate() if options.partition else beta.end()
            begin = time.monotonic()
            for first in range(0, options.overwrites, options.keys):
                connection.write(range(min(options.keys, options.overwrites - first)), options.size)
            report("overwrites", options.overwrites / (time.monotonic() - begin), "writes/s, one connection")
        before = rows_sent_to(alpha, "beta")
        begin = time.monotonic()
        alpha.isolate(False) if options.partition else beta.start()
        cluster.await_equal(120)
        report("until_equal", time.monotonic() - begin, "s after the return", keys=options.keys)
        after = rows_sent_to(alpha, "beta")
        report("rows_sent", after["all"] - before["all"], "rows", at_most=options.keys,
               streamed=after["streamed"] - before["streamed"], overwrites=options.overwrites)


main()

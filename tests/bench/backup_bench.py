"""A backup of many rows while clients write: how long it takes, and what those who read feel; then a new node is made of
it, and joins: how soon it holds what all others hold, and what travels for that."""

import os
import subprocess
import time

from fleet import Fleet, Load, Report, parser_of, server_of, share
from knit_replies import rows_received_from
from servers import BUILD

report = Report("backup")


def arguments():
    parser = parser_of("backup", __doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=250, help="bytes of a value")
    parser.add_argument("--writes", type=int, default=5000, help="a second, all the while")
    parser.add_argument("--gets", type=int, default=2000, help="a second")
    parser.add_argument("--baseline", type=float, default=10, help="seconds before the backup")
    return parser.parse_args()


def measure_backup(node, other, options, path):
    writing = Load("lag", server_of(node), 600, options.writes, options.size, options.rows, 1, server_of(other))
    with writing, Load("get", server_of(node), 600, options.gets, options.rows) as reading:
        time.sleep(2 + options.baseline)
        begin = time.monotonic()
        made = node.knit("backup", path)
        end = time.monotonic()
        assert made.returncode == 0, made.stderr
        reading.stop()
    report("backup", end - begin, "s", rows=options.rows, bytes=os.path.getsize(path), writes_per_second=options.writes)
    before, during = reading.waits(begin - options.baseline, begin), reading.waits(begin, end)
    for name, waits in (("before", before), ("during", during)):
        report(f"get_{name}_p50", share(waits, 0.5), "ms", gets=len(waits))
        report(f"get_{name}_p99", share(waits, 0.99), "ms", max=round(max(waits, default=0), 3))
    report("get_slower_p99", share(during, 0.99) - share(before, 0.99), "ms", at_most=1)


def measure_restore(cluster, options, path):
    gamma = cluster.nodes[2]
    cluster.await_rest()
    begin = time.monotonic()
    subprocess.run([os.path.join(BUILD, "knit"), "restore", path, "--data-directory", gamma.directory], check=True,
                   stdout=subprocess.DEVNULL)
    restored = time.monotonic()
    gamma.start()
    cluster.await_links()
    cluster.await_equal(300)
    end = time.monotonic()
    report("restore", restored - begin, "s, of the file", rows=options.rows)
    got = [rows_received_from(gamma, name) for name in ("alpha", "beta")]
    report("rejoin", end - restored, "s from the start of the daemon until equal",
           rows_received=sum(rows["all"] for rows in got))


def main():
    options = arguments()
    with Fleet("alpha", "beta", "gamma", directory=options.directory) as cluster:
        alpha, beta, gamma = cluster.nodes
        cluster.nodes[:] = [alpha, beta]
        cluster.begin(options.rows, options.size)
        path = os.path.join(cluster.directory, "backup")
        measure_backup(alpha, beta, options, path)
        cluster.nodes.append(gamma)
        measure_restore(cluster, options, path)


main()

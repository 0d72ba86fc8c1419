"""A peer comes back: how soon it has what was overwritten while it was away, from the log or, where that was trimmed,
by an exchange; what its own clients feel meanwhile; and how fast rows are applied."""

import os
import random
import subprocess
import time

from fleet import TOOLS, Connection, Fleet, Load, Report, parser_of, server_of, share
from knit_replies import rows_received_from

GOALS = {10_000: 2, 100_000: 10}
TRIMMED_GOAL = 15
NOTHING = {"streamed": 0, "exchanged": 0, "all": 0}

report = Report("catchup")


def arguments():
    parser = parser_of("catchup", __doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=250, help="bytes of a value")
    parser.add_argument("--overwritten", type=int, nargs="*", default=[10_000, 100_000], help="keys, of a trial each")
    parser.add_argument("--gets", type=int, default=2000, help="a second, at the receiver")
    parser.add_argument("--baseline", type=float, default=10, help="seconds of GETs before the return")
    parser.add_argument("--batches", type=int, nargs="*", default=[100, 1000], help="rows merged at once")
    parser.add_argument("--hints-bytes", default="1MiB", help="hints.max_bytes where the log is to be trimmed")
    parser.add_argument("--runs", type=int, default=1, help="of each trial")
    parser.add_argument("--only", choices=("applied", "hints", "gets", "trimmed"))
    return parser.parse_args()


def overwrite(node, options, count):
    numbers = random.sample(range(options.rows), count)
    with Connection(node) as connection:
        connection.write(numbers, options.size)


def measure_merging(options):
    """What one node can take in, without a network and without a second one on the same processors."""
    with Fleet("receiver", directory=options.directory) as cluster:
        node = cluster.nodes[0]
        cluster.make_stores(options.rows, options.size)
        merged = max(options.overwritten)
        for batch in options.batches:
            times = dict(line.split() for line in subprocess.run(
                [os.path.join(TOOLS, "merge_rows"), node.directory, cluster.key_path, str(options.rows), str(merged),
                 str(batch), str(options.size)], check=True, capture_output=True, text=True).stdout.splitlines())
            report("applied", merged / float(times["durable"]), "rows/s, durable", at_least=100_000, batch=batch,
                   rows=options.rows, committed_after_s=float(times["committed"]))


def come_back(cluster, back):
    """Calls `back`; seconds from then until all hold the same, and how fast rows came once they did."""
    beta = cluster.nodes[1]
    before = rows_received_from(beta, "alpha") if beta.process else NOTHING  # It counts from its start.
    begin, first = time.monotonic(), None
    back()
    cluster.await_links()
    while not cluster.equal():
        now = rows_received_from(beta, "alpha")
        if now["all"] > before["all"] and first is None:
            first = time.monotonic(), now["all"]
        assert time.monotonic() < begin + 300, "not equal within 300 s"
        time.sleep(0.01)
    took = time.monotonic() - begin
    rows = rows_received_from(beta, "alpha")
    got = {kind: rows[kind] - before[kind] for kind in rows}
    per_second = (rows["all"] - first[1]) / (begin + took - first[0]) if first and begin + took > first[0] else None
    return took, got, per_second


def measure_stopped(cluster, options, count, series, goal):
    """The peer's process ends and starts again."""
    alpha, beta = cluster.nodes
    assert beta.end() == 0
    overwrite(alpha, options, count)
    cluster.await_rest()
    took, got, per_second = come_back(cluster, beta.start)
    report(series, took, "s from its start until equal", at_most=goal, keys=count, streamed=got["streamed"],
           exchanged=got["exchanged"])
    if per_second:
        report(f"{series}_rows", per_second, "rows/s, while rows came", keys=count)
    cluster.await_rest()


def set_hints_bytes(cluster, size):
    """In a node that is started anew, because its log is to have that size from now on."""
    alpha, beta = cluster.nodes
    assert alpha.end() == 0
    if size is None:
        alpha.config.pop("hints")
    else:
        alpha.config["hints"] = {"max_bytes": size}
    alpha.start()
    cluster.await_equal(120)


def measure_gets(cluster, options, count):
    """The peer runs all the while, cut off, and serves its own clients."""
    alpha, beta = cluster.nodes
    alpha.isolate()
    overwrite(alpha, options, count)
    cluster.await_rest()
    with Load("get", server_of(beta), 300, options.gets, options.rows) as load:
        time.sleep(1 + options.baseline)
        back = time.monotonic()
        took, got, _ = come_back(cluster, lambda: alpha.isolate(False))
        equal = time.monotonic()
        time.sleep(0.5)
        load.stop()
    report("rejoin", took, "s from the end of a partition until equal", at_most=GOALS.get(count), keys=count,
           streamed=got["streamed"], exchanged=got["exchanged"])
    before, during = load.waits(back - options.baseline, back), load.waits(back, equal)
    for name, waits in (("before", before), ("during", during)):
        report(f"get_{name}_p50", share(waits, 0.5), "ms", gets=len(waits))
        report(f"get_{name}_p99", share(waits, 0.99), "ms", max=round(max(waits, default=0), 3))
    report("get_slower_p99", share(during, 0.99) - share(before, 0.99), "ms", at_most=1)


def main():
    options = arguments()
    chosen = {options.only} if options.only else {"applied", "hints", "gets", "trimmed"}
    if "applied" in chosen:
        measure_merging(options)
    if chosen == {"applied"}:
        return
    with Fleet("alpha", "beta", directory=options.directory) as cluster:
        cluster.begin(options.rows, options.size)
        for _ in range(options.runs):
            if "hints" in chosen:
                for count in options.overwritten:
                    measure_stopped(cluster, options, count, "hints", GOALS.get(count))
            if "gets" in chosen:
                measure_gets(cluster, options, max(options.overwritten))
        if "trimmed" in chosen:
            set_hints_bytes(cluster, options.hints_bytes)
            for _ in range(options.runs):
                measure_stopped(cluster, options, max(options.overwritten), "trimmed", TRIMMED_GOAL)


main()

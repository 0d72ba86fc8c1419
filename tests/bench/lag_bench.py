"""How soon a write is seen on the other nodes, also over a network that loses packets; and what it costs the
writer to push its writes to two peers."""

import ctypes
import json
import os
import statistics
import subprocess
import time

from fleet import Fleet, Load, Report, cpu_seconds, main_thread_seconds, parser_of, server_of, share
from harness import PEER_PORT, wait_until
from servers import benchmark

CLONE_NEWNET = 0x40000000
LOSSY = """
table inet loss {{
  chain arriving {{
    type filter hook input priority 0;
    tcp dport {port} counter
    tcp sport {port} counter
    tcp dport {port} numgen random mod 1000 < {permille} counter drop
    tcp sport {port} numgen random mod 1000 < {permille} counter drop
  }}
}}
"""

report = Report("lag")


def arguments():
    parser = parser_of("lag", __doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rate", type=int, default=5000, help="writes a second, on one node")
    parser.add_argument("--probes", type=int, default=200, help="of these, writes that are watched for")
    parser.add_argument("--size", type=int, default=250, help="bytes of a value")
    parser.add_argument("--keys", type=int, default=1_000_000, help="that are written at random")
    parser.add_argument("--loss", type=float, default=1, help="percent of the packets between the nodes")
    parser.add_argument("--writes", type=int, default=200_000, help="of a run that measures the cost of pushing")
    parser.add_argument("--pipeline", type=int, default=16, help="of the 50 connections in such a run")
    parser.add_argument("--runs", type=int, default=3, help="of each kind; they take turns")
    parser.add_argument("--only", choices=("lag", "cost", "loss"))
    return parser.parse_args()


def fleet(options):
    return Fleet("alpha", "beta", "gamma", directory=options.directory)


def measure_lag(options, series, goal, **more):
    with fleet(options) as cluster:
        cluster.begin()
        writer, *readers = cluster.nodes
        before = [cpu_seconds(node.process.pid) for node in cluster.nodes]
        with Load("lag", server_of(writer), options.seconds, options.rate, options.size, options.keys, options.probes,
                  *map(server_of, readers)) as load:
            load.finish()
            wait_until(cluster.equal, "all hold the same in the end", seconds=60)
            report_lag(load, series, goal, options, **more)
        for node, used in zip(cluster.nodes, before):
            report(f"{series}_cpu_{node.name}",
                   100 * (cpu_seconds(node.process.pid) - used) / options.seconds, "% of a core")


def report_lag(load, series, goal, options, **more):
    delays = [delay / 1e6 for _, _, delay in load.samples("lag") if delay >= 0]
    lost = sum(delay < 0 for _, _, delay in load.samples("lag"))
    waits = [waited / 1e6 for _, waited in load.samples("set")]
    last = max(due + waited for due, waited in load.samples("set"))
    seconds = (last - load.samples("set")[0][0]) / 1e9
    report(f"{series}_writes", len(waits) / seconds, "writes/s", at_least=0.99 * options.rate, **more)
    report(f"{series}_write_p99", share(waits, 0.99), "ms, from when it was due to its answer")
    report(f"{series}_p50", share(delays, 0.5), "ms, from the answer until it is seen on the other nodes")
    report(f"{series}_p99", share(delays, 0.99), "ms", at_most=goal, probes=len(delays))
    report(f"{series}_max", max(delays, default=float("nan")), "ms")
    report(f"{series}_never_seen", lost, "probes", at_most=0)


class Server:
    """What benchmark() wants to know."""

    name = "knit"

    def __init__(self, node):
        self.host, self.port = server_of(node).split(":")
        self.pid = node.process.pid
        self.unix_socket = node.socket_path


def cost_of_a_run(options, names):
    """Microseconds of the writer's processor a write, until its peers have all: of its loop and of all its threads;
    and writes a second by the clock, which on few cores says more about their number."""
    with Fleet(*names, directory=options.directory) as cluster:
        cluster.begin()
        writer = cluster.nodes[0]
        pid = writer.process.pid
        loop, all_threads = main_thread_seconds(pid), cpu_seconds(pid)
        figures = benchmark(Server(writer), "set", options.writes, options.pipeline, options.size, False)
        wait_until(cluster.equal, "the peers have it all", seconds=120)
        cluster.await_rest()
        each = 1e6 / options.writes
        return (each * (main_thread_seconds(pid) - loop), each * (cpu_seconds(pid) - all_threads), figures["rps"])


def measure_cost(options):
    runs = {"alone": [], "pushing": []}
    for _ in range(options.runs):
        runs["alone"].append(cost_of_a_run(options, ("alpha",)))
        runs["pushing"].append(cost_of_a_run(options, ("alpha", "beta", "gamma")))
    of = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in runs.items()}
    for name, (loop, all_threads, rate) in of.items():
        report(f"cpu_a_write_{name}", loop, "us of the loop's thread", all_threads=round(all_threads, 3),
               writes_per_second=round(rate))
    for number, (what, goal) in enumerate((("the loop's thread, which bounds the throughput", 25),
                                           ("all threads of the writer", None))):
        report("pushing_costs_loop" if goal else "pushing_costs_process",
               100 * (1 - of["alone"][number] / of["pushing"][number]),
               f"% of the throughput, by the processor time of {what}", at_most=goal)


def make_lossy(options):
    """From here on this process has a network of its own, where packets between daemons get lost. Answers why
    that cannot be had, or None."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        return f"no network namespace of its own: {os.strerror(ctypes.get_errno())}"
    rules = LOSSY.format(port=PEER_PORT, permille=round(10 * options.loss))
    # Packets as small as on a wire, each of them lost or not by itself.
    for words, text in ((["ip", "link", "set", "lo", "up", "mtu", "1500", "gso_max_segs", "1"], ""),
                        (["nft", "-f", "-"], rules)):
        try:
            done = subprocess.run(words, input=text, text=True, capture_output=True)
        except FileNotFoundError:
            return f"{words[0]} is not installed"
        if done.returncode != 0:
            return f"{' '.join(words)}: {done.stderr.strip()}"
    return None


def lost_packets():
    """How many there were, and how many got lost."""
    rules = json.loads(subprocess.run(["nft", "-j", "list", "ruleset"], capture_output=True, check=True).stdout)
    counts = [part["counter"]["packets"] for entry in rules["nftables"] if "rule" in entry
              for part in entry["rule"]["expr"] if "counter" in part]
    return sum(counts[:2]), sum(counts[2:])


def main():
    options = arguments()
    if options.only in (None, "lag"):
        measure_lag(options, "lag", 50)
    if options.only in (None, "cost"):
        measure_cost(options)
    if options.only in (None, "loss"):
        obstacle = make_lossy(options)
        if obstacle:
            report.skipped("lag_with_loss", obstacle)
            return
        measure_lag(options, "lag_with_loss", 250, loss_percent=options.loss)
        packets, lost = lost_packets()
        report("packets_lost", 100 * lost / max(packets, 1), "% of those between the nodes", packets=packets)


main()

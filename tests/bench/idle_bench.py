"""What a daemon with an empty store costs: resident memory, and share of a core, with two peers in sync."""

import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cluster"))
from harness import Cluster, wait_until  # noqa: E402

SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 20


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def report(metric, value, unit):
    print(json.dumps({"bench": "idle", "metric": metric, "value": value, "unit": unit}), flush=True)


def main():
    with Cluster("alpha", "beta", "gamma") as cluster:
        for node in cluster.nodes:
            node.config["anti_entropy"] = {}  # The defaults, not the tests' short intervals.
            node.config["debug"] = {}
        cluster.start()
        wait_until(cluster.in_sync, "the nodes agree")
        node = cluster.nodes[0]
        before = cpu_seconds(node.process.pid)
        time.sleep(SECONDS)
        used = cpu_seconds(node.process.pid) - before
        report("resident_memory", round(node.resident_bytes() / 1e6, 2), "MB")
        report("cpu", round(100 * used / SECONDS, 3), "% of a core")


main()

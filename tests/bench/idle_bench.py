"""What a daemon costs that has nothing to do, with two peers in sync: resident memory and share of a core, with an
empty store; and what it takes on the network to know that all hold the same, with a large one."""

import re
import subprocess
import time
import urllib.request

from fleet import Fleet, Report, cpu_seconds, parser_of
from harness import HTTP_PORT, PEER_PORT

report = Report("idle")


def arguments():
    parser = parser_of("idle", __doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=20)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the large store; 0: leave that out")
    parser.add_argument("--size", type=int, default=64, help="bytes of a value")
    return parser.parse_args()


def link_bytes(cluster):
    """What all links between the nodes have carried so far, by the kernel's count: bytes of their streams, without
    headers. Each has two ends here; what one has sent is what the other received."""
    hosts = {node.host for node in cluster.nodes}
    lines = subprocess.run(["ss", "-Htin", "state", "established", f"( sport = :{PEER_PORT} or dport = :{PEER_PORT} )"],
                           capture_output=True, text=True, check=True).stdout.splitlines()
    counts = {}
    for ends, details in zip(lines[0::2], lines[1::2]):
        pair = tuple(address.rsplit(":", 1) for address in ends.split()[-2:])
        if pair[0][0] in hosts:
            sent = re.search(r"\bbytes_sent:(\d+)", details)
            counts[tuple(map(tuple, pair))] = int(sent[1]) if sent else 0
    return counts


def gossip_sent(node):
    """Packets of membership, and their bytes, that a node has sent so far."""
    with urllib.request.urlopen(f"http://{node.host}:{HTTP_PORT}/metrics") as page:
        text = page.read().decode()
    return [float(re.search(rf'^knit_gossip_{what}_total{{direction="sent"}} (\S+)', text, re.M)[1])
            for what in ("packets", "bytes")]


def measure_empty(options):
    with Fleet("alpha", "beta", "gamma", directory=options.directory) as cluster:
        cluster.begin()
        node = cluster.nodes[0]
        before = cpu_seconds(node.process.pid)
        time.sleep(options.seconds)
        used = cpu_seconds(node.process.pid) - before
        report("resident_memory", node.resident_bytes() / 1e6, "MB")
        report("cpu", 100 * used / options.seconds, "% of a core")


def measure_bytes(options):
    with Fleet("alpha", "beta", "gamma", directory=options.directory) as cluster:
        cluster.begin(options.rows, options.size)
        time.sleep(5)  # What followed the filling has come to rest.
        before, cpu = link_bytes(cluster), cpu_seconds(cluster.nodes[0].process.pid)
        told = [gossip_sent(node) for node in cluster.nodes]
        time.sleep(options.seconds)
        packets, datagram_bytes = [sum(now - then for now, then in zip(column, before_it)) / options.seconds
                                   for column, before_it in zip(zip(*map(gossip_sent, cluster.nodes)), zip(*told))]
        after, used = link_bytes(cluster), cpu_seconds(cluster.nodes[0].process.pid) - cpu
        assert before.keys() == after.keys(), "links came or went"
        sent = [(after[end] - before[end]) / options.seconds for end in after]
        links = len(cluster.nodes) * (len(cluster.nodes) - 1) // 2
        assert len(sent) == 2 * links, f"{len(sent)} ends of {links} links"
        # Each packet of membership carries 8 bytes for the comparison; it would be sent without them too.
        report("bytes", (sum(sent) + 8 * packets) / links, "B a second and peer, both directions", at_most=64,
               rows=options.rows, over_links=round(sum(sent) / links, 1))
        report("membership_bytes", datagram_bytes / len(cluster.nodes), "B a second sent by a node, in datagrams")
        report("cpu_with_rows", 100 * used / options.seconds, "% of a core", rows=options.rows)


def main():
    options = arguments()
    measure_empty(options)
    if options.rows:
        measure_bytes(options)


main()

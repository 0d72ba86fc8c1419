"""What nodes send each other when nothing happens: packets and bytes a second and node. In a network namespace of its
own."""

import time

from crowd import Watch, add_serf_option, crowds, goals
from fleet import Report, parser_of
from namespace import LossyNetwork

report = Report("rest")


def arguments():
    parser = parser_of("rest", __doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[20, 50])
    parser.add_argument("--seconds", type=float, default=60)
    add_serf_option(parser)
    return parser.parse_args()


def measure(kind, size, options, network):
    with kind(size, options.directory) as crowd:
        watch = Watch(crowd, crowd.joined)
        crowd.start()
        watch.until(crowd.pairs(), 120, "all know each other")
        time.sleep(10 + size / 2)  # The news has been told, and each has pinged each: that it is who it says is proven once.
        before = network.traffic()
        time.sleep(options.seconds)
        after = network.traffic()
    per_node = 1 / options.seconds / size
    more = {"program": kind.program, "nodes": size}
    report("udp_packets", (after.udp_packets - before.udp_packets) * per_node, "packets/s sent a node", **more)
    report("udp_bytes", (after.udp_bytes - before.udp_bytes) * per_node, "B/s of payload sent a node", **more,
           **goals(kind, at_most=250))
    report("tcp_bytes", (after.tcp_bytes - before.tcp_bytes) * per_node, "B/s of payload sent a node", **more,
           **goals(kind, at_most=10))


def main():
    options = arguments()
    with LossyNetwork() as network:
        if network.obstacle:
            return report.skipped("all", network.obstacle)
        for kind in crowds(options):
            for size in options.sizes:
                measure(kind, size, options, network)


main()

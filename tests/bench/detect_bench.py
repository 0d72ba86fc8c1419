"""How soon all others know that a node was killed (kill -9), in clusters of several sizes."""

import random
import statistics

from crowd import Watch, add_serf_option, crowds, goals
from fleet import Report, parser_of

report = Report("detect")


def arguments():
    parser = parser_of("detect", __doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[20, 50])
    parser.add_argument("--runs", type=int, default=8, help="kills in each cluster")
    add_serf_option(parser)
    return parser.parse_args()


def kill_one(crowd):
    """Seconds until the last one knows."""
    victim = random.choice(crowd.names[1:])
    others = [name for name in crowd.names if name != victim]
    watch = Watch(crowd, crowd.dead)
    crowd.kill(victim)
    took = watch.until([(other, victim) for other in others], 60, f"all know that {victim} is dead")
    back = Watch(crowd, crowd.joined)
    crowd.restart(victim)
    back.until([(other, victim) for other in others], 60, f"all know that {victim} is back")
    return took


def main():
    options = arguments()
    for kind in crowds(options):
        for size in options.sizes:
            with kind(size, options.directory) as crowd:
                watch = Watch(crowd, crowd.joined)
                crowd.start()
                watch.until(crowd.pairs(), 120, "all know each other")
                times = [kill_one(crowd) for _ in range(options.runs)]
                report("last_knows_median", statistics.median(times), "s", program=kind.program, nodes=size,
                       **goals(crowd, at_most=4))
                report("last_knows_worst", max(times), "s", program=kind.program, nodes=size, runs=len(times),
                       **goals(crowd, at_most=5))


main()

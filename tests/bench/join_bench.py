"""Many nodes that run alone join through one of them at the same time: how soon every one knows every other. Then one
of them changes its tags: how soon all know that."""

import random
import statistics

from crowd import Watch, add_serf_option, crowds, goals
from fleet import Report, parser_of, share

report = Report("join")


def arguments():
    parser = parser_of("join", __doc__)
    parser.add_argument("--size", type=int, default=50)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--changes", type=int, default=20, help="of tags, in the last run")
    add_serf_option(parser)
    return parser.parse_args()


def change_tags(crowd, changes):
    times = []
    for number in range(changes):
        name = random.choice(crowd.names)
        watch = Watch(crowd, crowd.tagged)
        crowd.tag(name, f"z{number}")
        others = [other for other in crowd.names if other != name]
        times.append(watch.until([(other, name) for other in others], 30, f"all know the tags of {name}"))
    return times


def join_all(kind, options, with_tags):
    with kind(options.size, options.directory, seeds=False) as crowd:
        crowd.start()
        watch = Watch(crowd, crowd.joined)
        for name in crowd.names[1:]:
            crowd.join(name)
        took = watch.until(crowd.pairs(), 120, "all know each other")
        return took, change_tags(crowd, options.changes) if with_tags else []


def main():
    options = arguments()
    for kind in crowds(options):
        took, tags = [], []
        for run in range(options.runs):
            seconds, changes = join_all(kind, options, run == options.runs - 1)
            took.append(seconds)
            tags += changes
        goal = goals(kind, at_most=2)
        report("all_know_all_median", statistics.median(took), "s", program=kind.program, nodes=options.size)
        report("all_know_all_worst", max(took), "s", program=kind.program, nodes=options.size, runs=len(took), **goal)
        if tags:
            report("tags_known_median", statistics.median(tags), "s", program=kind.program, **goals(kind, at_most=0.4))
            report("tags_known_p95", share(tags, 0.95), "s", program=kind.program)
            report("tags_known_worst", max(tags), "s", program=kind.program, **goals(kind, at_most=1.5))


main()

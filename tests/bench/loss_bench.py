"""Nodes that are well, in a network that loses packets, or beside others that are stopped most of the time: how many are
taken for dead. In a network namespace of its own."""

import os
import random
import signal
import time

from crowd import Watch, add_serf_option, crowds, goals
from fleet import Report, parser_of
from namespace import LossyNetwork

report = Report("loss")
GOALS = {10: 0, 25: 1, 40: 10}


def arguments():
    parser = parser_of("loss", __doc__)
    parser.add_argument("--size", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--loss", type=int, nargs="*", default=[10, 25, 40], help="percent of all packets")
    parser.add_argument("--paused", type=int, default=5, help="nodes that are stopped 8 s of every 9; 0: leave that out")
    add_serf_option(parser)
    return parser.parse_args()


def begin(crowd):
    watch = Watch(crowd, crowd.joined)
    crowd.start()
    watch.until(crowd.pairs(), 120, "all know each other")


def wait(watch, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        watch.look()
        time.sleep(0.2)


def measure_loss(kind, options, network, percent):
    with kind(options.size, options.directory) as crowd:
        begin(crowd)
        watch = Watch(crowd, crowd.dead)
        network.lose(percent)
        wait(watch, options.seconds)
        network.lose(0)
        report("false_failures", len(watch.subjects()), "nodes taken for dead", program=kind.program, loss_percent=percent,
               nodes=options.size, seconds=options.seconds, said=len(watch.all),
               **goals(crowd, at_most=GOALS.get(percent, 0)))


def measure_pauses(kind, options):
    with kind(options.size, options.directory) as crowd:
        begin(crowd)
        paused = random.sample(crowd.names[1:], options.paused)
        watch = Watch(crowd, crowd.dead)
        end = time.monotonic() + options.seconds
        while time.monotonic() < end:
            for name in paused:
                os.kill(crowd.pid(name), signal.SIGSTOP)
            wait(watch, 8)
            for name in paused:
                os.kill(crowd.pid(name), signal.SIGCONT)
            wait(watch, 1)
        healthy = [subject for subject in watch.subjects() if subject not in paused]
        report("false_failures_beside_paused", len(healthy), "healthy nodes taken for dead", program=kind.program,
               nodes=options.size, paused=options.paused, **goals(crowd, at_most=0))


def main():
    options = arguments()
    with LossyNetwork() as network:
        if network.obstacle:
            return report.skipped("all", network.obstacle)
        for kind in crowds(options):
            for percent in options.loss:
                measure_loss(kind, options, network, percent)
            if options.paused:
                measure_pauses(kind, options)


main()

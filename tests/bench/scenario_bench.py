"""Scenario files of the simulator of membership, played on real daemons in a network namespace of their own. Without
files: all that daemons can be put through, but for those that last more than ten minutes."""

import glob
import os

from fleet import Report, parser_of
from harness import ROOT
from namespace import LossyNetwork
from scenario_rig import Obstacle, Player, describe

report = Report("scenario")
LONGEST_SECONDS = 600


def arguments():
    parser = parser_of("scenario", __doc__)
    parser.add_argument("files", nargs="*", metavar="FILE.scenario")
    options = parser.parse_args()
    options.chosen = bool(options.files)
    if not options.files:
        options.files = sorted(glob.glob(os.path.join(ROOT, "tests", "sim", "swim", "scenarios", "*.scenario")))
    return options


def play(path, options, network):
    scenario = describe(path)
    name = os.path.splitext(os.path.basename(path))[0]
    if scenario["seconds"] > LONGEST_SECONDS and not options.chosen:
        return report.skipped(name, f"it lasts {scenario['seconds']:g} s")
    try:
        with Player(scenario, network) as player:
            for line, fact, met, seen in player.play():
                report(f"{name}:{line}", fact, "fact", seen=seen, met=met, nodes=scenario["hosts"])
    except Obstacle as obstacle:
        report.skipped(name, str(obstacle))


def main():
    options = arguments()
    with LossyNetwork() as network:
        if network.obstacle:
            return report.skipped("all", network.obstacle)
        for path in options.files:
            play(path, options, network)


main()

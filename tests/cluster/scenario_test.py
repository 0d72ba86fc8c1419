"""A scenario of the simulator holds for real daemons as well."""

import os
import unittest

from harness import ROOT
from namespace import LossyNetwork
from scenario_rig import Obstacle, Player, describe

SCENARIOS = os.path.join(ROOT, "tests", "sim", "swim", "scenarios")


class ScenarioTest(unittest.TestCase):
    def test_all_that_the_scenario_expects_comes_true(self):
        with LossyNetwork() as network:
            if network.obstacle:
                self.skipTest(network.obstacle)
            with Player(describe(os.path.join(SCENARIOS, "half_a_minute.scenario")), network) as player:
                results = player.play()
        self.assertTrue(results)
        for line, fact, met, seen in results:
            with self.subTest(line=line, fact=fact):
                self.assertTrue(met, seen)

    def test_what_daemons_cannot_do_is_refused(self):
        with self.assertRaisesRegex(Obstacle, r"slow\.scenario:\d+: real daemons cannot be put through"):
            Player(describe(os.path.join(SCENARIOS, "slow.scenario")), None)


if __name__ == "__main__":
    unittest.main()

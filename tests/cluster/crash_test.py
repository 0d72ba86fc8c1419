"""kill -9 and power cuts: the daemon comes back, no acknowledged write is lost, no dot is used twice."""

import os
import time
import unittest

from crash_rig import CrashRig, supports
from harness import LONG, SLOWNESS, Cluster
from loop_disk import require_loop_devices

KILLS = 500 if LONG else 50 if SLOWNESS == 1 else 15
POWER_CUTS = 50 if LONG else 5 if SLOWNESS == 1 else 2
SECONDS_MAX = 3000 if LONG else 60


class CrashTest(unittest.TestCase):
    def run_rounds(self, rounds, **options):
        seed = os.environ.get("KNIT_SEED", "7")
        began = time.monotonic()
        with CrashRig(seed, **options) as rig:
            try:
                done = 0
                while done < rounds and time.monotonic() - began < SECONDS_MAX:
                    rig.power_cut_round() if rig.disk else rig.kill_round()
                    done += 1
                rig.converge()
            finally:
                print(f"seed {seed}, {done} rounds, {options}: {rig.report()}", flush=True)
            # On a busy machine fewer rounds fit into the time.
            self.assertGreaterEqual(done, rounds // 5)
            self.assertGreater(rig.total.counts["acknowledged"], rounds)
            self.assertGreater(rig.total.counts["in flight, gone"], 0)

    def has_durability(self, value):
        with Cluster("alpha") as cluster:
            return supports(cluster.nodes[0], "store", "durability", value)

    def test_no_acknowledged_write_is_lost_by_kills(self):
        self.run_rounds(KILLS)

    def test_no_acknowledged_write_is_lost_by_power_cuts(self):
        require_loop_devices()
        self.run_rounds(POWER_CUTS, power=True)

    def test_asynchronous_durability_keeps_earlier_states_and_reuses_no_dot(self):
        if not self.has_durability("async"):
            self.skipTest("this daemon has no store.durability")
        self.run_rounds(KILLS // 5, durability="async")

    def test_asynchronous_durability_survives_power_cuts(self):
        if not self.has_durability("async"):
            self.skipTest("this daemon has no store.durability")
        require_loop_devices()
        self.run_rounds(POWER_CUTS, durability="async", power=True)


class PeerTest(unittest.TestCase):
    def setUp(self):
        self.cluster = self.enterContext(Cluster("alpha", "beta")).start()
        self.alpha, self.beta = self.cluster.nodes

    def test_a_killed_node_serves_at_once_and_catches_up(self):
        self.alpha.kill()
        self.beta.client().mset({f"key{n}": "written meanwhile" for n in range(1000)})
        began = time.monotonic()
        self.alpha.start()
        self.assertLess(time.monotonic() - began, 3 * SLOWNESS)
        self.cluster.await_sync()
        self.assertEqual(self.alpha.client().get("key1"), b"written meanwhile")

    def test_a_peer_that_dies_in_an_exchange_leaves_both_able_to_converge(self):
        self.beta.isolate()
        self.alpha.client().mset({f"key{n}": "value" * 200 for n in range(20_000)})
        self.beta.isolate(False)
        time.sleep(0.5)
        self.beta.kill()
        self.assertTrue(self.alpha.client().set("after", "alpha goes on"))
        self.beta.start()
        self.cluster.await_sync(seconds=60)
        self.assertEqual(self.beta.client().dbsize(), 20_001)


if __name__ == "__main__":
    unittest.main()

"""kill -9 and power cuts: the daemon comes back, no acknowledged write is lost, no dot is used twice."""

import os
import shutil
import tempfile
import time
import unittest

from crash_rig import CrashRig, supports
from dots import DotTable
from harness import LONG, SLOWNESS, Cluster
from ledger import Findings, Ledger, Sighting, draw_from, value_of
from loop_disk import LoopDisk, require_loop_devices

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


class RigTest(unittest.TestCase):
    """What the rig is to find, it finds."""

    def complaints(self, client_does):
        ledger = Ledger(keys=50)
        draw = draw_from("rig")
        with Cluster("alpha") as cluster:
            alpha, = cluster.start().nodes
            ledger.run(alpha.socket_path, draw, lambda: False, batches_max=10)
            self.assertEqual(ledger.check(alpha.socket_path, draw).texts, [])
            present = [key for key in ledger.keys if key.acknowledged]
            absent = [key for key in ledger.keys if not key.acknowledged]
            with alpha.client() as client:
                client_does(client, present[0], absent[0])
            return +ledger.check(alpha.socket_path, draw).counts

    def test_the_checker_notices_a_lost_write(self):
        self.assertEqual(self.complaints(lambda client, key, _: client.delete(key.name))["lost"], 1)

    def test_the_checker_notices_a_deleted_key_that_came_back(self):
        found = self.complaints(lambda client, _, key: client.set(key.name, value_of(key.number, 1)))
        self.assertEqual(found["revived"], 1)

    def test_the_checker_notices_a_value_that_was_never_written(self):
        found = self.complaints(
            lambda client, key, _: client.set(key.name, value_of(key.number, key.acknowledged) + b"x"))
        self.assertEqual(found["garbage"], 1)

    def test_the_table_notices_a_dot_that_is_used_twice(self):
        table = DotTable()
        table.add(Findings(fresh=[Sighting(1, 5, "first")]))
        table.add(Findings(known=[Sighting(1, 5, "first"), Sighting(1, 6, "second")]))
        self.assertEqual(table.reused, [])
        table.add(Findings(known=[Sighting(1, 5, "other")]))
        self.assertEqual(len(table.reused), 1)
        table.on_restart()
        table.add(Findings(fresh=[Sighting(1, 7, "third"), Sighting(2, 1, "another actor")]))
        self.assertEqual(len(table.reused), 1)
        table.add(Findings(fresh=[Sighting(1, 4, "issued again, not seen before")]))
        self.assertEqual(len(table.reused), 2)

    def test_a_power_cut_takes_what_was_not_synced_and_nothing_else(self):
        require_loop_devices()
        with tempfile.TemporaryDirectory() as path:
            disk = LoopDisk(path, megabytes=64)
            try:
                for name in ("synced", "unsynced"):
                    with open(os.path.join(path, name), "w") as out:
                        out.write("content")
                        out.flush()
                        if name == "synced":
                            os.fsync(out.fileno())
                            parent = os.open(path, os.O_RDONLY)
                            os.fsync(parent)
                            os.close(parent)
                disk.cut(lambda: None)
                disk.restore()
                self.assertTrue(os.path.exists(os.path.join(path, "synced")))
                left = os.path.join(path, "unsynced")
                self.assertFalse(os.path.exists(left) and os.path.getsize(left))
            finally:
                disk.close()


class BirthTest(unittest.TestCase):
    """The first start of an empty directory, cut off at any moment: the next one succeeds."""

    def test_a_killed_birth_is_no_obstacle(self):
        draw = draw_from(os.environ.get("KNIT_SEED", "7"), "birth")
        with Cluster("alpha") as cluster:
            alpha, = cluster.nodes
            for _ in range(100 if LONG else 20 // SLOWNESS):
                shutil.rmtree(alpha.directory)
                alpha.launch()
                time.sleep(draw.uniform(0, 0.1) ** 2 * 10 * SLOWNESS)
                alpha.kill()
                alpha.start()
                self.assertTrue(alpha.client().set("born", "yes"))
                alpha.kill()

    def test_a_power_cut_at_birth_is_no_obstacle(self):
        require_loop_devices()
        draw = draw_from(os.environ.get("KNIT_SEED", "7"), "birth")
        for _ in range(50 if LONG else 6):
            with Cluster("alpha") as cluster:
                self.power_cut_at_birth(cluster.nodes[0], draw)

    def power_cut_at_birth(self, alpha, draw):
        disk = LoopDisk(alpha.directory)
        try:
            alpha.launch()
            time.sleep(draw.uniform(0, 0.1) ** 2 * 10 * SLOWNESS)
            disk.cut(alpha.process.kill)
            alpha.kill()
            disk.restore()
            alpha.start()
            self.assertTrue(alpha.client().set("born", "yes"))
        finally:
            if alpha.process is not None:
                alpha.kill()
            disk.close()


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

"""Deleted rows vanish once every member is known to have the delete; whoever comes back from before revives nothing."""

import shutil
import unittest

from harness import SLOWNESS, Cluster, put_back, wait_until
from knit_replies import status_of

KEYS = [f"key{number}" for number in range(400)]


class PurgeTest(unittest.TestCase):
    def setUp(self):
        self.cluster = self.enterContext(Cluster("alpha", "beta", "gamma"))
        self.cluster.start()
        self.alpha, self.beta, self.gamma = self.cluster.nodes
        self.cluster.await_sync()
        self.client = self.alpha.client()

    def write(self):
        with self.client.pipeline(transaction=False) as pipeline:
            for key in KEYS:
                pipeline.set(key, "value")
            pipeline.execute()
        self.cluster.await_sync()

    def await_rows(self, rows):
        """No node that runs has more rows than these, tombstones too, and all have the same."""
        def done():
            states = [status_of(node) for node in self.cluster.nodes if node.process]
            return {state["rows"] for state in states} == {rows} and len({state["root"] for state in states}) == 1
        wait_until(done, f"all hold {rows} rows", 30)

    def await_dead(self, node):
        wait_until(lambda: self.alpha.knit("forget", node.name).returncode == 0, f"{node.name} is dead, and forgotten", 60)

    def test_deleted_rows_vanish_from_all_nodes(self):
        self.write()
        self.client.delete(*KEYS[1:])
        self.await_rows(1)
        self.cluster.await_sync()
        for node in self.cluster.nodes:
            state = status_of(node)
            self.assertEqual(state["purged_rows"], len(KEYS) - 1)
            self.assertEqual(state["above_floor"], 0)
            self.assertEqual(node.client().get(KEYS[0]), b"value")

    def test_expired_keys_and_counters_vanish_from_all_nodes(self):
        with self.client.pipeline(transaction=False) as pipeline:
            for number, key in enumerate(KEYS):
                if number % 2:
                    pipeline.set(key, "value", px=1500 * SLOWNESS)
                else:
                    pipeline.incr(key)
                    pipeline.pexpire(key, 1500 * SLOWNESS)
                    pipeline.incr(key)
            pipeline.set("kept", "value")
            pipeline.execute()
        self.cluster.await_sync()
        self.assertEqual(self.beta.client().get(KEYS[0]), b"2")
        self.await_rows(1)
        self.cluster.await_sync()
        self.gamma.client().incr(KEYS[0])
        self.cluster.await_sync()
        self.assertEqual(self.client.get(KEYS[0]), b"1")
        self.assertEqual(self.client.ttl(KEYS[0]), -1)

    def test_what_is_written_over_purged_rows_is_the_same_everywhere(self):
        self.write()
        self.client.delete(*KEYS)
        self.await_rows(0)
        for number, node in enumerate(self.cluster.nodes):
            for key in KEYS[number::6]:
                node.client().set(key, node.name)
        self.await_rows(len([key for number in range(3) for key in KEYS[number::6]]))
        self.cluster.await_sync()
        self.assertEqual([self.gamma.client().get(key) for key in KEYS[:6]],
                         [b"alpha", b"beta", b"gamma", None, None, None])

    def test_a_member_that_is_down_holds_them(self):
        self.write()
        self.gamma.end()
        self.client.delete(*KEYS)
        self.await_rows(len(KEYS))
        self.assertGreaterEqual(status_of(self.alpha)["above_floor"], len(KEYS))
        self.assertIn("take up room", self.alpha.knit("status").stdout.decode())
        self.gamma.start()
        self.await_rows(0)
        self.assertEqual(self.gamma.client().dbsize(), 0)

    def test_a_node_that_was_forgotten_revives_nothing_and_loses_nothing_of_its_own(self):
        self.write()
        self.gamma.isolate()
        self.gamma.client().set("mine", "written alone")
        self.gamma.end()
        self.await_dead(self.gamma)
        self.client.delete(*KEYS)
        self.await_rows(0)
        self.gamma.start()
        self.await_rows(1)
        self.cluster.await_sync()
        for node in self.cluster.nodes:
            self.assertEqual(node.client().get("mine"), b"written alone")
            self.assertEqual(node.client().dbsize(), 1)

    def test_a_node_that_goes_back_to_an_old_copy_revives_nothing(self):
        self.write()
        self.gamma.end()
        copy = self.gamma.directory + ".copy"
        shutil.copytree(self.gamma.directory, copy)
        self.gamma.start()
        self.cluster.await_sync()
        self.gamma.client().set("mine", "of the life that is lost")
        self.client.delete(*KEYS)
        self.await_rows(1)
        self.gamma.end()
        put_back(copy, self.gamma.directory)
        self.gamma.start()
        self.await_rows(1)
        self.cluster.await_sync()
        self.assertIn("the data directory is an old copy", self.gamma.log())
        self.assertEqual(self.gamma.client().get("mine"), b"of the life that is lost")


if __name__ == "__main__":
    unittest.main()

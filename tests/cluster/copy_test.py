"""A data directory that is copied becomes another node's: the first may still run, and both keep what they have."""

import os
import shutil
import unittest

from harness import Cluster, wait_until
from knit_replies import status_of
from members_test import states_of

KEYS = [f"key{number}" for number in range(300)]


class CopyTest(unittest.TestCase):
    def setUp(self):
        self.cluster = self.enterContext(Cluster("alpha", "beta", "gamma"))
        self.alpha, self.beta, self.gamma = self.cluster.nodes
        for node in (self.alpha, self.beta):
            node.start()
        for key in KEYS:
            self.alpha.client().incr(key)
        self.await_equal(self.alpha, self.beta)

    def await_equal(self, *nodes):
        def equal():
            states = [node.status() for node in nodes]
            return len({(state["root"], state["keys"]) for state in states}) == 1 and all(
                sum(peer["reachable"] and peer["equal"] for peer in state["peers"]) == len(nodes) - 1 for state in states)
        wait_until(equal, f"{[node.name for node in nodes]} are equal", 30)

    @staticmethod
    def copy(of, to):
        for name in ("data.mdb", "format", "cluster.key", "members"):
            if os.path.exists(os.path.join(of.directory, name)):
                shutil.copy(os.path.join(of.directory, name), to)
        shutil.copytree(os.path.join(of.directory, "journal"), os.path.join(to, "journal"))

    def test_a_copy_is_another_node_and_no_write_is_lost(self):
        os.makedirs(self.gamma.directory, mode=0o700, exist_ok=True)
        self.copy(self.alpha, self.gamma.directory)
        for key in KEYS[:50]:
            self.alpha.client().incr(key)  # In the life that the copy does not know.
        self.gamma.start()
        self.assertIn("was copied, or moved to another disk", self.gamma.log())
        for key in KEYS[:100]:
            self.gamma.client().incr(key)
            self.alpha.client().incr(key)
        self.await_equal(*self.cluster.nodes)
        self.assertEqual(len({status_of(node)["node"] for node in self.cluster.nodes}), 3)
        self.assertEqual(states_of(self.beta), {"alpha": "alive", "beta": "alive", "gamma": "alive"})
        for node in self.cluster.nodes:
            values = node.client().mget(KEYS)
            self.assertEqual([values.count(b"4"), values.count(b"3"), values.count(b"1")], [50, 50, 200])
        node_id = status_of(self.gamma)["node"]
        self.gamma.end()
        self.gamma.start()
        self.assertEqual(status_of(self.gamma)["node"], node_id)

    def test_data_that_were_moved_to_another_disk_replace_their_node(self):
        self.alpha.kill()
        moved = self.alpha.directory + ".moved"
        os.mkdir(moved, mode=0o700)
        self.copy(self.alpha, moved)
        shutil.rmtree(self.alpha.directory)
        shutil.move(moved, self.alpha.directory)
        self.alpha.start()
        self.await_equal(self.alpha, self.beta)
        wait_until(lambda: states_of(self.beta) == {"alpha": "alive", "beta": "alive"}, "nobody is missed", 30)
        self.assertEqual(self.alpha.client().incr(KEYS[0]), 2)
        wait_until(lambda: self.beta.client().get(KEYS[0]) == b"2", "beta hears of it")

    def test_a_directory_that_was_renamed_is_the_same_node(self):
        node_id = status_of(self.alpha)["node"]
        self.alpha.end()
        os.rename(self.alpha.directory, self.alpha.directory + ".other")
        os.rename(self.alpha.directory + ".other", self.alpha.directory)
        self.alpha.start()
        self.assertEqual(status_of(self.alpha)["node"], node_id)
        self.assertNotIn("was copied", self.alpha.log())


if __name__ == "__main__":
    unittest.main()

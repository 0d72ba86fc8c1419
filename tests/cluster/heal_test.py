"""What happened to a node's file behind the daemon's back is noticed, and healed by a peer without a command."""

import os
import random
import unittest

import redis

from harness import Cluster, wait_until
from knit_replies import status_of
from lmdb_rows import delete_random_rows, random_places


class HealTest(unittest.TestCase):
    def setUp(self):
        self.draw = random.Random(os.environ.get("KNIT_SEED", "7"))
        self.cluster = self.enterContext(Cluster("alpha", "beta"))
        self.alpha, self.beta = self.cluster.nodes
        for node in self.cluster.nodes:
            node.config["anti_entropy"] = {"interval": "24h"}
        self.cluster.start()
        self.values = {f"key{number}".encode(): b"value %d " % number * 5 for number in range(3000)}
        self.alpha.client().mset(self.values)
        self.await_equal(seconds=10)
        wait_until(lambda: status_of(self.beta)["pending_bytes"] == 0, "beta's file holds it all")

    def await_equal(self, seconds):
        wait_until(lambda: status_of(self.alpha)["root"] == status_of(self.beta)["root"], "both hold the same", seconds)

    def assert_right(self, keys):
        self.assertEqual(self.beta.client().mget(keys), [self.values[key] for key in keys])

    def test_rows_that_vanished_while_a_node_was_down_come_back(self):
        for count in (1, 100):
            with self.subTest(count):
                self.assertEqual(self.beta.end(), 0)
                keys = delete_random_rows(self.beta.directory, self.draw, count)
                self.assertTrue(keys)
                self.beta.start()
                wait_until(lambda: status_of(self.beta)["tree_complete"], "the tree is built")
                wait_until(lambda: status_of(self.beta)["rows_received"] >= len(keys), "they are healed", seconds=2)
                self.await_equal(seconds=2)
                self.assert_right(keys)
                self.assertEqual(self.beta.knit("verify").returncode, 0)

    def rot(self, count):
        """Changes one byte of some values in beta's file; their keys."""
        places = random_places(self.beta.directory, self.draw, count)
        with open(os.path.join(self.beta.directory, "data.mdb"), "r+b", buffering=0) as file:
            for key, (offset, size) in places.items():
                at = os.pread(file.fileno(), size, offset).index(self.values[key])
                os.pwrite(file.fileno(), b"V", offset + at)
        return list(places)

    def shown(self, key):
        try:
            return self.beta.client().get(key)
        except redis.ResponseError:
            return None

    def test_a_value_that_rotted_is_never_shown_and_reading_it_heals_it(self):
        for key in self.rot(20):
            self.assertIn(self.shown(key), (None, self.values[key]))
            wait_until(lambda: self.shown(key) == self.values[key], "the read healed it", seconds=5)
        self.await_equal(seconds=5)

    def test_values_that_nobody_reads_are_healed_within_a_pass_of_the_scrub(self):
        self.assertEqual(self.beta.end(), 0)
        self.beta.config["anti_entropy"]["scrub_interval"] = "2s"
        self.beta.start()
        wait_until(lambda: status_of(self.beta)["tree_complete"], "the tree is built")
        before = status_of(self.beta)["rows_received"]
        keys = self.rot(20)
        # What the pass that is under way has behind it waits for the next one.
        wait_until(lambda: status_of(self.beta)["rows_received"] >= before + len(keys), "they are healed", seconds=6)
        self.await_equal(seconds=5)
        self.assert_right(keys)
        self.assertEqual(self.beta.knit("verify").returncode, 0)


if __name__ == "__main__":
    unittest.main()

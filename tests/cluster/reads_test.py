"""Reads that ask more than the local copy: of several replicas, and where a node knows that it is behind."""

import unittest

import redis
from harness import SLOWNESS, Cluster, wait_until
from members_test import members_of


class ReadsTest(unittest.TestCase):
    def start(self, **read):
        self.cluster = self.enterContext(Cluster("alpha", "beta", "gamma"))
        for node in self.cluster.nodes:
            node.config["read"] = {"timeout": f"{1000 * SLOWNESS}ms", **read}
        self.cluster.start()
        self.cluster.await_sync()
        # Who is cut off before it was probed once is not found dead for long.
        wait_until(lambda: all(member["round_trip_us"] >= 0 for node in self.cluster.nodes
                               for member in members_of(node).values()), "all have answered probes of all")
        self.alpha, self.beta, self.gamma = (node.client() for node in self.cluster.nodes)

    def isolate(self, client, peer, on=True):
        client.execute_command("KNIT", "ISOLATE", peer, "ON" if on else "OFF")

    def test_a_quorum_reads_what_others_have_and_mends_who_is_behind(self):
        self.start()
        self.isolate(self.alpha, "gamma")
        self.alpha.set("key", "newer")
        read = ("KNIT", "GET", "key", "QUORUM")
        with self.assertRaisesRegex(redis.ResponseError, "NOQUORUM 2 of 3 replicas answered within"):
            self.gamma.execute_command(*read, "ALL")  # Alpha does not hear it.
        self.assertEqual(self.gamma.execute_command(*read, 2), b"newer")
        self.assertEqual(self.gamma.get("key"), b"newer")
        self.assertEqual(self.alpha.execute_command(*read, "MAJORITY"), b"newer")
        self.isolate(self.alpha, "gamma", False)
        self.cluster.await_sync()
        self.assertEqual(self.gamma.execute_command(*read, "ALL"), b"newer")
        self.assertIsNone(self.beta.execute_command("KNIT", "GET", "none", "QUORUM", "MAJORITY"))

    def test_too_few_replicas_are_an_error(self):
        self.start()
        self.cluster.nodes[2].kill()
        self.cluster.nodes[1].kill()
        self.alpha.set("key", "value")
        self.assertEqual(self.alpha.execute_command("KNIT", "GET", "key"), b"value")
        wait_until(lambda: not any(peer["reachable"] for peer in self.cluster.nodes[0].status()["peers"]), "both gone")
        with self.assertRaisesRegex(redis.ResponseError, "NOQUORUM 1 of 2 replicas can be reached"):
            self.alpha.execute_command("KNIT", "GET", "key", "QUORUM", "MAJORITY")
        with self.assertRaisesRegex(redis.ResponseError, "NOQUORUM there are only 3 replicas"):
            self.alpha.execute_command("KNIT", "GET", "key", "QUORUM", 4)
        for wrong in ("0", "some", "-1"):
            with self.assertRaisesRegex(redis.ResponseError, "QUORUM takes a number"):
                self.alpha.execute_command("KNIT", "GET", "key", "QUORUM", wrong)

    def test_a_node_that_is_behind_reads_through_a_fresher_peer(self):
        self.start(max_lag="100ms")
        self.isolate(self.gamma, "alpha")  # What alpha writes comes late, by way of beta.
        for number in range(3):
            self.alpha.mset({"key": number, "other": number})
            wait_until(lambda: self.cluster.nodes[2].status()["stale"], "gamma knows that it is behind")
            self.assertEqual(self.gamma.get("key"), str(number).encode())
            self.assertEqual(self.gamma.mget("other", "key", "none"), [str(number).encode()] * 2 + [None])
            wait_until(lambda: not self.cluster.nodes[2].status()["stale"], "gamma has caught up")
        self.assertGreater(self.gamma.info("clients")["connected_clients"], 0)  # No read of a key: never held.

    def test_a_node_that_reaches_nobody_says_that_its_reads_are_stale(self):
        self.start(max_lag="300ms")
        self.gamma.set("key", "value")
        self.isolate(self.gamma, "ALL")
        wait_until(lambda: self.cluster.nodes[2].status()["stale"], "gamma knows that it is alone", 60)
        with self.assertRaisesRegex(redis.ResponseError, "STALE this node is [0-9]+ ms behind its peers, and 1 of 2"):
            self.gamma.get("key")
        with self.assertRaisesRegex(redis.ResponseError, "STALE .* cannot be answered by one of them"):
            self.gamma.dbsize()
        self.gamma.set("key", "newer")  # Writes are taken all the while.
        self.isolate(self.gamma, "ALL", False)
        wait_until(lambda: not self.cluster.nodes[2].status()["stale"], "gamma is back", 60)
        self.assertEqual(self.gamma.get("key"), b"newer")

    def test_stale_reads_can_be_refused_at_once(self):
        self.start(max_lag="100ms", on_lag="error")
        self.isolate(self.gamma, "ALL")
        wait_until(lambda: self.cluster.nodes[2].status()["stale"], "gamma knows that it is alone", 60)
        with self.assertRaisesRegex(redis.ResponseError, "STALE this node is [0-9]+ ms behind its peers$"):
            self.gamma.get("key")


if __name__ == "__main__":
    unittest.main()

"""Two daemons come to hold the same, whatever was written where and when."""

import os
import time
import unittest

from harness import Cluster, SLOWNESS, wait_until


class ConvergeTest(unittest.TestCase):
    def setUp(self):
        self.cluster = self.enterContext(Cluster("alpha", "beta")).start()
        self.nodes = self.cluster.nodes
        self.alpha, self.beta = (node.client() for node in self.nodes)
        self.cluster.await_sync()

    def apart(self):
        """From here on the two do not hear each other."""
        self.nodes[1].isolate()

    def together(self):
        self.nodes[1].isolate(False)
        self.cluster.await_sync()

    def test_what_is_written_on_either_side_reads_on_both(self):
        self.alpha.mset({f"a{n}": f"from alpha {n}" for n in range(500)})
        self.beta.mset({f"b{n}": f"from beta {n}" for n in range(500)})
        self.cluster.await_sync()
        for client in (self.alpha, self.beta):
            self.assertEqual(client.dbsize(), 1000)
            self.assertEqual(client.get("a7"), b"from alpha 7")
            self.assertEqual(client.get("b7"), b"from beta 7")

    def test_a_write_reaches_the_other_side_within_seconds_without_a_command(self):
        self.alpha.set("key", "value")
        wait_until(lambda: self.beta.get("key") == b"value", "beta reads what alpha wrote", seconds=5)

    def test_the_later_of_two_concurrent_writes_wins_and_the_other_is_a_sibling(self):
        self.apart()
        self.alpha.set("key", "earlier")
        time.sleep(0.02)  # Later by the millisecond of the clocks.
        self.beta.set("key", "later")
        self.together()
        for node, client in zip(self.nodes, (self.alpha, self.beta)):
            self.assertEqual(client.get("key"), b"later")
            lines = node.knit("siblings", "key").stdout.decode().splitlines()
            self.assertRegex(lines[1], "^winner .* later$")
            self.assertRegex(lines[2], "^lost .* earlier$")
        told = "".join(node.knit("conflicts").stdout.decode() for node in self.nodes)
        self.assertRegex(told, "key +later +20[0-9-]+ .* by .* earlier +20[0-9-]+ ")

    def test_a_deleted_key_does_not_come_back_from_a_node_that_was_away(self):
        self.alpha.set("key", "value")
        self.cluster.await_sync()
        self.apart()
        self.alpha.delete("key")
        self.together()
        self.assertEqual([self.alpha.get("key"), self.beta.get("key")], [None, None])

    def test_a_clear_spreads_and_what_it_cleared_does_not_come_back(self):
        self.alpha.mset({f"key{n}": "value" for n in range(300)})
        self.cluster.await_sync()
        self.apart()
        self.alpha.flushall()
        self.beta.set("new", "written after the clear elsewhere")
        self.together()
        for client in (self.alpha, self.beta):
            self.assertEqual(sorted(client.scan_iter()), [b"new"])
            self.assertIsNone(client.get("key7"))

    def test_a_restart_after_a_clear_does_not_revive(self):
        self.alpha.mset({f"key{n}": "value" for n in range(300)})
        self.alpha.flushall()
        self.cluster.await_sync()
        for node in self.nodes:
            self.assertEqual(node.end(), 0)
            node.start()
        self.cluster.await_sync()
        self.assertEqual([self.alpha.dbsize(), self.beta.dbsize()], [0, 0])

    def test_an_expiry_spreads_and_holds_on_both_sides(self):
        self.alpha.set("long", "value", px=600_000)
        self.alpha.set("short", "value", px=3000 * SLOWNESS)
        self.alpha.set("persisted", "value", px=600_000)
        self.cluster.await_sync()
        self.beta.persist("persisted")
        self.assertTrue(500_000 < self.beta.pttl("long") <= 600_000)
        wait_until(lambda: self.beta.get("short") is None and self.alpha.get("short") is None, "short expires")
        self.cluster.await_sync()
        self.assertEqual([self.alpha.ttl("persisted"), self.beta.ttl("persisted")], [-1, -1])
        self.assertEqual(self.alpha.exists("long", "short", "persisted"), 2)

    def test_all_that_was_written_apart_is_there_together_and_verifies(self):
        self.alpha.mset({f"key{n}": "before" for n in range(2000)})
        self.cluster.await_sync()
        self.apart()
        self.alpha.mset({f"key{n}": "alpha" for n in range(0, 1000)})
        time.sleep(0.02)
        self.beta.mset({f"key{n}": "beta" for n in range(900, 1900)})
        self.together()
        expected = [b"alpha"] * 900 + [b"beta"] * 1000 + [b"before"] * 100
        for node, client in zip(self.nodes, (self.alpha, self.beta)):
            self.assertEqual(client.mget([f"key{n}" for n in range(2000)]), expected)
            self.assertEqual(node.knit("verify").returncode, 0)
            self.assertEqual(node.knit("status").returncode, 0)

    def test_diff_and_repair_by_command(self):
        self.assertEqual(self.nodes[0].knit("diff", "beta").returncode, 0)
        self.assertEqual(self.nodes[0].knit("repair", "--all", "--dry-run").returncode, 0)
        done = self.nodes[0].knit("repair", "--all")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"beta: ", done.stdout)

    def test_a_peer_that_is_gone_is_named_and_diff_with_it_refused(self):
        self.nodes[1].kill()
        wait_until(lambda: b"1 of 2 nodes reachable; beta unreachable" in self.nodes[0].knit("status").stdout,
                   "alpha's status says that beta is gone")
        self.assertEqual(self.nodes[0].knit("diff", "beta").returncode, 4)
        self.assertEqual(self.nodes[0].knit("repair", "beta", "--dry-run").returncode, 4)


class LateJoinerTest(unittest.TestCase):
    def test_a_configured_peer_that_was_never_met_is_missed(self):
        with Cluster("alpha", "beta") as cluster:
            alpha, beta = cluster.nodes
            done = alpha.start().knit("status")
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"1 of 2 nodes reachable; {beta.peer_address} not reached yet", done.stdout.decode())
            beta.start()
            cluster.await_sync()
            self.assertEqual([len(node.status()["peers"]) for node in cluster.nodes], [1, 1])

    def test_a_node_that_comes_later_gets_what_was_there(self):
        with Cluster("alpha", "beta") as cluster:
            alpha, beta = cluster.nodes
            alpha.start().client().mset({f"key{n}": "value" * 20 for n in range(5000)})
            beta.start()
            cluster.await_sync()
            self.assertEqual(beta.client().dbsize(), 5000)

    def test_peers_may_speak_over_ipv6(self):
        with Cluster("alpha", "beta") as cluster:
            addresses = [f"[::1]:{20000 + os.getpid() % 20000 + number}" for number in range(2)]
            for number, node in enumerate(cluster.nodes):
                port = int(addresses[number].rsplit(":", 1)[1])
                node.config["peer"].update(listen="::1", port=port, seeds=[addresses[1 - number]])
            cluster.start()
            cluster.nodes[0].client().set("key", "value")
            cluster.await_sync()
            self.assertEqual(cluster.nodes[1].client().get("key"), b"value")
            self.assertEqual(cluster.nodes[0].status()["peers"][0]["address"], addresses[1])


if __name__ == "__main__":
    unittest.main()

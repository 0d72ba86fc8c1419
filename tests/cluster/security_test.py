"""Keys between real daemons: who is let in, what both sides say of it, and how keys are changed without a stop."""

import os
import subprocess
import unittest

from harness import BUILD, Cluster, Node, wait_until


def make_key(cluster, name):
    path = os.path.join(cluster.directory, name)
    subprocess.run([os.path.join(BUILD, "knit"), "keys", "generate", "--out", path], check=True,
                   stdout=subprocess.DEVNULL)
    return path


class SecurityCase(unittest.TestCase):
    def setUp(self):
        self.cluster = self.enterContext(Cluster("alpha", "beta", "gamma"))
        self.alpha, self.beta, self.gamma = self.cluster.nodes
        self.key = make_key(self.cluster, "gossip.keys")
        for node in self.cluster.nodes:
            node.config["gossip"] = {"keyring_file": self.key}

    def keys_of(self, node):
        """Fingerprints, the primary first."""
        return [dict(zip(key[::2], key[1::2]))[b"fingerprint"].decode()
                for key in node.client().execute_command("KNIT", "KEYS", "LIST")]

    def await_keys(self, keys, *nodes):
        wait_until(lambda: all(self.keys_of(node) == keys for node in nodes), f"{len(nodes)} nodes have {keys}")

    def await_words(self, node, *words):
        wait_until(lambda: all(word in node.log() for word in words), f"{node.name} says {words}")


class DoorTest(SecurityCase):
    def test_nodes_with_one_key_agree(self):
        self.cluster.start()
        self.alpha.client().set("key", "value")
        self.cluster.await_sync()
        self.assertEqual(self.gamma.client().get("key"), b"value")
        self.assertIn("encrypted", self.alpha.log())

    def test_a_wrong_key_is_refused_and_both_sides_say_so(self):
        self.gamma.config["gossip"] = {"keyring_file": make_key(self.cluster, "other.keys")}
        self.cluster.start()
        for node in (self.alpha, self.gamma):
            self.await_words(node, "none of our keys")
        self.assertFalse(any(p["reachable"] for p in self.gamma.status()["peers"]))

    def test_a_node_without_keys_is_refused_and_both_sides_say_so(self):
        del self.gamma.config["gossip"]
        self.cluster.start()
        self.await_words(self.alpha, "it is not encrypted")
        self.await_words(self.gamma, "it is encrypted")

    def test_a_new_node_is_told_the_cluster_by_whoever_has_the_key(self):
        self.alpha.start()
        delta = Node(self.cluster, "delta", 4)
        self.addCleanup(lambda: delta.process and delta.process.kill())
        del delta.config["cluster"]
        delta.config["peer"]["seeds"] = [self.alpha.peer_address]
        delta.config["gossip"] = {"keyring_file": make_key(self.cluster, "stranger.keys")}
        delta.launch()
        self.await_words(delta, "belongs to no cluster", "none of our keys")
        delta.kill()
        delta.config["gossip"] = {"keyring_file": self.key}
        self.alpha.client().set("key", "value")
        delta.start()
        wait_until(lambda: delta.client().get("key") == b"value", "delta has joined and has the data")
        self.assertTrue(os.path.exists(os.path.join(delta.directory, "cluster.key")))

    def test_a_key_file_that_others_may_read_is_refused(self):
        os.chmod(self.key, 0o644)
        status, said = self.alpha.fails_to_start()
        self.assertEqual(status, 1)
        self.assertIn("chmod 600", said)


class RotationTest(SecurityCase):
    def test_keys_are_changed_without_a_stop_also_for_a_node_that_was_down(self):
        self.cluster.start()
        self.cluster.await_sync()
        [old] = self.keys_of(self.alpha)
        self.gamma.kill()
        new_file = make_key(self.cluster, "new.keys")
        added = self.alpha.knit("keys", "add", new_file)
        self.assertEqual(added.returncode, 0, added.stderr)
        wait_until(lambda: len(self.keys_of(self.beta)) == 2, "beta has heard of the new key")
        [new] = set(self.keys_of(self.beta)) - {old}
        self.assertEqual(self.beta.knit("keys", "use", new).returncode, 0)
        self.await_keys([new, old], self.alpha, self.beta)
        wait_until(lambda: not all(p["reachable"] for p in self.alpha.status()["peers"]), "gamma is missed")
        refused = self.alpha.knit("keys", "remove", old)
        self.assertEqual(refused.returncode, 4)
        self.assertIn(b"gamma cannot be reached", refused.stderr)
        self.gamma.start()
        self.await_keys([new, old], self.gamma)
        self.cluster.await_sync()
        self.assertEqual(self.alpha.knit("keys", "remove", old).returncode, 0)
        self.await_keys([new], *self.cluster.nodes)
        self.alpha.client().set("after", "the change")
        self.cluster.await_sync()
        self.beta.kill()
        self.beta.start()  # Its key file still has the old one, its ring knows better.
        self.cluster.await_sync()
        self.await_keys([new], *self.cluster.nodes)

    def test_what_cannot_be_done_is_refused(self):
        self.cluster.start()
        [only] = self.keys_of(self.alpha)
        for words, said in ((("remove", only), b"primary"), (("use", "00000000"), b"00000000"), (("use", "x"), b"8 hex"),
                            (("add", "/nowhere"), b"/nowhere")):
            done = self.alpha.knit("keys", *words)
            self.assertEqual(done.returncode, 4, done)
            self.assertIn(said, done.stderr)


if __name__ == "__main__":
    unittest.main()

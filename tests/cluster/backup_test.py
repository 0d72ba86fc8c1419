"""A backup is taken while a node is written to, and a new node is made of it that lacks nothing."""

import json
import os
import subprocess
import threading
import unittest

from harness import BUILD, Cluster, wait_until
from knit_replies import status_of

KEYS = 3000


class BackupTest(unittest.TestCase):
    def setUp(self):
        self.cluster = self.enterContext(Cluster("alpha", "beta", "gamma"))
        self.alpha, self.beta, self.gamma = self.cluster.nodes
        for node in (self.alpha, self.beta):
            node.launch()
        for node in (self.alpha, self.beta):
            node.await_service()
        self.client = self.alpha.client()
        with self.client.pipeline(transaction=False) as pipeline:
            for number in range(KEYS):
                pipeline.set(f"key{number}", "value" * 20)
            pipeline.execute()
        self.file = os.path.join(self.cluster.directory, "backup")

    def restore(self, node, *more):
        return subprocess.run([os.path.join(BUILD, "knit"), "restore", self.file, "--data-directory", node.directory,
                               *more], capture_output=True, text=True)

    def test_a_node_made_of_a_backup_is_given_only_what_has_changed_since(self):
        done = self.alpha.knit("backup", self.file, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["bytes"], os.path.getsize(self.file))
        self.client.set("key1", "changed")
        self.client.delete("key2")
        self.client.set("new", "value")
        restored = self.restore(self.gamma)
        self.assertEqual(restored.returncode, 0, restored.stderr)
        self.assertIn(f"{KEYS:,} rows of cluster cluster", restored.stdout)
        self.gamma.start()
        self.cluster.await_sync()
        gamma = self.gamma.client()
        self.assertEqual([gamma.get(key) for key in ("key1", "key2", "new", "key3")],
                         [b"changed", None, b"value", b"value" * 20])
        status = status_of(self.gamma)
        received = status["rows_received"] + sum(peer["stream_rows_received"] for peer in status["peers"])
        self.assertLessEqual(received, 20)
        self.assertEqual(len({status_of(node)["node"] for node in self.cluster.nodes}), 3)

    def test_a_backup_that_is_taken_while_clients_write_holds_what_was_acknowledged_before(self):
        over = threading.Event()
        written = []

        def write():
            client = self.alpha.client()
            while not over.is_set():
                client.set(f"live{len(written)}", "value")
                written.append(None)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            wait_until(lambda: len(written) > 100, "some are written")
            before = len(written)
            self.assertEqual(self.alpha.knit("backup", self.file).returncode, 0)
        finally:
            over.set()
            writer.join()
        self.assertEqual(self.restore(self.gamma).returncode, 0)
        self.gamma.config["peer"]["seeds"] = []
        self.gamma.start()
        gamma = self.gamma.client()
        self.assertEqual(gamma.exists(*(f"live{number}" for number in range(before))), before)
        self.assertEqual(gamma.exists(*(f"key{number}" for number in range(KEYS))), KEYS)

    def test_what_cannot_be_done_is_refused(self):
        self.assertEqual(self.alpha.knit("backup", self.file).returncode, 0)
        again = self.alpha.knit("backup", self.file)
        self.assertEqual(again.returncode, 4)
        self.assertIn(b"exists already", again.stderr)
        nowhere = self.alpha.knit("backup", self.cluster.directory + "/no/such")
        self.assertEqual(nowhere.returncode, 4)
        self.assertIn(b"No such file or directory", nowhere.stderr)
        with self.assertRaisesRegex(Exception, "ask over the UNIX socket"):
            self.client.execute_command("KNIT", "BACKUP", "/tmp/x")
        taken = self.restore(self.beta)
        self.assertEqual(taken.returncode, 4)
        self.assertIn("in use by process", taken.stderr)
        self.file = self.file + ".no"
        self.assertEqual(self.restore(self.gamma).returncode, 1)


if __name__ == "__main__":
    unittest.main()

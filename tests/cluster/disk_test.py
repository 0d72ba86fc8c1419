"""A full disk: writes are refused, reads go on, and all is well again without a restart once there is room."""

import os
import subprocess
import unittest

import redis

from harness import Cluster, wait_until

DISK_BYTES = 48 << 20
FILLER = b"x" * (256 << 10)


def mount_small_disk(path):
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", path]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        raise unittest.SkipTest("a small disk can be mounted by root only")


class DiskTest(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster("alpha", "beta")
        self.alpha, self.beta = self.cluster.nodes
        try:
            mount_small_disk(self.alpha.directory)
        except unittest.SkipTest:
            self.cluster.__exit__()
            raise
        self.addCleanup(self.leave)
        self.alpha.config["store"]["disk_reserve_bytes"] = 1 << 20  # The smallest, so that a commit itself may meet the end.
        self.cluster.start()

    def leave(self):
        for node in self.cluster.nodes:
            if node.process is not None:
                node.kill()
        subprocess.run(["umount", self.alpha.directory], check=True)
        self.cluster.__exit__()

    def fill(self, client):
        acknowledged = []
        for number in range(2 * DISK_BYTES // len(FILLER)):
            try:
                client.set(f"fill:{number}", FILLER)
                acknowledged.append(f"fill:{number}")
            except redis.ResponseError as error:
                self.assertIn("MISCONF", str(error))
                return acknowledged
        self.fail("the disk never filled up")

    def test_writes_are_refused_reads_go_on_and_room_cures_it(self):
        client = self.alpha.client()
        client.set("before", "kept")
        acknowledged = self.fill(client)
        self.assertGreater(len(acknowledged), 10)
        self.assertEqual(client.get("before"), b"kept")
        self.assertEqual(client.get(acknowledged[-1]), FILLER)
        self.assertFalse(self.alpha.status()["has_space"])

        subprocess.run(["mount", "-o", f"remount,size={8 * DISK_BYTES}", self.alpha.directory], check=True)
        wait_until(lambda: self.writes(client), "writes are accepted again")
        self.assertEqual(client.get(acknowledged[0]), FILLER)
        self.cluster.await_sync()
        self.assertEqual(self.beta.client().get("after"), b"room")
        self.assertEqual(self.beta.client().get(acknowledged[-1]), FILLER)
        self.assertEqual(self.alpha.knit("verify").returncode, 0)

    def writes(self, client):
        try:
            return client.set("after", "room")
        except redis.ResponseError:
            return False

    def test_a_peer_without_room_does_not_hold_up_the_others(self):
        client = self.beta.client()
        for number in range(2 * DISK_BYTES // len(FILLER)):
            self.assertTrue(client.set(f"fill:{number}", FILLER))
        wait_until(lambda: not self.alpha.status()["has_space"], "alpha is full")
        self.assertTrue(client.set("more", "goes on"))
        self.assertEqual(self.alpha.client().ping(), True)
        subprocess.run(["mount", "-o", f"remount,size={16 * DISK_BYTES}", self.alpha.directory], check=True)
        self.cluster.await_sync(seconds=60)
        self.assertEqual(self.alpha.client().get("more"), b"goes on")


if __name__ == "__main__":
    unittest.main()

"""A full disk: writes are refused, reads go on, and all is well again without a restart once there is room."""

import os
import subprocess
import time
import unittest

import redis

from harness import Cluster, wait_until
from ledger import Connection, ErrorReply, Ledger, draw_from

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
        # What waits for LMDB lies in the journal too: the disk is for the data.
        self.alpha.config["store"].update(journal_segment_bytes=1 << 20, pending_bytes_max=4 << 20)
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

    def alpha_is_at_rest(self):
        before = self.alpha.status()["pending_bytes"]
        time.sleep(0.3)
        return self.alpha.status()["pending_bytes"] == before

    def test_a_peer_without_room_does_not_hold_up_the_others(self):
        client = self.beta.client()
        for number in range(2 * DISK_BYTES // len(FILLER)):
            self.assertTrue(client.set(f"fill:{number}", FILLER))
        wait_until(lambda: not self.alpha.status()["has_space"], "alpha is full")
        self.assertTrue(client.set("more", "goes on"))
        self.assertEqual(self.alpha.client().ping(), True)
        # A short write is known as a full disk by the room that is left after it.
        wait_until(self.alpha_is_at_rest, "alpha commits no more")
        subprocess.run(["mount", "-o", f"remount,size={16 * DISK_BYTES}", self.alpha.directory], check=True)
        self.cluster.await_sync(seconds=60)
        self.assertEqual(self.alpha.client().get("more"), b"goes on")

    def test_full_under_load_and_killed_it_keeps_what_it_acknowledged(self):
        draw = draw_from("full")
        ledger = Ledger(keys=3000)
        path = self.alpha.socket_path
        client = self.alpha.client()
        for number in range(DISK_BYTES * 3 // 4 // len(FILLER)):
            client.set(f"fill:{number}", FILLER)
        for _ in range(20):
            findings = ledger.run(path, draw, lambda: False, batches_max=150)
            self.assertEqual(findings.texts, [])
            if findings.refusals:
                break
            ledger.check(path, draw)
        self.assertTrue(findings.refusals, "the disk never filled up")
        self.assertTrue(all(text.startswith("MISCONF") for text in findings.refusals), findings.refusals)
        for _ in range(2):  # The second time with the disk full from the start.
            self.alpha.kill()
            self.alpha.start()
            findings = ledger.check(path, draw)
            self.assertEqual(findings.texts, [])
            self.assertEqual(findings.counts["checked"], len(ledger.keys))
            ledger.run(path, draw, lambda: False, batches_max=20)
        subprocess.run(["mount", "-o", f"remount,size={16 * DISK_BYTES}", self.alpha.directory], check=True)
        wait_until(lambda: self.writes(self.alpha.client()), "writes are accepted again")
        self.assertEqual(ledger.run(path, draw, lambda: False, batches_max=20).texts, [])
        self.assertEqual(ledger.check(path, draw).texts, [])
        self.cluster.await_sync(seconds=60)
        self.assertEqual(ledger.check(self.beta.socket_path, draw).texts, [])


class MapTest(unittest.TestCase):
    """A full map is like a full disk, except that only a start with a larger one makes room."""

    def setUp(self):
        self.cluster = self.enterContext(Cluster("alpha", "beta"))
        self.alpha, self.beta = self.cluster.nodes
        self.alpha.config["store"].update(map_bytes="16MiB", disk_reserve_bytes="4MiB")
        self.cluster.start()

    def fill(self, line):
        number = refused = 0
        while refused < 3:  # What is pending counts as used: there may be room again when it is committed.
            if isinstance(line.ask("SET", f"fill:{number}", FILLER), ErrorReply):
                refused += 1
                time.sleep(0.5)
            else:
                refused = 0
                number += 1
            self.assertLess(number, 100, "the map never filled up")
        return number

    def test_writes_are_refused_reads_and_deletes_go_on_and_a_larger_map_cures_it(self):
        line = Connection(self.alpha.socket_path)
        filled = self.fill(line)
        self.assertGreater(filled, 20)
        self.assertRegex(str(line.ask("SET", "fill:more", FILLER)), "^MISCONF ")
        self.assertFalse(self.alpha.status()["has_space"])
        self.assertEqual(line.ask("GET", "fill:0"), FILLER)
        self.assertEqual(line.ask("DEL", "fill:1"), 1)
        self.assertIsNone(line.ask("GET", "fill:1"))
        line.close()

        self.alpha.kill()
        self.alpha.start()
        line = Connection(self.alpha.socket_path)
        self.assertEqual(line.ask("GET", "fill:0"), FILLER)
        self.assertIsNone(line.ask("GET", "fill:1"))
        line.close()

        self.alpha.config["store"]["map_bytes"] = "256MiB"
        self.alpha.kill()
        self.alpha.start()
        line = Connection(self.alpha.socket_path)
        self.assertEqual(line.ask("SET", "small", "value"), b"OK")
        self.assertEqual(line.ask("DBSIZE"), filled)
        line.close()
        self.cluster.await_sync()
        self.assertEqual(self.beta.client().dbsize(), filled)

    def test_deletes_make_room_again(self):
        line = Connection(self.alpha.socket_path)
        filled = self.fill(line)
        for number in range(filled // 2):
            self.assertEqual(line.ask("DEL", f"fill:{number}"), 1)
        wait_until(lambda: line.ask("SET", "small", "value") == b"OK", "writes are accepted again")
        self.assertEqual(line.ask("GET", f"fill:{filled - 1}"), FILLER)
        line.close()


if __name__ == "__main__":
    unittest.main()

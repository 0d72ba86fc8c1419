"""kill -9 under load: the daemon comes back, and no acknowledged write is lost."""

import random
import threading
import time
import unittest

import redis

from harness import LONG, Cluster, SLOWNESS

WRITERS = 8
KEYS_OF_A_WRITER = 200


class Writer(threading.Thread):
    """Counts up in keys of its own. `acknowledged` is what the daemon promised to keep."""

    def __init__(self, client, number, stopped):
        super().__init__(daemon=True)
        self.client = client
        self.number = number
        self.stopped = stopped
        self.acknowledged = {}
        self.attempted = {}
        self.count = 0

    def run(self):
        while not self.stopped.is_set():
            self.count += 1
            key = f"writer{self.number}:{self.count % KEYS_OF_A_WRITER}"
            self.attempted[key] = self.count
            try:
                self.client.set(key, self.count)
            except (redis.RedisError, OSError):
                return
            self.acknowledged[key] = self.count


class CrashTest(unittest.TestCase):
    def setUp(self):
        self.cluster = self.enterContext(Cluster("alpha", "beta")).start()
        self.alpha, self.beta = self.cluster.nodes

    def load_until_killed(self, seconds):
        stopped = threading.Event()
        writers = [Writer(self.alpha.client(), number, stopped) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        time.sleep(seconds)
        self.alpha.kill()
        stopped.set()
        for writer in writers:
            writer.join()
        return writers

    def assert_kept(self, writers, client):
        acknowledged = 0
        for writer in writers:
            acknowledged += len(writer.acknowledged)
            for key, count in writer.acknowledged.items():
                kept = int(client.get(key) or 0)
                # The write that was under way when the daemon died may be there, or not.
                self.assertIn(kept, (count, writer.attempted[key]), key)
        return acknowledged

    def test_no_acknowledged_write_is_lost(self):
        draw = random.Random(7)
        for _ in range(30 if LONG else 5):
            writers = self.load_until_killed(draw.uniform(0.2, 0.8) * SLOWNESS)
            self.alpha.start()
            self.assertGreater(self.assert_kept(writers, self.alpha.client()), WRITERS)
        self.cluster.await_sync()
        self.assert_kept(writers, self.beta.client())
        for node in self.cluster.nodes:
            self.assertEqual(node.knit("verify").returncode, 0)
            self.assertEqual(node.end(), 0)

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

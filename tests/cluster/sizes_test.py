"""Keys and values at the limits, and just beyond them."""

import os
import unittest

import redis

from harness import Cluster

VALUE_BYTES_MAX = 64 << 20
KEY_BYTES_MAX = 1 << 20
INLINE_KEY_BYTES_MAX = 460  # The longest that stands whole in a row key.


class SizesTest(unittest.TestCase):
    def setUp(self):
        self.cluster = self.enterContext(Cluster("alpha", "beta")).start()
        self.alpha, self.beta = (node.client() for node in self.cluster.nodes)

    def test_keys_of_all_sizes_and_any_bytes_replicate(self):
        sizes = (0, 1, INLINE_KEY_BYTES_MAX - 1, INLINE_KEY_BYTES_MAX, INLINE_KEY_BYTES_MAX + 1, 511, 512, 100_000)
        keys = [os.urandom(size) for size in sizes] + [bytes(range(256)), b"\r\n$3\r\nabc", b"\x00", b"\xff" * 460]
        # Two long keys that differ in their last byte alone must not become one.
        keys += [b"k" * 99_999 + b"1", b"k" * 99_999 + b"2"]
        for number, key in enumerate(keys):
            self.alpha.set(key, b"value %d" % number)
        self.cluster.await_sync()
        for client in (self.alpha, self.beta):
            self.assertEqual(client.mget(keys), [b"value %d" % number for number in range(len(keys))])
            self.assertEqual(sorted(client.scan_iter(count=3)), sorted(keys))
        self.assertEqual(self.beta.delete(*keys), len(keys))
        self.cluster.await_sync()
        self.assertEqual(self.alpha.dbsize(), 0)

    def test_a_key_beyond_the_limit_is_refused_and_the_connection_stays_in_step(self):
        with self.alpha.client() as one_connection:
            with self.assertRaises(redis.ResponseError):
                one_connection.set(b"k" * (KEY_BYTES_MAX + 1), "value")
            self.assertEqual(one_connection.echo("in step"), b"in step")
        self.assertEqual(self.alpha.dbsize(), 0)

    def test_an_empty_value_is_a_value(self):
        self.alpha.set("empty", "")
        self.cluster.await_sync()
        self.assertEqual(self.beta.get("empty"), b"")

    def test_the_largest_value_replicates(self):
        value = os.urandom(1 << 20) * 64
        self.assertEqual(len(value), VALUE_BYTES_MAX)
        self.alpha.set("large", value)
        self.cluster.await_sync(seconds=60)
        self.assertEqual(self.beta.get("large"), value)

    def test_one_byte_more_is_refused_and_the_connection_stays_in_step(self):
        with self.alpha.client() as one_connection:
            with self.assertRaises(redis.ResponseError):
                one_connection.set("large", bytes(VALUE_BYTES_MAX + 1))
            self.assertEqual(one_connection.echo("in step"), b"in step")
        self.assertIsNone(self.alpha.get("large"))


if __name__ == "__main__":
    unittest.main()

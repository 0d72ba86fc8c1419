"""Garbage on every port: an error or a closed connection; never a crash, never unbounded memory."""

import os
import random
import socket
import struct
import unittest

from harness import CLIENT_PORT, PEER_PORT, SLOWNESS, Cluster

RESIDENT_GROWTH_MAX = 100 << 20

CLIENT_GARBAGE = {
    "a count beyond all limits": b"*1000000000\r\n",
    "a negative count": b"*-7\r\n",
    "a count that is no number": b"*abc\r\n",
    "a count that overflows": b"*99999999999999999999999999\r\n",
    "a size beyond all limits": b"*1\r\n$99999999999\r\n",
    "a negative size": b"*1\r\n$-5\r\n",
    "a size without its sign": b"*1\r\n:5\r\nhello\r\n",
    "a bulk that is longer than it said": b"*1\r\n$4\r\nPINGPONG\r\n",
    "nested arrays": b"*1\r\n" * 1000,
    "an inline line without an end": b"x" * (1 << 20),
    "unbalanced quotes": b'SET "key\r\n',
    "zeros": bytes(65536),
    "another protocol": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


def drain(connection, seconds):
    """What comes back until the other side closes; None if it does not close in time."""
    connection.settimeout(seconds)
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
        return received
    except ConnectionError:
        return received
    except TimeoutError:
        return None


class HostileTest(unittest.TestCase):
    def setUp(self):
        self.cluster = self.enterContext(Cluster("alpha"))
        self.alpha = self.cluster.nodes[0]

    def assert_unharmed(self, resident_before):
        self.assertTrue(self.alpha.client().set("key", "value"))
        self.assertLess(self.alpha.resident_bytes() - resident_before, RESIDENT_GROWTH_MAX * (3 if SLOWNESS > 1 else 1))

    def send(self, port, payload):
        with self.alpha.connect(port) as connection:
            try:
                connection.sendall(payload)
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            return drain(connection, 10 * SLOWNESS)

    def test_garbage_from_clients(self):
        before = self.alpha.start().resident_bytes()
        for name, payload in CLIENT_GARBAGE.items():
            with self.subTest(name):
                self.assertIsNotNone(self.send(CLIENT_PORT, payload), "the connection was not closed")
        self.assert_unharmed(before)

    def test_random_bytes_from_clients(self):
        before = self.alpha.start().resident_bytes()
        draw = random.Random(11)
        for _ in range(200):
            self.send(CLIENT_PORT, draw.choice((b"", b"*3\r\n$3\r\n", b"$")) + draw.randbytes(draw.randrange(2000)))
        self.assert_unharmed(before)

    def test_limits_before_the_password_are_smaller(self):
        self.alpha.config["client"]["password"] = "hush"
        self.alpha.start()
        for payload in (b"*100\r\n", b"*2\r\n$4\r\nAUTH\r\n$1000000\r\n"):
            with self.subTest(payload):
                self.assertIn(b"-ERR Protocol error", self.send(CLIENT_PORT, payload))

    def test_many_that_declare_much_and_send_nothing_cost_little(self):
        before = self.alpha.start().resident_bytes()
        connections = [self.alpha.connect() for _ in range(200)]
        for connection in connections:
            connection.sendall(b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$67108864\r\nx")
        self.assert_unharmed(before)
        for connection in connections:
            connection.close()
        self.assertEqual(self.alpha.client().get("key"), b"value")

    def test_garbage_from_peers(self):
        before = self.alpha.start().resident_bytes()
        draw = random.Random(13)
        payloads = [os.urandom(4096), bytes(4096), b"\xff" * 4096, b"PING\r\n", struct.pack(">I", 0xFFFFFFFF) + b"x" * 64]
        payloads += [draw.randbytes(draw.randrange(1, 300)) for _ in range(100)]
        for payload in payloads:
            self.assertIsNotNone(self.send(PEER_PORT, payload), "the connection was not closed")
        self.assert_unharmed(before)

    def test_a_peer_that_says_nothing_is_dropped(self):
        self.alpha.start()
        with self.alpha.connect(PEER_PORT) as connection:
            self.assertIsNotNone(drain(connection, 15 * SLOWNESS), "a silent peer was not dropped")

    def tearDown(self):
        if self.alpha.process:
            self.assertEqual(self.alpha.end(), 0, self.alpha.log()[-3000:])


if __name__ == "__main__":
    unittest.main()

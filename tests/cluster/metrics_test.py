"""/metrics, /health and the HTTP server around them, of real daemons."""

import random
import re
import shutil
import socket
import subprocess
import time
import unittest

from harness import HTTP_PORT, SLOWNESS, Cluster, wait_until

CONNECTIONS_MAX = 32
RESIDENT_GROWTH_MAX = 30 << 20
GET = b"GET %s HTTP/1.1\r\nHost: test\r\n\r\n"
SAMPLE = re.compile(r'^(knit_[a-z_]+)(?:\{(.*)\})? (\S+)$')


class Wire:
    """A connection, and the answers on it."""

    def __init__(self, node):
        self.socket = node.connect(HTTP_PORT)
        self.received = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)
        return self

    def more(self):
        piece = self.socket.recv(65536)
        self.received += piece
        return piece

    def answer(self, body=True):
        """The next answer: status, headers by lower-case name, body. None: the connection ended."""
        while b"\r\n\r\n" not in self.received:
            if not self.more():
                return None
        head, self.received = self.received.split(b"\r\n\r\n", 1)
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        size = int(headers["content-length"]) if body else 0
        while len(self.received) < size:
            if not self.more():
                raise AssertionError("the body was cut")
        text, self.received = self.received[:size].decode(), self.received[size:]
        return int(first.split()[1]), headers, text

    def ended(self, seconds=10):
        """Whether the other side closes in time, saying nothing more."""
        self.socket.settimeout(seconds * SLOWNESS)
        try:
            return self.received == b"" and self.socket.recv(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False


def get(node, path="/metrics"):
    with Wire(node) as wire:
        return wire.send(GET % path.encode()).answer()


def samples(text):
    """Values by (name, labels)."""
    found = [SAMPLE.match(line) for line in text.splitlines() if not line.startswith("#")]
    assert all(found), text
    out = {(match[1], match[2] or ""): float(match[3]) for match in found}
    assert len(out) == len(found), "a sample is there twice"
    return out


def metrics(node):
    return samples(get(node)[2])


class MetricsTest(unittest.TestCase):
    def setUp(self):
        self.cluster = self.enterContext(Cluster("alpha", "beta"))
        self.alpha, self.beta = self.cluster.nodes

    def assert_promtool_agrees(self, text):
        promtool = shutil.which("promtool")
        if promtool is None:
            self.skipTest("promtool is not installed: ./dev setup")
        done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_metrics_tell_what_happened(self):
        self.cluster.start()
        client = self.alpha.client()
        for number in range(50):
            client.set(f"key{number}", "value")
        client.get("key1")
        client.get("missing")
        self.cluster.await_sync()
        # Streams are quicker than what a peer tells of itself.
        wait_until(lambda: metrics(self.alpha)["knit_peer_keys", 'peer="beta"'] == 50, "beta has told of 50 keys")
        seen = metrics(self.alpha)
        self.assertEqual(seen["knit_keys", ""], 50)
        self.assertEqual(seen["knit_commands_total", 'command="set"'], 50)
        self.assertGreater(seen["knit_command_duration_seconds_total", 'command="set"'], 0)
        self.assertEqual(seen["knit_keyspace_hits_total", ""], 1)
        self.assertEqual(seen["knit_keyspace_misses_total", ""], 1)
        self.assertEqual(seen["knit_in_sync", ""], 1)
        self.assertEqual(seen["knit_peer_reachable", 'peer="beta"'], 1)
        self.assertGreater(seen["knit_resident_memory_bytes", ""], 1 << 20)
        self.assertLess(abs(seen["knit_start_time_seconds", ""] + seen["knit_uptime_seconds", ""] - time.time()), 5)
        self.assertEqual(metrics(self.beta)["knit_keys", ""], 50)

    def test_a_peer_that_is_gone_is_told(self):
        self.cluster.start()
        self.cluster.await_sync()
        self.beta.kill()
        wait_until(lambda: metrics(self.alpha)["knit_peer_reachable", 'peer="beta"'] == 0, "beta is told to be away")
        self.assertEqual(metrics(self.alpha)["knit_in_sync", ""], 0)

    def test_promtool_finds_nothing_wrong(self):
        self.alpha.start()
        self.assert_promtool_agrees(get(self.alpha)[2])  # A peer that was never met.
        self.beta.start()
        self.alpha.client().set("key", "value")
        self.cluster.await_sync()
        status, headers, text = get(self.alpha)
        self.assertEqual(status, 200)
        self.assertEqual(headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
        self.assert_promtool_agrees(text)

    def test_counters_do_not_fall(self):
        self.cluster.start()
        self.cluster.await_sync()  # Until they met, the peer goes by its address.
        before = metrics(self.alpha)
        self.alpha.client().set("key", "value")
        self.cluster.await_sync()
        after = metrics(self.alpha)
        fallen = [key for key, value in before.items() if key[0].endswith("_total") and after[key] < value]
        self.assertEqual(fallen, [])

    def test_health_and_the_index(self):
        self.alpha.start()
        self.assertEqual(get(self.alpha, "/health")[::2], (200, "ok\n"))
        self.assertIn('href="/metrics"', get(self.alpha, "/")[2])
        self.assertEqual(get(self.alpha, "/metrics/")[0], 404)

    def test_health_is_503_when_the_quota_is_reached(self):
        self.alpha.config["store"].update(max_bytes="8MiB", disk_reserve_bytes="7MiB", journal_segment_bytes="256KiB")
        self.alpha.start()
        for number in range(200):
            try:
                self.alpha.client().set(f"key{number}", b"x" * 65536)
            except Exception:  # noqa: BLE001: The quota is reached.
                break
        status, _, text = wait_until(lambda: (a := get(self.alpha, "/health"))[0] != 200 and a, "health is bad")
        self.assertEqual(status, 503)
        self.assertIn("values are refused; deletes and reads go on", text)
        self.assertEqual(metrics(self.alpha)["knit_disk_has_space", ""], 0)

    def test_port_0_serves_nothing(self):
        self.alpha.config["http"]["port"] = 0
        self.alpha.start()
        with self.assertRaises(ConnectionRefusedError):
            self.alpha.connect(HTTP_PORT)

    def test_a_port_in_use_is_refused_in_one_line(self):
        with socket.create_server((self.alpha.host, HTTP_PORT)):
            status, log = self.alpha.fails_to_start()
        self.assertEqual(status, 1)
        self.assertIn(f"cannot listen on {self.alpha.host}:{HTTP_PORT}", log.strip().splitlines()[-1])


class HttpTest(unittest.TestCase):
    def setUp(self):
        self.cluster = self.enterContext(Cluster("alpha"))
        self.alpha = self.cluster.nodes[0].start()

    def tearDown(self):
        self.assertEqual(get(self.alpha, "/health")[0], 200)
        self.assertEqual(self.alpha.end(), 0, self.alpha.log()[-3000:])

    def test_a_connection_serves_many_requests(self):
        with Wire(self.alpha) as wire:
            for _ in range(3):
                self.assertEqual(wire.send(GET % b"/metrics").answer()[0], 200)
            wire.send(b"HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertGreater(int(wire.answer(body=False)[1]["content-length"]), 1000)
            wire.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            self.assertEqual(wire.answer()[1]["connection"], "close")
            self.assertTrue(wire.ended())

    def test_pipelined_requests_are_answered_in_order(self):
        paths = [b"/health", b"/missing", b"/metrics"] * 40
        with Wire(self.alpha) as wire:
            wire.send(b"".join(GET % path for path in paths))
            self.assertEqual([wire.answer()[0] for _ in paths], [200, 404, 200] * 40)

    def test_a_client_that_says_it_sends_no_more_is_answered(self):
        with Wire(self.alpha) as wire:
            wire.send(GET % b"/metrics").socket.shutdown(socket.SHUT_WR)
            self.assertEqual(wire.answer()[0], 200)
            self.assertTrue(wire.ended())

    def test_bad_requests_are_answered_and_end_the_connection(self):
        cases = {
            b"*1\r\n$4\r\nPING\r\n": 400,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500): 400,
            b"GET / HTTP/1.1\r\n\r\n": 400,
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + bytes(100000): 405,
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999\r\n\r\n" + bytes(100000): 413,
            b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: a\r\n\r\n": 414,
            b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * (1 << 20): 431,
            b"GET / HTTP/3.0\r\nHost: a\r\n\r\n": 505,
        }
        for request, status in cases.items():
            with self.subTest(request[:60]), Wire(self.alpha) as wire:
                try:
                    wire.send(request)
                except ConnectionError:
                    pass  # It was refused before all of it was sent.
                self.assertEqual(wire.answer()[0], status)
                self.assertTrue(wire.ended())

    def test_random_bytes_change_nothing(self):
        before = self.alpha.resident_bytes()
        draw = random.Random(17)
        valid = GET % b"/metrics"
        for _ in range(300):
            data = bytearray(valid * draw.randrange(1, 4))
            for _ in range(draw.randrange(1, 6)):
                data[draw.randrange(len(data))] = draw.randrange(256)
            with Wire(self.alpha) as wire:
                wire.send(bytes(data) if draw.random() < 0.7 else draw.randbytes(300))
                wire.socket.shutdown(socket.SHUT_WR)
                try:
                    while wire.more():
                        pass
                except ConnectionError:
                    pass
        self.assertLess(self.alpha.resident_bytes() - before, RESIDENT_GROWTH_MAX * SLOWNESS)

    def test_clients_that_do_not_read_hold_little(self):
        before = self.alpha.resident_bytes()
        wires = [self.enterContext(Wire(self.alpha)) for _ in range(CONNECTIONS_MAX - 1)]
        for wire in wires:
            wire.socket.setblocking(False)
            try:
                for _ in range(1000):
                    wire.socket.send((GET % b"/metrics") * 200)
            except BlockingIOError:
                pass
        self.assertTrue(self.alpha.client().set("key", "value"))
        self.assertLess(self.alpha.resident_bytes() - before, RESIDENT_GROWTH_MAX * SLOWNESS)

    def test_a_connection_too_many_takes_the_place_of_an_idle_one(self):
        idle = [self.enterContext(Wire(self.alpha)) for _ in range(CONNECTIONS_MAX)]
        for wire in idle:
            self.assertEqual(wire.send(GET % b"/health").answer()[0], 200)
        self.assertEqual(get(self.alpha, "/health")[0], 200)
        self.assertTrue(idle[0].ended())
        self.assertEqual(idle[1].send(GET % b"/health").answer()[0], 200)

    def test_when_all_are_in_a_request_one_more_is_told_503_and_those_that_never_end_are_closed(self):
        slow = []

        def one_more_is_told_503():
            wire = self.enterContext(Wire(self.alpha))
            wire.socket.settimeout(0.3)
            try:
                return wire.answer()[0] == 503
            except TimeoutError:  # It has a place: perhaps that of one whose first bytes were not read yet.
                slow.append(wire.send(b"GET / HT"))
                return False

        for _ in range(CONNECTIONS_MAX):
            slow.append(self.enterContext(Wire(self.alpha)).send(b"GET / HT"))
        wait_until(one_more_is_told_503, "all places are taken", seconds=4)
        self.assertTrue(all(wire.ended(seconds=15) for wire in slow))


if __name__ == "__main__":
    unittest.main()

"""Every write reaches every node at once, and waits for those that are away.

Digests are told so seldom here, and exchanges are so far apart, that what arrives within seconds came by a stream.
"""

import signal
import threading
import time
import unittest

from harness import CLIENT_PORT, Cluster, SLOWNESS, wait_until
from knit_replies import hints_of, lags_of, rows_received_from, rows_sent_to, status_of
from ledger import Connection, Lost, encode

SELDOM = {"status_interval": "60s", "interval": "24h"}


def overwrite(client, keys, times, value="value"):
    with client.pipeline(transaction=False) as pipeline:
        for number in range(keys * times):
            pipeline.set(f"key{number % keys}", f"{value} {number}")
        pipeline.execute()


class StreamCase(unittest.TestCase):
    names = ("alpha", "beta", "gamma")

    def setUp(self):
        self.cluster = self.enterContext(Cluster(*self.names))
        for node in self.cluster.nodes:
            node.config["peer"]["timeout"] = "150s"
            node.config["anti_entropy"] = dict(SELDOM)
        self.configure()
        self.cluster.start()
        self.nodes = self.cluster.nodes
        self.clients = [node.client() for node in self.nodes]
        self.await_links()

    def configure(self):
        pass

    def running(self):
        return [node for node in self.nodes if node.process]

    def await_links(self):
        """All that run have met, and told each other their clocks."""
        running = self.running()
        wait_until(lambda: all(sum(peer["reachable"] for peer in status_of(node)["peers"]) == len(running) - 1
                               for node in running), "all have met")

    def connect(self, node):
        line = Connection((node.host, CLIENT_PORT))
        self.addCleanup(line.close)
        return line

    def equal(self, *nodes):
        return len({status_of(node)["root"] for node in nodes or self.running()}) == 1

    def await_equal(self, *nodes, seconds=5):
        wait_until(lambda: self.equal(*nodes), "all hold the same", seconds)

    def assert_no_exchange_was_needed(self, *nodes):
        for node in nodes or self.running():
            status = status_of(node)
            self.assertEqual((status["rows_sent"], status["rows_received"]), (0, 0), node.name)


class StreamTest(StreamCase):
    def test_a_write_is_seen_on_all_others_within_a_second(self):
        for writer, node in zip(self.clients, self.nodes):
            writer.set("key", f"of {node.name}")
            wait_until(lambda: [client.get("key") for client in self.clients] == [f"of {node.name}".encode()] * 3,
                       f"all show what {node.name} wrote", seconds=1)
        self.await_equal()
        self.assert_no_exchange_was_needed()

    def test_every_kind_of_change_is_seen_within_a_second(self):
        alpha, beta, gamma = self.clients
        alpha.mset({"deleted": "soon", "long": "value", "kept": "value"})
        alpha.incrby("counter", 5)
        wait_until(lambda: gamma.dbsize() == beta.dbsize() == 4, "all keys are there", seconds=1)
        beta.incrby("counter", 7)
        beta.delete("deleted")
        beta.pexpire("long", 600_000)
        wait_until(lambda: gamma.get("counter") == alpha.get("counter") == b"12", "both increments count", seconds=1)
        wait_until(lambda: gamma.exists("deleted") == alpha.exists("deleted") == 0, "the delete spreads", seconds=1)
        wait_until(lambda: gamma.ttl("long") > 0 and alpha.ttl("long") > 0, "the expiry spreads", seconds=1)
        gamma.flushall()
        wait_until(lambda: alpha.dbsize() == beta.dbsize() == 0, "the clear spreads", seconds=1)
        alpha.set("after", "the clear")
        wait_until(lambda: gamma.get("after") == beta.get("after") == b"the clear", "writes go on", seconds=1)
        self.await_equal()

    def test_a_large_value_arrives_whole_and_holds_up_no_small_one(self):
        alpha, beta, _ = self.clients
        large = bytes(range(256)) * 4096 * 30
        alpha.set("large", large)
        alpha.set("small", "value")
        wait_until(lambda: beta.get("small") == b"value", "the small one is there", seconds=2)
        wait_until(lambda: beta.get("large") == large, "the large one is there", seconds=10)
        self.await_equal()
        self.assert_no_exchange_was_needed()

    def test_concurrent_writers_become_equal_by_streams_alone(self):
        def write(node, value):
            with node.client().pipeline(transaction=False) as pipeline:
                for number in range(2000):
                    pipeline.set(f"key{number * 7 % 300}", f"{value}{number}")
                pipeline.execute()
        writers = [threading.Thread(target=write, args=(node, node.name)) for node in self.nodes]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        self.await_equal()
        keys = [f"key{number}" for number in range(300)]
        values = self.clients[0].mget(keys)
        self.assertNotIn(None, values)
        self.assertEqual([values, values], [client.mget(keys) for client in self.clients[1:]])
        self.assert_no_exchange_was_needed()
        for node in self.nodes:
            self.assertEqual(node.knit("verify").returncode, 0)


class AwayTest(StreamCase):
    def test_a_peer_that_was_away_gets_each_key_once_however_often_it_was_overwritten(self):
        alpha, _, gamma = self.nodes
        overwrite(self.clients[0], 200, 1)
        self.await_equal()
        for leave in (gamma.end, gamma.kill):
            with self.subTest(leave.__name__):
                before = [rows_sent_to(node, "gamma")["streamed"] for node in self.nodes[:2]]
                leave()
                overwrite(self.clients[0], 200, 30)
                gamma.start()
                self.await_equal()
                after = [rows_sent_to(node, "gamma")["streamed"] for node in self.nodes[:2]]
                self.assertLessEqual(sum(after) - sum(before), 200, "by alpha and beta together")
                self.assertGreaterEqual(rows_received_from(gamma, "alpha")["streamed"], 200)
                self.assertEqual(self.clients[2].get("key7"), b"value 5807")
        self.assert_no_exchange_was_needed()

    def test_hints_outlive_a_restart_of_the_writer(self):
        alpha, beta, gamma = self.nodes
        beta.end()
        gamma.end()
        overwrite(self.clients[0], 200, 3)
        self.clients[0].set("last", "before the kill")
        alpha.kill()
        alpha.start()
        gamma.start()
        self.await_equal()
        self.assertEqual(self.clients[2].get("last"), b"before the kill")
        self.assert_no_exchange_was_needed()

    def test_a_read_that_missed_an_earlier_write_is_counted_as_stale(self):
        alpha, _, gamma = self.nodes
        self.clients[0].set("key", "earlier")
        self.await_equal()
        wait_until(lambda: self.clients[2].get("key") == b"earlier", "the key is on gamma", seconds=1)
        gamma.isolate()
        self.clients[0].set("key", "later")
        time.sleep(0.05)
        self.assertEqual(self.clients[2].get("key"), b"earlier")
        self.assertEqual(status_of(gamma)["stale_reads"], 0)
        gamma.isolate(False)
        wait_until(lambda: self.clients[2].get("key") == b"later", "the write comes")
        status = status_of(gamma)
        self.assertEqual(status["stale_reads"], 1)
        self.assertTrue(40 <= status["stale_read_last_ms"] < 5000 * SLOWNESS, status["stale_read_last_ms"])


class TrimmedTest(StreamCase):
    names = ("alpha", "beta")

    def configure(self):
        for node in self.cluster.nodes:
            node.config["hints"] = {"max_bytes": "1MiB"}

    def test_an_exchange_takes_over_where_the_log_was_trimmed(self):
        alpha, beta = self.nodes
        keys = [f"key{number}" for number in range(40_000)]
        self.clients[0].mset(dict.fromkeys(keys, "before"))
        self.await_equal(seconds=20)
        wait_until(lambda: hints_of(alpha)["peers"]["beta"]["writes"] == 0, "beta has acknowledged it all")
        beta.end()
        for first in range(0, len(keys), 5000):
            self.clients[0].mset(dict.fromkeys(keys[first:first + 5000], "after"))
        wait_until(lambda: hints_of(alpha)["peers"]["beta"]["trimmed"], "the log was trimmed", seconds=5)
        hints = hints_of(alpha)
        wait_until(lambda: hints_of(alpha)["bytes"] <= hints["bytes_max"], "the log is down to its bound")
        self.assertEqual(hints["bytes_max"], 1 << 20)
        self.assertEqual(hints["peers"]["beta"]["writes"], len(keys))
        beta.start()
        self.await_equal(seconds=20)
        self.assertEqual(set(self.clients[1].mget(keys)), {b"after"})
        self.assertGreater(status_of(beta)["rows_received"], 0)
        self.clients[0].set("afterwards", "streams")
        wait_until(lambda: self.clients[1].get("afterwards") == b"streams", "streams go on", seconds=1)


class RelayTest(StreamCase):
    def configure(self):
        for node in self.cluster.nodes:
            node.config["anti_entropy"]["status_interval"] = "200ms"

    def test_the_last_writes_of_a_dead_node_are_relayed_by_whoever_has_them(self):
        alpha, beta, gamma = self.nodes
        self.clients[0].set("key", "before")
        self.await_equal()
        wait_until(lambda: all(peer["clock_equal"] for node in self.nodes for peer in status_of(node)["peers"]),
                   "all have told that they have it")
        self.clients[0].execute_command("KNIT", "ISOLATE", "gamma", "ON")
        with self.clients[0].pipeline(transaction=False) as pipeline:
            for number in range(500):
                pipeline.set(f"last{number}", "words")
            pipeline.execute()
        wait_until(lambda: self.clients[1].get("last499") == b"words", "beta has alpha's last writes", seconds=1)
        alpha.kill()
        self.await_equal(beta, gamma, seconds=10)
        self.assertEqual(self.clients[2].mget([f"last{number}" for number in range(500)]), [b"words"] * 500)
        self.assertEqual(rows_received_from(gamma, "beta"), {"streamed": 500, "exchanged": 0, "all": 500})

    def test_a_node_that_is_cut_off_from_the_writer_alone_gets_its_writes_from_another(self):
        self.clients[0].execute_command("KNIT", "ISOLATE", "gamma", "ON")
        for number in range(5):
            self.clients[0].set("key", f"value {number}")
            wait_until(lambda: self.clients[2].get("key") == f"value {number}".encode(), "gamma has it by beta")


class ToldTest(StreamCase):
    """What of the others' clocks is known here is as old as their last status."""

    def configure(self):
        for node in self.cluster.nodes:
            node.config["anti_entropy"]["status_interval"] = "200ms"

    def test_what_waits_for_whom_is_told(self):
        alpha, beta, gamma = self.nodes
        self.clients[0].set("before", "value")
        self.await_equal()
        wait_until(lambda: hints_of(alpha)["peers"]["gamma"]["writes"] == 0, "nothing waits", seconds=2)
        gamma.end()
        overwrite(self.clients[0], 100, 1)
        overwrite(self.clients[1], 50, 1, "beta's")
        wait_until(lambda: not hints_of(alpha)["peers"]["gamma"]["reachable"], "gamma's absence is noticed")
        self.await_equal(alpha, beta)
        time.sleep(0.3)
        hints = hints_of(alpha)
        waiting = hints["peers"]["gamma"]
        self.assertEqual((waiting["writes"], waiting["own_writes"], waiting["trimmed"]), (150, 100, 0))
        self.assertLess(abs(waiting["since_ms"] / 1000 - time.time()), 5 * SLOWNESS)
        self.assertTrue(300 <= waiting["lag_ms"] < 5000 * SLOWNESS, waiting)
        self.assertEqual(hints["peers"]["beta"]["writes"], 0)
        self.assertTrue(0 < hints["bytes"] <= hints["bytes_max"])
        lags = lags_of(alpha)
        self.assertEqual(lags["alpha", "gamma"]["writes"], 100)
        self.assertEqual(lags["alpha", "beta"]["writes"], 0)
        self.assertEqual((lags["alpha", "beta"]["time_ms"], lags["beta", "alpha"]["time_ms"]), (0, 0))
        self.assertEqual(lags["beta", "gamma"]["writes"], 50)
        gamma.start()
        self.await_equal()
        wait_until(lambda: hints_of(alpha)["peers"]["gamma"]["writes"] == 0, "nothing waits any more", seconds=2)
        wait_until(lambda: all(lag["writes"] == 0 for lag in lags_of(gamma).values()), "nobody is behind", seconds=2)


class SlowPeerTest(StreamCase):
    def tearDown(self):
        if self.nodes[2].process:
            self.nodes[2].process.send_signal(signal.SIGCONT)

    def test_a_stopped_peer_slows_neither_clients_nor_another_peer(self):
        alpha, beta, gamma = self.nodes
        gamma.process.send_signal(signal.SIGSTOP)
        line, probe = self.connect(alpha), self.connect(beta)
        resident = alpha.resident_bytes()
        filler = b"x" * 10_000
        waits, lags = [], []
        for number in range(100):
            begin = time.monotonic()
            line.send(b"".join(encode(b"SET", b"filler%d" % (number * 20 + n), filler) for n in range(20)) +
                      encode(b"SET", b"probe", b"%d" % number))
            for _ in range(21):
                self.assertEqual(line.receive(), b"OK")
            answered = time.monotonic()
            waits.append(answered - begin)
            while probe.ask("GET", "probe") != b"%d" % number:
                self.assertLess(time.monotonic() - answered, 5 * SLOWNESS, "beta has to see it")
                time.sleep(0.001)
            lags.append(time.monotonic() - answered)
        # 20 MB were written, which no buffer of a socket takes.
        self.assertLess(sorted(waits)[90], 0.1 * SLOWNESS)
        self.assertLess(sorted(lags)[90], 0.2 * SLOWNESS)
        self.assertLess(max(lags), 1 * SLOWNESS)
        self.assertLess(alpha.resident_bytes() - resident, SLOWNESS * 100 << 20)  # A sanitizer keeps what was freed.
        gamma.process.send_signal(signal.SIGCONT)
        self.await_equal()
        self.assert_no_exchange_was_needed()


class KilledTest(StreamCase):
    """kill -9 in the middle of a stream."""

    def write_for(self, node, seconds):
        """Writes, counting up, until time is over or the node is gone; the numbers that were acknowledged."""
        deadline, acknowledged, number = time.monotonic() + seconds, [], 0
        try:
            line = self.connect(node)
            while time.monotonic() < deadline:
                batch = range(number, number + 20)
                line.send(b"".join(encode(b"SET", b"key%d" % (n % 700), b"%d" % n) for n in batch))
                for n in batch:
                    self.assertEqual(line.receive(), b"OK")
                    acknowledged.append(n)
                number += 20
        except Lost:
            pass
        return acknowledged

    def killed_while_writing(self, victim):
        timer = threading.Timer(0.6, victim.process.kill)
        timer.start()
        acknowledged = self.write_for(self.nodes[0], 1.0)
        timer.join()
        victim.kill()
        return acknowledged

    def assert_all_show(self, acknowledged):
        """The last acknowledged write of each key, or one that was sent after it."""
        latest = {n % 700: n for n in acknowledged}
        for client in self.clients:
            values = client.mget([f"key{key}" for key in latest])
            for key, value in zip(latest, values):
                self.assertIsNotNone(value, key)
                self.assertGreaterEqual(int(value), latest[key], key)

    def test_a_receiver_that_is_killed_in_mid_stream_misses_nothing(self):
        gamma = self.nodes[2]
        for _ in range(2):
            acknowledged = self.killed_while_writing(gamma)
            gamma.start()
            self.await_equal()
            self.assert_all_show(acknowledged)
        self.assert_no_exchange_was_needed()
        for node in self.nodes:
            self.assertEqual(node.knit("verify").returncode, 0)

    def test_a_writer_that_is_killed_in_mid_stream_gives_away_all_it_acknowledged(self):
        alpha = self.nodes[0]
        acknowledged = self.killed_while_writing(alpha)
        alpha.start()
        self.await_links()
        self.await_equal()
        self.assert_all_show(acknowledged)
        self.clients[0].set("key", "again")
        wait_until(lambda: self.clients[2].get("key") == b"again", "new writes are streamed", seconds=1)
        self.assert_no_exchange_was_needed()


if __name__ == "__main__":
    unittest.main()

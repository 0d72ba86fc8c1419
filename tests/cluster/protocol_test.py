"""RESP2 and RESP3, TCP and UNIX sockets, passwords, by clients that others wrote."""

import subprocess
import time
import unittest

import redis

from harness import CLIENT_PORT, SLOWNESS, Cluster, wait_until


class ProtocolTest(unittest.TestCase):
    def setUp(self):
        self.cluster = self.enterContext(Cluster("alpha"))
        self.alpha = self.cluster.nodes[0]

    def cli(self, *arguments, stdin=None):
        command = ["redis-cli", "-h", self.alpha.host, "-p", str(CLIENT_PORT), *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=20 * SLOWNESS)
        return done.stdout.decode(errors="replace")

    def test_resp3_has_maps_and_nulls(self):
        self.alpha.start()
        self.assertIn('3# "proto" => (integer) 3', self.cli("-3", "--no-raw", "hello"))
        self.assertIn('"node" => ', self.cli("-3", "--no-raw", "KNIT", "STATUS"))
        self.assertEqual(self.cli("-3", "--no-raw", "get", "missing"), "(nil)\n")
        self.assertEqual(self.cli("-3", "set", "key", "value"), "OK\n")
        self.assertEqual(self.cli("-3", "get", "key"), "value\n")

    def test_pipelined_commands_are_answered_in_order(self):
        self.alpha.start()
        with self.alpha.client().pipeline(transaction=False) as pipeline:
            for number in range(1000):
                pipeline.set(f"key{number % 10}", number)
                pipeline.get(f"key{number % 10}")
            answers = pipeline.execute()
        self.assertEqual(answers[1::2], [b"%d" % number for number in range(1000)])

    def test_pipe_mode_loads_in_bulk(self):
        self.alpha.start()
        commands = b"".join(b"*3\r\n$3\r\nSET\r\n$4\r\n%04d\r\n$5\r\nvalue\r\n" % n for n in range(5000))
        self.assertIn("errors: 0, replies: 5000", self.cli("--pipe", stdin=commands))
        self.assertEqual(self.alpha.client().dbsize(), 5000)

    def test_inline_commands(self):
        self.alpha.start()
        with self.alpha.connect() as connection:
            connection.sendall(b'SET "a key" \'a value\'\r\nGET "a key"\n')
            stream = connection.makefile("rb")
            self.assertEqual([stream.readline() for _ in range(3)], [b"+OK\r\n", b"$7\r\n", b"a value\r\n"])

    def test_the_unix_socket_serves_too(self):
        self.alpha.start()
        client = redis.Redis(unix_socket_path=self.alpha.socket_path)
        client.set("key", "value")
        self.assertEqual(self.alpha.client().get("key"), b"value")

    def test_scan_shows_each_key_once(self):
        self.alpha.start()
        client = self.alpha.client()
        client.mset({f"key{number}": "value" for number in range(3000)})
        keys = list(client.scan_iter(count=7))
        self.assertEqual(len(keys), 3000)
        self.assertEqual(len(set(keys)), 3000)
        self.assertEqual(len(list(client.scan_iter(match="key29*"))), 111)

    def test_errors_are_worded_as_redis_words_them(self):
        self.alpha.start()
        client = self.alpha.client()
        for arguments, text in ((("NONSENSE",), "unknown command 'NONSENSE'"),
                                (("GET",), "wrong number of arguments for 'get' command"),
                                (("SET", "k", "v", "EX", "x"), "value is not an integer or out of range"),
                                (("SET", "k", "v", "NX", "XX"), "syntax error"),
                                (("SET", "k", "v", "EX", "0"), "invalid expire time in 'set' command")):
            with self.assertRaisesRegex(redis.ResponseError, text):
                client.execute_command(*arguments)

    def test_numbers_are_added_to_as_redis_adds(self):
        self.alpha.start()
        client = self.alpha.client()
        self.assertEqual([client.incr("n"), client.incrby("n", 41), client.decr("n"), client.decrby("n", 51)],
                         [1, 42, 41, -10])
        self.assertEqual(client.get("n"), b"-10")
        self.assertEqual((client.incrbyfloat("n", "0.1"), client.get("n")), (-9.9, b"-9.9"))
        self.assertEqual((client.incrbyfloat("n", "9.9"), client.get("n")), (0, b"0"))
        self.assertEqual((client.incrbyfloat("f", "5.0e3"), client.get("f")), (5000, b"5000"))
        self.assertEqual(client.type("n"), b"string")
        self.assertEqual(client.dbsize(), 2)
        self.assertTrue(client.expire("n", 100))
        self.assertEqual(client.incr("n"), 1)
        self.assertGreater(client.ttl("n"), 90)
        client.set("n", 7)
        self.assertEqual((client.incr("n"), client.ttl("n")), (8, -1))
        self.assertEqual(client.delete("n"), 1)
        self.assertEqual((client.exists("n"), client.get("n"), client.incr("n")), (0, None, 1))

    def test_errors_of_numbers_are_worded_as_redis_words_them(self):
        self.alpha.start()
        client = self.alpha.client()
        client.mset({"word": "a", "high": 2**63 - 1, "low": -2**63, "great": "1e4900"})
        integer = "^value is not an integer or out of range$"
        overflow = "^increment or decrement would overflow$"
        real = "^value is not a valid float$"
        for arguments, text in ((("INCR", "word"), integer), (("INCRBY", "n", "1.5"), integer),
                                (("DECRBY", "n", "9223372036854775808"), integer),
                                (("INCR", "high"), overflow), (("DECR", "low"), overflow),
                                (("DECRBY", "n", str(-2**63)), "^decrement would overflow$"),
                                (("INCRBYFLOAT", "word", "1"), real), (("INCRBYFLOAT", "n", "x"), real),
                                (("INCRBYFLOAT", "n", "nan"), real),
                                (("INCRBYFLOAT", "n", "inf"), "^increment would produce NaN or Infinity$"),
                                (("INCR",), "^wrong number of arguments for 'incr' command$"),
                                (("INCRBYFLOAT", "n"), "^wrong number of arguments for 'incrbyfloat' command$")):
            with self.subTest(arguments), self.assertRaisesRegex(redis.ResponseError, text):
                client.execute_command(*arguments)
        self.assertEqual(client.exists("n"), 0)

    def test_without_the_password_nothing_is_told(self):
        self.alpha.config["client"]["password"] = "hush"
        self.alpha.start()
        self.assertTrue(self.alpha.client(password="hush").ping())
        with self.assertRaises(redis.AuthenticationError):
            self.alpha.client().get("key")
        with self.assertRaises(redis.RedisError):
            self.alpha.client(password="wrong").ping()
        self.assertEqual(self.alpha.knit("status").returncode, 4)

    def test_debug_commands_are_off_unless_the_config_says_so(self):
        self.alpha.config["debug"]["commands"] = False
        self.alpha.start()
        with self.assertRaises(redis.ResponseError):
            self.alpha.isolate()

    def test_a_killed_client_is_disconnected(self):
        self.alpha.start()
        client, victim = self.alpha.client(), self.alpha.client(single_connection_client=True)
        victim.ping()
        client.execute_command("CLIENT", "KILL", "ID", victim.client_id())
        with self.assertRaises(redis.ConnectionError):
            victim.connection.retry_on_timeout = False
            victim.connection.read_response()
        self.assertTrue(client.ping())

    def test_paused_writes_go_on_when_the_pause_is_over(self):
        self.alpha.start()
        client = self.alpha.client()
        client.execute_command("CLIENT", "PAUSE", 300, "WRITE")
        start = time.monotonic()
        self.assertTrue(client.ping())
        self.assertTrue(client.set("key", "value"))
        self.assertGreater(time.monotonic() - start, 0.25)

    def test_a_stop_does_not_wait_for_a_pause(self):
        self.alpha.start()
        self.alpha.client().execute_command("CLIENT", "PAUSE", 600_000, "WRITE")
        with self.alpha.connect() as connection:
            connection.sendall(b"SET key value\r\n")
            time.sleep(0.1)
            self.assertEqual(self.alpha.end(), 0)
            self.assertEqual(connection.makefile("rb").readline(), b"+OK\r\n")

    def test_shutdown_is_clean_and_loses_nothing(self):
        self.alpha.start()
        with self.alpha.connect() as connection:
            connection.sendall(b"SET key value\r\nSHUTDOWN NOSAVE\r\n")
            self.assertEqual(connection.makefile("rb").read(), b"+OK\r\n")
        self.assertEqual(self.alpha.process.wait(timeout=20 * SLOWNESS), 0)
        self.alpha.process = None
        self.alpha.start()
        self.assertEqual(self.alpha.client().get("key"), b"value")

    def test_slow_commands_are_logged_and_counted(self):
        self.alpha.start()
        client = self.alpha.client()
        client.config_set("latency-monitor-threshold", 20)
        client.execute_command("DEBUG", "SLEEP", "0.05")
        entry = client.slowlog_get()[0]
        self.assertEqual(entry["command"], b"DEBUG SLEEP 0.05")
        self.assertGreaterEqual(entry["duration"], 50_000)
        self.assertGreaterEqual(client.execute_command("LATENCY", "LATEST")[0][3], 50)
        statistics = client.info("commandstats")["cmdstat_debug|sleep"]
        self.assertEqual((statistics["calls"], statistics["failed_calls"]), (1, 0))

    def test_the_rate_of_commands_is_that_of_now(self):
        self.alpha.start()
        client = self.alpha.client()
        rate = lambda: client.info("stats")["instantaneous_ops_per_sec"]
        with client.pipeline(transaction=False) as pipeline:
            for _ in range(5000):
                pipeline.ping()
            pipeline.execute()
        wait_until(lambda: rate() > 500, "5000 commands are seen in the rate")
        wait_until(lambda: rate() < 200, "the rate falls when they are over")

    def test_keys_of_a_large_store_come_whole_and_others_are_served_meanwhile(self):
        self.alpha.start()
        client, other = self.alpha.client(), self.alpha.client()
        for start in range(0, 60_000, 10_000):
            client.mset({f"key{number}": "" for number in range(start, start + 10_000)})
        with self.alpha.connect() as connection:
            connection.sendall(b"KEYS *\r\nPING\r\n")
            self.assertTrue(other.ping())
            stream = connection.makefile("rb")
            self.assertEqual(stream.readline(), b"*60000\r\n")
            keys = {stream.readline() and stream.readline() for _ in range(60_000)}
            self.assertEqual(stream.readline(), b"+PONG\r\n")
        self.assertEqual(len(keys), 60_000)


if __name__ == "__main__":
    unittest.main()

"""The same commands to knitd and to redis-server: the same answers, and the same words of errors."""

import re
import shutil
import socket
import subprocess
import tempfile
import unittest

from harness import CLIENT_PORT, SLOWNESS, Cluster, _die_with_parent, loopback, wait_until

REDIS = shutil.which("redis-server")
VALUE_BYTES_MAX = 64 << 20


class Connection:
    """Sends requests, parses RESP. Errors are ("error", text): they are answers like others here."""

    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port), timeout=20 * SLOWNESS)
        self.stream = self.socket.makefile("rb")

    def close(self):
        self.stream.close()
        self.socket.close()

    def send(self, *arguments):
        parts = [part if isinstance(part, bytes) else str(part).encode() for part in arguments]
        self.socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))

    def read(self):
        line = self.stream.readline()
        if not line.endswith(b"\r\n"):
            return ("closed",)
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            return ("error", rest.decode(errors="replace"))
        if kind == b"+":
            return ("simple", rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"_":
            return None
        if kind in (b"$", b"="):
            size = int(rest)
            return None if size < 0 else self.stream.read(size + 2)[:-2]
        count = int(rest)
        if count < 0:
            return None
        if kind == b"%":
            return ("map", [self.read() for _ in range(2 * count)])
        return [self.read() for _ in range(count)]

    def call(self, *arguments):
        self.send(*arguments)
        return self.read()


class RedisServer:
    """A redis-server on a loopback address. A context: leaving it ends the server and removes its files."""

    def __enter__(self):
        self.host = loopback(200)
        self.directory = tempfile.mkdtemp(prefix="knit-compare-")
        self.process = subprocess.Popen(
            [REDIS, "--port", str(CLIENT_PORT), "--bind", self.host, "--save", "", "--dir", self.directory,
             "--proto-max-bulk-len", str(VALUE_BYTES_MAX)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=_die_with_parent)
        wait_until(self.serves, "redis-server serves", seconds=10)
        return self

    def serves(self):
        try:
            connection = Connection(self.host, CLIENT_PORT)
        except OSError:
            return False
        answer = connection.call("PING")
        connection.close()
        return answer == ("simple", "PONG")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.directory)


# Each line is a command. "sorted": the order of the elements is nobody's business.
STRINGS = """
SET a 1
SETNX a 2
SETNX b 2
GET b
SETNX
SETEX c 100 value
TTL c
SETEX c 0 value
SETEX c -5 value
SETEX c x value
SETEX c 9223372036854775807 value
PSETEX d 100000 value
PSETEX d 0 value
PSETEX d x value
GETSET a new
GETSET missing first
GETSET c again
TTL c
GETDEL missing
GETDEL missing
GETEX missing
GETEX a
GETEX a EX 100
TTL a
GETEX a PERSIST
TTL a
GETEX a EXAT 1
GET a
GETEX b EX 0
GETEX b EX -1
GETEX b EX x
GETEX b foo
GETEX b EX
GETEX b PERSIST EX 1
GETEX b EX 1 PX 1
GETEX b PX 100000
GETEX b KEEPTTL
STRLEN a
STRLEN b
STRLEN
APPEND a Hello
APPEND a ", World"
GET a
STRLEN a
APPEND e ""
EXISTS e
APPEND ttl x
EXPIRE ttl 100
APPEND ttl y
TTL ttl
GETRANGE a 0 4
GETRANGE a -5 -1
GETRANGE a 0 -1
GETRANGE a 5 2
GETRANGE a -1 -5
GETRANGE a -100 3
GETRANGE a 3 1000
GETRANGE a 1000 2000
GETRANGE a -1000 -2000
GETRANGE a -100 -50
GETRANGE a 9223372036854775807 9223372036854775807
GETRANGE a -9223372036854775808 9223372036854775807
GETRANGE missing 0 1
GETRANGE a x 1
GETRANGE a 1 x
SUBSTR a 0 3
SETRANGE a 7 Redis
GET a
SETRANGE a 20 far
GET a
SETRANGE fresh 3 abc
GET fresh
SETRANGE none 3 ""
EXISTS none
SETRANGE a 0 ""
SETRANGE a -1 x
SETRANGE a x x
SETRANGE a 67108864 x
SETRANGE a 67108863 x
SETRANGE a 9223372036854775807 x
STRLEN a
DEL a
MSETNX m1 a m2 b
MSETNX m2 c m3 d
MGET m1 m2 m3
MSETNX a
MSETNX a 1 b
MSETNX same 1 same 2
GET same
"""

KEYS = """
SET a 1
SET b 2 EX 100
TOUCH a b missing a
TOUCH
UNLINK a missing
EXISTS a
UNLINK
EXPIREAT b 4000000000
EXPIRETIME b
PEXPIRETIME b
PEXPIREAT b 4000000000123
EXPIRETIME b
PEXPIRETIME b
PEXPIREAT b 4000000000500
EXPIRETIME b
EXPIREAT b 4000000001 NX
EXPIREAT b 4000000001 XX
EXPIREAT b 4000000000 GT
EXPIREAT b 4000000000 LT
PEXPIREAT b 4000000000000 GT
EXPIREAT b 1 NX XX
EXPIREAT b 1 GT LT
EXPIREAT b 1 foo
EXPIREAT b x
EXPIREAT b 9223372036854775807
PEXPIREAT b x
EXPIREAT missing 4000000000
EXPIRETIME missing
PEXPIRETIME missing
PERSIST b
EXPIRETIME b
EXPIREAT b 1
EXISTS b
EXPIREAT b -1
SET src value EX 1000
RENAME src dst
TTL dst
EXISTS src
RENAME src dst
RENAME dst dst
RENAMENX dst dst
RENAMENX missing x
SET other 1
RENAMENX dst other
RENAMENX dst free
GET free
TTL free
RENAME free other
GET other
RENAME other
COPY other other
COPY missing x
COPY missing missing
COPY other copied
TTL copied
COPY other copied
SET copied kept
COPY other copied
COPY other copied REPLACE
TTL copied
COPY other copied DB 0 REPLACE
COPY other copied DB 99
COPY other copied DB x
COPY other copied DB 99999999999
COPY other copied DB
COPY other copied foo
MOVE other 0
MOVE other 99
MOVE other x
SWAPDB 0 0
SWAPDB x 0
SWAPDB 0 x
SWAPDB 0 99
SELECT 0
SELECT x
SELECT 99
SELECT 99999999999
FLUSHDB
DBSIZE
RANDOMKEY
SET only 1
RANDOMKEY
FLUSHDB foo
FLUSHDB ASYNC
FLUSHALL SYNC
KEYS *
MSET one 1 two 2 three 3 four 4
sorted KEYS *
sorted KEYS *o*
sorted KEYS t[wh]*
KEYS nothing*
KEYS
KEYS one two
SET int 12345
SET short hello
SET long 012345678901234567890123456789012345678901234567890
OBJECT ENCODING int
OBJECT ENCODING short
OBJECT ENCODING long
OBJECT ENCODING missing
OBJECT ENCODING
OBJECT REFCOUNT short
OBJECT REFCOUNT missing
OBJECT IDLETIME missing
OBJECT FREQ short
OBJECT FREQ missing
OBJECT foo
MEMORY USAGE missing
MEMORY USAGE short SAMPLES x
MEMORY USAGE short SAMPLES -1
MEMORY USAGE short SAMPLES
MEMORY USAGE short foo
MEMORY PURGE
"""

SERVER = """
CONFIG RESETSTAT
CONFIG SET foo bar
CONFIG SET maxclients
CONFIG SET maxclients x
CONFIG SET maxclients 0
CONFIG SET maxclients 10 maxclients 11
CONFIG SET maxclients 100
CONFIG GET maxclients
CONFIG SET databases 3
CONFIG SET appendonly maybe
CONFIG SET hz 20 appendfsync never
CONFIG GET hz
CONFIG SET hz 20 appendfsync ALWAYS
CONFIG GET hz
CONFIG GET appendfsync
CONFIG SET maxmemory xx
CONFIG SET maxmemory 1gb
CONFIG GET maxmemory
CONFIG SET maxmemory 100mb maxmemory-samples 7
sorted CONFIG GET maxmemory maxmemory-samples
CONFIG SET maxmemory 0
CONFIG SET slowlog-max-len -1
CONFIG SET slowlog-log-slower-than x
CONFIG SET slowlog-log-slower-than -2
CONFIG SET loglevel foo
CONFIG SET loglevel warning
CONFIG GET loglevel
CONFIG SET client-output-buffer-limit foo
CONFIG SET client-output-buffer-limit "normal 1 2 x"
CONFIG SET client-output-buffer-limit "nobody 1 2 3"
CONFIG GET save
CONFIG GET appendonly
CONFIG GET nothing*
CONFIG GET
CONFIG foo
SLOWLOG GET x
SLOWLOG GET -2
SLOWLOG GET 1 2
SLOWLOG LEN
SLOWLOG GET
SLOWLOG RESET
SLOWLOG foo
LATENCY LATEST
LATENCY HISTORY foo
LATENCY RESET foo
LATENCY RESET
LATENCY HISTOGRAM nosuch
CLIENT KILL foo
CLIENT KILL ID x
CLIENT KILL ID 0
CLIENT KILL ID 99999
CLIENT KILL TYPE foo
CLIENT KILL TYPE pubsub
CLIENT KILL TYPE normal
CLIENT KILL ADDR 1.1.1.1:1 foo
CLIENT KILL ADDR 1.1.1.1:1
CLIENT KILL SKIPME maybe
CLIENT KILL USER nosuch
CLIENT LIST TYPE foo
CLIENT LIST TYPE pubsub
CLIENT LIST ID x
CLIENT LIST ID 99999
CLIENT LIST ID
CLIENT LIST foo
CLIENT PAUSE x
CLIENT PAUSE -1
CLIENT PAUSE 1 foo
CLIENT PAUSE 0
CLIENT UNPAUSE
CLIENT REPLY foo
CLIENT REPLY ON
CLIENT NO-EVICT foo
CLIENT NO-EVICT ON
CLIENT GETREDIR
CLIENT TRACKINGINFO
CLIENT UNBLOCK x
CLIENT UNBLOCK 99999
CLIENT UNBLOCK 99999 foo
FUNCTION LIST
FUNCTION LIST foo
FUNCTION FLUSH
FUNCTION FLUSH foo
SAVE
SAVE foo
BGSAVE foo
WAIT x 1
WAIT 1 x
WAIT 0 -1
WAIT 0 0
WAIT 1 10
SHUTDOWN foo
SHUTDOWN ABORT
SHUTDOWN ABORT SAVE
SHUTDOWN SAVE NOSAVE
ACL WHOAMI
ACL LIST
ACL USERS
ACL CAT foo
RESET
ECHO hi
GET
foo bar
"""

# Of these only the kind of answer is the same.
DIFFERENT = {"CONFIG SET slowlog-max-len -1": "the log has a greatest length here"}
KNOWN_FLAGS = {"write", "readonly", "denyoom", "admin", "noscript", "blocking", "loading", "stale", "fast", "no_auth"}
# Whatever begins with these is knit's own, or has no counterpart in Redis 7.0.
OWN_COMMANDS = ("knit", "client|setinfo")


def words(line):
    return [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|(\S+)', line)]


@unittest.skipUnless(REDIS, "redis-server is not installed: there is nothing to compare with")
class CompareTest(unittest.TestCase):
    def setUp(self):
        cluster = self.enterContext(Cluster("alpha"))
        node = cluster.nodes[0]
        node.config["debug"]["commands"] = False
        node.start()
        redis = self.enterContext(RedisServer())
        self.ours = self.connect(node.host)
        self.theirs = self.connect(redis.host)

    def connect(self, host):
        connection = Connection(host, CLIENT_PORT)
        self.addCleanup(connection.close)
        return connection

    def compare(self, script):
        for line in script.strip().splitlines():
            arguments = words(line)
            in_any_order = arguments[0] == "sorted"
            arguments = arguments[in_any_order:]
            ours, theirs = self.ours.call(*arguments), self.theirs.call(*arguments)
            if in_any_order:
                ours, theirs = sorted(ours), sorted(theirs)
            with self.subTest(line):
                if line in DIFFERENT:
                    self.assertEqual(ours[0], theirs[0], DIFFERENT[line])
                elif arguments[0] == "TTL" and min(ours, theirs) > 0:
                    self.assertLessEqual(abs(ours - theirs), 5 * SLOWNESS, "both count down, at their own moments")
                else:
                    self.assertEqual(ours, theirs)

    def test_strings(self):
        self.compare(STRINGS)

    def test_keys(self):
        self.compare(KEYS)

    def test_server(self):
        self.compare(SERVER)

    def test_values_may_be_as_long_as_the_limit_and_no_longer(self):
        for connection in (self.ours, self.theirs):
            self.assertEqual(connection.call("SETRANGE", "long", VALUE_BYTES_MAX - 1, "x"), VALUE_BYTES_MAX)
        self.assertEqual(self.ours.call("APPEND", "long", "y"), self.theirs.call("APPEND", "long", "y"))

    def test_clients_that_want_no_replies_get_none(self):
        for connection in (self.ours, self.theirs):
            connection.send("CLIENT", "REPLY", "SKIP")
            connection.send("SET", "a", "1")
            connection.send("GET", "a")
            connection.send("CLIENT", "REPLY", "OFF")
            connection.send("GET", "a")
            connection.send("nonsense")
            connection.send("CLIENT", "REPLY", "ON")
            connection.send("PING")
            self.assertEqual([connection.read() for _ in range(3)], [b"1", ("simple", "OK"), ("simple", "PONG")])

    def test_commands_describe_themselves_alike(self):
        for mine in self.ours.call("COMMAND"):
            for command in [mine, *mine[9]]:
                name = command[0].decode()
                if name.startswith(OWN_COMMANDS):
                    continue
                with self.subTest(name):
                    theirs = self.theirs.call("COMMAND", "INFO", name)[0]
                    self.assertIsNotNone(theirs)
                    self.assertEqual([command[1], *command[3:6]], [theirs[1], *theirs[3:6]])
                    self.assertEqual(*({flag[1] for flag in one[2]} & KNOWN_FLAGS for one in (command, theirs)))

    def test_exporters_find_what_they_read(self):
        fields = [dict(line.split(":", 1) for line in connection.call("INFO", "everything").decode().splitlines()
                       if ":" in line) for connection in (self.ours, self.theirs)]
        for name in ("connected_clients", "blocked_clients", "maxclients", "used_memory", "used_memory_rss",
                     "used_memory_peak", "maxmemory", "mem_fragmentation_ratio", "rdb_changes_since_last_save",
                     "rdb_last_save_time", "rdb_last_bgsave_status", "aof_enabled", "total_connections_received",
                     "total_commands_processed", "instantaneous_ops_per_sec", "total_net_input_bytes",
                     "total_net_output_bytes", "rejected_connections", "expired_keys", "evicted_keys", "keyspace_hits",
                     "keyspace_misses", "role", "connected_slaves", "master_repl_offset", "used_cpu_sys",
                     "used_cpu_user", "cluster_enabled", "uptime_in_seconds", "loading", "total_error_replies"):
            with self.subTest(name):
                self.assertIn(name, fields[1])
                self.assertIn(name, fields[0])


if __name__ == "__main__":
    unittest.main()

"""What `knit` prints and how it exits, against a daemon that says what the test wants."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

from fake_daemon import FakeDaemon
from harness import BUILD, SLOWNESS

ROOT_HASH = "1a2b3c4d5e6f70819203a4b5c6d7e8f9"


def peer(name, **changes):
    return {"node": "b" * 16, "actor": "c" * 16, "name": name, "address": "127.0.0.2:7399", "version": "0.1.0",
            "reachable": 1, "since_ms": 1_700_000_000_000, "round_trip_us": 150, "tree_complete": 1, "equal": 1,
            "clock_equal": 1, "last_equal_ms": 1_700_000_000_000, "root": ROOT_HASH, "keys": 1000,
            "exchange_progress": "", "rows_sent": 0, "rows_received": 0} | changes


def status(*peers, **changes):
    in_sync = all(p["reachable"] and p["equal"] for p in peers)
    return {"node": "a" * 16, "actor": "d" * 16, "name": "alpha", "address": "127.0.0.1:7399", "cluster": "demo",
            "version": "0.1.0", "uptime_ms": 5000, "in_sync": int(in_sync), "tree_complete": 1, "tree_fraction": "1",
            "root": ROOT_HASH, "rows": 1000, "keys": 1000, "has_space": 1, "damaged_rows": 0, "bytes_on_disk": 123456,
            "pending_bytes": 0, "clients": 1, "exchanges": 0, "comparison_bytes_sent": 0,
            "comparison_bytes_received": 0, "rows_sent": 0, "rows_received": 0, "peers": list(peers),
            "last_exchanges": []} | changes


SESSION = {"peer": "b" * 16, "peer_name": "beta", "outcome": "repaired", "error": "", "initiated": 1,
           "duration_ms": 12, "ended_ms": 1, "messages": 6, "comparison_bytes": 5300, "row_bytes": 9000,
           "rows_sent": 7, "rows_received": 8, "rows_changed": 8}


class CliTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="knit-cli-")
        self.path = os.path.join(self.directory, "knit.sock")
        self.daemon = None

    def tearDown(self):
        if self.daemon:
            self.daemon.close()
        shutil.rmtree(self.directory)

    def serve(self, **answers):
        self.daemon = FakeDaemon(self.path, {name.replace("_", " "): value for name, value in answers.items()})

    def command(self, *arguments):
        return [os.path.join(BUILD, "knit"), "--socket", self.path, *arguments]

    def knit(self, *arguments, stdin=b"", environment=None):
        done = subprocess.run(self.command(*arguments), input=stdin, capture_output=True, timeout=20 * SLOWNESS,
                              env=os.environ | (environment or {}))
        return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")

    def verdict(self):
        code, out, _ = self.knit("status")
        return code, out.splitlines()[0]

    def test_status_begins_with_the_verdict(self):
        self.serve(KNIT_STATUS=status(peer("beta"), peer("gamma")))
        self.assertEqual(self.verdict(), (0, "3 of 3 nodes agree"))

    def test_status_names_who_differs(self):
        self.serve(KNIT_STATUS=status(peer("beta", equal=0), peer("gamma")))
        self.assertEqual(self.verdict(), (1, "2 of 3 nodes agree; beta differs"))

    def test_status_names_who_cannot_be_reached(self):
        self.serve(KNIT_STATUS=status(peer("beta", equal=0), peer("gamma", reachable=0, since_ms=0)))
        self.assertEqual(self.verdict(), (1, "2 of 3 nodes reachable; beta differs, gamma not reached yet"))

    def test_status_says_that_a_repair_is_under_way(self):
        self.serve(KNIT_STATUS=status(peer("beta", equal=0, exchange_progress="0.25")))
        self.assertEqual(self.verdict(), (1, "1 of 2 nodes agree; beta being repaired (25%)"))

    def test_status_of_a_lonely_node_does_not_claim_agreement(self):
        self.serve(KNIT_STATUS=status())
        self.assertIn("no peers to agree with", self.verdict()[1])

    def test_status_warns_of_a_full_disk_and_of_damage(self):
        self.serve(KNIT_STATUS=status(peer("beta"), has_space=0, damaged_rows=3))
        out = self.knit("status")[1]
        self.assertIn("warning: the disk is full", out)
        self.assertIn("warning: 3 damaged rows", out)

    def test_status_as_json_keeps_every_field(self):
        expected = status(peer("beta"))
        self.serve(KNIT_STATUS=expected)
        self.assertEqual(json.loads(self.knit("status", "--json")[1]), expected)

    def test_names_from_the_wire_cannot_command_the_terminal(self):
        self.serve(KNIT_STATUS=status(peer("\x1b[2Jbeta")))
        out = self.knit("status")[1]
        self.assertNotIn("\x1b", out)
        self.assertIn("\\x1b[2Jbeta", out)

    def test_members_lists_all(self):
        self.serve(KNIT_MEMBERS=[{"node": "a" * 16, "name": "alpha", "address": "127.0.0.1:7399", "version": "0.1.0",
                                  "state": "self", "since_ms": 0, "round_trip_us": -1, "root": ROOT_HASH, "equal": 1}])
        code, out, _ = self.knit("members")
        self.assertEqual(code, 0)
        self.assertRegex(out.splitlines()[1], r"^alpha +a{16} +127\.0\.0\.1:7399 +self")

    def diff_answer(self, found):
        version = {"state": "value", "stamp_ms": 1_700_000_000_123, "stamp_counter": 0, "value_bytes": 12, "dots": "a:1"}
        newer = version | {"state": "tombstone", "stamp_ms": 1_700_000_000_124}
        differences = [{"key": b"bin\xff\n", "row_key_hex": "00", "mine": version, "theirs": newer},
                       {"key": "gone", "row_key_hex": "01", "mine": version, "theirs": None}]
        return {"peer": "b" * 16, "found": found, "listed": min(found, 2), "comparison_bytes": 5300, "messages": 6,
                "duration_ms": 8, "differences": differences[:found]}

    def test_diff_shows_both_versions_and_exits_with_1(self):
        self.serve(KNIT_DIFF=self.diff_answer(1500))
        code, out, _ = self.knit("diff", "beta", "--limit", "2")
        self.assertEqual(code, 1)
        self.assertEqual(self.daemon.commands[-1], [b"KNIT", b"DIFF", b"beta", b"LIMIT", b"2"])
        self.assertTrue(out.startswith("1,500 keys differ between this node and beta"))
        self.assertRegex(out, r"bin\\xff\\n +12 B, 2023-11-14 22:13:20.123 +tombstone, .* there\n")
        self.assertRegex(out, r"gone +12 B, .* absent +here\n")
        self.assertIn("... and 1,498 more", out)

    def test_diff_without_differences_exits_with_0(self):
        self.serve(KNIT_DIFF=self.diff_answer(0))
        self.assertEqual(self.knit("diff", "beta")[0], 0)

    def test_json_is_lossless_for_binary_keys(self):
        self.serve(KNIT_DIFF=self.diff_answer(2))
        document = json.loads(self.knit("diff", "beta", "--json")[1])
        self.assertEqual([d["key"] for d in document["differences"]], [{"hex": b"bin\xff\n".hex()}, "gone"])
        self.assertIsNone(document["differences"][1]["theirs"])

    def test_repair_reports_each_session(self):
        self.serve(KNIT_REPAIR=[SESSION, SESSION | {"peer_name": "gamma", "error": "the peer went away"}])
        code, out, _ = self.knit("repair", "--all")
        self.assertEqual(self.daemon.commands[-1], [b"KNIT", b"REPAIR", b"ALL"])
        self.assertEqual(code, 4)
        self.assertIn("beta: repaired; 8 rows received, 7 sent", out)
        self.assertIn("gamma: failed: the peer went away", out)

    def test_repair_wants_one_peer_or_all(self):
        self.serve()
        self.assertEqual(self.knit("repair")[0], 2)
        self.assertEqual(self.knit("repair", "beta", "--all")[0], 2)

    def test_an_interrupted_repair_ends_at_once(self):
        begun = threading.Event()
        self.serve(KNIT_REPAIR=lambda words: begun.set() or time.sleep(5) or [])
        process = subprocess.Popen(self.command("repair", "beta"), stderr=subprocess.PIPE)
        with process:
            self.assertTrue(begun.wait(10))
            process.send_signal(signal.SIGINT)
            self.assertIn(b"interrupted", process.stderr.read())
        self.assertEqual(process.returncode, 130)

    def test_the_exit_code_of_verify_is_its_finding(self):
        sound = {"rows": 1000, "damaged_rows": 0, "wrong_leaves": 0, "duration_ms": 3, "damaged_keys": [],
                 "scrub_on": 1, "scrub_progress": "0.2500", "scrub_ended_ms": 0, "scrub_rows": 0,
                 "scrub_damaged_rows": 0, "scrub_wrong_leaves": 0}
        self.serve(KNIT_VERIFY=sound)
        self.assertEqual(self.knit("verify")[:2], (0, "sound: 1,000 rows, 0 damaged; 0 wrong leaves in the tree; 3 ms\n"
                                                  "scrub: first pass, 25 % done\n"))
        self.daemon.answers["KNIT VERIFY"] = sound | {"damaged_rows": 1, "damaged_keys": [b"k\x00"]}
        code, out, _ = self.knit("verify")
        self.assertEqual(code, 1)
        self.assertIn("damaged: k\\x00\n", out)

    def test_get_writes_the_bytes_of_the_value_and_no_more(self):
        value = bytes(range(256))
        self.serve(GET=value)
        done = subprocess.run(self.command("get", "key"), capture_output=True, timeout=20 * SLOWNESS)
        self.assertEqual((done.returncode, done.stdout), (0, value))

    def test_a_key_that_does_not_exist_exits_with_1(self):
        self.serve(GET=None, DEL=0, KNIT_SIBLINGS={"key": "k", "siblings": []})
        for verb in ("get", "del", "siblings"):
            self.assertEqual(self.knit(verb, "k")[0], 1, verb)

    def test_set_reads_standard_input_and_sends_the_expiry(self):
        self.serve(SET="OK")
        self.assertEqual(self.knit("set", "key", "-", "--ttl", "1.5", stdin=b"\x00\xff")[0], 0)
        self.assertEqual(self.daemon.commands[-1], [b"SET", b"key", b"\x00\xff", b"PX", b"1500"])

    def test_the_empty_key_and_the_empty_value_can_be_named(self):
        self.serve(SET="OK")
        self.assertEqual(self.knit("set", "", "")[0], 0)
        self.assertEqual(self.daemon.commands[-1], [b"SET", b"", b""])

    def test_siblings_say_who_lost(self):
        sibling = {"winner": 1, "state": "value", "stamp_ms": 1_700_000_000_123, "stamp_counter": 1, "dot": "a:1",
                   "expires_ms": -1, "value": "new"}
        lost = sibling | {"winner": 0, "stamp_counter": 0, "value": "old"}
        self.serve(KNIT_SIBLINGS={"key": "k", "siblings": [sibling, lost]})
        lines = self.knit("siblings", "k")[1].splitlines()
        self.assertRegex(lines[1], r"^winner +2023-11-14 22:13:20.123\+1 +never +a:1 +new$")
        self.assertRegex(lines[2], r"^lost .* old$")

    def test_no_daemon_exits_with_3_and_says_what_to_do(self):
        code, _, err = self.knit("status")
        self.assertEqual(code, 3)
        self.assertIn(f"cannot connect to {self.path}: No such file", err)
        self.assertIn("systemctl status knitd", err)

    def test_a_refusal_exits_with_4(self):
        self.serve(KNIT_DIFF=Exception("ERR no such peer"))
        self.assertEqual(self.knit("diff", "x"), (4, "", "knit: ERR no such peer\n"))

    def test_errors_are_json_when_asked_for(self):
        self.serve(KNIT_DIFF=Exception("ERR no such peer"))
        self.assertEqual(json.loads(self.knit("diff", "x", "--json")[2]), {"error": "ERR no such peer"})

    def test_a_server_that_is_not_knitd_is_recognised(self):
        self.serve()
        code, _, err = self.knit("status")
        self.assertEqual(code, 4)
        self.assertIn("is not knitd", err)

    def test_a_lost_connection_exits_with_3(self):
        self.serve(KNIT_STATUS=bytearray(b"*4\r\n$4\r\nno"))
        self.assertEqual(self.knit("status")[0], 3)

    def test_bytes_that_are_no_reply_exit_with_3(self):
        self.serve(KNIT_STATUS=bytearray(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
        self.assertEqual(self.knit("status")[0], 3)

    def test_the_password_comes_from_the_environment_or_a_file(self):
        self.serve(AUTH="OK", KNIT_STATUS=status())
        self.knit("status", environment={"KNIT_PASSWORD": "hush"})
        self.assertEqual(self.daemon.commands[0], [b"AUTH", b"hush"])
        path = os.path.join(self.directory, "password")
        with open(path, "w") as out:
            out.write("whisper\n")
        self.knit("status", "--password-file", path)
        self.assertEqual(self.daemon.commands[2], [b"AUTH", b"whisper"])

    def test_a_missing_password_is_explained(self):
        self.serve(KNIT_STATUS=Exception("NOAUTH Authentication required."))
        code, _, err = self.knit("status")
        self.assertEqual(code, 4)
        self.assertIn("KNIT_PASSWORD", err)

    def test_a_wrong_command_line_exits_with_2(self):
        for arguments in (["nonsense"], ["diff"], ["status", "--nonsense"], ["set", "k", "v", "--ttl", "-1"]):
            self.assertEqual(self.knit(*arguments)[0], 2, arguments)

    def test_a_cluster_key_is_never_overwritten(self):
        path = os.path.join(self.directory, "cluster.key")
        self.assertEqual(self.knit("cluster", "new", "demo", "--out", path)[0], 0)
        with open(path) as key:
            before = key.read()
        self.assertEqual(self.knit("cluster", "new", "demo", "--out", path)[0], 4)
        with open(path) as key:
            self.assertEqual(key.read(), before)


if __name__ == "__main__":
    unittest.main()

"""What `knit` prints and how it exits, against a daemon that says what the test wants."""

import json
import os
import pty
import select
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


def member(name, **changes):
    return {"node": name[0] * 16, "name": name, "address": "127.0.0.2:7399", "version": "0.1.0", "state": "alive",
            "since_ms": 1_700_000_000_000, "round_trip_us": 150, "root": ROOT_HASH, "equal": 1, "self": 0, "reachable": 1,
            "protocol_min": 4, "protocol_max": 4, "generation": 7, "incarnation": 0, "tags": {}} | changes


SESSION = {"peer": "b" * 16, "peer_name": "beta", "outcome": "repaired", "error": "", "initiated": 1,
           "duration_ms": 12, "ended_ms": 1, "messages": 6, "comparison_bytes": 5300, "row_bytes": 9000,
           "rows_sent": 7, "rows_received": 8, "rows_changed": 8}


# What a peer of KNIT STATUS says of streams when nothing is under way.
STREAM = {"lag_writes": 0, "lag_ms": 0, "behind_writes": 0, "behind_ms": 0, "trimmed": 0, "exchange_duration_ms": -1,
          "exchange_ends_in_ms": -1, "exchange_comparison_bytes": 0, "exchange_row_bytes": 0}


def written_to(name, **changes):
    """A peer while writes flow: its root is never that of this node."""
    return peer(name, **(STREAM | {"equal": 0, "clock_equal": 0, "lag_writes": 12, "lag_ms": 35} | changes))


def lag(writer, reader, writes, time_ms):
    return {"writer": writer[0] * 16, "writer_name": writer, "reader": reader[0] * 16, "reader_name": reader,
            "writes": writes, "time_ms": time_ms}


def hint(name, writes, **changes):
    return {"peer": name[0] * 16, "name": name, "address": "127.0.0.2:7399", "reachable": 1, "writes": writes,
            "own_writes": writes, "since_ms": 0, "lag_ms": 0, "trimmed": 0, "drains_in_ms": 0} | changes


def hints(*peers):
    return {"bytes": 3_400_000, "bytes_max": 268_435_456, "oldest_ms": 0, "peers": list(peers)}


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

    def test_status_of_a_cluster_that_is_written_to_is_in_step(self):
        self.serve(KNIT_STATUS=status(written_to("beta"), written_to("gamma", behind_writes=3, behind_ms=80)))
        self.assertEqual(self.verdict(), (0, "3 of 3 nodes in step, lag at most 80 ms"))
        self.assertRegex(self.knit("status")[1], r"beta .* in step .* 12 writes / 35 ms ")

    def test_status_does_not_call_in_step_who_lags_or_lacks_what_was_trimmed(self):
        self.serve(KNIT_STATUS=status(written_to("beta", lag_ms=2001)))
        self.assertEqual(self.verdict(), (1, "1 of 2 nodes agree; beta catching up (12 writes / 2.0 s)"))
        for changes in ({"trimmed": 1}, {"lag_writes": -1, "lag_ms": -1}, {"behind_writes": -1}):
            self.daemon.answers["KNIT STATUS"] = status(written_to("beta", **changes))
            self.assertEqual(self.verdict()[0], 1, changes)

    def test_status_with_equal_clocks_and_other_roots_differs_after_a_while(self):
        apart = {"clock_equal": 1, "lag_writes": 0, "lag_ms": 0}
        self.serve(KNIT_STATUS=status(written_to("beta", **apart)))
        self.assertEqual(self.verdict(), (1, "1 of 2 nodes agree; beta differs"))
        just_now = int(time.time() * 1000) - 1000
        self.daemon.answers["KNIT STATUS"] = status(written_to("beta", **apart, last_equal_ms=just_now))
        self.assertEqual(self.verdict(), (0, "2 of 2 nodes in step, lag at most 0 ms"))
        self.daemon.answers["KNIT STATUS"] = status(
            written_to("beta", **apart, last_equal_ms=just_now, exchange_progress="0.5", exchange_ends_in_ms=1000))
        self.assertEqual(self.verdict(), (1, "1 of 2 nodes agree; beta being repaired (50%, about 1.0 s left)"))

    def test_status_has_a_line_for_hints_and_one_for_stale_reads(self):
        away = written_to("gamma", reachable=0, lag_writes=12345, lag_ms=300_000)
        self.serve(KNIT_STATUS=status(written_to("beta"), away, stale_reads=3, stale_read_last_ms=30,
                                      stale_read_most_ms=1200))
        lines = self.knit("status")[1].splitlines()
        self.assertRegex(lines[0], "^2 of 3 nodes reachable; gamma unreachable for ")
        self.assertIn("hints: 12,345 writes for gamma (see `knit hints`)", lines)
        self.assertIn("stale reads: 3 here; the last was 30 ms after the write that it missed, the worst 1.2 s", lines)
        self.daemon.answers["KNIT STATUS"] = status(peer("beta", **STREAM), stale_reads=0)
        self.assertNotRegex(self.knit("status")[1], "hints:|stale")

    def test_lag_is_a_matrix_of_writers_and_readers(self):
        self.serve(KNIT_LAG=[lag("alpha", "beta", 12, 35), lag("alpha", "gamma", 1, -1), lag("beta", "alpha", 0, 0),
                             lag("beta", "gamma", -1, -1), lag("gamma", "alpha", 0, 0), lag("gamma", "beta", 0, 0)])
        code, out, _ = self.knit("lag")
        self.assertEqual(code, 1)
        lines = [[cell.strip() for cell in line.split("  ") if cell] for line in out.splitlines()]
        self.assertEqual(lines, [["WRITTEN BY", "alpha", "beta", "gamma"],
                                 ["alpha", ".", "12 writes / 35 ms", "1 write / -"],
                                 ["beta", "0", ".", "-"], ["gamma", "0", "0", "."]])

    def test_lag_exits_with_0_when_nobody_lacks_anything(self):
        answer = [lag("alpha", "beta", 0, 0), lag("beta", "alpha", 0, 0)]
        self.serve(KNIT_LAG=answer)
        code, out, _ = self.knit("lag", "--json")
        self.assertEqual((code, json.loads(out)), (0, answer))
        self.daemon.answers["KNIT LAG"] = [lag("alpha", "beta", -1, -1)]
        self.assertEqual(self.knit("lag")[0], 1)

    def on_terminal(self, *arguments, until, type_in=None):
        """What the command writes to a terminal; and its exit code. When `until` is there somebody types, or Ctrl-C."""
        waiting = True
        main, terminal = pty.openpty()
        process = subprocess.Popen(self.command(*arguments), stdin=terminal, stdout=terminal, stderr=terminal)
        os.close(terminal)
        out = b""
        deadline = time.monotonic() + 20 * SLOWNESS
        while select.select([main], [], [], max(0, deadline - time.monotonic()))[0]:
            try:
                data = os.read(main, 65536)
            except OSError:  # The other end is closed.
                break
            if not data:
                break
            out += data
            if waiting and until.encode() in out:
                waiting = False
                if type_in:
                    os.write(main, type_in)
                else:
                    process.send_signal(signal.SIGINT)
        os.close(main)
        return process.wait(timeout=10 * SLOWNESS), out.decode().replace("\r\n", "\n")

    def assertCleanTerminal(self, out):
        self.assertEqual(out.count("\x1b[?1049h"), 1)
        self.assertEqual(out.count("\x1b[?1049l"), 1)
        self.assertLess(out.rindex("\x1b[?25l"), out.rindex("\x1b[?25h"))
        left_over = out[out.index("\x1b[?1049l") + len("\x1b[?1049l"):]
        self.assertNotIn("\x1b", left_over)
        return left_over

    def test_a_watched_lag_is_redrawn_and_leaves_a_clean_terminal(self):
        asked = []
        self.serve(KNIT_LAG=lambda words: asked.append(1) or [lag("alpha", "beta", len(asked), 35)])
        code, out = self.on_terminal("lag", "--watch", "--interval", "0.1", until="3 writes / 35 ms")
        self.assertEqual(code, 130)
        self.assertRegex(out, r"(?s)1 write / 35 ms.*\x1b\[H.*2 writes / 35 ms")
        self.assertRegex(self.assertCleanTerminal(out), r"alpha +\. +\d+ writes / 35 ms\n")

    def test_a_watch_that_loses_the_daemon_leaves_a_clean_terminal_too(self):
        answers = [[lag("alpha", "beta", 1, 35)], bytearray(b"no reply")]
        self.serve(KNIT_LAG=lambda words: answers.pop(0))
        code, out = self.on_terminal("lag", "--watch", "--interval", "0.1", until="never")
        self.assertEqual(code, 3)
        self.assertIn("knit: ", self.assertCleanTerminal(out))

    def watched(self, *arguments, lines):
        """So many lines of a watch whose output is no terminal; and its exit code after an interrupt."""
        process = subprocess.Popen(self.command(*arguments), stdout=subprocess.PIPE)
        with process:
            out = [process.stdout.readline().decode() for _ in range(lines)]
            process.send_signal(signal.SIGINT)
        return process.returncode, out

    def test_a_watch_that_is_no_terminal_appends(self):
        self.serve(KNIT_LAG=[lag("alpha", "beta", 12, 35)])
        code, out = self.watched("lag", "--watch", "--interval", "0.1", lines=9)
        self.assertEqual(code, 130)
        self.assertNotIn("\x1b", "".join(out))
        self.assertEqual(out[2], out[7])
        code, out = self.watched("lag", "--watch", "--interval", "0.1", "--json", lines=2)
        self.assertEqual([json.loads(line) for line in out], [[lag("alpha", "beta", 12, 35)]] * 2)

    def test_a_watch_whose_reader_is_gone_ends(self):
        self.serve(KNIT_LAG=[lag("alpha", "beta", 12, 35)])
        process = subprocess.Popen(self.command("lag", "--watch", "--interval", "0.1"), stdout=subprocess.PIPE)
        process.stdout.readline()
        process.stdout.close()
        self.assertEqual(process.wait(timeout=10 * SLOWNESS), 4)

    def test_hints_say_what_waits_for_whom_and_how_long(self):
        away = hint("gamma", 12345, reachable=0, since_ms=int(time.time() * 1000) - 300_000, drains_in_ms=-1)
        self.serve(KNIT_HINTS=hints(hint("beta", 0), away, hint("delta", 7, drains_in_ms=1500),
                                    hint("epsilon", 9, drains_in_ms=-1), hint("zeta", 5, trimmed=1),
                                    hint("eta", -1, own_writes=-1)))
        code, out, _ = self.knit("hints")
        self.assertEqual(code, 1)
        lines = out.splitlines()
        self.assertEqual(lines[0], "writes wait for 4 peers; of 1 peer it is not known; the log holds 3.4 MB of 268.4 MB")
        self.assertRegex(lines[3], r"^beta +reachable +0 writes +0 +- +-$")
        self.assertRegex(lines[4], r"^gamma +unreachable +12,345 writes +12,345 +5 min ago +when it is back$")
        self.assertRegex(lines[5], r"^delta .* in 1\.5 s$")
        self.assertRegex(lines[6], r"^epsilon .* not known: nothing moves$")
        self.assertRegex(lines[7], r"^zeta .* trimmed: an exchange will bring it$")
        self.assertRegex(lines[8], r"^eta +reachable +- +- +- +not known: nothing was heard")

    def test_without_hints_the_exit_code_is_0(self):
        self.serve(KNIT_HINTS=hints(hint("beta", 0)))
        self.assertEqual(self.knit("hints")[0], 0)
        self.assertEqual(json.loads(self.knit("hints", "--json")[1]), hints(hint("beta", 0)))

    def test_status_as_json_keeps_every_field(self):
        expected = status(peer("beta"))
        self.serve(KNIT_STATUS=expected)
        self.assertEqual(json.loads(self.knit("status", "--json")[1]), expected)

    def test_names_from_the_wire_cannot_command_the_terminal(self):
        self.serve(KNIT_STATUS=status(peer("\x1b[2Jbeta")))
        out = self.knit("status")[1]
        self.assertNotIn("\x1b", out)
        self.assertIn("\\x1b[2Jbeta", out)

    def test_members_lists_all_by_name_and_marks_this_node(self):
        self.serve(KNIT_MEMBERS=[member("beta", self=1, round_trip_us=0), member("gamma", state="left", round_trip_us=-1),
                                 member("alpha", tags={"zone": "eu1", "rack": "7"}, round_trip_us=1500)])
        code, out, _ = self.knit("members")
        lines = out.splitlines()
        self.assertEqual(code, 0)
        self.assertRegex(lines[1], r"^alpha +alive +127\.0\.0\.2:7399 +eu1 +1\.5 ms +\S+ d +0\.1\.0 +a{16}$")
        self.assertRegex(lines[2], r"^beta \(this node\) +alive +127\.0\.0\.2:7399 +- +- +")
        self.assertRegex(lines[3], r"^gamma +left .* - +- ")

    def test_members_exits_with_1_while_one_is_suspect_or_dead(self):
        for state in ("suspect", "dead"):
            self.serve(KNIT_MEMBERS=[member("alpha", self=1), member("beta", state=state)])
            self.assertEqual(self.knit("members")[0], 1, state)
            self.daemon.close()
            os.remove(self.path)

    def test_members_as_json_keeps_every_field(self):
        expected = [member("alpha", tags={"zone": "eu1"}), member("beta")]
        self.serve(KNIT_MEMBERS=expected)
        self.assertEqual(json.loads(self.knit("members", "--json")[1]), expected)

    def test_members_are_watched(self):
        self.serve(KNIT_MEMBERS=[member("alpha", self=1)])
        code, out = self.watched("members", "--watch", "--interval", "0.1", "--json", lines=2)
        self.assertEqual(code, 130)
        self.assertEqual(json.loads(out[1])[0]["name"], "alpha")

    def test_join_waits_until_somebody_is_met(self):
        tried = ["127.0.0.5:7399"]
        self.serve(KNIT_JOIN=lambda words: "OK" if len(words) == 3 else [tried.pop()] if tried else [])
        code, out, _ = self.knit("join", "127.0.0.5:7399")
        self.assertEqual(code, 0)
        self.assertEqual(self.daemon.commands, [[b"KNIT", b"JOIN", b"127.0.0.5:7399"]] + 2 * [[b"KNIT", b"JOIN"]])
        self.assertIn("waiting up to 10.0 s", out.splitlines()[0])
        self.assertIn("met a node of this cluster at 127.0.0.5:7399", out.splitlines()[1])

    def test_join_does_not_wait_when_told_so(self):
        self.serve(KNIT_JOIN=lambda words: "OK" if len(words) == 3 else ["127.0.0.5:7399"])
        self.assertEqual(self.knit("join", "127.0.0.5:7399", "--no-wait")[:2],
                         (0, "this node tries 127.0.0.5:7399 until somebody is met there\n"))
        self.assertEqual(json.loads(self.knit("join", "127.0.0.5:7399", "--no-wait", "--json")[1]),
                         {"address": "127.0.0.5:7399", "met": False})

    def test_join_of_a_wrong_address_is_refused(self):
        self.serve(KNIT_JOIN=Exception("ERR expected ip:port"))
        self.assertEqual(self.knit("join", "nowhere"), (4, "", "knit: ERR expected ip:port\n"))

    def test_leave_wants_a_yes(self):
        self.serve(KNIT_LEAVE=bytearray(b"+OK\r\n"), KNIT_HINTS=hints(hint("beta", 7), hint("gamma", 3)))
        code, _, err = self.knit("leave")
        self.assertEqual(code, 2)
        self.assertIn("--yes", err)
        code, out = self.on_terminal("leave", until="[y/N]", type_in=b"n\n")
        self.assertEqual(code, 4)
        self.assertIn("3 writes of this node are on no other node yet", out)
        self.assertIn("nothing was done", out)
        self.assertNotIn([b"KNIT", b"LEAVE"], self.daemon.commands)
        code, out = self.on_terminal("leave", until="[y/N]", type_in=b"y\n")
        self.assertEqual(code, 0)
        self.assertIn("this node has left", out)

    def test_leave_waits_until_the_daemon_is_gone(self):
        self.serve(KNIT_LEAVE=bytearray(b"+OK\r\n"))
        self.assertEqual(self.knit("leave", "--yes")[:2], (0, "this node has left; its daemon has stopped\n"))
        self.assertEqual(self.daemon.commands, [[b"KNIT", b"LEAVE"]])

    def test_forget_tells_the_daemons_refusal(self):
        self.serve(KNIT_FORGET=Exception("ERR beta is alive; only who is dead or has left can be forgotten"))
        code, _, err = self.knit("forget", "beta")
        self.assertEqual(code, 4)
        self.assertIn("beta is alive", err)
        self.daemon.answers["KNIT FORGET"] = "OK"
        self.assertEqual(self.knit("forget", "beta")[:2], (0, "beta is forgotten; all nodes hear of it\n"))

    def test_tags_are_shown_and_set(self):
        self.serve(KNIT_TAGS=lambda words: "OK" if len(words) > 2 else {"rack": "7", "zone": "eu1"})
        self.assertEqual(self.knit("tags")[:2], (0, "rack=7\nzone=eu1\n"))
        self.assertEqual(json.loads(self.knit("tags", "rack=7", "old=", "--json")[1]), {"rack": "7", "zone": "eu1"})
        self.assertIn([b"KNIT", b"TAGS", b"rack=7", b"old="], self.daemon.commands)

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

    def forecast(self, name, found):
        version = {"state": "value", "stamp_ms": 1_700_000_000_123, "stamp_counter": 4, "value_bytes": 12, "dots": "a:1"}
        differences = [{"key": "one", "row_key_hex": "00", "mine": version, "theirs": None, "winner": "mine",
                        "kept": "mine", "send_bytes": 80, "receive_bytes": 0},
                       {"key": "two", "row_key_hex": "01", "mine": version, "theirs": version | {"dots": "b:1"},
                        "winner": "theirs", "kept": "both", "send_bytes": 80, "receive_bytes": 90},
                       {"key": "three", "row_key_hex": "02", "mine": version, "theirs": version, "winner": "equal",
                        "kept": "mine", "send_bytes": 80, "receive_bytes": 0}]
        return {"peer": name, "found": found, "listed": min(found, 3), "outcome": "compared", "comparison_bytes": 5300,
                "messages": 6, "duration_ms": 8, "forecast_of": found, "send_rows": found, "send_bytes": 80 * found,
                "receive_rows": 1, "receive_bytes": 90, "differences": differences[:found]}

    def test_a_dry_run_tells_winners_and_what_would_travel(self):
        self.serve(KNIT_DIFF=self.forecast("beta", 5))
        code, out, _ = self.knit("repair", "--dry-run", "bet", "--limit", "3")
        self.assertEqual(self.daemon.commands, [[b"KNIT", b"DIFF", b"bet", b"LIMIT", b"3"]])
        self.assertEqual(code, 1)
        lines = out.splitlines()
        self.assertEqual(lines[0], "beta: 5 keys differ; a repair would send 5 rows (400 B) and get 1 row (90 B)")
        self.assertRegex(lines[3], r"^one +12 B, 2023-11-14 22:13:20.123\+4 +absent +here +80 B +- +a:1 +-$")
        self.assertRegex(lines[4], r"^two .* there, the other kept as sibling +80 B +90 B +a:1 +b:1$")
        self.assertRegex(lines[5], r"^three .* equal value +80 B +- ")
        self.assertIn("... and 2 more", lines[6])
        self.assertEqual(lines[-1], "in total: 5 differences, 5 rows (400 B) to send, 1 row (90 B) to get; "
                                    "nothing was changed")

    def test_a_dry_run_with_all_asks_each_reachable_peer(self):
        members = [member("a", self=1), member("b"), member("c", reachable=0), member("d")]
        answers = {"b": self.forecast("beta", 1), "d": Exception("ERR no session with delta could be had in time")}
        self.serve(KNIT_MEMBERS=members, KNIT_DIFF=lambda words: answers[words[2].decode()[0]])
        code, out, _ = self.knit("repair", "--dry-run", "--all", "--json")
        self.assertEqual([words[:2] for words in self.daemon.commands],
                         [[b"KNIT", b"MEMBERS"], [b"KNIT", b"DIFF"], [b"KNIT", b"DIFF"]])
        self.assertEqual(code, 4)
        self.assertEqual(json.loads(out)[0], self.forecast("beta", 1))
        self.assertIn("no session", json.loads(out)[1]["error"])
        answers["d"] = self.forecast("delta", 0)
        self.assertEqual(self.knit("repair", "--dry-run", "--all")[0], 1)
        answers["b"] = self.forecast("beta", 0)
        self.assertEqual(self.knit("repair", "--dry-run", "--all")[0], 0)

    def running(self, progress, **changes):
        return peer("beta", equal=0, **(STREAM | {
            "exchange_progress": progress, "exchange_duration_ms": 2500, "exchange_ends_in_ms": 7500, "rows_sent": 40,
            "rows_received": 2, "exchange_comparison_bytes": 1000, "exchange_row_bytes": 2500} | changes))

    def test_watched_exchanges_have_a_bar_and_a_history(self):
        self.serve(KNIT_STATUS=status(self.running("0.2500"), peer("gamma"), last_exchanges=[SESSION]))
        code, out = self.on_terminal("repair", "--watch", "--interval", "0.1", until="repaired")
        self.assertEqual(code, 130)
        left_over = self.assertCleanTerminal(out)
        self.assertIn(": 1 exchange runs\n", left_over)
        self.assertIn("beta  [#######.......................]  25%  42 rows, 3.5 kB, 2.5 s, about 7.5 s left\n",
                      left_over)
        self.assertRegex(left_over, r"1970-01-01 00:00:00\.001 +beta +8 +7 +8 +14\.3 kB +12 ms +repaired\n")

    def test_watched_exchanges_without_a_terminal_are_a_line_a_change(self):
        second = SESSION | {"ended_ms": 2, "error": "the peer went away"}
        answers = [status(self.running("0.2501"), last_exchanges=[SESSION]),
                   status(self.running("0.2502"), last_exchanges=[SESSION]),  # Not a change.
                   status(self.running("0.5"), last_exchanges=[SESSION]),
                   status(peer("beta"), last_exchanges=[SESSION, second])]
        self.serve(KNIT_STATUS=lambda words: answers.pop(0) if len(answers) > 1 else answers[0])
        code, out = self.watched("repair", "--watch", "--interval", "0.1", lines=4)
        self.assertEqual(code, 130)
        self.assertIn("1970-01-01 00:00:00.001 beta: repaired; 8 rows received, 7 sent", out[0])
        self.assertIn("beta: 25%, 42 rows, 3.5 kB, 2.5 s, about 7.5 s left", out[1])
        self.assertIn("beta: 50%", out[2])
        self.assertIn("00.002 beta: failed: the peer went away;", out[3])

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
        self.assertEqual(self.knit("repair", "--dry-run")[0], 2)
        self.assertEqual(self.knit("repair", "beta", "--watch")[0], 2)
        self.assertEqual(self.knit("repair", "beta", "--limit", "3")[0], 2)

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

    def test_a_cluster_key_made_by_root_belongs_to_its_directorys_owner(self):
        if os.geteuid() != 0:
            self.skipTest("root alone gives files away")
        directory = os.path.join(self.directory, "data")
        os.mkdir(directory)
        os.chown(directory, 1234, 2345)
        path = os.path.join(directory, "cluster.key")
        self.assertEqual(self.knit("cluster", "new", "demo", "--out", path)[0], 0)
        key = os.stat(path)
        self.assertEqual((key.st_uid, key.st_gid, key.st_mode & 0o777), (1234, 2345, 0o600))
        self.assertEqual(os.listdir(directory), ["cluster.key"])

    def test_a_cluster_key_is_never_overwritten(self):
        path = os.path.join(self.directory, "cluster.key")
        self.assertEqual(self.knit("cluster", "new", "demo", "--out", path)[0], 0)
        with open(path) as key:
            before = key.read()
        self.assertEqual(self.knit("cluster", "new", "demo", "--out", path)[0], 4)
        with open(path) as key:
            self.assertEqual(key.read(), before)

    def test_a_generated_key_is_printed_or_becomes_a_file_of_its_owner(self):
        code, printed, _ = self.knit("keys", "generate")
        self.assertEqual(code, 0)
        self.assertRegex(printed, r"\A# .*fingerprint [0-9a-f]{8}\..*\nformat = 1\nkey = [0-9a-f]{64}\n\Z")
        path = os.path.join(self.directory, "gossip.key")
        code, said, _ = self.knit("keys", "generate", "--out", path)
        self.assertEqual(code, 0)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        with open(path) as key:
            before = key.read()
        self.assertNotIn(before.split()[-1], said)
        self.assertEqual(self.knit("keys", "generate", "--out", path)[0], 4)
        with open(path) as key:
            self.assertEqual(key.read(), before)
        code, said, _ = self.knit("keys", "generate", "--json")
        self.assertIn(json.loads(said)["fingerprint"], json.loads(said)["key_file"])


if __name__ == "__main__":
    unittest.main()

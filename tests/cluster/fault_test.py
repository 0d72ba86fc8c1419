"""Disk calls that fail, come short or take long: a clear end or clear errors, and no lost write."""

import collections
import os
import re
import shutil
import statistics
import time
import unittest

from faulty_disk import ALL, ERRORS, FOR_EVER, NAMES, SYNCS, WRITES, FaultyDisk
from harness import LONG, SLOWNESS, Cluster, wait_until
from ledger import Connection, Ledger, Lost, draw_from

CALLS = 200 if LONG else 30 if SLOWNESS == 1 else 9
SEED = os.environ.get("KNIT_SEED", "7")
# To a read, when LMDB has failed for good and the daemon is about to end.
READ_OF_THE_ENDING = "^IOERR .*; restart to go on$"


class FaultTest(unittest.TestCase):
    def setUp(self):
        self.cluster = self.enterContext(Cluster("alpha"))
        self.alpha, = self.cluster.nodes
        self.disk = FaultyDisk(self.alpha)
        self.draw = draw_from(SEED, self.id())
        self.ledger = Ledger(keys=200, connections=2, batch=8)
        self.outcomes = collections.Counter()

    def tearDown(self):
        if self.outcomes:
            print(f"{self._testMethodName}: {dict(self.outcomes)}", flush=True)

    def run_ledger(self, batches):
        findings = self.ledger.run(self.alpha.socket_path, self.draw, lambda: False, batches)
        self.assertEqual(findings.texts, [])
        for text in findings.refusals:
            self.assertRegex(text, f"^MISCONF |{READ_OF_THE_ENDING}")
        return findings

    @staticmethod
    def is_ending(findings):
        return findings.counts["cut off"] or any(re.match(READ_OF_THE_ENDING, text) for text in findings.refusals)

    def serves_or_ended(self):
        """True once it answers; False if it has ended."""
        def state():
            if self.alpha.process.poll() is not None:
                return "ended"
            try:
                line = Connection(self.alpha.socket_path)
                answered = line.ask("PING") == b"PONG"
                line.close()
                return "serves" if answered else None
            except Lost:
                return None
        return wait_until(state, "it serves or ends") == "serves"

    def assert_ended_clearly(self, log_before, what):
        wait_until(lambda: self.alpha.process.poll() is not None, f"it ends: {what}")
        status = self.alpha.process.returncode
        said = self.alpha.log()[log_before:]
        self.alpha.process = None
        self.assertEqual(status, 1, f"{what}: {said}")
        self.assertRegex(said.strip().splitlines()[-1], "error|knitd: ", f"{what}: {said}")

    def restart_and_check(self, what):
        """Without faults: everything that was acknowledged is there."""
        self.disk.disarm()
        self.disk.detach()
        self.alpha.start()
        findings = self.ledger.check(self.alpha.socket_path, self.draw)
        self.assertEqual(findings.texts, [], what)
        self.assertFalse(findings.refusals, what)
        self.disk.attach()

    def assert_writes_again(self, what):
        """One call failed, so the daemon that goes on must accept writes again."""
        line = Connection(self.alpha.socket_path)
        wait_until(lambda: line.ask("SET", "probe", "value") == b"OK", f"writes are accepted again: {what}")
        line.close()

    def one_fault(self, number, name, at_start):
        """The `number`th call fails, counted from the start of the process or from now."""
        what = f"call {number} {name} {'from the start' if at_start else 'while serving'}"
        before = len(self.alpha.log())
        if at_start:
            self.disk.arm(number, ERRORS[name])
            self.alpha.launch()
            serves = self.serves_or_ended()
        else:
            self.alpha.start()
            self.disk.arm(number, ERRORS[name])
            serves = True
        findings = self.run_ledger(12) if serves else None
        hit = NAMES[self.disk.failed_kind]
        what += f", a {hit}"
        if not serves or self.is_ending(findings):
            self.assert_ended_clearly(before, what)
            self.outcomes[f"{name} {hit}: {'ended' if serves else 'refused to start'}"] += 1
        else:
            try:
                self.assert_writes_again(what)
                refused = "writes refused" if findings.refusals else "unharmed"
                self.outcomes[f"{name} {hit}: {refused}"] += 1
                self.alpha.kill()
            except Lost:  # The call that failed was made in the background, after the last answer.
                self.assert_ended_clearly(before, what)
                self.outcomes[f"{name} {hit}: ended"] += 1
        self.restart_and_check(what)
        self.alpha.kill()

    @staticmethod
    def errors(number):
        """All errors for each call, if there is time; else they take turns after the first few."""
        return ERRORS if LONG or number <= 6 else [list(ERRORS)[number % len(ERRORS)]]

    def sweep(self, at_start):
        self.alpha.start()
        self.run_ledger(10)
        self.alpha.kill()
        self.disk.attach()
        for number in range(1, CALLS + 1):
            for name in self.errors(number):
                with self.subTest(number=number, error=name):
                    self.one_fault(number, name, at_start)

    def test_any_call_may_fail_while_it_serves(self):
        self.sweep(at_start=False)

    def test_any_call_may_fail_while_it_starts(self):
        self.sweep(at_start=True)

    def test_any_call_may_fail_at_the_birth_of_a_directory(self):
        self.disk.attach()
        for number in range(1, 25):
            for name in self.errors(number):
                with self.subTest(number=number, error=name):
                    self.birth_with_a_fault(number, name)

    def birth_with_a_fault(self, number, name):
        for entry in os.scandir(self.alpha.directory):
            os.remove(entry.path) if entry.is_file() else shutil.rmtree(entry.path)
        before = len(self.alpha.log())
        self.disk.arm(number, ERRORS[name])
        self.alpha.launch()
        if self.serves_or_ended():
            self.alpha.kill()
            self.outcomes[f"{name}: serves"] += 1
        else:
            self.assert_ended_clearly(before, f"birth, call {number} {name}")
            self.outcomes[f"{name}: refused to start"] += 1
        self.disk.disarm()
        self.alpha.start()  # What was begun is no obstacle.
        self.assertTrue(self.alpha.client().set("born", "yes"))
        self.alpha.kill()

    def test_a_disk_that_fails_for_good_loses_nothing(self):
        self.disk.attach()
        for name, kinds in (("EIO", ALL), ("ENOSPC", ALL), ("EIO", SYNCS), ("ENOSPC", WRITES)):
            self.alpha.start()
            before = len(self.alpha.log())
            self.disk.arm(1 + self.draw.randrange(20), ERRORS[name], FOR_EVER, kinds)
            findings = self.run_ledger(40)
            what = f"{name} of kinds {kinds} for good"
            if self.is_ending(findings):
                self.assert_ended_clearly(before, what)
                self.outcomes[f"{what}: ended"] += 1
            else:
                self.assertTrue(findings.refusals, what)
                self.assertTrue(self.serves_or_ended())
                self.outcomes[f"{what}: writes refused"] += 1
                self.disk.disarm()
                self.assert_writes_again(what)
                self.alpha.kill()
            self.restart_and_check(what)
            self.alpha.kill()

    def test_slow_syncs_delay_writes_and_not_reads(self):
        self.disk.attach()
        self.alpha.start()
        client = self.alpha.client()
        client.set("read", "value")
        self.disk.sync_delay_ms = 50
        began = time.monotonic()
        client.set("written", "slowly")
        self.assertGreater(time.monotonic() - began, 0.05)
        writer = Connection(self.alpha.socket_path)
        reader = Connection(self.alpha.socket_path)
        reads = []
        for number in range(20):
            writer.send(b"SET slow:%d value\r\n" % number)
            for _ in range(10):
                began = time.monotonic()
                self.assertEqual(reader.ask("GET", "read"), b"value")
                reads.append(time.monotonic() - began)
            self.assertEqual(writer.receive(), b"OK")
        self.assertLess(statistics.median(reads), 0.01 * SLOWNESS)
        self.assertLess(sorted(reads)[-10], 0.04 * SLOWNESS)
        self.outcomes["median read, us"] = round(statistics.median(reads) * 1e6)
        self.outcomes["longest read, us"] = round(max(reads) * 1e6)

        # Under load, killed in the middle of a slow sync.
        for _ in range(5):
            deadline = time.monotonic() + 0.3
            self.ledger.run(self.alpha.socket_path, self.draw, lambda: time.monotonic() > deadline)
            self.alpha.kill()
            self.restart_and_check("killed in a slow sync")
            self.alpha.kill()
            self.disk.sync_delay_ms = 50
            self.alpha.start()
        writer.close()
        reader.close()


if __name__ == "__main__":
    unittest.main()

"""Flipped bits on disk: never a wrong value, never a crash, and with a peer all copies become equal again."""

import collections
import os
import unittest

from damage_rig import DamageRig
from harness import LONG, SLOWNESS
from lmdb_file import flip_bits

TRIALS = 100 if LONG else 2 if SLOWNESS > 1 else 5
# Damage there is found by checksums, or does no harm.
GUARDED = ("rows values", "log values", "unused")
# LMDB trusts these: a clear refusal, errors and missing keys are all that can be asked for. Pages that send LMDB
# to where there is no memory end a daemon by a signal, and its last line says so.
TRUSTED = ("meta", "branch", "leaf structure", "free list")


class DamageTest(unittest.TestCase):
    def setUp(self):
        self.seed = os.environ.get("KNIT_SEED", "7")
        self.rig = self.enterContext(DamageRig(self.seed))
        self.outcomes = collections.Counter()

    def tearDown(self):
        print(f"{self._testMethodName}, seed {self.seed}: {dict(self.outcomes)}", flush=True)

    def trials(self, what, damage, with_peer):
        for number in range(TRIALS):
            outcome = self.rig.trial(lambda: damage(1 if number % 2 else 8), with_peer)
            self.outcomes[f"{what}: {outcome.summary()}"] += 1
            self.assertEqual(outcome.shown["garbage"], 0, what)
            yield outcome

    def damage(self, places):
        return lambda count: flip_bits(self.rig.data_path, places, self.rig.draw, count)

    def test_rows_that_are_damaged_are_healed_by_a_peer(self):
        places = self.rig.places()
        for what in GUARDED:
            for outcome in self.trials(what, self.damage(places[what]), with_peer=True):
                self.assertEqual(outcome.end, "serves", outcome.said)
                self.assertTrue(outcome.healed, what)

    def test_a_damaged_row_alone_is_an_error_and_all_others_are_right(self):
        places = self.rig.places()
        for what in GUARDED:
            for outcome in self.trials(what, self.damage(places[what]), with_peer=False):
                self.assertEqual(outcome.end, "serves", outcome.said)
                self.assertEqual(outcome.shown["absent"] + outcome.shown["earlier"], 0, what)
                self.assertGreaterEqual(outcome.shown["right"], len(self.rig.ledger.keys) - 8)

    def assert_gives_up_clearly(self, outcome):
        if outcome.end == "refuses":
            self.assertRegex(outcome.said, "damaged.*; move .* away and let the peers fill a new one")
        else:
            self.assertIn(outcome.end, [f"ended with -{number}" for number in (6, 7, 11)], outcome.said)
            self.assertIn("knitd: ended by SIG", outcome.said)

    def test_an_entry_under_another_key_is_healed_or_the_file_is_given_up(self):
        places = self.rig.places()
        keys = places["rows keys"]
        lengths = [(offset + 8, 2) for offset, _ in keys]
        for what, hit in (("rows, length", lengths), ("rows, any", keys), ("log", places["log keys"])):
            for with_peer in (True, False):
                for outcome in self.trials("keys of " + what, self.damage(hit), with_peer):
                    if outcome.end == "serves":
                        self.assertTrue(outcome.healed or not with_peer, outcome.said)
                    else:
                        self.assert_gives_up_clearly(outcome)

    @unittest.skipIf(SLOWNESS > 1, "what LMDB does with damaged pages is not for sanitizers to judge")
    def test_damage_to_what_lmdb_trusts_never_shows_a_wrong_value(self):
        places = self.rig.places()
        for what in TRUSTED:
            for outcome in self.trials(what, self.damage(places[what]), with_peer=False):
                if outcome.end != "serves":
                    self.assert_gives_up_clearly(outcome)

    def test_a_daemon_whose_own_records_are_damaged_does_not_start(self):
        places = self.rig.places()
        for what in ("meta keys", "meta values"):
            for outcome in self.trials(what, self.damage(places[what]), with_peer=False):
                self.assertEqual(outcome.end, "refuses", outcome.said)
                self.assert_gives_up_clearly(outcome)

    def test_a_damaged_journal_loses_what_was_damaged_and_a_peer_heals_it(self):
        if not self.rig.journal:
            self.skipTest("this daemon has no journal")
        for with_peer in (False, True):
            for outcome in self.trials("journal", self.rig.flip_journal, with_peer):
                self.assertEqual(outcome.end, "serves", outcome.said)
                self.assertTrue(outcome.healed or not with_peer)

    def test_a_journal_cut_short_loses_what_was_cut_and_a_peer_heals_it(self):
        if not self.rig.journal:
            self.skipTest("this daemon has no journal")
        for outcome in self.trials("journal cut", lambda count: self.rig.cut_journal(), with_peer=True):
            self.assertEqual(outcome.end, "serves", outcome.said)
            self.assertTrue(outcome.healed)


if __name__ == "__main__":
    unittest.main()

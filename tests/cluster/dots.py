"""Remembers which dots were seen, over any number of restarts, and finds one that names two writes."""


class DotTable:
    """Invariants asked for: a dot never names two writes; and what an actor issues after a restart has a
    higher sequence than everything that was seen of it before."""

    def __init__(self):
        self.fingerprints = {}  # Actor -> {sequence: fingerprint}
        self.highest = {}       # Actor -> the highest sequence seen.
        self.before = {}        # The same, when the daemon was last started.
        self.reused = []

    def on_restart(self):
        self.before = dict(self.highest)

    def add(self, findings):
        for sighting in findings.fresh:
            if sighting.sequence <= self.before.get(sighting.actor, 0):
                self.reused.append(f"{sighting.actor:016x}:{sighting.sequence} issued again, after "
                                   f"{self.before[sighting.actor]} was seen")
        for actor, sequence, fingerprint in findings.fresh + findings.known:
            known = self.fingerprints.setdefault(actor, {}).setdefault(sequence, fingerprint)
            if known != fingerprint:
                self.reused.append(f"{actor:016x}:{sequence} names two writes")
            self.highest[actor] = max(self.highest.get(actor, 0), sequence)

    def __len__(self):
        return sum(map(len, self.fingerprints.values()))

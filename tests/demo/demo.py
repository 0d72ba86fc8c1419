#!/usr/bin/python3
"""Three daemons take real data, drift apart while one is cut off, lose rows of a file, and become equal again."""

import argparse
import os
import random
import signal
import sys
import tempfile
import time

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "cluster"))

import catalogue
from lmdb_rows import delete_random_rows
from replicas import CLIENT_PORT, KNIT, Replicas, Trouble, require_free_ports, require_programs

TTY = sys.stdout.isatty()
SIBLINGS_SHOWN = 5
ROWS_LOST = 1000


def heading(text):
    print(f"\n\033[1m{text}\033[0m" if TTY else f"\n== {text}", flush=True)


def say(text):
    print(f"   {text}", flush=True)


def show(text):
    """What a command printed."""
    for line in text.rstrip().splitlines():
        print(f"   | {line}")
    sys.stdout.flush()


def size(count):
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def require(fact, text):
    if not fact:
        raise Trouble(text)


class Edits:
    """What is written on both sides while they are apart, and what must be readable afterwards."""

    def __init__(self, records):
        self.expected = dict(records)
        self.conflicts = []
        self.winners = {}
        shuffled = sorted(records)
        random.Random(1).shuffle(shuffled)
        self.unit = max(1, min(1000, len(shuffled) // 12))
        self.pool = iter(shuffled)

    def take(self, count):
        return [next(self.pool) for _ in range(count)]

    def one_sided(self, side):
        """Changes, deletions and additions of keys that only this side touches."""
        label = side.encode()
        changed = self.take(2 * self.unit)
        deleted = self.take(self.unit)
        added = [b"new:%s:%04d" % (label, number) for number in range(1000)]
        sets = {key: note(label, self.expected[key]) for key in changed}
        sets.update({key: b"added on %s while apart" % label for key in added})
        self.expected.update(sets)
        for key in deleted:
            del self.expected[key]
        commands = [(b"SET", key, value) for key, value in sets.items()] + [(b"DEL", key) for key in deleted]
        return commands, f"{len(changed):,} changed, {len(deleted):,} deleted, {len(added):,} added"

    def conflicting(self, first, second):
        """The same keys written on both sides, `first` earlier: so `second` must win everywhere."""
        keys = self.take(self.unit // 2)
        deleted = set(keys[:len(keys) // 5])  # The second side deletes these, and the deletion wins.
        self.conflicts += keys
        early = [(b"SET", key, note(first.encode(), self.expected[key])) for key in keys]
        late = []
        for key in keys:
            self.winners[key] = second
            if key in deleted:
                late.append((b"DEL", key))
                del self.expected[key]
            else:
                value = note(second.encode(), self.expected[key])
                late.append((b"SET", key, value))
                self.expected[key] = value
        return early, late


def note(label, record):
    return b"Changed-On: %s\n%s" % (label, record)


def load_data(replicas, records, source):
    heading("2. Real data")
    alpha = replicas.all[0]
    total = sum(map(len, records.values()))
    began = time.monotonic()
    alpha.pipe((b"SET", key, record) for key, record in records.items())
    took = time.monotonic() - began
    say(f"{len(records):,} records, {size(total)}, from {source},")
    say(f"written to alpha with redis-cli --pipe in {took:.1f} s.")
    waited = replicas.await_agreement()
    say(f"All three hold them {waited:.1f} s later:")
    show(alpha.knit("status").stdout)


def drift_apart(replicas, edits):
    alpha, _, gamma = replicas.all
    heading("3. gamma is cut off, and both sides go on writing")
    gamma.isolate(True)
    for side in (alpha, gamma):
        commands, summary = edits.one_sided(side.name)
        side.pipe(commands)
        say(f"on {side.name}: {summary}")
    for first, second in ((alpha, gamma), (gamma, alpha)):
        early, late = edits.conflicting(first.name, second.name)
        first.pipe(early)
        time.sleep(0.01)  # Later is later by the clocks' milliseconds.
        second.pipe(late)
        say(f"{len(early):,} keys first changed on {first.name}, then changed or deleted on {second.name}")
    wait_for_roots_apart(replicas)


def wait_for_roots_apart(replicas, seconds=15):
    """Until alpha and beta agree again, on something else than gamma."""
    deadline = time.monotonic() + seconds
    while True:
        roots = [status["root"] for status in replicas.statuses()]
        if roots[0] == roots[1] != roots[2]:
            break
        require(time.monotonic() < deadline, f"alpha and beta should agree by now, and gamma differ: {roots}")
        time.sleep(0.05)
    for replica, root in zip(replicas.all, roots):
        say(f"root of {replica.name:5} {root}")


def show_backlog(replicas):
    say("alpha$ knit hints")
    show(replicas.all[0].knit("hints").stdout)


def reconnect(replicas):
    heading("4. Connected again")
    alpha, _, gamma = replicas.all
    before = {replica.name: rows_streamed(replica) for replica in replicas.all}
    began = time.monotonic()
    gamma.isolate(False)
    replicas.await_agreement()
    say(f"{time.monotonic() - began:.1f} s later all three agree, without a command: what waited was streamed,")
    for replica in replicas.all:
        say(f"  {rows_streamed(replica) - before[replica.name]:6,} rows came to {replica.name}")
    say("alpha$ knit lag")
    show(alpha.knit("lag").stdout)


def rows_streamed(replica):
    return sum(peer["stream_rows_received"] for peer in replica.status()["peers"])


def lose_rows(replicas):
    heading("7. Rows vanish behind beta's back")
    beta = replicas.all[1]
    beta.stop()
    deleted = set(delete_random_rows(beta.data, random.Random(1), ROWS_LOST))
    say(f"beta is stopped, and {len(deleted):,} rows are deleted in its database file. No log knows of that.")
    lost_ms = int(time.time() * 1000)
    beta.start(replicas.kept)
    began = time.monotonic()
    beta.await_service()
    replicas.await_agreement()
    say(f"{time.monotonic() - began:.1f} s after its start they are back: its tree told that something was missing, and")
    say("comparing trees told what.")
    print_sessions(sessions_since(replicas, lost_ms))


def sessions_since(replicas, unix_ms):
    """Each session once, as the node that began it reports it, with that node's name."""
    return [(status["name"], session) for status in replicas.statuses() for session in status["last_exchanges"]
            if session["initiated"] and session["ended_ms"] >= unix_ms]


def print_sessions(sessions):
    for name, session in sorted(sessions, key=lambda pair: pair[1]["ended_ms"]):
        pair = f"{name} and {session['peer_name']}"
        say(f"  {pair:15} {size(session['comparison_bytes']):>9} compared in {session['messages']:2} messages,"
            f" {session['rows_sent']:,} rows one way, {session['rows_received']:,} the other, {session['duration_ms']} ms")


def settled_roots(replicas, seconds=5):
    """What was deleted is purged on one node some milliseconds before the others."""
    deadline = time.monotonic() + seconds
    while True:
        roots = {status["name"]: status["root"] for status in replicas.statuses()}
        if len(set(roots.values())) == 1 or time.monotonic() > deadline:
            return roots
        time.sleep(0.02)


def check_contents(replicas, edits, title):
    heading(title)
    roots = settled_roots(replicas)
    for name, root in roots.items():
        say(f"root of {name:5} {root}")
    require(len(set(roots.values())) == 1, "the roots differ")
    contents = [replica.contents() for replica in replicas.all]
    require(contents[0] == contents[1] == contents[2], "a key reads differently on two nodes")
    say(f"{len(contents[0]):,} keys read on each node: all the same.")
    wrong = sum(contents[0].get(key) != edits.expected.get(key) for key in contents[0].keys() | edits.expected.keys())
    require(wrong == 0, f"{wrong} keys do not read as they were written last")
    say("Each reads as it was written last, on whichever side that was; what was deleted stays deleted.")


def lost_text(sibling):
    value = sibling["value"]
    if sibling["state"] != "value":
        return "the deletion" if sibling["state"] == "tombstone" else sibling["state"]
    return (value if isinstance(value, str) else "").splitlines()[0]


def show_conflicts(replicas, edits):
    heading("6. Conflicts")
    say(f"{len(edits.conflicts):,} keys were written on both sides. The later write is what everybody reads;")
    say("the one that lost is not gone: `knit siblings KEY` shows it until the next write.")
    step = max(1, len(edits.conflicts) // SIBLINGS_SHOWN)
    rows = []
    for key in edits.conflicts[::step][:SIBLINGS_SHOWN]:
        found = replicas.all[1].ask("siblings", key.decode())["siblings"]
        winner = [lost_text(s) for s in found if s["winner"]]
        lost = [lost_text(s) for s in found if not s["winner"]]
        require(len(winner) == 1 and lost, f"{key.decode()} has no lost sibling")
        rows.append((key.decode(), winner[0], ", ".join(lost)))
    widths = [max(map(len, column)) for column in zip(*rows, ("KEY", "READ EVERYWHERE", "LOST"))]
    for row in [("KEY", "READ EVERYWHERE", "LOST"), *rows]:
        say("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths)).rstrip())


def print_how_to_talk(replicas):
    heading("The cluster is still running")
    alpha = replicas.all[0]
    for replica in replicas.all:
        say(f"{replica.name}: redis-cli -h {replica.host} -p {CLIENT_PORT}     log: {replica.log_path}")
    say(f"{KNIT} --socket {alpha.socket_path} status")
    say("stop it:   kill " + " ".join(str(replica.process.pid) for replica in replicas.all)
        + f" && rm -r {replicas.directory}")


def stop(replicas):
    statuses = [replica.stop() for replica in replicas.all]
    require(statuses == [0, 0, 0], f"the daemons ended with {statuses}, not with 0")


def demonstrate(replicas, keep):
    began = time.monotonic()
    require_free_ports()
    records, source = catalogue.load()
    heading("1. Three daemons")
    replicas.start(keep)
    for replica in replicas.all:
        say(f"{replica.name} serves Redis clients at {replica.host}:{CLIENT_PORT} (process {replica.process.pid})")
    load_data(replicas, records, source)
    edits = Edits(records)
    drift_apart(replicas, edits)
    show_backlog(replicas)
    reconnect(replicas)
    check_contents(replicas, edits, "5. The same everywhere?")
    show_conflicts(replicas, edits)
    lose_rows(replicas)
    check_contents(replicas, edits, "8. Still the same everywhere?")
    if keep:
        replicas.kept = True
        print_how_to_talk(replicas)
    else:
        stop(replicas)
    print(f"\nAll of it held. {time.monotonic() - began:.0f} s.")


def main():
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the cluster running, and say how to talk to it")
    keep = parser.parse_args().keep
    signal.signal(signal.SIGINT, signal.default_int_handler)  # A shell's background job ignores it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        require_programs()
        with Replicas(tempfile.mkdtemp(prefix="knit-demo-")) as replicas:
            demonstrate(replicas, keep)
    except Trouble as trouble:
        sys.stdout.flush()
        print(f"\nThe demo failed: {trouble}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\ninterrupted: the daemons are ended, their files removed", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()

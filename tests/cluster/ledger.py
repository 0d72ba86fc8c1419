"""Writes to a daemon that may die at any moment, and knows what it must hold afterwards.

A ledger owns its keys: nobody else writes them, and each is written over one connection only, so the
states of a key follow one another in a known order. A state is a *token*: None for "no such key", else
a number that stands for one value. Per key the ledger remembers the last acknowledged state and the
states that are in flight: asked for and not answered, so they may be there or not, in order.
"""

import collections
import random
import socket

COMMANDS_OF_A_BATCH = 32
SIBLINGS_SHARE = 0.06  # Of the writes: those whose dot is asked for.
FIRST_BATCHES = 2      # After a connect the dots of all writes are asked for: reuse would show there.
FILLER = bytes(range(33, 127)) * 3000


class Lost(Exception):
    """The daemon went away."""


def value_of(key, token):
    """The bytes that `token` stands for: they differ for every key and token, and in their sizes."""
    draw = hash((key, token)) & 0xFFFF  # Of numbers: the same in every process.
    size = 200_000 if draw < 6 else 5000 if draw < 600 else draw % 150
    start = draw % 94
    return b"%d:%d:" % (key, token) + FILLER[start:start + size]


def encode(*arguments):
    parts = [b"*%d\r\n" % len(arguments)]
    for argument in arguments:
        parts.append(b"$%d\r\n%b\r\n" % (len(argument), argument))
    return b"".join(parts)


class ErrorReply(str):
    pass


class Connection:
    """Raw RESP2 over TCP, or over a UNIX socket if the address is a path."""

    def __init__(self, address, timeout=60):
        try:
            if isinstance(address, str):
                self.socket = socket.socket(socket.AF_UNIX)
                self.socket.settimeout(timeout)
                self.socket.connect(address)
            else:
                self.socket = socket.create_connection(address, timeout=timeout)
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            if hasattr(self, "socket"):
                self.socket.close()
            raise Lost(str(error)) from error
        self.input = self.socket.makefile("rb", buffering=1 << 16)

    def close(self):
        self.input.close()
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except TimeoutError:
            raise
        except OSError as error:
            raise Lost(str(error)) from error

    def receive(self):
        """The next reply. Lost if the daemon went away before its end."""
        try:
            line = self.input.readline()
            if not line.endswith(b"\r\n"):
                raise Lost("the connection ended")
            kind, rest = line[:1], line[1:-2]
            if kind == b"+":
                return rest
            if kind == b":":
                return int(rest)
            if kind == b"-":
                return ErrorReply(rest.decode())
            if kind == b"$":
                return self.receive_bulk(int(rest))
            if kind == b"*":
                return [self.receive() for _ in range(int(rest))]
        except TimeoutError:
            raise
        except OSError as error:
            raise Lost(str(error)) from error
        raise AssertionError(f"not a reply: {line[:100]!r}")

    def receive_bulk(self, size):
        if size < 0:
            return None
        data = self.input.read(size + 2)
        if len(data) < size + 2:
            raise Lost("the connection ended")
        return data[:-2]

    def ask(self, *arguments):
        self.send(encode(*(a if isinstance(a, bytes) else str(a).encode() for a in arguments)))
        return self.receive()


class Key:
    __slots__ = ("number", "name", "counter", "count", "latest", "acknowledged", "flight", "history")

    def __init__(self, number, counter):
        self.number = number
        self.name = b"%s:%d" % (b"counter" if counter else b"key", number)
        self.counter = counter
        self.count = 0            # Tokens given out.
        self.latest = None        # The token of the last write that was sent.
        self.acknowledged = None
        self.flight = []          # Tokens, in order.
        self.history = []         # What was acknowledged before, since the last restart.

    def bytes_of(self, token):
        if token is None:
            return None
        return b"%d" % token if self.counter else value_of(self.number, token)

    def token_of(self, value):
        """The token that the bytes stand for; -1: none that was ever given out."""
        if value is None:
            return None
        digits = value if self.counter else value.split(b":", 2)[1] if value.count(b":") >= 2 else b""
        token = int(digits) if digits.isdigit() else -1
        return token if 0 < token <= self.count and self.bytes_of(token) == value else -1

    def send(self, token):
        self.flight.append(token)
        self.latest = token

    def on_acknowledged(self, token):
        check_equal(self.flight.pop(0), token, "answers come in order")
        self.history.append(self.acknowledged)
        self.acknowledged = token

    def on_refused(self, token):
        self.flight.remove(token)
        self.latest = self.flight[-1] if self.flight else self.acknowledged

    def on_cleared(self, answered):
        if answered:
            self.history.append(self.acknowledged)
            self.acknowledged = self.latest = None
        else:
            self.send(None)

    def may_show(self, token, earlier):
        return token == self.acknowledged or token in self.flight or (earlier and token in self.history)

    def settle(self, token):
        self.acknowledged = self.latest = token
        self.flight = []
        self.history = []


def check_equal(got, wanted, what):
    if got != wanted:
        raise AssertionError(f"{what}: {str(got)[:200]}, not {str(wanted)[:200]}")


# What a dot was seen to name: actor, sequence, and a fingerprint of key, stamp and value.
Sighting = collections.namedtuple("Sighting", "actor sequence fingerprint")


def sightings(reply):
    """The dots in the answer to KNIT SIBLINGS."""
    fields = dict(zip(reply[::2], reply[1::2]))
    found = []
    for sibling in fields.get(b"siblings", ()):
        each = dict(zip(sibling[::2], sibling[1::2]))
        actor, sequence = each[b"dot"].split(b":")
        # The value is left out where it was given up (expired): its stamp names it as well.
        fingerprint = hash((fields[b"key"], each[b"stamp_ms"], each[b"stamp_counter"], each[b"value"]))
        found.append(Sighting(int(actor, 16), int(sequence), fingerprint))
    return found


class Findings:
    """What a check or a run found. Sums of plain numbers, and at most a few texts, so it is cheap to send."""

    TEXTS_MAX = 5

    def __init__(self, fresh=(), known=()):
        self.counts = collections.Counter()
        self.refusals = collections.Counter()
        self.texts = []
        self.fresh = list(fresh)  # Sightings of dots that were issued during this run.
        self.known = list(known)  # Sightings of dots of any age.

    def complain(self, kind, text):
        self.counts[kind] += 1
        if len(self.texts) < self.TEXTS_MAX:
            self.texts.append(f"{kind}: {text}")

    def add(self, other):
        self.counts += other.counts
        self.refusals += other.refusals
        self.texts = (self.texts + other.texts)[:self.TEXTS_MAX]
        self.fresh += other.fresh
        self.known += other.known
        return self


class Ledger:
    """Keys from `first` on, spread over `connections` connections."""

    def __init__(self, first=0, keys=1000, counters=0, connections=4, batch=COMMANDS_OF_A_BATCH):
        self.connections = connections
        self.batch = batch
        self.keys = [Key(first + number, False) for number in range(keys)]
        self.keys += [Key(first + number, True) for number in range(counters)]
        self.shares = [self.keys[n::connections] for n in range(connections)]

    # --- Writing

    def run(self, address, draw, stop, batches_max=None):
        """Writes until `stop()` answers true or the daemon goes away; what was found meanwhile."""
        findings = Findings()
        lines = []
        try:
            lines = [Connection(address) for _ in range(self.connections)]
            batches = 0
            while not stop() and batches != batches_max:
                self.turn(lines, draw, findings, batches < FIRST_BATCHES)
                batches += 1
        except Lost:
            findings.counts["cut off"] += 1
        for line in lines:
            line.close()
        return findings

    def turn(self, lines, draw, findings, all_dots):
        waiting = []
        lost = None
        for line, share in zip(lines, self.shares):
            data, asked = self.make_batch(share, draw, 1.0 if all_dots else SIBLINGS_SHARE)
            waiting.append((line, asked))
            try:
                line.send(data)
            except Lost as error:
                lost = error
        # Of a daemon that is gone, each connection may still hold answers that it gave.
        for line, asked in waiting:
            try:
                self.take_answers(line, asked, findings)
            except Lost as error:
                lost = error
        if lost:
            raise lost

    def make_batch(self, share, draw, siblings_share):
        data = []
        asked = []
        for _ in range(self.batch):
            key = share[int(draw.random() * len(share))]
            lot = draw.random()
            if lot < 0.1:
                data.append(encode(b"GET", key.name))
                asked.append(("get", key, key.latest))
                continue
            if key.counter and key.flight:
                continue  # One at a time, as the outcome of the next depends on it.
            if lot < 0.2:
                token = None
                data.append(encode(b"DEL", key.name))
            elif key.counter:
                token = (key.latest or 0) + 1
                key.count = max(key.count, token)
                data.append(encode(b"INCR", key.name))
            else:
                key.count += 1
                token = key.count
                data.append(encode(b"SET", key.name, value_of(key.number, token)))
            key.send(token)
            asked.append(("write", key, token))
            if not key.counter and draw.random() < siblings_share:
                data.append(encode(b"KNIT", b"SIBLINGS", key.name))
                asked.append(("siblings", key, token))
        return b"".join(data), asked

    def take_answers(self, line, asked, findings):
        written = False  # Whether the last write was acknowledged.
        for kind, key, token in asked:
            reply = line.receive()
            refused = isinstance(reply, ErrorReply)
            if refused:
                findings.refusals[str(reply)] += 1
            if kind == "write":
                written = not refused
                if refused:
                    key.on_refused(token)
                else:
                    key.on_acknowledged(token)
                    findings.counts["acknowledged"] += 1
            elif kind == "get":
                # With a refused write in between, what was expected at the time of asking need not be.
                if not refused and not findings.refusals and key.bytes_of(token) != reply:
                    findings.complain("wrong read", f"{key.name} shows {str(reply)[:60]}, not token {token}")
            elif written and not refused:
                # The answer came behind that of the write, so what it shows was acknowledged; of a write
                # that was undone it may show a dot that may be issued again. A DEL of what is not there issues
                # no dot, and shows an old one.
                (findings.known if token is None else findings.fresh).extend(sightings(reply))

    # --- Checking

    def check(self, address, draw, earlier=False, settle=True):
        """Compares all keys with what the daemon shows; it becomes the settled state. `earlier`: older
        acknowledged states are right too (durability "async", damaged files)."""
        findings = Findings()
        line = Connection(address)
        for at in range(0, len(self.keys), 200):
            some = self.keys[at:at + 200]
            line.send(b"".join(encode(b"GET", key.name) for key in some))
            for key in some:
                self.check_key(key, line.receive(), earlier, settle, findings)
        for key in draw.sample(self.keys, min(60, len(self.keys))):
            if not key.counter:
                reply = line.ask(b"KNIT", b"SIBLINGS", key.name)
                if not isinstance(reply, ErrorReply):
                    findings.known += sightings(reply)
        line.close()
        return findings

    def check_key(self, key, reply, earlier, settle, findings):
        if isinstance(reply, ErrorReply):
            findings.refusals[str(reply)] += 1
            return
        findings.counts["checked"] += 1
        token = key.token_of(reply)
        if not key.may_show(token, earlier):
            kind = self.kind_of_fault(key, token)
            findings.complain(kind, f"{key.name} shows {str(reply)[:60]} (token {token}), acknowledged was "
                                    f"{key.acknowledged}, in flight {key.flight[:5]}")
        if key.flight:
            findings.counts["in flight, kept" if token != key.acknowledged else "in flight, gone"] += 1
        if settle and token != -1:
            key.settle(token)

    @staticmethod
    def kind_of_fault(key, token):
        if token == -1:
            return "garbage"
        return "revived" if key.acknowledged is None else "lost"

    def clear(self, answered):
        for key in self.keys:
            key.on_cleared(answered)

    def present(self):
        return sum(key.acknowledged is not None for key in self.keys)


def draw_from(*seeds):
    return random.Random(":".join(map(str, seeds)))

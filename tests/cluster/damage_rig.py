"""Flips bits in the files of a daemon that is down, starts it, and says what it made of them."""

import collections
import glob
import os
import shutil
import time

from harness import SLOWNESS, Cluster
from ledger import Connection, ErrorReply, Findings, Ledger, Lost, draw_from
from lmdb_file import LmdbFile, flip_bits

# What may be shown for a key: nothing else ever, whatever was damaged.
WRONG = ("garbage",)


class Outcome:
    """`end`: "serves", "refuses" (it ended with 1 and a message), "hangs", or how else it ended. `shown`:
    per kind ("right", "absent", "error", "earlier", "garbage") how many keys. `healed`: with a peer, whether all
    copies became equal and right."""

    def __init__(self, end, shown=None, healed=None, said=""):
        self.end = end
        self.shown = shown or collections.Counter()
        self.healed = healed
        self.said = said

    def crashed(self):
        return self.end not in ("serves", "refuses")

    def summary(self):
        parts = [self.end] + sorted(kind for kind in self.shown if kind != "right")
        if self.healed is not None:
            parts.append("healed" if self.healed else "not healed")
        return ", ".join(parts)


class DamageRig:
    """A context. Alpha's directory is kept as it was after a kill -9 under load, and restored for each trial."""

    def __init__(self, seed, keys=500):
        self.draw = draw_from(seed)
        self.cluster = Cluster("alpha", "beta")
        self.alpha, self.beta = self.cluster.nodes
        self.ledger = Ledger(keys=keys)
        self.kept = self.alpha.directory + ".kept"
        try:
            self.cluster.start()
            self.ledger.run(self.alpha.socket_path, self.draw, lambda: False, 40)
            self.cluster.await_sync()
            # What beta does not have is not there at all, so that each trial may heal completely.
            self.alpha.kill()
            self.beta.kill()
            shutil.copytree(self.alpha.directory, self.kept)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cluster.__exit__()

    @property
    def data_path(self):
        return os.path.join(self.alpha.directory, "data.mdb")

    def journal_paths(self):
        return [path for path in sorted(glob.glob(os.path.join(self.alpha.directory, "journal", "*")))
                if os.path.getsize(path)]

    def places(self):
        return LmdbFile(os.path.join(self.kept, "data.mdb")).places

    def trial(self, damage, with_peer):
        """`damage` is called when alpha's directory is as it was. Answers the Outcome."""
        shutil.rmtree(self.alpha.directory)
        shutil.copytree(self.kept, self.alpha.directory)
        damage()
        log_before = len(self.alpha.log())
        if with_peer and self.beta.process is None:
            self.beta.start()
        if not with_peer and self.beta.process is not None:
            self.beta.kill()
        self.alpha.launch()
        try:
            return self.observe(with_peer)
        except (Lost, TimeoutError) as error:
            return self.ended(log_before, error)
        finally:
            if self.alpha.process is not None:
                self.alpha.kill()

    def ended(self, log_before, error):
        try:
            status = self.alpha.process.wait(timeout=2 * SLOWNESS)
        except Exception:
            return Outcome("hangs", said=str(error))
        said = self.alpha.log()[log_before:]
        lines = [line for line in said.splitlines() if "error" in line or line.startswith("knitd: ")]
        self.alpha.process = None
        if status == 1 and lines:
            return Outcome("refuses", said=lines[-1])
        return Outcome(f"ended with {status}", said=said[-1500:])

    def observe(self, with_peer):
        line = self.connect()
        shown = self.read_all(line)
        healed = None
        if with_peer:
            healed = self.heals(line)
        elif self.alpha.process.poll() is None:
            self.write_all(line, shown)
        line.close()
        if self.alpha.process.poll() is not None:
            raise Lost("it ended meanwhile")
        return Outcome("serves", shown, healed)

    def connect(self):
        deadline = time.monotonic() + 10 * SLOWNESS
        while True:
            if self.alpha.process.poll() is not None or time.monotonic() > deadline:
                raise Lost("it does not serve")
            try:
                line = Connection(self.alpha.socket_path, timeout=10 * SLOWNESS)
                line.ask("PING")
                return line
            except Lost:
                time.sleep(0.002)

    def read_all(self, line):
        shown = collections.Counter()
        for key in self.ledger.keys:
            reply = line.ask(b"GET", key.name)
            token = None if isinstance(reply, ErrorReply) else key.token_of(reply)
            if isinstance(reply, ErrorReply):
                shown["error"] += 1
            elif token == key.acknowledged:
                shown["right"] += 1
            elif token == -1:
                shown["garbage"] += 1
            else:
                shown["absent" if token is None else "earlier"] += 1
        return shown

    def write_all(self, line, shown):
        """Damage that hides in what only a writer touches shows up, or does no harm."""
        for key in self.ledger.keys[:100]:
            reply = line.ask(b"SET", b"after:" + key.name, b"written")
            if isinstance(reply, ErrorReply):
                shown["refused"] += 1
            elif line.ask(b"GET", b"after:" + key.name) != b"written":
                shown["garbage"] += 1

    def heals(self, line):
        deadline = time.monotonic() + 6 * SLOWNESS
        while time.monotonic() < deadline:
            if self.alpha.process.poll() is not None:
                raise Lost("it ended meanwhile")
            try:
                if self.cluster.in_sync() and self.read_all(line)["right"] == len(self.ledger.keys):
                    return self.alpha.knit("verify").returncode == 0
            except (ValueError, KeyError):
                pass  # It went away while its status was asked for.
            time.sleep(0.05)
        return False

    def flip(self, places, count):
        return lambda: flip_bits(self.data_path, places, self.draw, count)

"""Flips bits in the files of a daemon that is down, starts it, and says what it made of them."""

import collections
import glob
import os
import shutil
import threading
import time

from harness import SLOWNESS, Cluster, NoStatus, put_back
from ledger import Connection, ErrorReply, Ledger, Lost, draw_from
from lmdb_file import LmdbFile, flip_bits


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
            self.load_and_kill()
            shutil.copytree(self.alpha.directory, self.kept)
            # All of that comes to beta, so that each trial can heal completely.
            self.alpha.start()
            self.ledger.check(self.alpha.socket_path, self.draw)
            self.cluster.await_sync()
            self.alpha.kill()
            self.beta.kill()
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cluster.__exit__()

    def load_and_kill(self):
        """In the middle of writing, so that the newest writes lie in the journal alone, if there is one."""
        timer = threading.Timer(0.3 * SLOWNESS, self.alpha.process.kill)
        timer.start()
        self.ledger.run(self.alpha.socket_path, self.draw, lambda: False)
        timer.join()
        self.alpha.kill()

    @property
    def data_path(self):
        return os.path.join(self.alpha.directory, "data.mdb")

    def journal_paths(self):
        return [path for path in sorted(glob.glob(os.path.join(self.alpha.directory, "journal", "*")))
                if os.path.getsize(path)]

    @property
    def journal(self):
        return self.journal_paths()

    def written_places(self, path):
        """Where a preallocated file is not zero, a piece of 4096 bytes each."""
        with open(path, "rb") as file:
            data = file.read()
        return [(at, min(4096, len(data) - at)) for at in range(0, len(data), 4096) if data[at:at + 4096].strip(b"\0")]

    def flip_journal(self, count):
        paths = [path for path in self.journal if self.written_places(path)]
        for _ in range(count):
            path = self.draw.choice(paths)
            flip_bits(path, self.written_places(path), self.draw, 1)

    def cut_journal(self):
        """Zeros, or nothing, from somewhere on: as a power cut may leave the newest file."""
        path = max(self.journal, key=os.path.getmtime)
        at = self.draw.choice(self.written_places(path))[0] + self.draw.randrange(4096)
        size = os.path.getsize(path)
        os.truncate(path, min(at, size))
        if self.draw.random() < 0.5:
            os.truncate(path, size)

    def places(self):
        return LmdbFile(os.path.join(self.kept, "data.mdb")).places

    def trial(self, damage, with_peer):
        """`damage` is called when alpha's directory is as it was. Answers the Outcome."""
        put_back(self.kept, self.alpha.directory)
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
        for key in self.ledger.keys[:20]:
            if isinstance(line.ask(b"SET", b"after:" + key.name, b"written"), ErrorReply):
                shown["write refused"] += 1
                continue
            reply = line.ask(b"GET", b"after:" + key.name)
            if isinstance(reply, ErrorReply):
                shown["written, error"] += 1
            elif reply is None:
                shown["written, absent"] += 1
            elif reply != b"written":
                shown["garbage"] += 1

    def heals(self, line):
        deadline = time.monotonic() + 6 * SLOWNESS
        while time.monotonic() < deadline:
            if self.alpha.process.poll() is not None:
                raise Lost("it ended meanwhile")
            try:
                if self.cluster.in_sync() and self.read_all(line)["right"] == len(self.ledger.keys):
                    return self.alpha.knit("verify").returncode == 0
            except (ValueError, KeyError, NoStatus):
                pass  # It went away while its status was asked for.
            time.sleep(0.05)
        return False

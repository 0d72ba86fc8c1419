"""Many daemons that do little but know each other, and what their logs say of that; the same with serf, where it is
installed."""

import os
import re
import shutil
import subprocess
import time

from fleet import Fleet
from harness import BUILD, _die_with_parent, loopback, wait_until

POLL = 0.01


class Tail:
    """What has been added to a log since it was last asked."""

    def __init__(self, path):
        self.path = path
        self.at = os.path.getsize(path) if os.path.exists(path) else 0

    def lines(self):
        if not os.path.exists(self.path) or os.path.getsize(self.path) == self.at:
            return []
        with open(self.path, errors="replace") as log:
            log.seek(self.at)
            text = log.read()
        whole = text[:text.rfind("\n") + 1]
        self.at += len(whole.encode(errors="replace"))
        return whole.splitlines()


class Watch:
    """Who has said what of whom, and when: (observer, subject) -> seconds since the watch began. The first time
    counts."""

    def __init__(self, crowd, pattern):
        self.pattern = re.compile(pattern)
        self.tails = {name: Tail(crowd.log_path(name)) for name in crowd.names}
        self.begin = time.monotonic()
        self.seen = {}
        self.all = []  # (seconds, observer, subject)

    def look(self):
        for observer, tail in self.tails.items():
            for line in tail.lines():
                found = self.pattern.search(line)
                if found:
                    now = time.monotonic() - self.begin
                    self.seen.setdefault((observer, found[1]), now)
                    self.all.append((now, observer, found[1]))

    def until(self, pairs, seconds, what):
        """When the last of these pairs was seen."""
        pairs = set(pairs)

        def complete():
            self.look()
            time.sleep(POLL)
            return pairs <= self.seen.keys()

        wait_until(complete, what, seconds)
        return max(self.seen[pair] for pair in pairs)

    def subjects(self, gap=5):
        """How many times somebody was spoken of: what is said of one within so many seconds of another is one time."""
        episodes, last = [], {}
        for now, _, subject in sorted(self.all):
            if now - last.get(subject, -gap) >= gap:
                episodes.append(subject)
            last[subject] = now
        return episodes


class KnitCrowd(Fleet):
    """Daemons of which each knows the first one as its seed, encrypted."""

    joined = r"info +(\S+) at \S+ is (?:a member|back)$"
    dead = r"warning (\S+) at \S+ is taken for dead"
    tagged = r"debug +(\S+) at \S+ says something new of itself"
    program = "knit"

    def __init__(self, size, directory, seeds=True, **gossip):
        super().__init__(*(f"n{number:03}" for number in range(size)), directory=directory, log={"level": "debug"},
                         gossip=gossip, store={"map_bytes": "1GiB", "journal_segment_bytes": "256KiB"}, http={"port": 0})
        keys = os.path.join(self.directory, "gossip.keys")
        subprocess.run([os.path.join(BUILD, "knit"), "keys", "generate", "--out", keys], check=True,
                       stdout=subprocess.DEVNULL)
        for node in self.nodes:
            node.config["peer"]["seeds"] = [self.nodes[0].peer_address] if seeds else []
            node.config["gossip"]["keyring_file"] = keys
        self.by_name = {node.name: node for node in self.nodes}
        self.names = list(self.by_name)

    def log_path(self, name):
        return self.by_name[name].log_path

    def pairs(self):
        return [(a, b) for a in self.names for b in self.names if a != b]

    def pid(self, name):
        return self.by_name[name].process.pid

    def kill(self, name):
        self.by_name[name].kill()

    def restart(self, name):
        self.by_name[name].start()

    def join(self, name):
        self.by_name[name].client().execute_command("KNIT", "JOIN", self.nodes[0].peer_address)

    def tag(self, name, value):
        self.by_name[name].client().execute_command("KNIT", "TAGS", f"zone={value}")


class SerfCrowd:
    """Agents of serf in its profile "lan"."""

    joined = r"EventMemberJoin: (\S+) "
    dead = r"EventMemberFailed: (\S+) "
    tagged = r"EventMemberUpdate: (\S+)"
    program = "serf"

    def __init__(self, size, directory, seeds=True):
        self.directory = os.path.join(directory, f"serf-{os.getpid()}")
        self.names = [f"n{number:03}" for number in range(size)]
        self.seeds = seeds
        self.processes = {}

    def __enter__(self):
        os.makedirs(self.directory)
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            process.kill()
            process.wait()
        shutil.rmtree(self.directory)

    def log_path(self, name):
        return os.path.join(self.directory, name + ".log")

    def pairs(self):
        return [(a, b) for a in self.names for b in self.names if a != b]

    def host(self, name):
        return loopback(1 + self.names.index(name))

    def launch(self, name):
        seed = ["-retry-join", self.host(self.names[0])] if self.seeds and name != self.names[0] else []
        with open(self.log_path(name), "ab") as log:
            self.processes[name] = subprocess.Popen(
                ["serf", "agent", "-node", name, "-bind", self.host(name) + ":7946", "-rpc-addr",
                 self.host(name) + ":7373", "-profile", "lan", *seed],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_die_with_parent)

    def start(self):
        for name in self.names:
            self.launch(name)
        for name in self.names:
            wait_until(lambda: "agent: Serf agent starting" in open(self.log_path(name)).read(), f"{name} runs")
        return self

    def pid(self, name):
        return self.processes[name].pid

    def kill(self, name):
        self.processes[name].kill()
        self.processes[name].wait()

    def restart(self, name):
        self.launch(name)

    def command(self, name, *words):
        return subprocess.Popen(["serf", words[0], "-rpc-addr", self.host(name) + ":7373", *words[1:]],
                                stdout=subprocess.DEVNULL)

    def join(self, name):
        self.command(name, "join", self.host(self.names[0]) + ":7946")

    def tag(self, name, value):
        self.command(name, "tags", "-set", f"zone={value}").wait()


def crowds(options):
    """The kinds that are to be measured."""
    kinds = [KnitCrowd]
    if options.serf and shutil.which("serf"):
        kinds.append(SerfCrowd)
    return kinds


def add_serf_option(parser):
    parser.add_argument("--serf", action="store_true", help="measure serf as well, if it is installed")


def goals(crowd, **goal):
    """Goals are knit's own."""
    return goal if crowd.program == "knit" else {}

"""Kills a daemon, or cuts its power, again and again while writers write, and checks after every start.

One node is written to and dies, the other one is its peer and witness. Deterministic from the seed as far
as processes allow: which moments are drawn, and what is written.
"""

import collections
import os
import statistics
import subprocess
import time

import redis

from dots import DotTable
from harness import BUILD, SLOWNESS, Cluster, wait_until
from ledger import Connection, Findings, Lost, draw_from
from loop_disk import LoopDisk
from writers import Writers


FAULTS = ("lost", "revived", "garbage", "wrong read")
# When to kill, and how often each: under load; when a write waits for the disk; during the start; in
# the first moments of serving; when idle; around a FLUSHALL; the peer first; asked to end politely, under load.
MOMENTS = {"load": 40, "pending": 20, "startup": 15, "soon": 10, "idle": 5, "clear": 5, "peer": 5, "terminate": 5}
CONVERGE_EVERY = 25  # Kills.


def supports(node, section, key, value):
    """Whether the daemon knows this setting."""
    before = dict(node.config[section])
    node.config[section][key] = value
    node.write_config()
    command = [os.path.join(BUILD, "knitd"), "--config", node.config_path, "--check"]
    known = subprocess.run(command, capture_output=True, timeout=60).returncode == 0
    node.config[section] = before
    return known


class CrashRig:
    """A context. `durability`: None for the daemon's default. `power`: on a disk whose power can be cut."""

    def __init__(self, seed, durability=None, power=False, processes=2, keys=600, counters=60):
        self.draw = draw_from(seed, durability, power)
        self.earlier = durability == "async"
        self.cluster = Cluster("alpha", "beta")
        self.alpha, self.beta = self.cluster.nodes
        self.disk = self.writers = None
        self.dots = DotTable()
        self.total = Findings()
        self.moments = collections.Counter()
        self.starts = []   # Seconds from exec to the first PONG.
        self.gets = []     # Seconds from exec to the first answer to GET.
        self.actors = set()
        self.rounds = 0
        try:
            if durability:
                self.alpha.config["store"]["durability"] = durability
            if power:
                self.disk = LoopDisk(self.alpha.directory)
                self.alpha.config["store"]["map_bytes"] = "1GiB"
            self.beta.start()
            addresses = [self.alpha.socket_path, (self.alpha.host, self.alpha.config["client"]["port"])]
            counters = counters if self.knows_counters() else 0
            self.writers = Writers(addresses, f"{seed}:{power}", processes, keys, counters)
            self.start()
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.writers:
            self.writers.__exit__()
        for node in self.cluster.nodes:
            if node.process is not None:
                node.kill()
        if self.disk:
            self.disk.close()
        self.cluster.__exit__()

    def knows_counters(self):
        try:
            self.beta.client().incr("rig:probe")
            return True
        except redis.ResponseError:
            return False

    # --- Starting and ending

    def start(self):
        began = time.monotonic()
        self.alpha.launch()
        line = wait_until(self.first_answer, "alpha answers", seconds=30)
        self.starts.append(time.monotonic() - began)
        line.ask("GET", b"key:0")
        self.gets.append(time.monotonic() - began)
        line.close()
        self.dots.on_restart()
        self.actors.add(self.ask_actor())

    def first_answer(self):
        if self.alpha.process.poll() is not None:
            raise AssertionError(f"alpha ended with {self.alpha.process.returncode}:\n{self.alpha.log()[-3000:]}")
        for _ in range(20):
            try:
                line = Connection(self.alpha.socket_path, timeout=30 * SLOWNESS)
                if line.ask("PING") == b"PONG":
                    return line
            except Lost:
                pass
            time.sleep(0.001)
        return None

    def ask_actor(self):
        reply = self.ask(self.alpha, "KNIT", "STATUS")
        return dict(zip(reply[::2], reply[1::2]))[b"actor"]

    @staticmethod
    def ask(node, *arguments):
        line = Connection(node.socket_path)
        reply = line.ask(*arguments)
        line.close()
        return reply

    def kill(self):
        self.alpha.kill()

    # --- One round: load, an end, a start, a check

    def kill_round(self):
        moment = self.draw.choices(list(MOMENTS), list(MOMENTS.values()))[0]
        self.moments[moment] += 1
        getattr(self, "kill_" + moment)()
        self.restart_and_check()
        if sum(self.moments.values()) % CONVERGE_EVERY == 0:
            self.converge()

    def kill_load(self):
        self.writers.start()
        time.sleep(self.draw.uniform(0.02, 0.3) * SLOWNESS)
        self.kill()
        self.add(self.writers.stop())

    def kill_pending(self):
        self.writers.start()
        time.sleep(self.draw.uniform(0.02, 0.1) * SLOWNESS)
        line = Connection(self.alpha.socket_path)
        wait_until(lambda: self.has_pending(line), "a write waits for the disk")
        self.kill()
        self.add(self.writers.stop())
        line.close()

    def has_pending(self, line):
        for _ in range(100):
            reply = line.ask("KNIT", "STATUS")
            if dict(zip(reply[::2], reply[1::2]))[b"pending_bytes"] > 0:
                return True
        return False

    def kill_startup(self):
        self.kill_load()
        for _ in range(self.draw.randint(1, 3)):
            self.alpha.launch()
            time.sleep(self.draw.uniform(0, 1.3) * statistics.median(self.starts))
            self.kill()
            self.moments["startup, again"] += 1

    def kill_soon(self):
        self.writers.start()
        time.sleep(self.draw.uniform(0, 0.03) * SLOWNESS)
        self.kill()
        self.add(self.writers.stop())

    def kill_idle(self):
        self.write_for(0.1)
        time.sleep(self.draw.uniform(0, 0.05))
        self.kill()

    def kill_clear(self):
        self.write_for(0.1)
        line = Connection(self.alpha.socket_path)
        line.send(b"FLUSHALL\r\n")
        time.sleep(self.draw.uniform(0, 0.004) * SLOWNESS)
        self.kill()
        try:
            answered = line.receive() == b"OK"
        except Lost:
            answered = False
        line.close()
        self.cleared_of = self.writers.cleared(answered)

    def kill_peer(self):
        """Alpha dies while beta, which was killed as it received, takes up again what it missed."""
        self.writers.start()
        time.sleep(self.draw.uniform(0.05, 0.3) * SLOWNESS)
        self.beta.kill()
        self.beta.start()
        time.sleep(self.draw.uniform(0, 0.3) * SLOWNESS)
        self.kill()
        self.add(self.writers.stop())

    def kill_terminate(self):
        self.writers.start()
        time.sleep(self.draw.uniform(0.02, 0.2) * SLOWNESS)
        status = self.alpha.end()
        self.add(self.writers.stop())
        if status != 0:
            raise AssertionError(f"SIGTERM ended it with {status}:\n{self.alpha.log()[-3000:]}")

    def power_cut_round(self):
        self.moments["power cut"] += 1
        idle = self.draw.random() < 0.2
        after_kill = self.draw.random() < 0.3
        if after_kill:
            # What a start replayed and told must be on the disk as well.
            self.moments["load"] += 1
            self.kill_load()
            self.restart_and_check()
        self.writers.start()
        time.sleep(self.draw.uniform(0, 0.3) * SLOWNESS)
        if idle:
            self.add(self.writers.stop())
        self.disk.cut(self.alpha.process.kill)
        self.alpha.kill()
        if not idle:
            self.add(self.writers.stop())
        self.disk.restore()
        self.restart_and_check()

    def write_for(self, seconds):
        self.writers.start()
        time.sleep(seconds * SLOWNESS)
        self.add(self.writers.stop())

    def restart_and_check(self):
        self.rounds += 1
        self.start()
        self.add(self.writers.check(self.earlier))
        self.check_clear()
        self.assert_clean()

    def check_clear(self):
        """A FLUSHALL that was under way is done, or not: never in part."""
        keys = self.__dict__.pop("cleared_of", None)
        if keys is not None and self.writers.present() not in (0, keys):
            self.total.complain("lost", f"{self.writers.present()} of {keys} keys are left after FLUSHALL")

    def add(self, findings):
        self.dots.add(findings)
        findings.fresh, findings.known = [], []
        self.total.add(findings)

    def assert_clean(self):
        faults = {fault: self.total.counts[fault] for fault in FAULTS if self.total.counts[fault]}
        if faults or self.dots.reused:
            log = self.alpha.log()[-1500:]
            raise AssertionError(f"round {self.rounds}: {faults} {self.total.texts} dots reused: "
                                 f"{self.dots.reused[:5]}\n{log}")

    # --- With the peer

    def converge(self):
        """Both nodes become equal, the peer shows what was acknowledged, and each proves itself."""
        self.cluster.await_sync(seconds=60)
        ours, self.writers.addresses = self.writers.addresses, [self.beta.socket_path] * len(self.writers.pipes)
        findings = self.writers.check(self.earlier, settle=False)
        self.writers.addresses = ours
        self.add(findings)
        self.assert_clean()
        for node in self.cluster.nodes:
            done = node.knit("verify")
            if done.returncode != 0:
                raise AssertionError(f"{node.name}: knit verify: {done.stdout} {done.stderr}")

    def report(self):
        counts = self.total.counts
        kills = sum(n for moment, n in self.moments.items() if moment not in ("power cut", "terminate"))
        return {
            "kills": kills, "power_cuts": self.moments["power cut"],
            "acknowledged": counts["acknowledged"], "checked": counts["checked"],
            "in_flight_kept": counts["in flight, kept"], "in_flight_gone": counts["in flight, gone"],
            **{fault.replace(" ", "_"): counts[fault] for fault in FAULTS},
            "refused": sum(self.total.refusals.values()),
            "dots_seen": len(self.dots), "dots_reused": len(self.dots.reused), "actors": len(self.actors),
            "first_answer_median": round(statistics.median(self.starts), 4),
            "first_answer_max": round(max(self.starts), 4),
            "first_get_median": round(statistics.median(self.gets), 4),
            "first_get_max": round(max(self.gets), 4),
        }

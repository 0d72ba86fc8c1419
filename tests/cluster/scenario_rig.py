"""Plays a scenario file of the simulator of membership (docs/simulator.md) on real daemons, in a network namespace
that loses what the scenario says. What such a network cannot do (slowness, doubled or late packets, other clocks or
addresses) is refused."""

import json
import os
import re
import signal
import subprocess
import time

import redis
from harness import BUILD, SLOWNESS, Cluster, wait_until
from knit_replies import named
from namespace import Loss

LOOK_SECONDS = 0.1
TAKEN_FOR_DEAD = re.compile(r"warning (\S+) at \S+ is taken for dead")
STATES = {"known_alive": "alive", "known_failed": "dead", "known_left": "left"}
EPISODE_SECONDS = 5  # What is said of one node within so long of another time is the same false failure.


def describe(path):
    told = subprocess.run([os.path.join(BUILD, "tests", "swim_sim"), "--describe", path], capture_output=True,
                          text=True)
    if told.returncode != 0:
        raise ValueError(told.stderr.strip())
    return json.loads(told.stdout)


class Obstacle(Exception):
    """A scenario that cannot be played here, and why."""


class Player:
    """A context. Nodes are named by their number in the scenario."""

    def __init__(self, scenario, network, parent=None):
        self.scenario = scenario
        self.network = network
        for action in scenario["actions"]:
            if not hasattr(self, "do_" + action["verb"]):
                raise Obstacle(f"{scenario['file']}:{action['line']}: real daemons cannot be put through "
                               f"'{action['verb']}'")
        self.cluster = Cluster(*(f"n{number}" for number in range(1, scenario["hosts"] + 1)), parent=parent)
        keys = os.path.join(self.cluster.directory, "gossip.keys")
        subprocess.run([os.path.join(BUILD, "knit"), "keys", "generate", "--out", keys], check=True,
                       stdout=subprocess.DEVNULL)
        self.nodes = dict(enumerate(self.cluster.nodes, 1))
        for node in self.nodes.values():
            node.config["peer"]["seeds"] = [self.nodes[seed].peer_address for seed in scenario["seeds"]]
            node.config["gossip"] = {"keyring_file": keys}
            node.config["store"] = {"map_bytes": "1GiB", "journal_segment_bytes": "256KiB"}
            del node.config["peer"]["timeout"]
            node.config["anti_entropy"] = {}
        self.running = set()
        self.paused = set()
        self.losses = {}
        self.read = {number: 0 for number in self.nodes}  # Of each log.
        self.said_dead = []                               # (when, of whom), of those who ran.
        self.results = []                                 # (line, fact, seconds it took or None, what was seen)

    def __enter__(self):
        return self

    def __exit__(self, *wrong):
        for number in list(self.paused):
            self.resume(number)
        self.cluster.__exit__(*wrong)

    # --- Time

    def play(self):
        self.begin()
        due = [(action["at"], lambda action=action: self.act(action)) for action in self.scenario["actions"]]
        self.due = sorted(due, key=lambda entry: entry[0])
        self.waiting = [fact for fact in self.scenario["expectations"] if fact["fact"] != "false_failures"]
        self.start = time.monotonic()
        while self.due or self.waiting or self.now() < self.scenario["seconds"]:
            while self.due and self.due[0][0] <= self.now():
                self.due.pop(0)[1]()
            self.look()
            time.sleep(LOOK_SECONDS)
        for fact in self.scenario["expectations"]:
            if fact["fact"] == "false_failures":
                self.count_false_failures(fact)
        return self.results

    def now(self):
        return time.monotonic() - self.start

    def later(self, when, what):
        self.due.append((when, what))
        self.due.sort(key=lambda entry: entry[0])

    def begin(self):
        for number in range(1, self.scenario["members"] + 1):
            self.launch(number)
        for number in self.running:
            self.nodes[number].await_service()
        wait_until(lambda: self.converged(), "all know each other", 60)

    # --- What is done

    def act(self, action):
        getattr(self, "do_" + action["verb"])(action)

    def launch(self, number):
        self.nodes[number].launch()
        self.running.add(number)

    def kill(self, number):
        self.running.discard(number)
        self.nodes[number].kill()

    def do_kill(self, action):
        for number in action["nodes"]:
            self.kill(number)

    def do_start(self, action):
        for number in action["nodes"]:
            self.launch(number)

    def do_restart(self, action):
        self.do_kill(action)
        self.do_start(action)

    def do_leave(self, action):
        for number in action["nodes"]:
            left = self.nodes[number].knit("leave", "--yes")
            assert left.returncode == 0, left.stderr
            self.running.discard(number)

    def do_forget(self, action):
        for number in action["nodes"]:
            self.ask(action["others"][0], "FORGET", f"n{number}")

    def do_tag(self, action):
        for number in action["nodes"]:
            self.ask(number, "TAGS", action["tag"])

    def do_pause(self, action):
        for number in action["nodes"]:
            os.kill(self.nodes[number].process.pid, signal.SIGSTOP)
            self.paused.add(number)
        begin = action["at"]
        self.later(begin + action["amount"], lambda: [self.resume(number) for number in action["nodes"]])
        again = begin + action.get("every", 0)
        if begin < again < action["end"]:
            self.later(again, lambda: self.do_pause({**action, "at": again}))

    def resume(self, number):
        os.kill(self.nodes[number].process.pid, signal.SIGCONT)
        self.paused.discard(number)

    def do_loss(self, action):
        self.lose(action, 100 * action["share"])

    def do_cut(self, action):
        self.lose(action, 100)

    def lose(self, action, percent):
        sides = [[self.nodes[number].host for number in action.get(side, [])] for side in ("nodes", "others")]
        losses = [Loss(percent, *sides)]
        if any(sides) and action["both_ways"]:
            losses.append(Loss(percent, *reversed(sides)))
        self.losses[action["line"]] = losses
        self.apply_losses()
        if action["end"] > action["at"]:
            self.later(action["end"], lambda: self.heal_line(action["line"]))

    def heal_line(self, line):
        self.losses.pop(line, None)
        self.apply_losses()

    def do_heal(self, _):
        self.losses.clear()
        self.apply_losses()

    def apply_losses(self):
        self.network.lose_some([loss for losses in self.losses.values() for loss in losses])

    # --- What is seen

    def ask(self, number, *words):
        return self.nodes[number].client().execute_command("KNIT", *words)

    def views(self):
        """What each node that runs says of all others: {observer: {subject: member}}."""
        out = {}
        for number in self.running - self.paused:
            try:
                members = [named(flat) for flat in self.ask(number, "MEMBERS")]
            except (redis.ConnectionError, redis.TimeoutError):
                return None  # It starts.
            out[number] = {int(member["name"][1:]): member for member in members}
        return out

    def converged(self):
        """As the simulator has it: all say the same of all, and that all who run are alive."""
        views = self.views()
        if not views:
            return False
        told = {json.dumps({subject: (member["state"].decode(), member["incarnation"])
                            for subject, member in sorted(view.items())}) for view in views.values()}
        return len(told) == 1 and all(view[number]["state"] == b"alive" for view in views.values()
                                      for number in self.running if number in view) \
            and all(self.running <= view.keys() for view in views.values())

    def holds(self, fact):
        if fact["fact"] == "converged":
            return self.converged()
        views = self.views()
        return views is not None and all(self.known(fact, view.get(number)) for observer, view in views.items()
                                         for number in fact["nodes"] if number != observer)

    @staticmethod
    def known(fact, member):
        if fact["fact"] == "known_forgotten":
            return member is None
        if member is None:
            return False
        if fact["fact"] == "known_tag":
            name, value = fact["tag"].split("=", 1)
            return named(member["tags"]).get(name) == value.encode()
        return member["state"].decode() == STATES[fact["fact"]]

    def look(self):
        self.read_logs()
        for fact in list(self.waiting):
            if self.now() < fact["from"]:
                continue
            late = self.now() > fact["from"] + fact["within"] * SLOWNESS + LOOK_SECONDS
            if late or self.holds(fact):
                self.waiting.remove(fact)
                took = round(max(0, self.now() - fact["from"]), 2)
                self.results.append((fact["line"], fact["fact"], not late, f"{took} s of {fact['within']:g} s"))

    def read_logs(self):
        for number, node in self.nodes.items():
            if not os.path.exists(node.log_path):
                continue
            with open(node.log_path, errors="replace") as log:
                log.seek(self.read[number])
                text = log.read()
            whole = text[:text.rfind("\n") + 1]
            self.read[number] += len(whole.encode())
            for subject in TAKEN_FOR_DEAD.findall(whole):
                if int(subject[1:]) in self.running:
                    self.said_dead.append((self.now(), int(subject[1:])))

    def count_false_failures(self, fact):
        self.read_logs()
        last, count = {}, 0
        for when, subject in self.said_dead:
            if fact["nodes"] and subject not in fact["nodes"]:
                continue
            count += when - last.get(subject, -EPISODE_SECONDS) >= EPISODE_SECONDS
            last[subject] = when
        self.results.append((fact["line"], fact["fact"], count <= fact["most"], f"{count} of at most {fact['most']}"))

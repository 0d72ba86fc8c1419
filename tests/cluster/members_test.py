"""Membership of real daemons: how nodes find each other, what they make of one that is gone, and what operators do."""

import os
import signal
import socket
import threading
import unittest

from harness import PEER_PORT, SLOWNESS, Cluster, loopback, wait_until
from knit_replies import named


def members_of(node):
    """What a node says of each member, by name."""
    out = {}
    for flat in node.client().execute_command("KNIT", "MEMBERS"):
        member = named(flat)
        member["tags"] = {name: value.decode() for name, value in named(member["tags"]).items()}
        out[member["name"].decode()] = member
    return out


def states_of(node):
    return {name: member["state"].decode() for name, member in members_of(node).items()}


class SlowLine:
    """Takes connections at `host` on to `node`, and brings what that answers in one piece: as a busy host reads it."""

    def __init__(self, host, node):
        self.server = socket.create_server((host, PEER_PORT))
        self.to = (node.host, PEER_PORT)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                near, _ = self.server.accept()
            except OSError:
                return
            with near, socket.create_connection(self.to) as far:
                far.sendall(near.recv(1 << 16))
                far.settimeout(0.2 * SLOWNESS)
                try:
                    answer = b""
                    while piece := far.recv(1 << 16):
                        answer += piece
                except TimeoutError:
                    pass
                near.sendall(answer)
                while rest := near.recv(1 << 16):
                    far.sendall(rest)

    def close(self):
        self.server.close()


class MembersTest(unittest.TestCase):
    def setUp(self):
        """Three nodes of which two know the first."""
        self.cluster = self.enterContext(Cluster("alpha", "beta", "gamma"))
        self.alpha, self.beta, self.gamma = self.cluster.nodes
        for node in self.cluster.nodes:
            node.config["peer"]["seeds"] = [self.alpha.peer_address]

    def await_states(self, expected, *nodes):
        wait_until(lambda: all(states_of(node) == expected for node in nodes),
                   f"{[node.name for node in nodes]} see {expected}", seconds=30)

    def await_all_alive(self):
        self.await_states({node.name: "alive" for node in self.cluster.nodes}, *self.cluster.nodes)

    def start_all(self):
        self.cluster.start()
        self.await_all_alive()

    @staticmethod
    def remembers(node, *names):
        path = os.path.join(node.directory, "members")
        if not os.path.exists(path):
            return False
        with open(path, "rb") as members:
            content = members.read()
        return all(name.encode() in content for name in names)

    def await_words(self, node, *words, after=0):
        wait_until(lambda: all(word in node.log()[after:] for word in words), f"{node.name} says {words}")

    def assert_replicated(self, writer, reader, key):
        writer.client().set(key, "value")
        wait_until(lambda: reader.client().get(key) == b"value", f"{key} has come from {writer.name} to {reader.name}")


class FindingTest(MembersTest):
    def test_two_that_know_only_the_first_find_each_other(self):
        self.start_all()
        wait_until(lambda: members_of(self.beta)["gamma"]["reachable"], "beta and gamma have a link")
        self.alpha.kill()
        self.assert_replicated(self.beta, self.gamma, "key")

    def test_an_empty_node_without_a_key_waits_and_joins_when_a_seed_is_up(self):
        del self.gamma.config["cluster"]
        self.gamma.launch()
        self.await_words(self.gamma, "waiting for a seed to answer")
        self.assertIsNone(self.gamma.process.poll())
        self.alpha.start()
        self.gamma.await_service()
        self.await_words(self.gamma, "joined cluster cluster")
        self.await_words(self.alpha, "told gamma what this cluster is")
        self.assert_replicated(self.alpha, self.gamma, "key")
        key = os.path.join(self.gamma.directory, "cluster.key")
        self.assertEqual(os.stat(key).st_mode & 0o777, 0o600)

    def test_a_node_that_waits_goes_on_when_a_cluster_is_founded_in_its_directory(self):
        del self.alpha.config["cluster"]
        self.alpha.config["peer"]["seeds"] = []
        self.alpha.launch()
        self.await_words(self.alpha, "this node belongs to no cluster")
        key = os.path.join(self.alpha.directory, "cluster.key")
        self.assertEqual(self.alpha.knit("cluster", "new", "home", "--out", key).returncode, 0)
        self.alpha.await_service()
        self.assertEqual(states_of(self.alpha), {"alpha": "alive"})

    def test_a_node_that_waits_stops_as_it_is_told_to(self):
        del self.alpha.config["cluster"]
        self.alpha.config["peer"]["seeds"] = []
        self.alpha.launch()
        self.await_words(self.alpha, "this node belongs to no cluster")
        self.assertEqual(self.alpha.end(), 0)

    def test_tags_that_are_too_long_together_are_an_error_at_the_start(self):
        self.alpha.config["node"]["tags"] = [f"{letter * 60}={letter * 60}" for letter in "abcdef"]
        status, said = self.alpha.fails_to_start()
        self.assertEqual(status, 1)
        self.assertIn("node.tags", said)

    def test_a_name_is_a_seed_too(self):
        """The only test on 127.0.0.1 itself, where the name leads."""
        self.alpha.config["peer"].update(listen="127.0.0.1", port=PEER_PORT + os.getpid() % 20_000 + 1)
        self.beta.config["peer"]["seeds"] = [f"localhost:{self.alpha.config['peer']['port']}"]
        self.alpha.start()
        self.beta.start()
        self.await_states({"alpha": "alive", "beta": "alive"}, self.alpha, self.beta)

    def test_a_node_of_another_cluster_is_refused_and_both_sides_say_so(self):
        self.gamma.config["cluster"]["key_file"] = self.cluster.new_key("other")
        self.alpha.start()
        self.gamma.start()
        self.await_words(self.alpha, "refused gamma", "it belongs to another cluster")
        self.await_words(self.gamma, "refused alpha", "it belongs to another cluster")
        self.assertEqual(states_of(self.alpha), {"alpha": "alive"})

    def test_one_that_refuses_says_first_who_it_is(self):
        """Or the other side would never learn why: it may have read a hello before it has sent its own."""
        self.gamma.config["cluster"]["key_file"] = self.cluster.new_key("other")
        host = loopback(9)
        self.addCleanup(SlowLine(host, self.alpha).close)
        self.gamma.config["peer"]["seeds"] = [f"{host}:{PEER_PORT}"]
        self.alpha.start()
        self.gamma.start()
        self.await_words(self.gamma, "refused alpha", "it belongs to another cluster")
        self.await_words(self.alpha, "refused gamma", "it belongs to another cluster")

    def test_join_names_an_address_to_a_node_that_has_no_seeds(self):
        self.beta.config["peer"]["seeds"] = []
        self.alpha.start()
        self.beta.start()
        done = self.beta.knit("join", self.alpha.peer_address)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.await_states({"alpha": "alive", "beta": "alive"}, self.alpha, self.beta)
        self.assertEqual(self.beta.client().execute_command("KNIT", "JOIN"), [])
        own = self.beta.knit("join", self.beta.peer_address)
        self.assertEqual(own.returncode, 4)
        self.assertIn(b"own address", own.stderr)


class FailureTest(MembersTest):
    def test_a_kill_is_noticed_and_so_is_the_return(self):
        self.start_all()
        self.gamma.kill()
        self.await_states({"alpha": "alive", "beta": "alive", "gamma": "dead"}, self.alpha, self.beta)
        self.assertEqual(self.alpha.knit("members").returncode, 1)
        self.gamma.start()
        self.await_all_alive()
        self.assertEqual(self.alpha.knit("members").returncode, 0)
        self.await_words(self.alpha, "gamma at", "is taken for dead", "is back")

    def test_a_pause_does_no_lasting_harm(self):
        self.start_all()
        self.gamma.process.send_signal(signal.SIGSTOP)
        self.await_states({"alpha": "alive", "beta": "alive", "gamma": "dead"}, self.alpha, self.beta)
        self.gamma.process.send_signal(signal.SIGCONT)
        self.await_all_alive()
        self.assert_replicated(self.gamma, self.alpha, "key")

    def test_without_seeds_a_restart_finds_the_cluster_from_what_it_remembered(self):
        self.start_all()
        wait_until(lambda: self.remembers(self.gamma, "alpha", "beta"), "gamma has written down who is there")
        self.gamma.kill()
        self.gamma.config["peer"]["seeds"] = []
        self.gamma.start()
        self.await_all_alive()
        self.assert_replicated(self.beta, self.gamma, "key")

    def test_a_node_that_comes_back_at_another_address_is_followed(self):
        self.start_all()
        before = members_of(self.alpha)["gamma"]
        self.assertEqual(self.gamma.end(), 0)
        self.gamma.host = loopback(9)
        self.gamma.config["peer"]["listen"] = self.gamma.host
        self.gamma.config["client"]["listen"] = [self.gamma.host]
        self.gamma.config["http"]["listen"] = self.gamma.host
        self.gamma.start()
        wait_until(lambda: members_of(self.beta)["gamma"]["address"].decode() == self.gamma.peer_address,
                   "beta knows the new address")
        self.await_all_alive()
        self.assertEqual(members_of(self.beta)["gamma"]["node"], before["node"])
        self.assert_replicated(self.beta, self.gamma, "key")


class OperatorTest(MembersTest):
    def test_who_leaves_is_not_missed_and_comes_back_when_started(self):
        self.start_all()
        done = self.gamma.knit("leave", "--yes")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.gamma.process.wait(timeout=20), 0)
        self.gamma.process = None
        self.await_states({"alpha": "alive", "beta": "alive", "gamma": "left"}, self.alpha, self.beta)
        self.assertEqual(self.alpha.knit("members").returncode, 0)
        wait_until(lambda: self.alpha.knit("status").returncode == 0, "alpha's status is fine without gamma")
        self.gamma.start()
        self.await_all_alive()
        self.assert_replicated(self.alpha, self.gamma, "key")

    def test_a_lonely_node_leaves_within_its_deadline(self):
        self.alpha.start()
        self.assertEqual(self.alpha.knit("leave", "--yes").returncode, 0)
        self.assertEqual(self.alpha.process.wait(timeout=20), 0)
        self.alpha.process = None

    def test_the_dead_are_forgotten_on_all_nodes_and_the_living_are_not(self):
        self.start_all()
        refused = self.alpha.knit("forget", "gamma")
        self.assertEqual(refused.returncode, 4)
        self.assertIn(b"gamma is alive", refused.stderr)
        self.gamma.kill()
        self.await_states({"alpha": "alive", "beta": "alive", "gamma": "dead"}, self.alpha, self.beta)
        self.assertEqual(self.alpha.knit("status").returncode, 1)
        self.assertEqual(self.alpha.knit("forget", "gamma").returncode, 0)
        self.await_states({"alpha": "alive", "beta": "alive"}, self.alpha, self.beta)
        wait_until(lambda: self.beta.knit("status").returncode == 0, "beta's status is fine without gamma")
        self.gamma.start()
        self.await_all_alive()

    def test_tags_are_heard_by_all_and_last_until_a_restart(self):
        self.gamma.config["node"]["tags"] = ["zone=eu1"]
        self.start_all()
        self.assertEqual(members_of(self.alpha)["gamma"]["tags"], {"zone": "eu1"})
        self.assertEqual(self.gamma.knit("tags", "rack=7").stdout, b"rack=7\nzone=eu1\n")
        wait_until(lambda: members_of(self.beta)["gamma"]["tags"] == {"rack": "7", "zone": "eu1"}, "beta has heard of it")
        self.assertIn(b" eu1 ", self.beta.knit("members").stdout)
        self.gamma.end()
        self.gamma.start()
        wait_until(lambda: members_of(self.beta)["gamma"]["tags"] == {"zone": "eu1"}, "beta has heard of the restart")


if __name__ == "__main__":
    unittest.main()

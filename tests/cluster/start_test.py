"""What a daemon refuses at its start or from a peer, in one clear line, and how it ends."""

import os
import socket
import subprocess
import signal
import unittest

from harness import BUILD, CLIENT_PORT, PEER_PORT, SLOWNESS, Cluster, wait_until


class StartTest(unittest.TestCase):
    def setUp(self):
        self.cluster = self.enterContext(Cluster("alpha", "beta"))
        self.alpha, self.beta = self.cluster.nodes

    def assert_refused(self, node, text):
        """It exits with 1, and its last line, the only one that is an error, says why."""
        status, log = node.fails_to_start()
        self.assertEqual(status, 1, log)
        lines = log.strip().splitlines()
        self.assertIn(text, lines[-1])
        self.assertEqual(sum(text in line for line in lines), 1, log)

    def test_sigterm_and_sigint_end_it_with_0(self):
        for number in (15, 2):
            self.assertEqual(self.alpha.start().end(number), 0)

    def test_a_second_daemon_on_the_same_directory_is_refused(self):
        self.alpha.start()
        self.beta.config["node"]["data_directory"] = self.alpha.directory
        self.assert_refused(self.beta, self.alpha.directory)
        self.assertTrue(self.alpha.client().set("key", "the first one goes on"))

    def test_a_client_port_in_use_is_refused(self):
        with socket.create_server((self.alpha.host, CLIENT_PORT)):
            self.assert_refused(self.alpha, str(CLIENT_PORT))

    def test_a_peer_port_in_use_is_refused(self):
        with socket.create_server((self.alpha.host, PEER_PORT)):
            self.assert_refused(self.alpha, str(PEER_PORT))

    def test_a_data_directory_of_another_cluster_is_refused(self):
        self.assertEqual(self.alpha.start().end(), 0)
        self.alpha.config["cluster"]["key_file"] = self.cluster.new_key("other")
        self.assert_refused(self.alpha, "cluster")

    def test_a_data_directory_that_is_a_file_is_refused(self):
        self.alpha.config["node"]["data_directory"] = self.cluster.key_path
        self.assert_refused(self.alpha, self.cluster.key_path)

    def test_a_missing_cluster_key_is_refused_and_no_cluster_is_born(self):
        path = os.path.join(self.cluster.directory, "missing.key")
        self.alpha.config["cluster"]["key_file"] = path
        self.assert_refused(self.alpha, path)
        self.assertFalse(os.path.exists(path))

    def test_an_unknown_key_in_the_config_is_named_with_its_line(self):
        self.alpha.config["node"]["colour"] = "red"
        status, log = self.alpha.fails_to_start()
        self.assertEqual(status, 2, log)
        self.assertRegex(log, r"alpha\.toml:4: .*colour")

    def test_check_says_the_same_and_starts_nothing(self):
        self.alpha.config["client"]["port"] = 70000
        self.alpha.write_config()
        command = [os.path.join(BUILD, "knitd"), "--config", self.alpha.config_path, "--check"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertRegex(done.stderr + done.stdout, r"alpha\.toml:\d+: client\.port: .*65535")
        self.alpha.config["client"]["port"] = CLIENT_PORT
        self.alpha.write_config()
        self.assertEqual(subprocess.run(command, capture_output=True, timeout=60).returncode, 0)
        self.assertEqual(os.listdir(self.alpha.directory), [])

    def test_a_peer_of_another_cluster_is_refused_in_one_clear_line(self):
        self.beta.config["cluster"]["key_file"] = self.cluster.new_key("other")
        self.cluster.start()
        self.alpha.client().set("key", "secret")
        wait_until(lambda: "another cluster" in self.alpha.log() and "another cluster" in self.beta.log(),
                   "both say that the other belongs to another cluster")
        self.assertIsNone(self.beta.client().get("key"))
        self.assertFalse(any(peer["reachable"] for peer in self.alpha.status()["peers"]))


class EndTest(unittest.TestCase):
    @unittest.skipIf(SLOWNESS > 1, "sanitizers have handlers of their own")
    def test_a_daemon_that_is_ended_for_its_memory_says_what_is_likely(self):
        with Cluster("alpha") as cluster:
            alpha = cluster.nodes[0]
            for number in (signal.SIGBUS, signal.SIGSEGV, signal.SIGABRT):
                alpha.start()
                before = len(alpha.log())
                self.assertEqual(alpha.end(number), -number)
                said = alpha.log()[before:]
                self.assertIn("knitd: ended by SIG", said)
                self.assertIn(f"database file {alpha.directory}/data.mdb", said)
                self.assertEqual(said.count("\n"), 1)
            alpha.start()


if __name__ == "__main__":
    unittest.main()

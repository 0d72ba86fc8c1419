"""What a client has written and read on one node it finds on another one, or is told that it does not."""

import shutil
import time
import unittest

import redis
from harness import SLOWNESS, Cluster, wait_until


class SessionsTest(unittest.TestCase):
    def setUp(self):
        self.cluster = self.enterContext(Cluster("alpha", "beta", "gamma"))
        self.alpha, self.beta, self.gamma = self.cluster.nodes
        self.cluster.start()
        self.clients = [node.client() for node in self.cluster.nodes]
        self.cluster.await_sync()

    def cut(self, node, on=True):
        node.isolate(on)

    def token(self, client):
        return client.execute_command("KNIT", "TOKEN")

    def test_wait_counts_the_peers_that_have_what_this_client_wrote(self):
        alpha = self.alpha.client(single_connection_client=True)
        alpha.set("key", "value")
        self.assertEqual(alpha.wait(2, 10000 * SLOWNESS), 2)
        self.assertEqual([client.get("key") for client in self.clients], [b"value"] * 3)
        self.cut(self.gamma)
        alpha.set("key", "newer")
        self.assertEqual(alpha.wait(2, 300), 1)
        self.assertEqual(alpha.execute_command("WAITAOF", 1, 1, 10000 * SLOWNESS), [1, 1])
        self.cut(self.gamma, False)
        self.assertEqual(alpha.wait(2, 20000 * SLOWNESS), 2)

    def test_a_token_makes_another_node_wait_for_what_it_names(self):
        alpha, _, gamma = self.clients
        for number in range(200):
            alpha.set("key", number)
            token = self.token(alpha)
            self.assertEqual(gamma.execute_command("KNIT", "WAITFOR", token, 10000 * SLOWNESS), b"OK")
            self.assertEqual(gamma.get("key"), str(number).encode())
        self.assertLessEqual(len(token), 32)

    def test_a_node_that_is_cut_off_says_what_is_missing(self):
        alpha, _, gamma = self.clients
        self.cut(self.gamma)
        for number in range(7):
            alpha.set(f"key{number}", "value")
        token = self.token(alpha)
        with self.assertRaisesRegex(redis.ResponseError, "BEHIND 7 writes that the token names are not here yet"):
            gamma.execute_command("KNIT", "WAITFOR", token, 200)
        self.cut(self.gamma, False)
        self.assertEqual(gamma.execute_command("KNIT", "WAITFOR", token, 20000 * SLOWNESS), b"OK")

    def test_a_session_reads_elsewhere_what_it_has_written(self):
        alpha, beta, gamma = (node.client(single_connection_client=True) for node in self.cluster.nodes)
        alpha.set("key", "of alpha")
        beta.execute_command("KNIT", "SESSION", "ON", self.token(alpha), "TIMEOUT", 10000 * SLOWNESS)
        self.assertEqual(beta.get("key"), b"of alpha")
        self.cut(self.gamma)
        alpha.set("key", "newer")
        gamma.execute_command("KNIT", "SESSION", "ON", self.token(alpha), "TIMEOUT", 200)
        with self.assertRaisesRegex(redis.ResponseError, "BEHIND 1 writes that this client has seen"):
            gamma.get("key")
        self.assertTrue(gamma.ping())
        gamma.execute_command("KNIT", "SESSION", "OFF")
        self.assertEqual(gamma.get("key"), b"of alpha")

    def test_a_client_that_goes_away_while_it_waits_is_forgotten(self):
        line = self.alpha.connect()
        line.sendall(b"WAIT 5 0\r\n")
        wait_until(lambda: self.clients[0].info("clients")["blocked_clients"] == 1, "it waits")
        line.close()
        wait_until(lambda: self.clients[0].info("clients")["blocked_clients"] == 0, "it is gone")

    def test_a_new_node_does_not_claim_to_have_what_all_others_had(self):
        alpha, beta, _ = self.clients
        with alpha.pipeline(transaction=False) as pipeline:
            for number in range(2000):
                pipeline.set(f"key{number}", "value")
            pipeline.execute()
        self.cluster.await_sync()
        wait_until(lambda: len(self.token(alpha)) == 18, "all members have all")
        token = self.token(alpha)
        self.gamma.end()
        shutil.rmtree(self.gamma.directory)
        self.gamma.start()
        gamma = self.gamma.client()
        self.assertEqual(gamma.execute_command("KNIT", "WAITFOR", token, 20000 * SLOWNESS), b"OK")
        self.assertEqual(gamma.get("key1999"), b"value")
        self.assertEqual(gamma.dbsize(), 2000)


class StopTest(unittest.TestCase):
    def test_a_node_that_stops_does_not_wait_for_those_who_wait(self):
        with Cluster("alpha") as cluster:
            alpha = cluster.start().nodes[0]
            line = alpha.connect()
            line.sendall(b"WAIT 5 0\r\n")
            wait_until(lambda: alpha.client().info("clients")["blocked_clients"] == 1, "it waits")
            begin = time.monotonic()
            self.assertEqual(alpha.end(), 0)
            self.assertLess(time.monotonic() - begin, 8 * SLOWNESS)
            line.close()


if __name__ == "__main__":
    unittest.main()

"""Causal order: a write of another host is shown only after what its author had seen."""

import unittest

from harness import SLOWNESS, Cluster, wait_until


class CausalTest(unittest.TestCase):
    def what_gamma_sees(self, causal):
        """Alpha writes x; beta sees it and writes y; gamma hears beta alone. Answers x there as soon as y is shown."""
        with Cluster("alpha", "beta", "gamma") as cluster:
            for node in cluster.nodes:
                node.config["replication"] = {"causal": causal, "causal_wait": f"{10 * SLOWNESS}s"}
            cluster.start()
            cluster.await_sync()
            alpha, beta, gamma = (node.client() for node in cluster.nodes)
            gamma.execute_command("KNIT", "ISOLATE", "alpha", "ON")
            alpha.set("x", "seen")
            wait_until(lambda: beta.get("x") == b"seen", "beta sees x")
            beta.set("y", "caused")
            shown = []

            def is_shown():
                shown[:] = gamma.mget("y", "x")
                return shown[0] == b"caused"

            wait_until(is_shown, "gamma shows y", 30)
            self.assertEqual(cluster.nodes[2].status()["out_of_order"], 0)
            return shown[1]

    def test_what_was_caused_is_not_shown_before_its_cause(self):
        self.assertEqual(self.what_gamma_sees(causal=True), b"seen")

    def test_without_causal_order_it_is(self):
        self.assertIsNone(self.what_gamma_sees(causal=False))


if __name__ == "__main__":
    unittest.main()

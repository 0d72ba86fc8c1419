"""A network of this process's own, whose loopback counts packets, and loses some when told to."""

import collections
import ctypes
import json
import os
import subprocess

CLONE_NEWNET = 0x40000000
PORTS = "{ 7399, 7946 }"  # knit's and serf's.
# What leaves a socket is counted before some of it gets lost, so that loss does not make a node look frugal.
COUNTED = f"""
table inet counted {{
  counter datagrams {{ }}
  counter segments {{ }}
  chain leaving {{
    type filter hook output priority 0;
    udp dport {PORTS} counter name datagrams
    tcp dport {PORTS} counter name segments
    tcp sport {PORTS} counter name segments
  }}
}}
"""
LOSSY = """
table inet loss
delete table inet loss
table inet loss {{
  chain peers {{
{rules}
  }}
  chain arriving {{
    type filter hook input priority 0;
    udp dport {ports} jump peers
    tcp dport {ports} jump peers
    tcp sport {ports} jump peers
  }}
}}
"""
IP_UDP_BYTES = 28
IP_TCP_BYTES = 52  # With the timestamps that Linux adds.

Traffic = collections.namedtuple("Traffic", "udp_packets udp_bytes tcp_bytes")  # Bytes of payload.


class Loss(collections.namedtuple("Loss", "percent sources receivers", defaults=((), ()))):
    """So many of the packets from these addresses to those; without addresses: from or to all."""

    def rule(self):
        ends = [f"ip {end} {{ {', '.join(addresses)} }}" for end, addresses in (("saddr", self.sources),
                                                                               ("daddr", self.receivers)) if addresses]
        chance = [f"numgen random mod 1000 < {round(self.percent * 10)}"] if self.percent < 100 else []
        return " ".join([*ends, *chance, "drop"])


class LossyNetwork:
    """A context. `obstacle`: why it cannot be had, or None."""

    def __enter__(self):
        self.obstacle = self.make()
        return self

    def __exit__(self, *_):
        pass  # It ends with the process.

    def make(self):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET) != 0:
            return f"no network namespace of its own: {os.strerror(ctypes.get_errno())}"
        try:
            subprocess.run(["ip", "link", "set", "lo", "up", "mtu", "1500"], check=True, capture_output=True, text=True)
            self.rules(COUNTED)
        except FileNotFoundError as error:
            return f"{error.filename} is not installed"
        except subprocess.CalledProcessError as error:
            return error.stderr.strip()
        return None

    @staticmethod
    def rules(text):
        subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True, capture_output=True)

    def lose(self, percent):
        """Of all packets."""
        self.lose_some([Loss(percent)])

    def lose_some(self, losses):
        """Instead of what was lost before."""
        rules = "\n".join(f"    {loss.rule()}" for loss in losses)
        self.rules(LOSSY.format(ports=PORTS, rules=rules))

    def traffic(self):
        listed = json.loads(subprocess.run(["nft", "-j", "list", "counters"], capture_output=True, check=True).stdout)
        counters = {entry["counter"]["name"]: entry["counter"] for entry in listed["nftables"] if "counter" in entry}
        udp, tcp = counters["datagrams"], counters["segments"]
        return Traffic(udp["packets"], udp["bytes"] - IP_UDP_BYTES * udp["packets"],
                       tcp["bytes"] - IP_TCP_BYTES * tcp["packets"])

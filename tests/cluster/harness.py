"""Starts, stops and kills real daemons on loopback addresses, in a directory that goes away.

Each test process has loopback addresses of its own, made of its process id, so that tests run beside
each other on the usual ports. No daemon outlives the process that started it, whatever ends it.
"""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import redis

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("KNIT_BUILD", os.path.join(ROOT, "build", "release"))
LONG = bool(os.environ.get("KNIT_LONG"))
SLOWNESS = 6 if "san" in os.path.basename(BUILD) else 1  # Sanitizers cost about that much.
os.environ.setdefault("ASAN_OPTIONS", "quarantine_size_mb=32")  # Of what was freed it keeps 256 MB by default.
CLIENT_PORT = 6399
PEER_PORT = 7399
HTTP_PORT = 9399
SANITIZER_SIGNS = ("ERROR: AddressSanitizer", "runtime error:", "WARNING: ThreadSanitizer", "ERROR: LeakSanitizer")

_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent():
    PR_SET_PDEATHSIG = 1
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def wait_until(condition, what, seconds=20):
    """The first true answer of `condition`; an AssertionError saying `what` when there is none in time."""
    deadline = time.monotonic() + seconds * SLOWNESS
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds * SLOWNESS} s: {what}")
        time.sleep(0.02)


def loopback(number):
    pid = os.getpid()
    return f"127.{16 + (pid >> 8) % 200}.{pid & 255}.{number}"


def put_back(kept, directory):
    """The data directory is as it was when it was kept, and in its place: as after a snapshot of the disk."""
    shutil.rmtree(os.path.join(directory, "journal"), ignore_errors=True)
    shutil.copytree(kept, directory, dirs_exist_ok=True)  # Which writes into the files that are there.


def toml(value):
    return json.dumps(value)  # Strings, numbers, booleans and lists look the same in both.


class NoStatus(AssertionError):
    """A daemon did not say how it is; perhaps it has ended."""


class Node:
    """One daemon: its configuration, its directory, and its process while it runs."""

    def __init__(self, cluster, name, number):
        self.cluster = cluster
        self.name = name
        self.host = loopback(number)
        self.directory = os.path.join(cluster.directory, name)
        self.config_path = self.directory + ".toml"
        self.log_path = self.directory + ".log"
        self.socket_path = self.directory + ".sock"
        self.process = None
        self.environment = {}  # Beside this process's own.
        self.config = {
            "node": {"name": name, "data_directory": self.directory},
            "cluster": {"key_file": cluster.key_path},
            "client": {"listen": [self.host], "port": CLIENT_PORT, "unix_socket": self.socket_path},
            "http": {"listen": self.host, "port": HTTP_PORT},
            "peer": {"listen": self.host, "port": PEER_PORT, "timeout": "2s", "seeds": []},
            "store": {"map_bytes": "4GiB"},
            "anti_entropy": {"status_interval": "200ms"},
            "log": {"level": "debug"},
            "debug": {"commands": True},
        }
        os.makedirs(self.directory, exist_ok=True)

    @property
    def peer_address(self):
        return f"{self.host}:{PEER_PORT}"

    def write_config(self):
        with open(self.config_path, "w") as out:
            for section, keys in self.config.items():
                out.write(f"[{section}]\n")
                out.writelines(f"{key} = {toml(value)}\n" for key, value in keys.items())

    def launch(self):
        """Starts the daemon and does not wait for it to serve."""
        self.write_config()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [os.path.join(BUILD, "knitd"), "--config", self.config_path],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_die_with_parent,
                env={**os.environ, **self.environment})
        return self

    def start(self):
        return self.launch().await_service()

    def await_service(self):
        wait_until(self.serves, f"{self.name} serves", seconds=10)
        return self

    def serves(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.log()}")
        try:
            return self.client().ping()
        except redis.AuthenticationError:
            return True  # It asks for a password.
        except redis.RedisError:
            return False

    def end(self, number=signal.SIGTERM):
        """Sends a signal and answers the exit status."""
        self.process.send_signal(number)
        status = self.process.wait(timeout=20 * SLOWNESS)
        self.process = None
        return status

    def kill(self):
        return self.end(signal.SIGKILL)

    def fails_to_start(self):
        """Starts a daemon that must refuse to run: its exit status and what it said."""
        before = len(self.log())
        self.launch()
        status = self.process.wait(timeout=10 * SLOWNESS)
        self.process = None
        return status, self.log()[before:]

    def log(self):
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def client(self, **options):
        options.setdefault("socket_timeout", 20 * SLOWNESS)
        return redis.Redis(host=self.host, port=CLIENT_PORT, **options)

    def connect(self, port=CLIENT_PORT):
        """A bare TCP connection."""
        return socket.create_connection((self.host, port), timeout=10 * SLOWNESS)

    def knit(self, *arguments, stdin=None):
        """Runs the admin command against this daemon."""
        return subprocess.run([os.path.join(BUILD, "knit"), "--socket", self.socket_path, *arguments],
                              input=stdin, capture_output=True, timeout=60 * SLOWNESS)

    def isolate(self, on=True):
        """Drops all traffic with all peers, or no longer."""
        self.client().execute_command("KNIT", "ISOLATE", "ALL", "ON" if on else "OFF")

    def status(self):
        told = self.knit("status", "--json")
        if not told.stdout:
            raise NoStatus(f"{self.name}: {told.stderr}; its exit status {self.process.poll()}\n{self.log()[-3000:]}")
        return json.loads(told.stdout)

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Cluster:
    """Nodes that all know each other. A context: leaving it ends them and removes their files."""

    def __init__(self, *names, parent=None):
        for program in ("knit", "knitd"):
            assert os.path.exists(os.path.join(BUILD, program)), f"{program} is not built in {BUILD}"
        self.directory = tempfile.mkdtemp(prefix="knit-test-", dir=parent)
        self.key_path = self.new_key("cluster")
        self.nodes = [Node(self, name, number) for number, name in enumerate(names, 1)]
        for node in self.nodes:
            node.config["peer"]["seeds"] = [other.peer_address for other in self.nodes if other is not node]

    def new_key(self, name):
        path = os.path.join(self.directory, name + ".key")
        subprocess.run([os.path.join(BUILD, "knit"), "cluster", "new", name, "--out", path], check=True,
                       stdout=subprocess.DEVNULL)
        return path

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for node in self.nodes:
            if node.process is not None:
                node.process.kill()
                node.process.wait()
        logs = "".join(node.log() for node in self.nodes)
        shutil.rmtree(self.directory)
        assert not any(sign in logs for sign in SANITIZER_SIGNS), logs[-20000:]

    def start(self):
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.await_service()
        return self

    def in_sync(self):
        statuses = [node.status() for node in self.nodes if node.process]
        return all(status.get("in_sync") for status in statuses) and len({status["root"] for status in statuses}) == 1

    def await_sync(self, seconds=30):
        wait_until(self.in_sync, "all nodes are in sync and their roots equal", seconds)

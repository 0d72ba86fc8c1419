"""Three daemons on 127.0.0.1, .2 and .3 for the demonstration: started, asked and stopped."""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import time

import redis

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("KNIT_BUILD", os.path.join(ROOT, "build", "release"))
KNIT = os.path.join(BUILD, "knit")
CLIENT_PORT = 6399
PEER_PORT = 7399
HTTP_PORT = 9399
NAMES = ("alpha", "beta", "gamma")

_libc = ctypes.CDLL(None)


class Trouble(Exception):
    """Something did not hold. The text is for people."""


def _die_with_parent():
    PR_SET_PDEATHSIG = 1
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Replica:
    def __init__(self, directory, number, key_path):
        self.name = NAMES[number - 1]
        self.host = f"127.0.0.{number}"
        self.data = os.path.join(directory, self.name)
        self.config_path = self.data + ".toml"
        self.socket_path = self.data + ".sock"
        self.log_path = self.data + ".log"
        self.process = None
        self.redis = redis.Redis(host=self.host, port=CLIENT_PORT, socket_timeout=30)
        peers = [f"127.0.0.{other}:{PEER_PORT}" for other in (1, 2, 3) if other != number]
        os.mkdir(self.data, mode=0o700)
        with open(self.config_path, "w") as out:
            out.write(f"""\
[node]
name = "{self.name}"
data_directory = "{self.data}"
[cluster]
key_file = "{key_path}"
[client]
listen = ["{self.host}"]
port = {CLIENT_PORT}
unix_socket = "{self.socket_path}"
[http]
listen = "{self.host}"
port = {HTTP_PORT}
[peer]
listen = "{self.host}"
port = {PEER_PORT}
seeds = {json.dumps(peers)}
# The link outlives the time in which the demonstration drops its traffic.
timeout = "60s"
[debug]
commands = true
""")

    def start(self, keep):
        with open(self.log_path, "ab") as log:
            # A session of its own: Ctrl-C reaches the demonstration alone, which then ends its daemons.
            self.process = subprocess.Popen(
                [os.path.join(BUILD, "knitd"), "--config", self.config_path], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True, preexec_fn=None if keep else _die_with_parent)

    def await_service(self, seconds=15):
        deadline = time.monotonic() + seconds
        while True:
            if self.process.poll() is not None:
                raise Trouble(f"{self.name} ended with status {self.process.returncode}:\n{self.log_tail()}")
            try:
                self.redis.ping()
                return
            except redis.RedisError:
                if time.monotonic() > deadline:
                    raise Trouble(f"{self.name} does not answer:\n{self.log_tail()}") from None
                time.sleep(0.02)

    def log_tail(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()[-2000:]

    def knit(self, *arguments):
        """What the admin command prints, asked of this node."""
        return subprocess.run([KNIT, "--socket", self.socket_path, *arguments], capture_output=True, text=True,
                              timeout=60, check=False)

    def ask(self, *arguments):
        """The document that the admin command prints for programs."""
        done = self.knit(*arguments, "--json")
        if done.returncode > 1:
            raise Trouble(f"knit {' '.join(arguments)}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def status(self):
        return self.ask("status")

    def pipe(self, commands):
        """Sends commands, each a tuple of bytes, through redis-cli --pipe."""
        request = b"".join(
            b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
            for words in commands)
        done = subprocess.run(["redis-cli", "-h", self.host, "-p", str(CLIENT_PORT), "--pipe"], input=request,
                              capture_output=True, check=False)
        if done.returncode != 0 or b"errors: 0," not in done.stdout:
            raise Trouble(f"redis-cli --pipe on {self.name}: {done.stdout.decode()} {done.stderr.decode()}")

    def isolate(self, on):
        self.redis.execute_command("KNIT", "ISOLATE", "ALL", "ON" if on else "OFF")

    def contents(self):
        """Every key and its value, by SCAN and MGET as any program would read them."""
        out = {}
        cursor = 0
        while True:
            cursor, keys = self.redis.scan(cursor, count=2000)
            if keys:
                out.update(zip(keys, self.redis.mget(keys)))
            if cursor == 0:
                return out

    def stop(self):
        """Ends the process, and answers its exit status."""
        if self.process is None or self.process.poll() is not None:
            return None if self.process is None else self.process.returncode
        self.process.terminate()
        try:
            return self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class Replicas:
    """All three. A context: leaving it ends them and removes the directory, unless they are kept."""

    def __init__(self, directory):
        self.directory = directory
        self.kept = False
        key_path = os.path.join(directory, "cluster.key")
        subprocess.run([KNIT, "cluster", "new", "demo", "--out", key_path], check=True, stdout=subprocess.DEVNULL)
        self.all = [Replica(directory, number, key_path) for number in (1, 2, 3)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self.kept:
            for replica in self.all:
                replica.stop()
            shutil.rmtree(self.directory, ignore_errors=True)

    def start(self, keep):
        for replica in self.all:
            replica.start(keep)
        for replica in self.all:
            replica.await_service()

    def statuses(self):
        return [replica.status() for replica in self.all]

    def agree(self):
        statuses = self.statuses()
        return len({status["root"] for status in statuses}) == 1 and all(status["in_sync"] for status in statuses)

    def await_agreement(self, seconds=60):
        """How many seconds it took until all three roots were equal."""
        began = time.monotonic()
        while not self.agree():
            if time.monotonic() - began > seconds:
                raise Trouble(f"the nodes do not agree after {seconds} s:\n{self.all[0].knit('status').stdout}")
            time.sleep(0.02)
        return time.monotonic() - began


def require_programs():
    for name in ("knit", "knitd"):
        if not os.path.exists(os.path.join(BUILD, name)):
            raise Trouble(f"{name} is not built in {BUILD}: run ./dev build")


def require_free_ports():
    for number in (1, 2, 3):
        for port in (CLIENT_PORT, PEER_PORT, HTTP_PORT):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((f"127.0.0.{number}", port))
                except OSError as error:
                    raise Trouble(f"127.0.0.{number}:{port} cannot be used: {error.strerror}. "
                                  "End what listens there (`ss -ltnp` shows it), and try again") from None

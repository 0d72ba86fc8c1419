"""A knitd and a redis-server beside each other, for the benches that compare them.

Both keep their data in one directory, which must lie on a real disk: on a tmpfs a sync costs nothing.
"""

import os
import shutil
import subprocess
import sys
import tempfile

import redis

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cluster"))
from harness import BUILD, CLIENT_PORT, Cluster, _die_with_parent, loopback, wait_until  # noqa: E402

# What is asked of both before they answer a write: on the disk, or on it within about a second.
DURABILITY = {"commit": "always", "async": "everysec"}
KEYS = 1_000_000


def on_disk(directory):
    os.makedirs(directory, exist_ok=True)
    kind = subprocess.run(["stat", "-f", "-c", "%T", directory], capture_output=True, text=True).stdout.strip()
    if kind in ("tmpfs", "ramfs"):
        sys.exit(f"{directory} is a {kind}: name a directory on a disk")
    return directory


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def redis_server(directory):
    """Its program, also where only redis-tools is installed: that is the same one under another name."""
    found = shutil.which("redis-server")
    if found:
        return found
    link = os.path.join(directory, "redis-server")
    os.symlink(shutil.which("redis-check-rdb") or sys.exit("install redis-tools"), link)
    return link


class KnitServer:
    name = "knit"

    def __init__(self, cluster, durability):
        self.node = cluster.nodes[0]
        self.node.config.update({"anti_entropy": {}, "debug": {}, "log": {}, "store": {"map_bytes": "64GiB"}})
        self.node.config["store"]["durability"] = durability
        if not self.takes_config():
            if durability != "commit":
                raise NotImplementedError(f"this knitd has no durability {durability}")
            del self.node.config["store"]["durability"]
        self.node.start()
        self.host, self.port, self.unix_socket = self.node.host, CLIENT_PORT, self.node.socket_path

    def takes_config(self):
        self.node.write_config()
        return subprocess.run([os.path.join(BUILD, "knitd"), "--check", "--config", self.node.config_path],
                              capture_output=True).returncode == 0

    @property
    def pid(self):
        return self.node.process.pid


class RedisServer:
    name = "redis"

    def __init__(self, directory, durability):
        self.host, self.port = loopback(100), CLIENT_PORT  # An address of its own: no other server is met.
        self.unix_socket = os.path.join(directory, "redis.sock")
        options = {"bind": self.host, "port": self.port, "unixsocket": self.unix_socket, "dir": directory, "save": "",
                   "appendonly": "yes", "appendfsync": DURABILITY[durability], "protected-mode": "no"}
        arguments = [text for key, value in options.items() for text in (f"--{key}", str(value))]
        self.process = subprocess.Popen([redis_server(directory), *arguments], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, preexec_fn=_die_with_parent)
        wait_until(self.serves, "redis-server serves")

    def serves(self):
        try:
            return redis.Redis(host=self.host, port=self.port).ping()
        except redis.RedisError:
            return False

    @property
    def pid(self):
        return self.process.pid


class Pair:
    """Both servers, started empty. A context: leaving it ends them and removes their data."""

    def __init__(self, directory, durability):
        self.durability = durability
        self.parent = directory

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="redis-", dir=self.parent)
        self.cluster = Cluster("knit", parent=self.parent)
        self.servers = []
        try:
            self.servers.append(KnitServer(self.cluster, self.durability))
            self.servers.append(RedisServer(self.directory, self.durability))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for server in self.servers[1:]:
            server.process.kill()
            server.process.wait()
        shutil.rmtree(self.directory)
        self.cluster.__exit__()

    def load(self, value_bytes):
        for server in self.servers:
            load(server, value_bytes)


def load(server, value_bytes):
    """Every key that redis-benchmark asks for, by pipelines of a thousand."""
    value = os.urandom(value_bytes)
    pipeline = redis.Redis(host=server.host, port=server.port, socket_timeout=600).pipeline(transaction=False)
    for number in range(KEYS):
        pipeline.set(f"key:{number:012}", value)
        if number % 1000 == 999:
            pipeline.execute()


def benchmark(server, test, requests, pipeline, value_bytes, unix_socket, clients=50):
    """One run of redis-benchmark: its figures by name, and what the server's process took a request."""
    where = ["-s", server.unix_socket] if unix_socket else ["-h", server.host, "-p", str(server.port)]
    command = ["redis-benchmark", *where, "-t", test, "-n", str(requests), "-c", str(clients), "-P", str(pipeline),
               "-d", str(value_bytes), "-r", str(KEYS), "--csv"]
    before = cpu_seconds(server.pid)
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    used = cpu_seconds(server.pid) - before
    lines = [line.replace('"', "").split(",") for line in done.stdout.strip().splitlines()]
    if done.returncode != 0 or len(lines) < 2:
        raise RuntimeError(f"redis-benchmark against {server.name}: {done.stdout}{done.stderr}")
    figures = {name: float(value) for name, value in list(zip(lines[0], lines[1]))[1:]}
    figures["cpu_us"] = 1e6 * used / requests
    return figures

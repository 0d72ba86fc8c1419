"""A big store: how soon it serves, how fast its tree is built, what a row costs on the disk; and what a
million rows keep in memory beside LMDB's map."""

import argparse
import json
import os
import random
import socket
import statistics
import subprocess
import time

from servers import BUILD, cpu_seconds, on_disk  # Which also finds the harness.
from harness import CLIENT_PORT, Cluster, wait_until

GOALS = {"first_get": 0.1, "tree_build": 5e6, "resident_beside_the_map": 60.0}
PIPELINE = 1000


def arguments():
    parser = argparse.ArgumentParser(prog="./dev bench store", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--size", type=int, default=64, help="bytes of a value")
    parser.add_argument("--batch", type=int, default=2_000_000, help="rows that are filled in by one transaction")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--overwrites", type=int, default=1_000_000)
    parser.add_argument("--memory-rows", type=int, default=1_000_000)
    parser.add_argument("--directory", default=os.path.join(BUILD, "bench-data"), help="for the data, on a disk")
    return parser.parse_args()


def report(metric, value, unit, **more):
    row = {"bench": "store", "metric": metric, "value": round(value, 4), "unit": unit, **more}
    goal = GOALS.get("resident_beside_the_map" if metric.startswith("resident_beside_the_map") else metric)
    if goal:
        row["goal"] = goal
        row["met"] = value >= goal if unit == "rows/s" else value <= goal
    print(json.dumps(row), flush=True)


def key_of(number):
    return b"key:%012d" % number


def command(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


class Connection:
    """A bare socket: a client library would be most of what is measured."""

    def __init__(self, node):
        self.socket = socket.create_connection((node.host, CLIENT_PORT), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, number):
        self.socket.sendall(command(b"GET", key_of(number)))
        return self.socket.recv(1 << 16)

    def write(self, numbers, value_bytes):
        requests = [command(b"SET", key_of(number), os.urandom(value_bytes)) for number in numbers]
        self.socket.sendall(b"".join(requests))
        answers = b"+OK\r\n" * len(requests)
        received = b""
        while len(received) < len(answers):
            received += self.socket.recv(1 << 16)
        assert received == answers, received[:200]


def store_of(cluster, options):
    """A stopped node whose directory holds the rows."""
    node = cluster.nodes[0]
    subprocess.run([os.path.join(BUILD, "tests", "make_store"), node.directory, cluster.key_path, str(options.rows),
                    str(options.size), str(options.batch)], check=True)
    return node


def use_defaults(node):
    node.config.update({"anti_entropy": {}, "debug": {}, "log": {}, "store": {"map_bytes": "64GiB"}})


def data_path(node):
    return os.path.join(node.directory, "data.mdb")


def forget_pages(path):
    """Takes a file out of the page cache."""
    with open(path) as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_through(path):
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass


def first_get(node, rows):
    """Seconds from the start of the process to the first value it answered, and the connection."""
    begin = time.perf_counter()
    node.launch()
    while True:
        try:
            connection = Connection(node)
            break
        except ConnectionRefusedError:
            assert node.process.poll() is None, node.log()
            time.sleep(0.0005)
    answer = connection.get(random.randrange(rows))
    assert answer.startswith(b"$") and not answer.startswith(b"$-"), answer
    return time.perf_counter() - begin, connection


def tree_complete(node):
    return bool(node.client().info("knit")["tree_complete"])


def build_tree(node, connection, rows):
    """Seconds until the tree is complete, of them the daemon's own, and how long GETs waited meanwhile."""
    begin, cpu_before, waits = time.perf_counter(), cpu_seconds(node.process.pid), []
    client = node.client()
    while not client.info("knit")["tree_complete"]:
        for _ in range(5):
            sent = time.perf_counter()
            connection.get(random.randrange(rows))
            waits.append(time.perf_counter() - sent)
            time.sleep(0.002)
    return time.perf_counter() - begin, cpu_seconds(node.process.pid) - cpu_before, waits


def measure_starts(node, options):
    cold, first, built, cpu, waits = [], [], [], [], []
    for _ in range(options.starts):
        forget_pages(data_path(node))
        cold.append(first_get(node, options.rows)[0])
        node.kill()
    read_through(data_path(node))
    for _ in range(options.starts):
        seconds, connection = first_get(node, options.rows)
        first.append(seconds)
        seconds, of_cpu, waited = build_tree(node, connection, options.rows)
        built.append(options.rows / seconds)
        cpu.append(1e9 * of_cpu / options.rows)
        waits += waited
        assert node.end() == 0
    report("first_get_cold", statistics.median(cold), "s", worst=round(max(cold), 4), rows=options.rows)
    report("first_get", statistics.median(first), "s", worst=round(max(first), 4), rows=options.rows)
    report("tree_build", statistics.median(built), "rows/s", worst=round(min(built)), rows=options.rows)
    report("tree_build_cpu", statistics.median(cpu), "ns/row", rows=options.rows)
    waits.sort()
    report("get_while_building_median", 1e3 * statistics.median(waits), "ms")
    report("get_while_building_p99", 1e3 * waits[len(waits) * 99 // 100], "ms", worst=round(1e3 * waits[-1], 2))


def bytes_written(pid):
    with open(f"/proc/{pid}/io") as io:
        return next(int(line.split()[1]) for line in io if line.startswith("write_bytes:"))


def at_rest(node):
    status = node.status()
    return status["pending_bytes"] == 0


def measure_overwrites(node, options):
    node.start()
    wait_until(lambda: tree_complete(node), "the tree is complete", seconds=120)
    before, begin = bytes_written(node.process.pid), time.perf_counter()
    connection = Connection(node)
    for _ in range(options.overwrites // PIPELINE):
        connection.write((random.randrange(options.rows) for _ in range(PIPELINE)), options.size)
    answered = time.perf_counter() - begin
    wait_until(lambda: at_rest(node), "all is committed", seconds=300)
    written = bytes_written(node.process.pid) - before
    report("overwrite", options.overwrites / answered, "rows/s, one connection", rows=options.rows)
    report("overwrite_bytes_written", written / options.overwrites, "B/row", rows=options.rows)
    assert node.end() == 0


def memory_beside_the_map(pid):
    """Resident kB of all mappings but data.mdb's: of anonymous memory, and of files and the rest."""
    anonymous = others = 0
    mapped = ""
    with open(f"/proc/{pid}/smaps") as smaps:
        for line in smaps:
            words = line.split()
            if "-" in words[0] and not words[0].endswith(":"):
                mapped = words[5] if len(words) > 5 else ""
            elif mapped.endswith("/data.mdb"):
                continue
            elif words[0] == "Rss:":
                others += int(words[1])
            elif words[0] == "Anonymous:":
                anonymous += int(words[1])
    return anonymous / 1e3 * 1.024, (others - anonymous) / 1e3 * 1.024


def report_memory(node, metric, rows):
    time.sleep(5)
    anonymous, files = memory_beside_the_map(node.process.pid)
    tree = node.client().info("memory")["knit_tree_bytes"] / 1e6
    report(metric, anonymous + files, "MB", anonymous=round(anonymous, 1), files=round(files, 1),
           tree=round(tree, 1), rows=rows)


def measure_memory(node, options):
    rows = options.memory_rows
    node.start()
    connection = Connection(node)
    numbers = list(range(rows))
    random.shuffle(numbers)
    for first in range(0, rows, PIPELINE):
        connection.write(numbers[first:first + PIPELINE], options.size)
    wait_until(lambda: at_rest(node), "all is committed", seconds=120)
    report_memory(node, "resident_beside_the_map_after_load", rows)
    assert node.end() == 0
    node.start()
    wait_until(lambda: tree_complete(node), "the tree is complete", seconds=120)
    report_memory(node, "resident_beside_the_map_after_start", rows)
    connection = Connection(node)
    for _ in range(rows // 5):
        connection.get(random.randrange(rows))
    report_memory(node, "resident_beside_the_map_after_reads", rows)
    assert node.end() == 0


def main():
    options = arguments()
    directory = on_disk(options.directory)
    if options.rows:
        with Cluster("big", parent=directory) as cluster:
            node = store_of(cluster, options)
            use_defaults(node)
            size = os.stat(data_path(node)).st_size
            report("file", size / 1e6, "MB", rows=options.rows)
            report("file_bytes_per_row", size / options.rows, "B", rows=options.rows, value_bytes=options.size)
            measure_starts(node, options)
            measure_overwrites(node, options)
    if options.memory_rows:
        with Cluster("memory", parent=directory) as cluster:
            use_defaults(cluster.nodes[0])
            measure_memory(cluster.nodes[0], options)


main()

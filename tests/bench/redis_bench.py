"""Requests a second beside redis-server: the same machine, the same load, in turns.

Each operation is compared at the same promise: knit's durability "commit" with Redis's `appendfsync
always`, "async" with `appendfsync everysec`. A row is the median of some runs of redis-benchmark.
"""

import argparse
import json
import os
import statistics
import sys
import threading
import time

import redis

from servers import BUILD, Pair, benchmark, on_disk

OPERATIONS = ("get", "set-commit", "incr-commit", "set-async", "incr-async")
GOALS = {"get": 1.0, "set": 1.0, "incr": 0.8}
ONE_BY_ONE_GOAL = 0.9  # Of GET at pipeline 1, where redis-benchmark itself is the limit.
CALIBRATION_SECONDS = 0.3


def arguments():
    def words(text):
        return text.split(",")

    def numbers(text):
        return [int(word) for word in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ops", type=words, default=list(OPERATIONS), help="some of " + ",".join(OPERATIONS))
    parser.add_argument("--pipelines", type=numbers, default=[1, 16, 64])
    parser.add_argument("--sockets", type=words, default=["tcp", "unix"])
    parser.add_argument("--sizes", type=numbers, default=[64, 1024], help="bytes of a value")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="how long a run shall last")
    parser.add_argument("--requests", type=int, help="of a run, instead of --seconds")
    parser.add_argument("--directory", default=os.path.join(BUILD, "bench-data"), help="for the data, on a disk")
    parser.add_argument("--sustained", type=float, nargs="?", const=60, metavar="SECONDS",
                        help="one long run of SET (default 60 s) for each of the set operations named instead")
    options = parser.parse_args()
    unknown = set(options.ops) - set(OPERATIONS)
    if unknown:
        parser.error(f"there is no operation {', '.join(sorted(unknown))}")
    return options


def say(text):
    print(text, file=sys.stderr, flush=True)


def goal(operation, pipeline):
    return ONE_BY_ONE_GOAL if (operation, pipeline) == ("get", 1) else GOALS[operation]


def knows(server, command, *words):
    try:
        redis.Redis(host=server.host, port=server.port).execute_command(command, *words)
    except redis.ResponseError as error:
        return "unknown command" not in str(error)
    return True


def requests_for(seconds, server, *load):
    """How many requests last about so long: measured by runs that grow until one says something."""
    requests = 2000
    while True:
        begin = time.monotonic()
        benchmark(server, load[0], requests, *load[1:])
        took = time.monotonic() - begin
        if took >= CALIBRATION_SECONDS:
            return max(1000, int(requests * seconds / took))
        requests *= 4


def measure(pair, operation, pipeline, unix_socket, value_bytes, options):
    load = (operation, pipeline, value_bytes, unix_socket)
    requests = [options.requests or requests_for(options.seconds, server, *load) for server in pair.servers]
    runs = {server.name: [] for server in pair.servers}
    for number in range(options.runs):
        turns = list(zip(pair.servers, requests))
        for server, count in turns if number % 2 == 0 else reversed(turns):
            runs[server.name].append(benchmark(server, load[0], count, *load[1:]))
    middle = {(name, figure): statistics.median(run[figure] for run in each)
              for name, each in runs.items() for figure in ("rps", "p99_latency_ms", "cpu_us")}
    ratio = middle["knit", "rps"] / middle["redis", "rps"]
    row = {"bench": "redis", "operation": operation, "durability": pair.durability,
           "socket": "unix" if unix_socket else "tcp", "pipeline": pipeline, "value_bytes": value_bytes,
           "knit": round(middle["knit", "rps"]), "redis": round(middle["redis", "rps"]), "unit": "requests/s",
           "ratio": round(ratio, 3), "goal": goal(operation, pipeline), "met": ratio >= goal(operation, pipeline),
           "knit_p99_ms": middle["knit", "p99_latency_ms"], "redis_p99_ms": middle["redis", "p99_latency_ms"],
           "knit_cpu_us": round(middle["knit", "cpu_us"], 2), "redis_cpu_us": round(middle["redis", "cpu_us"], 2),
           "runs": options.runs}
    print(json.dumps(row), flush=True)
    return row


def compare(durability, operations, value_bytes, options):
    """All rows of one pair of servers: reads first, while nothing is being written."""
    rows = []
    with Pair(options.directory, durability) as pair:
        say(f"loading, durability {durability}, {value_bytes} B")
        pair.load(value_bytes)
        for operation in operations:
            if operation == "incr" and not all(knows(server, "INCR", "probe") for server in pair.servers):
                say("this knitd has no INCR: left out")
                continue
            for socket in options.sockets:
                rows += [measure(pair, operation, pipeline, socket == "unix", value_bytes, options)
                         for pipeline in options.pipelines]
    return rows


class Sampler(threading.Thread):
    """What waits for the committer of a knitd, looked at twice a second until stop()."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.client = redis.Redis(host=server.host, port=server.port)
        self.pending = []
        self.ended = threading.Event()
        self.start()

    def run(self):
        while not self.ended.wait(0.5):
            sections = self.client.info("everything")
            self.pending += [sections[name] for name in ("knit_pending_bytes", "pending_bytes") if name in sections]

    def stop(self):
        self.ended.set()
        self.join()
        return self.pending


def sustain(durability, value_bytes, options):
    with Pair(options.directory, durability) as pair:
        pair.load(value_bytes)
        row = {"bench": "redis", "operation": "set-sustained", "durability": durability, "socket": "tcp",
               "pipeline": 16, "value_bytes": value_bytes}
        for server in pair.servers:
            load = ("set", 16, value_bytes, False)
            requests = requests_for(options.sustained, server, *load)
            sampler = Sampler(server)
            run = benchmark(server, load[0], requests, *load[1:])
            pending = sampler.stop()
            row.update({server.name: round(run["rps"]), f"{server.name}_seconds": round(requests / run["rps"], 1),
                        f"{server.name}_p99_ms": run["p99_latency_ms"], f"{server.name}_max_ms": run["max_latency_ms"],
                        f"{server.name}_cpu_us": round(run["cpu_us"], 2)})
            if pending:
                row.update({"knit_pending_bytes_median": statistics.median(pending),
                            "knit_pending_bytes_max": max(pending)})
        row["ratio"] = round(row["knit"] / row["redis"], 3)
        row["goal"] = GOALS["set"]
        row["met"] = row["ratio"] >= row["goal"]
        print(json.dumps(row), flush=True)
        return [row]


def table(rows):
    say(f"\n{'operation':14} {'promise':8} {'socket':6} {'P':>3} {'bytes':>5} {'knit/s':>9} {'redis/s':>9}"
        f" {'ratio':>6} {'goal':>5} {'us knit':>8} {'us redis':>8}")
    for row in rows:
        say(f"{row['operation']:14} {row['durability']:8} {row['socket']:6} {row['pipeline']:3} {row['value_bytes']:5}"
            f" {row['knit']:9} {row['redis']:9} {row['ratio']:6.2f} {row['goal']:5.1f} {row['knit_cpu_us']:8.2f}"
            f" {row['redis_cpu_us']:8.2f}{'' if row['met'] else '  missed'}")


def main():
    options = arguments()
    on_disk(options.directory)
    rows = []
    for durability in ("commit", "async"):
        mine = [name.split("-")[0] for name in options.ops if name.endswith(durability)]
        if durability == "commit" and "get" in options.ops:
            mine.insert(0, "get")
        try:
            for value_bytes in options.sizes if mine else []:
                if options.sustained is None:
                    rows += compare(durability, mine, value_bytes, options)
                elif "set" in mine:
                    rows += sustain(durability, value_bytes, options)
        except NotImplementedError as error:
            say(f"{error}: left out")
    table(rows)


main()

"""How long one client waits for one durable write, beside redis-server with `appendfsync always`."""

import argparse
import json
import os
import socket
import statistics
import time

from servers import BUILD, Pair, on_disk


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writes", type=int, default=2000, help="of a run")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--size", type=int, default=64, help="bytes of a value")
    parser.add_argument("--load", action="store_true", help="a million keys first")
    parser.add_argument("--durability", choices=("commit", "async"), default="commit")
    parser.add_argument("--directory", default=os.path.join(BUILD, "bench-data"), help="for the data, on a disk")
    return parser.parse_args()


def waits(server, writes, size):
    """Seconds from each request to its reply, by a bare socket: a client library would be most of it."""
    value = os.urandom(size)
    with socket.create_connection((server.host, server.port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(writes):
            key = b"key:%012d" % (number * 7919 % 1_000_000)
            request = b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(key), key, size, value)
            begin = time.perf_counter()
            connection.sendall(request)
            reply = connection.recv(64)
            yield time.perf_counter() - begin
            assert reply == b"+OK\r\n", reply


def main():
    options = arguments()
    figures = {"knit": [], "redis": []}
    with Pair(on_disk(options.directory), options.durability) as pair:
        if options.load:
            pair.load(options.size)
        for _ in range(options.runs):
            for server in pair.servers:
                figures[server.name].append(sorted(waits(server, options.writes, options.size)))
    row = {"bench": "single", "durability": options.durability, "value_bytes": options.size, "unit": "us"}
    for name, runs in figures.items():
        row[f"{name}_median"] = round(1e6 * statistics.median(run[len(run) // 2] for run in runs))
        row[f"{name}_p99"] = round(1e6 * statistics.median(run[len(run) * 99 // 100] for run in runs))
    row["ratio"] = round(row["knit_median"] / row["redis_median"], 3)
    print(json.dumps(row), flush=True)


main()

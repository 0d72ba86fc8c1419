"""Kills, power cuts and flipped bits: acknowledged writes lost, dots reused, time from start to first answer."""

import argparse
import collections
import json
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cluster"))
from crash_rig import CrashRig  # noqa: E402
from damage_rig import DamageRig  # noqa: E402
from lmdb_file import flip_bits  # noqa: E402
from loop_disk import require_loop_devices  # noqa: E402


def options():
    parser = argparse.ArgumentParser(prog="./dev bench crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--power-cuts", type=int, default=50)
    parser.add_argument("--durability", choices=("commit", "async"), help="default: the daemon's")
    parser.add_argument("--seed", default=str(int.from_bytes(os.urandom(4), "big")))
    parser.add_argument("--damage", type=int, default=0, metavar="N", help="flip bits, N trials a kind of place")
    parser.add_argument("--keys", type=int, default=2000, help="of each of two writers")
    return parser.parse_args()


def report(series, values):
    for metric, value in values.items():
        unit = "s" if metric.startswith("first_") else "count"
        print(json.dumps({"bench": "crash", "series": series, "metric": metric, "value": value, "unit": unit}))
    sys.stdout.flush()


def run(series, rounds, chosen, power):
    if rounds == 0:
        return
    with CrashRig(chosen.seed, chosen.durability, power, keys=chosen.keys, counters=chosen.keys // 10) as rig:
        try:
            for _ in range(rounds):
                rig.power_cut_round() if power else rig.kill_round()
            rig.converge()
        finally:
            report(series, rig.report())


def run_damage(chosen):
    """Flips bits in each kind of place, and counts what came of it."""
    with DamageRig(chosen.seed) as rig:
        flips = {what: lambda count, some=some: flip_bits(rig.data_path, some, rig.draw, count)
                 for what, some in rig.places().items()}
        if rig.journal:
            flips["journal"] = rig.flip_journal
            flips["journal, cut"] = lambda count: rig.cut_journal()
        for what, flip in flips.items():
            for with_peer in (False, True):
                outcomes = collections.Counter()
                for number in range(chosen.damage):
                    outcomes[rig.trial(lambda: flip(1 if number % 2 else 8), with_peer).summary()] += 1
                report(f"damage to {what}, {'with a peer' if with_peer else 'alone'}", outcomes)


def main():
    chosen = options()
    print(f"seed {chosen.seed}", file=sys.stderr)
    if chosen.damage:
        run_damage(chosen)
    run("kills", chosen.kills, chosen, power=False)
    try:
        require_loop_devices()
    except unittest.SkipTest as reason:
        print(reason, file=sys.stderr)
        return
    run("power_cuts", chosen.power_cuts, chosen, power=True)


if __name__ == "__main__":
    main()

"""How many simulated histories run in a second, and how many ran."""

import json
import os
import re
import subprocess
import sys

SEEDS = sys.argv[1] if len(sys.argv) > 1 else "200"
SIM = os.path.join(os.environ["KNIT_BUILD"], "tests", "sim")


def main():
    run = subprocess.run([SIM, "--seeds", SEEDS], capture_output=True, text=True)
    rate = re.search(r"([\d.]+) histories a second", run.stdout)
    histories, violations = re.search(r"(\d+) histories, (\d+) violations", run.stdout).groups()
    for metric, value, unit in (("histories_per_second", float(rate[1]), "1/s"), ("histories", int(histories), "1"),
                                ("violations", int(violations), "1")):
        print(json.dumps({"bench": "sim", "metric": metric, "value": value, "unit": unit}))
    sys.exit(run.returncode)


main()

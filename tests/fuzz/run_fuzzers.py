"""Runs fuzz targets for a while each, and tells what they found. Exits with 1 if that is anything.

In the folder of the build: `corpus/NAME` is what a target has gathered beyond the committed inputs, and grows from run to
run; `findings/NAME` holds inputs that ended it, `NAME.log` its last log, `results` how many targets passed and failed.
"""

import argparse
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).resolve().parent
BUILD = Path(os.environ["KNIT_BUILD"]).resolve()

INPUT_BYTES_MAX = 4096
INPUT_SECONDS_MAX = 20  # The machine may be busy.
RESIDENT_MB_MAX = 1024
ALLOCATION_MB_MAX = 128  # At one go: what a declared count would ask for.
LOG_LINES_SHOWN = 60

END_SECONDS_MAX = 60  # For what a target does besides fuzzing: reading its corpus, and a last input.

# What libFuzzer prints at the end, and now and then.
PROGRESS = re.compile(r"^#(?P<runs>\d+)\s+\w+\s+cov: (?P<coverage>\d+) .*corp: (?P<inputs>\d+)/", re.MULTILINE)
SECONDS = re.compile(r"^Done \d+ runs in (\d+) second", re.MULTILINE)


@dataclass
class Run:
    name: str
    log: str
    finding: Path | None  # The input, if there is one.
    failed: bool


def command_of(name):
    return [
        str(BUILD / "tests/fuzz" / f"{name}_fuzz"),
        f"-timeout={INPUT_SECONDS_MAX}",
        f"-rss_limit_mb={RESIDENT_MB_MAX}",
        f"-malloc_limit_mb={ALLOCATION_MB_MAX}",
    ]


def run(name, seconds):
    corpus, findings = BUILD / "corpus" / name, BUILD / "findings" / name
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    before = set(findings.iterdir())
    command = command_of(name) + [
        f"-max_total_time={seconds}",
        f"-max_len={INPUT_BYTES_MAX}",
        f"-artifact_prefix={findings}/",
        "-print_final_stats=1",
        str(corpus),
        str(SOURCES / "corpus" / name),
    ]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=seconds + END_SECONDS_MAX)
        log, failed = ended.stderr, ended.returncode != 0
    except subprocess.TimeoutExpired as late:
        log, failed = (late.stderr or b"").decode(errors="replace") + "\nit did not end in time", True
    (BUILD / f"{name}.log").write_text(log)
    new = sorted(set(findings.iterdir()) - before)
    return Run(name, log, new[0] if new else None, failed)


def summary(result, seconds):
    progress = list(PROGRESS.finditer(result.log))
    if not progress:
        return f"{result.name:20} no run"
    last = progress[-1]
    took = SECONDS.search(result.log)
    runs_per_second = int(last["runs"]) // max(1, int(took[1]) if took else seconds)
    return (
        f"{result.name:20} {runs_per_second:>7} runs/s {last['coverage']:>6} covered {last['inputs']:>5} inputs"
        f"  {'FAILED' if result.failed else 'ok'}"
    )


def tell_finding(result):
    print(f"\n== {result.name} failed; the end of {BUILD / (result.name + '.log')}:")
    lines = [line for line in result.log.splitlines() if not line.startswith(("#", "\tNEW_FUNC"))]
    print("\n".join(lines[-LOG_LINES_SHOWN:]))
    if result.finding:
        print(f"\ninput:  {result.finding}\nreplay: {' '.join(command_of(result.name) + [str(result.finding)])}")


def main():
    parser = argparse.ArgumentParser(description="Runs fuzz targets.")
    parser.add_argument("--seconds", type=int, default=10, help="of each target")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("names", nargs="+")
    arguments = parser.parse_args()
    with ThreadPoolExecutor(max(1, arguments.jobs)) as pool:
        results = []
        for result in pool.map(lambda name: run(name, arguments.seconds), arguments.names):
            results.append(result)
            print(summary(result, arguments.seconds), flush=True)
    failed = [result for result in results if result.failed]
    for result in failed:
        tell_finding(result)
    (BUILD / "results").write_text(f"{len(results) - len(failed)} {len(failed)}\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

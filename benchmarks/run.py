"""Measures the figures that the project promises, peers in the same run: `make bench`. Prints JSON.

Each figure is the median of several fresh processes; ours and the peer's take turns, so that a busy machine slows both.
Ratios are ours divided by the peer's. The peer is the official SDK, in a virtual environment of its own (`--peer`).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MUST_NOT_LOAD = ("duckdb", "pydantic", "IPython", "ipywidgets")


def main() -> None:
    """Measures everything, or the figures named on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("figures", nargs="*", help=f"any of {', '.join(FIGURES)}; all by default")
    parser.add_argument("--peer", help="Python interpreter with the official `flyte` installed")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    unknown = set(arguments.figures) - set(FIGURES)
    if unknown:
        parser.error(f"no such figure: {', '.join(sorted(unknown))}")
    measure = Measure(arguments.peer, arguments.rounds)
    results = {name: FIGURES[name](measure) for name in arguments.figures or FIGURES}
    print(json.dumps({"peer": measure.peer_version(), "rounds": arguments.rounds, **results}, indent=1))


class Measure:
    """Runs workloads in fresh processes, each with a home of its own."""

    def __init__(self, peer: str | None, rounds: int) -> None:
        self.peer = peer
        self.rounds = rounds

    def both(self, case: str, ours: int, theirs: int, *, persist: bool = False) -> tuple[Samples, Samples | None]:
        """Samples of our workload and of the peer's, in turns."""
        mine, other = [], []
        for _ in range(self.rounds):
            mine.append(run(sys.executable, "flyte_nb", case, ours))
            if self.peer:
                other.append(run(self.peer, "flyte", case, theirs, *["--persist"] * persist))
        return Samples(mine), Samples(other) if other else None

    def peer_version(self) -> str | None:
        """Version of the official SDK, None without it."""
        if not self.peer:
            return None
        command = [self.peer, "-c", "import flyte; print(flyte.version())"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


class Samples:
    """What repeated runs of one workload measured."""

    def __init__(self, samples: list[dict[str, float]]) -> None:
        self.samples = samples

    def median(self, key: str) -> float:
        """The median of a measurement."""
        return statistics.median(sample[key] for sample in self.samples)


def run(python: str, module: str, case: str, count: int, *options: str) -> dict[str, float]:
    """One workload in a fresh process and home."""
    with tempfile.TemporaryDirectory() as home:
        environment = {
            **os.environ,
            "HOME": home,
            "FLYTE_NB_HOME": f"{home}/store",
            "PYTHONPATH": str(HERE.parent) if module == "flyte_nb" else "",
            "LOG_LEVEL": "40",
            "DO_NOT_TRACK": "1",
        }
        command = [python, str(HERE / "workload.py"), module, case, str(count), *options]
        done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
        measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return measured


def compared(key: str, ours: Samples, theirs: Samples | None) -> dict[str, float]:
    """A measurement of both sides and their ratio."""
    result = {"ours": round(ours.median(key), 4)}
    if theirs is not None:
        result["peer"] = round(theirs.median(key), 4)
        result["ratio"] = round(result["ours"] / result["peer"], 5)
    return result


def child_action(measure: Measure) -> dict[str, Any]:
    """A recorded async child action, microseconds; the peer records nothing, or to its SQLite."""
    figures = {}
    for case in ("sequence", "gather"):
        ours, nothing = measure.both(case, 5000, 1000)
        _, persisted = measure.both(case, 1000, 200, persist=True)
        figures[case] = {
            "us": compared("us_per_action", ours, nothing),
            "us_peer_persisting": compared("us_per_action", ours, persisted),
        }
    return figures


def fan_out(measure: Measure) -> dict[str, Any]:
    """10,000 gathered actions against the peer, and how our time grows to 100,000."""
    ours, theirs = measure.both("gather", 10_000, 10_000)
    hundred_thousand = Samples([run(sys.executable, "flyte_nb", "gather", 100_000) for _ in range(measure.rounds)])
    return {
        "seconds_10k": compared("seconds", ours, theirs),
        "peak_mb_10k": compared("peak_mb", ours, theirs),
        "seconds_100k": round(hundred_thousand.median("seconds"), 3),
        "growth_100k_over_10k": round(hundred_thousand.median("seconds") / ours.median("seconds"), 2),
        "peak_mb_100k": round(hundred_thousand.median("peak_mb"), 1),
    }


def start_up(measure: Measure) -> dict[str, Any]:
    """Importing the package, and the first result of a cold script, seconds."""
    imports = measure.both("import", 1, 1)
    first = measure.both("first", 1, 1)
    code = f"import sys, flyte_nb; print([name for name in {MUST_NOT_LOAD!r} if name in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    loaded = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return {
        "import_seconds": compared("seconds", *imports),
        "first_result_seconds": compared("seconds", *first),
        "heavy_modules_loaded": loaded.stdout.strip(),
    }


FIGURES = {"child_action": child_action, "fan_out": fan_out, "start_up": start_up}

if __name__ == "__main__":
    main()

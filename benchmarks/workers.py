"""Measures worker processes, peers in the same run: part of `make bench`. Prints JSON.

Each figure is the median of several fresh processes; ours and the peers take turns, so that a busy machine slows all.
Ratios are ours divided by the peer's. Ours records every action, the peers record nothing.

    python workers.py [FIGURE ...] [--peer PYTHON] [--rounds 3]

`--peer` is an interpreter with `ray`, `joblib` and the official `flyte`. The figures are those of `worker_tasks.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
OURS = (sys.executable, "worker_tasks.py", "flyte_nb")


def main() -> None:
    """Measures everything, or the figures named on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("figures", nargs="*", help=f"any of {', '.join(FIGURES)}; all by default")
    parser.add_argument("--peer", help="Python interpreter with `ray`, `joblib` and `flyte` installed")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if unknown := set(arguments.figures) - set(FIGURES):
        parser.error(f"no such figure: {', '.join(sorted(unknown))}")
    measure = Measure(arguments.peer, arguments.rounds)
    results = {name: FIGURES[name](measure) for name in arguments.figures or FIGURES}
    print(json.dumps({"rounds": arguments.rounds, **results}, indent=1))


class Measure:
    """Runs workloads in fresh processes, in turns."""

    def __init__(self, peer: str | None, rounds: int) -> None:
        self.rounds = rounds
        self._peers = {
            "pool": (sys.executable, "worker_peers.py", "pool"),
            **({name: (peer, "worker_peers.py", name) for name in ("joblib", "ray")} if peer else {}),
            **({"flyte": (peer, "worker_tasks.py", "flyte")} if peer else {}),
        }

    def ours(self, case: str, count: int) -> dict[str, float]:
        """The medians of what we measure alone."""
        return medians([run(OURS, case, count) for _ in range(self.rounds)])

    def compared(self, key: str, cases: dict[str, tuple[str, int]]) -> dict[str, float]:
        """Medians of one measurement, and ratios.

        Args:
            key: of the measurement.
            cases: (case, count) by the name of a peer, or one that begins with `ours`.
        """
        samples: dict[str, list[float]] = {name: [] for name in cases if name in self._peers or name.startswith("ours")}
        for _ in range(self.rounds):
            for name, taken in samples.items():
                taken.append(run(self._peers.get(name, OURS), *cases[name])[key])
        figures = {name: statistics.median(taken) for name, taken in samples.items()}
        ratios = {f"ratio_{name}": figures["ours"] / figures[name] for name in figures if name in self._peers}
        return {name: float(f"{figure:.4g}") for name, figure in {**figures, **ratios}.items()}


def run(system: tuple[str, str, str], case: str, count: int) -> dict[str, float]:
    """One workload in a fresh process and home."""
    python, program, library = system
    with tempfile.TemporaryDirectory() as home:
        environment = {
            **os.environ,
            "HOME": home,
            "FLYTE_NB_HOME": f"{home}/store",
            "PYTHONPATH": str(HERE.parent) if library == "flyte_nb" else "",
            "LOG_LEVEL": "40",
            "DO_NOT_TRACK": "1",
        }
        command = [python, str(HERE / program), library, case, str(count)]
        done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
        measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return measured


def medians(samples: list[dict[str, float]]) -> dict[str, float]:
    """The median of each measurement."""
    return {key: float(f"{statistics.median(sample[key] for sample in samples):.4g}") for key in samples[0]}


def round_trip(measure: Measure) -> dict[str, Any]:
    """A trivial task in a warm worker, awaited alone, seconds."""
    peers = {"pool": ("round_trip", 500), "ray": ("round_trip", 200)}
    return {
        "async": measure.compared("seconds", {"ours": ("round_trip", 500), **peers}),
        "sync": measure.compared("seconds", {"ours": ("round_trip_sync", 500), **peers}),
    }


def nested(measure: Measure) -> dict[str, Any]:
    """A task in a worker gathers a hundred children, seconds."""
    return measure.compared("seconds", {"ours": ("nested", 100), "ray": ("nested", 100)})


def throughput(measure: Measure) -> dict[str, Any]:
    """Tasks per second of two workers."""
    return measure.compared(
        "tasks_per_second",
        {"ours": ("throughput", 10_000), "pool": ("throughput", 10_000), "ray": ("throughput", 1000)},
    )


def cpu_bound(measure: Measure) -> dict[str, Any]:
    """Sixteen sync tasks of a quarter of a second of cpu time on two cores: multiples of the ideal."""
    peers = dict.fromkeys(("pool", "joblib", "ray", "flyte"), ("cpu_bound", 16))
    ours = {"ours": ("cpu_bound", 16), "ours_isolation_process": ("cpu_bound_unset", 16)}
    return measure.compared("of_ideal", {**ours, **peers})


def start(measure: Measure) -> dict[str, Any]:
    """From the call to the result in a new worker, seconds: of a pool with pandas loaded, of a process of its own."""
    return {"worker": measure.ours("start", 10), "fresh_process": measure.ours("fresh", 20)}


def left_behind(measure: Measure) -> dict[str, Any]:
    """What a thousand tasks with large values leave: descriptors and maps while the pool lives, processes after."""
    return measure.ours("left_behind", 1000)


FIGURES: dict[str, Callable[[Measure], dict[str, Any]]] = {
    "round_trip": round_trip,
    "nested": nested,
    "throughput": throughput,
    "cpu_bound": cpu_bound,
    "start": start,
    "left_behind": left_behind,
}

if __name__ == "__main__":
    main()

"""Measures cells that run as tasks, in a real kernel: prints JSON.

    python benchmarks/cells.py [--rounds N]

    plain      a trivial cell, from the request to the kernel's idle, milliseconds
    run        the same cell under %%flyte run: how much longer, milliseconds
    process    under %%flyte run --isolation process, once the zygote is warm, likewise
    cached     under %%flyte run --cache auto, when its result is at hand, likewise

Each figure is the median of N rounds (50 unless told), the four kinds of cells in turns, with the extension loaded and
the explorer drawn as in any notebook.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from jupyter_client.manager import start_new_kernel

PROJECT = Path(__file__).resolve().parent.parent
BODY = "y = x + 1\ny"
CELLS = {
    "plain": BODY,
    "run": f"%%flyte run\n{BODY}",
    "process": f"%%flyte run --isolation process\n{BODY}",
    "cached": f"%%flyte run --cache auto\n{BODY}",
}
PAUSE_SECONDS = 0.05
"""Between cells, so that what the kernel does after one does not count for the next."""


def main() -> None:
    """Measures everything."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=50)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as home:
        print(json.dumps(measured(home, rounds), indent=1))


def measured(home: str, rounds: int) -> dict[str, float]:
    """The medians, milliseconds."""
    environment = {**os.environ, "FLYTE_NB_HOME": f"{home}/store", "PYTHONPATH": str(PROJECT), "IPYTHONDIR": home}
    manager, client = start_new_kernel(kernel_name="python3", cwd=home, env=environment)
    try:
        for cell in ("%load_ext flyte_nb\nx = 1", *CELLS.values()):  # warm
            execute(client, cell)
        samples: dict[str, list[float]] = {name: [] for name in CELLS}
        for _ in range(rounds):
            for name, cell in CELLS.items():
                samples[name].append(execute(client, cell))
                time.sleep(PAUSE_SECONDS)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
    medians = {name: statistics.median(taken) for name, taken in samples.items()}
    plain = medians.pop("plain")
    return {
        "plain_ms": round(plain, 2),
        **{f"{name}_over_plain_ms": round(m - plain, 2) for name, m in medians.items()},
    }


def execute(client: Any, cell: str) -> float:
    """How long a cell takes, milliseconds."""
    began = time.perf_counter()
    reply = client.execute_interactive(cell, output_hook=lambda message: None, timeout=60)
    if reply["content"]["status"] != "ok":
        raise RuntimeError("\n".join(reply["content"]["traceback"]))
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()

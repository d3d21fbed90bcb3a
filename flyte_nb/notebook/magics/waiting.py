"""`%flyte wait`: until a run that was started in the background, or elsewhere, is over."""

from __future__ import annotations

from flyte_nb.notebook.magics.arguments import Argument, Command
from flyte_nb.remote.run import Run
from flyte_nb.remote.search import LAST, find_run

__all__ = ["WAIT"]


def wait(run: str) -> Run:
    """Waits for a run, and raises what it raised.

    Raises:
        flyte_nb.errors.BaseRuntimeError: it failed; `.run` is the run.
        KeyboardInterrupt: Stop was pressed; a run of this kernel is aborted, one that lives elsewhere goes on.
    """
    __tracebackhide__ = True
    found = find_run(run)
    found.wait()
    found.raise_for_status()
    return found


WAIT = Command(
    "wait",
    "Waits until a run is over, and raises its error if it failed. Stop aborts the run.",
    wait,
    (Argument("RUN", "name of a run, the beginning of it, or `last`", kind="run", required=False, default=LAST),),
    examples=("%flyte wait", "r = %flyte wait r7k2m9"),
)

"""`%flyte workers`: the processes in which tasks run, and how to be rid of warm ones."""

from __future__ import annotations

from flyte_nb.engine.session import Session, current_session
from flyte_nb.executors.standing import WorkerState
from flyte_nb.notebook.magics.arguments import Argument, Command
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.search import did_you_mean
from flyte_nb.store.table import Table

__all__ = ["WORKERS"]

COLUMNS = ("environment", "worker", "state", "running", "calls", "memory_mb", "idle_seconds")
STOP_SECONDS = 5.0
NO_WORKERS = "No process runs a task now. A ReusePolicy, a memory limit or isolation='process' gives tasks one."


def workers(what: str | None, environment: str | None) -> Table | None:
    """The processes as a table, or `stop`."""
    if what not in (None, "stop"):
        raise CommandError(f"%flyte workers lists, %flyte workers stop [ENVIRONMENT] ends them; got {what!r}.")
    active = current_session()
    states = active.processes.standing() if active is not None else []
    if what == "stop":
        print(stop(active, states, environment))
        return None
    if not states:
        print(NO_WORKERS)
        return None
    return Table(COLUMNS, [cells(state) for state in states])


def stop(active: Session | None, states: list[WorkerState], environment: str | None) -> str:
    """Retires warm workers, and says what was done."""
    known = sorted({state.environment for state in states if state.environment})
    if environment is not None and environment not in known:
        there_are = f" Environments with workers: {', '.join(known)}." if known else " There are no warm workers."
        raise CommandError(f"{environment!r} has no warm workers.{did_you_mean(environment, known)}{there_are}")
    if active is None or not known:
        return "There are no warm workers."
    busy = sum(state.state == "busy" and environment in (None, state.environment) for state in states)
    ended = active.engine.start(active.processes.wind_down(environment)).result(STOP_SECONDS)
    said = f"{ended} worker{'' if ended == 1 else 's'} ended; the next call starts afresh."
    return said + (f" {busy} of them when {'its' if busy == 1 else 'their'} calls are over." if busy else "")


def cells(state: WorkerState) -> tuple[object, ...]:
    memory_bytes, idle_seconds = state.memory_bytes, state.idle_seconds
    return (
        state.environment,
        state.worker,
        state.state,
        state.running,
        state.calls_ended,
        round(memory_bytes / 1e6, 1) if memory_bytes is not None else None,
        round(idle_seconds, 1) if idle_seconds is not None else None,
    )


WORKERS = Command(
    "workers",
    "Lists the processes in which tasks run: what they do, calls done, memory; `stop` ends warm ones.",
    workers,
    (
        Argument("WHAT", "`stop`, or nothing to list them", "workers", required=False),
        Argument("ENVIRONMENT", "with stop: only this environment's", "pool", required=False),
    ),
    examples=("%flyte workers", "%flyte workers stop scoring"),
)

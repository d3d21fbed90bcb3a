"""Reads one store for pages, on a thread of its own: neither the server's loop nor other stores wait for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from flyte_nb.authoring.condition import Answer as Answered
from flyte_nb.notebook.views.details import RunReader
from flyte_nb.notebook.views.document import Document
from flyte_nb.notebook.views.flows import flow_rows
from flyte_nb.remote.aborting import abort_elsewhere, signal_elsewhere
from flyte_nb.remote.plain import error_line, lineage_of
from flyte_nb.server.source import StoreSource
from flyte_nb.store.home import Home
from flyte_nb.store.listing import Activity, RunFilter, activity, choices, cursor_of, list_runs, revision
from flyte_nb.store.queries import Store
from flyte_nb.store.rows import RunRow
from flyte_nb.store.schema import PHASES_OVER

__all__ = ["StoreReader"]

Answer = TypeVar("Answer")
DOCUMENT_BYTES = 20_000_000
"""Bound of the document of a run."""


class StoreReader:
    """One store, as pages ask for it. Everything but `ask` and `abort` is to be called through `ask`.

    A store in which nothing was ever recorded has no runs; nothing is created by reading.

    Args:
        home: the store.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="flyte-store")
        self._source = StoreSource(Store.open(home))

    async def ask(self, question: Callable[[], Answer]) -> Answer:
        """The answer to a question, found on the store's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, question)

    def activity(self, known: str) -> Document:
        """The store's revision, and what goes on in it; only the revision while that is the known one.

        Args:
            known: the revision that the page has seen; empty for none.
        """
        now = revision(self.home)
        if now == known:
            return {"revision": now}
        going_on = activity(self.home) if self._exists else Activity(0, 0)
        return {
            "revision": now,
            "live_runs": going_on.live_runs,
            "running_actions": going_on.running_actions,
        }

    def choices(self) -> Document:
        """What the runs can be filtered by."""
        if not self._exists:
            return {"tasks": [], "notebooks": [], "labels": []}
        found = choices(self.home)
        return {"tasks": found.tasks, "notebooks": found.notebooks, "labels": found.labels}

    def runs(self, wanted: RunFilter, cursor: str, limit: int) -> Document:
        """A page of runs, newest first; see `flyte_nb.store.listing.list_runs`."""
        if not self._exists:
            return {"runs": [], "total": 0, "cursor": ""}
        page = list_runs(self.home, wanted, cursor, limit)
        return {"runs": [summary(row) for row in page.rows], "total": page.total, "cursor": page.cursor}

    def document(self, run: str) -> Document:
        """The document of a run (docs/explorer.md).

        Raises:
            KeyError: there is no such run.
        """
        return self._reader(run).document(DOCUMENT_BYTES, details=False)

    def detail(self, run: str, action: str) -> Document:
        """The Detail of an action (docs/explorer.md).

        Raises:
            KeyError: there is no such run or action.
        """
        return self._reader(run).detail(action)

    def graph(self, run: str) -> Document:
        """Which outputs of a run became which inputs (docs/explorer.md).

        Raises:
            KeyError: there is no such run.
        """
        reader = self._reader(run)
        return {"flows": flow_rows(reader.flows()), "live": reader.row.phase not in PHASES_OVER}

    async def abort(self, run: str, action: str, reason: str) -> Document:
        """Ends a run, or an action of it, in the process in which it lives; returns when that is recorded.

        Others who ask for this store meanwhile do not wait.

        Args:
            run: name of the run.
            action: name of the action; the root's ends the run.
            reason: recorded and shown.

        Raises:
            KeyError: there is no such run or action.
            ValueError: it lives on another machine.
            TimeoutError: its process does not answer.
        """
        await self.ask(lambda: self._reader(run))  # such a run there is
        await asyncio.to_thread(abort_elsewhere, self._source.store, run, action, reason)
        row = await self.ask(lambda: self._source.run(run))
        return {"phase": row.phase}

    async def signal(self, run: str, action: str, value: Answered) -> Document:
        """Answers a condition in the process in which its run lives; returns when that is recorded.

        Args:
            run: name of the run.
            action: name of the condition's action.
            value: the answer, or its text as a person writes it.

        Raises:
            KeyError: there is no such run or action.
            ValueError: the answer is not of the condition's type, or the run lives on another machine.
            flyte_nb.errors.ConditionNotFoundError: it is no condition, or does not wait any more.
            TimeoutError: its process does not answer.
        """
        await self.ask(lambda: self._reader(run))  # such a run there is
        await asyncio.to_thread(signal_elsewhere, self._source.store, run, action, value)
        row = await self.ask(lambda: self._source.action(run, action))
        return {"phase": row.phase}

    @property
    def _exists(self) -> bool:
        return self.home.version.exists()

    def _reader(self, run: str) -> RunReader:
        if not self._exists:
            raise KeyError(f"No run is named {run!r}: nothing was ever recorded in {self.home.path}.")
        return RunReader(run, self._source)


def summary(row: RunRow) -> Document:
    """A run as a list shows it; labextension/src/view/history.ts mirrors this."""
    ended_ns = row.ended_ns if row.ended_ns is not None else time.time_ns()
    return {
        "run": row.name,
        "task": row.task,
        "phase": row.phase,
        "live": row.phase not in PHASES_OVER,
        "started_at": row.started_ns // 1_000_000,
        "duration_ms": (ended_ns - row.started_ns) / 1e6,
        "actions": row.action_count,
        "labels": row.labels,
        "notebook": row.notebook,
        "parent_run": row.parent_run,
        "lineage": lineage_of(row),
        "error": error_line(row.error) if row.error is not None else "",
        "cursor": cursor_of(row),
    }

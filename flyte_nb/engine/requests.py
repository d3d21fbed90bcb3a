"""Requests of other processes to the runs of this one, answered by what is then recorded."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from flyte_nb.engine.aborting import abort_action, abort_run
from flyte_nb.engine.identity import ROOT
from flyte_nb.errors import ConditionNotFoundError
from flyte_nb.store.requests import ABORT, SIGNAL, Request, Requests

if TYPE_CHECKING:
    from flyte_nb.engine.session import Session

__all__ = ["RequestDesk"]


class RequestDesk:
    """Takes what others ask of a session; the watcher looks here while runs are live."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._requests = Requests(session.home)

    def look(self) -> None:
        """Takes every new request; a thread carries it out, for it takes a while to end what does not want to end."""
        for request in self._requests.take(self._session.journal.identifier):
            if request.kind == ABORT:
                name = f"flyte-abort-{request.run}"
                threading.Thread(target=self._abort, args=(request,), name=name, daemon=True).start()
            elif request.kind == SIGNAL:
                self._signal(request)

    def _signal(self, request: Request) -> None:
        run = self._session.runs.get(request.run)
        condition = run.conditions.get(request.action) if run is not None else None
        if condition is not None and request.value is not None:
            with suppress(ValueError, ConditionNotFoundError):  # of another type, or answered meanwhile: it stays so
                condition.signal(request.value)

    def _abort(self, request: Request) -> None:
        run = self._session.runs.get(request.run)
        if run is None:
            return
        if request.action == ROOT:
            abort_run(self._session, run, request.reason)
        elif request.action in run.actions:
            abort_action(self._session, run.actions[request.action], request.reason)

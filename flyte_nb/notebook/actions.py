"""What a reader can do to a run in its explorer: abort, rerun, recover, fork, launch (docs/explorer.md).

    page --abort, rerun, recover, plan, fork, launch--> Actions.respond      returns at once
    page --answer-->                                                         the same, of a condition
    page <--outcome------------------------------------ a thread of its own, also while a cell runs
    page --bundle--> Actions.respond                    what its notebook saves, for an output that was left behind

A run that begins so is a further run of the explorer that the reader looks at.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from flyte_nb.engine.identity import ROOT
from flyte_nb.errors import ConditionNotFoundError
from flyte_nb.notebook.channels import Port
from flyte_nb.notebook.explorer import Explorers
from flyte_nb.notebook.forms.forms import Forms
from flyte_nb.notebook.forms.launch import LaunchForm, begun
from flyte_nb.notebook.views.bundle import bundle_of_runs
from flyte_nb.notebook.views.document import Document, sendable
from flyte_nb.remote.backend.client import UNANSWERED
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.repeats.repeating import Asked, ask_fork, ask_recovery, ask_rerun
from flyte_nb.remote.run import Run
from flyte_nb.remote.search import find_task
from flyte_nb.remote.source import source

__all__ = ["Actions"]

logger = logging.getLogger("flyte")

REASON = "stopped in the explorer"


class Actions:
    """Does what pages ask about the runs that they show.

    Args:
        namespace: the notebook's names: tasks as they stand, and what expressions mean.
        explorers: where runs are shown.
        forms: serve the forms that are opened.
    """

    def __init__(self, namespace: Mapping[str, Any], explorers: Explorers, forms: Forms) -> None:
        self._namespace = namespace
        self._explorers = explorers
        self._forms = forms
        self._known: dict[str, Callable[[Run, str], Document]] = {
            "abort": self._abort,
            "rerun": self._rerun,
            "recover": self._recover,
            "plan": self._plan,
            "fork": self._fork,
            "launch": self._launch,
        }

    def respond(self, run: str, message: Document, port: Port) -> None:
        """Does what a page asks and tells it the outcome, or what its notebook saves; other kinds are ignored.

        Args:
            run: the run that the page shows.
            message: what it asks: its `kind`, the `action` meant, and `ask`, which the outcome repeats.
            port: takes the outcome.
        """
        kind = message.get("kind")
        if kind == "form":
            self._forms.receive(message, port)
        elif kind in ("answer", "bundle") or kind in self._known:
            do = self._tell_bundle if kind == "bundle" else self._do
            threading.Thread(target=do, args=(run, message, port), name=f"flyte-{kind}", daemon=True).start()

    def _tell_bundle(self, run: str, message: Document, port: Port) -> None:
        """Sends the display of a run, which a page that was opened later did not hear."""
        explorer = self._explorers.of(run)
        try:
            bundle = explorer.bundle() if explorer else bundle_of_runs(message.get("runs") or [run], run)
        except KeyError:  # the store was cleared meanwhile
            return
        except UNANSWERED as error:  # the output stays as it is, and is asked for when it is drawn again
            logger.debug("run %s is not saved anew: %s", run, error)
            return
        port({"kind": "bundle", "run": run, "data": bundle})

    def _do(self, run: str, message: Document, port: Port) -> None:
        kind = str(message["kind"])
        try:
            known = partial(self._answer, message.get("value", "")) if kind == "answer" else self._known[kind]
            done = known(Run(run), str(message.get("action") or ROOT))
        except (CommandError, TimeoutError, ConditionNotFoundError) as error:
            done = {"refused": str(error)}
        except KeyError as error:
            done = {"refused": str(error.args[0])}
        except (
            Exception
        ) as error:  # recorded code, types and cache policies are the user's; the page shows what they raise
            done = {"refused": f"{type(error).__name__}: {error}"}
        port(sendable({"kind": "outcome", "ask": message.get("ask", ""), "did": kind, "refused": "", **done}))

    def _abort(self, run: Run, action: str) -> Document:
        try:
            source.abort(run.name, REASON, action)
        except ValueError as error:  # its process is on another machine
            raise CommandError(str(error)) from None
        return {"text": "Aborted."}

    def _answer(self, value: Any, run: Run, action: str) -> Document:
        try:
            source.signal(run.name, action, value)
        except ValueError as error:  # of another type, or its process is on another machine
            raise CommandError(str(error)) from None
        return {"text": ""}

    def _rerun(self, run: Run, action: str) -> Document:
        return self._begin(run, ask_rerun(run, action))

    def _recover(self, run: Run, _: str) -> Document:
        return self._begin(run, ask_recovery(run, ()))

    def _fork(self, run: Run, _: str) -> Document:
        return self._begin(run, self._ask_fork(run))

    def _plan(self, run: Run, _: str) -> Document:
        return {"plan": str(self._ask_fork(run).plan())}

    def _launch(self, run: Run, action: str) -> Document:
        recorded = run[action]
        task = find_task(self._namespace, recorded.task_name)
        form = LaunchForm(task, self._namespace, self._explorers, recorded, self._explorers.of(run.name))
        return {"form": self._forms.add(form).document()}

    def _ask_fork(self, run: Run) -> Asked:
        return ask_fork(run, find_task(self._namespace, run.task_name), ())

    def _begin(self, run: Run, asked: Asked) -> Document:
        return begun(self._explorers.begin(self._explorers.of(run.name), asked.begin).name)

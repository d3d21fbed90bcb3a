"""What the engine does for code that runs in a worker: the near side of `flyte_nb.executors.base.Host`.

A worker's calls, traces, output and report arrive as messages; here they meet the same engine as those of kernel code,
so all is recorded in one place and in one way.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec

from flyte_nb.authoring.condition import Question
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.authoring.trace import TraceFunction
from flyte_nb.engine.action import Action, Attempt
from flyte_nb.engine.code.digests import own_digest
from flyte_nb.engine.code.run_code import RecordedCode, recorded_task
from flyte_nb.engine.code.shipment import Shipment
from flyte_nb.engine.code.shipping import Shipper
from flyte_nb.engine.conditions import wait_for_answer
from flyte_nb.engine.state import RunState
from flyte_nb.engine.tracing import begin_step, fail_step
from flyte_nb.executors import displays
from flyte_nb.executors.displays import Display, kept_of
from flyte_nb.executors.frames import DEPLOYED, Code, TaskReference
from flyte_nb.store.values import ValueStore

if TYPE_CHECKING:
    from flyte_nb.engine.controller import LocalController

__all__ = ["AttemptHost"]


def _find_nowhere(run: RunState, name: str, version: str | None) -> TaskTemplate[Any, Any]:
    raise RuntimeError(f"deployed task {name} cannot be found: flyte_nb.remote is not loaded")


find_deployed: Callable[[RunState, str, str | None], TaskTemplate[Any, Any]] = _find_nowhere
"""Finds a deployed task for code of a run; `flyte_nb.remote` sets it, which lies above."""


class AttemptHost:
    """Serves the code of one attempt.

    Args:
        controller: takes its calls.
        attempt: the attempt.
        custom_context: what it was handed down.
        shipper: knows the tasks that its code refers to.
        values: where its worker puts large values.
    """

    def __init__(
        self,
        controller: LocalController,
        attempt: Attempt,
        custom_context: Mapping[str, str],
        shipper: Shipper,
        values: ValueStore,
    ) -> None:
        self._controller = controller
        self._attempt = attempt
        self._custom_context = custom_context
        self._shipper = shipper
        self._values = values
        self._steps: dict[int, Action] = {}

    async def submit(
        self, task: TaskReference, payload: bytes, group: str | None, custom_context: Mapping[str, str]
    ) -> bytes:
        recorded = self._recorded
        if recorded is not None:
            task = TaskReference(recorded.key_in_session(task.key), task.changes)
        template = self._shipper.template(task)
        return await self._controller.submit_encoded(self._attempt, template, payload, group, custom_context)

    async def wait_for_condition(
        self, question: Question, group: str | None, custom_context: Mapping[str, str]
    ) -> bytes:
        return await wait_for_answer(self._attempt, question, group, custom_context, self._values)

    @property
    def _recorded(self) -> RecordedCode | None:
        """The recorded code that its task is part of: what a worker imports of it is not what is imported here."""
        plan = self._attempt.plan
        recorded = recorded_task(plan.template) if plan is not None else None
        return recorded.owner if recorded is not None else None

    def _digest_of_imported(self, place: str) -> str:
        """The digest of a traced function that the worker has imported: `module:name`."""
        recorded = self._recorded
        if recorded is not None and place in recorded.traces:
            return recorded.traces[place]
        module, _, name = place.partition(":")
        try:
            function = attrgetter(name)(import_module(module))
        except (ImportError, AttributeError):
            return place
        return own_digest(function) if isinstance(function, TraceFunction) else place

    def begin_trace(
        self,
        step: int,
        name: str,
        code: str,
        names: Sequence[tuple[str, str]],
        payload: bytes,
        group: str | None,
        replays: bool,
    ) -> bytes | None:
        digest = self._digest_of_imported(code) if ":" in code else code
        action, recorded = begin_step(
            self._attempt, name, digest, names, payload, group, self._custom_context, replays, self._values
        )
        if recorded is None:
            self._steps[step] = action
        return recorded

    async def end_trace(self, step: int, payload: bytes | None, error: BaseException | None) -> None:
        action = self._steps.pop(step)
        run = action.run_state
        position = fail_step(action, error) if error is not None else run.end(action, "succeeded", payload)
        await run.sink.durable(position)

    async def deployed(self, key: str) -> Code:
        name, _, version = key.removeprefix(DEPLOYED).partition("@")
        run = self._attempt.action.run_state
        template = await asyncio.to_thread(find_deployed, run, name, version or None)
        recorded = recorded_task(template)
        version = recorded.owner.version if recorded is not None else ""
        return msgspec.structs.replace(Shipment(self._shipper, template).reference(), version=version)

    def fetch(self, key: str) -> Code:
        owner = self._recorded
        template = self._shipper.template(TaskReference(key if owner is None else owner.key_in_session(key)))
        recorded = recorded_task(template)
        return self._shipper.ship(template) if recorded is None else recorded.code

    def wrote(self, stream: str, text: str) -> None:
        shown = sys.stderr if stream == "stderr" else sys.stdout
        self._attempt.output.write(stream, text, shown.write)

    def displayed(self, bundle: str) -> None:
        shown = Display.from_json(bundle)
        kept = {} if shown.update else kept_of(shown.data)
        if kept:
            self._attempt.output.display(json.dumps(kept))
        if displays.show is not None:
            displays.show(self._masked(shown))

    def _masked(self, shown: Display) -> Display:
        """The display without the values of secrets."""
        masker = self._attempt.action.run_state.masker
        if not masker.active:
            return shown
        data = {kind: masker.mask(part) if isinstance(part, str) else part for kind, part in shown.data.items()}
        return replace(shown, data=data)

    def reported(self, html: str) -> None:
        self._attempt.record_report(html)

    def stored(self, digests: Sequence[str]) -> None:
        self._values.note_stored(digests)

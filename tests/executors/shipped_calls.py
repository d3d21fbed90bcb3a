"""Calls for executors that run code in other processes: shipped, with inputs encoded, and a host that takes notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import flyte_nb as flyte
from flyte_nb.engine.code.shipping import Shipper
from flyte_nb.executors.base import Call, Outcome
from flyte_nb.executors.frames import Code, Facts, TaskReference
from flyte_nb.executors.placement import Placement
from flyte_nb.store.values import ValueStore
from flyte_nb.types.signature import Signature, signature_of
from tests.executors import callees
from tests.executors.contract import scope


@dataclass
class Notes:
    """A host that serves nothing and remembers what it was told."""

    output: list[tuple[str, str]] = field(default_factory=list)
    phases: list[tuple[str, str]] = field(default_factory=list)

    async def submit(
        self, task: TaskReference, payload: bytes, group: str | None, custom_context: Mapping[str, str]
    ) -> bytes:
        raise AssertionError("these functions call no task")

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
        raise AssertionError("these functions trace nothing")

    async def end_trace(self, step: int, payload: bytes | None, error: BaseException | None) -> None:
        raise AssertionError("these functions trace nothing")

    def fetch(self, key: str) -> Code:
        raise AssertionError("these functions refer to no task")

    def wrote(self, stream: str, text: str) -> None:
        self.output.append((stream, text))

    def displayed(self, bundle: str) -> None:
        self.output.append(("display", bundle))

    def reported(self, html: str) -> None:
        self.output.append(("report", html))

    def stored(self, digests: Sequence[str]) -> None:
        return None

    def moved(self, phase: str, where: str) -> None:
        self.phases.append((phase, where))


class ShippedCalls:
    """Calls of the functions of `callees` in another process.

    Args:
        placement: where.
        values: the store through which large values pass.
        folder: for files of the run.
    """

    def __init__(self, placement: Placement, values: ValueStore, folder: Path) -> None:
        self.placement = placement
        self.notes = Notes()
        self._values = values
        self._folder = folder
        self._shipper = Shipper()
        self._env = flyte.TaskEnvironment("shipped")
        self._signature: Signature | None = None

    def call(self, function: str, is_async: bool, inputs: Mapping[str, Any] | None = None, name: str = "") -> Call:
        plain = getattr(
            callees, f"{function}_async" if is_async and hasattr(callees, f"{function}_async") else function
        )
        task = self._env.task(plain)
        self._signature = signature_of(task)
        facts = Facts("run", "a0", 1, str(self._folder), str(self._folder), False, datetime.now(UTC), {})
        return Call(
            plain,
            {},
            is_async,
            scope,
            name or function,
            lambda: None,
            placement=self.placement,
            payload=self._signature.pack_inputs((), inputs or {}, self._values),
            code=self._shipper.ship(task),
            facts=facts,
            host=self.notes,
            moved=self.notes.moved,
        )

    def value(self, outcome: Outcome) -> Any:
        assert self._signature is not None and outcome.payload is not None, outcome
        return self._signature.outputs_as_result(self._signature.decode_outputs(outcome.payload, self._values))

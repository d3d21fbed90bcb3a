"""Steps of traced functions: a trace is an action of its own kind, recorded under the action whose code it is part of.

A step is acknowledged only when its record survives a power cut; steps of the same moment share one fsync.
Arguments and results are encoded by what they are (as `Any`), so that they load without the function.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from flyte_nb.authoring.context import Scope
from flyte_nb.authoring.trace import TraceFunction
from flyte_nb.engine.action import Action, Attempt
from flyte_nb.engine.code.digests import own_digest
from flyte_nb.engine.history import FINISHED
from flyte_nb.engine.identity import action_name, call_position, trace_identity
from flyte_nb.engine.state import RunState
from flyte_nb.engine.tracebacks import describe_error
from flyte_nb.store.values import ValueStore
from flyte_nb.types.base import Blobs
from flyte_nb.types.contents import is_whole
from flyte_nb.types.steps import decode_values, encode_values, named_arguments
from flyte_nb.types.trees import identity_of

__all__ = ["RecordedStep", "begin_step", "begin_trace", "fail_step"]


class RecordedStep:
    """One call of a traced function: see `flyte_nb.authoring.context.TraceStep`."""

    def __init__(self, scope: Scope, action: Action, replayed: bytes | None, blobs: Blobs) -> None:
        self.scope = scope
        self.replayed = replayed is not None
        self.value: Any = decode_values(replayed, blobs)[0] if replayed is not None else None
        self._action = action
        self._blobs = blobs
        self._position = 0

    def succeed(self, value: Any) -> None:
        self._position = self._action.run_state.end(self._action, "succeeded", encode_values([value], self._blobs))

    def fail(self, error: BaseException) -> None:
        self._position = fail_step(self._action, error)

    async def durable(self) -> None:
        await self._action.run_state.sink.durable(self._position)

    def wait_durable(self) -> None:
        self._action.run_state.sink.wait_durable(self._position)


def fail_step(action: Action, error: BaseException) -> int:
    """Records that a step failed; returns the position of the record."""
    if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
        return action.run_state.end(action, "aborted")
    return action.run_state.end(action, "failed", error=describe_error(error))


def begin_trace(
    scope: Scope,
    function: TraceFunction[Any, Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    values: ValueStore,
) -> RecordedStep:
    """Starts one call of a traced function under the attempt whose scope this is."""
    named = named_arguments(function, args, kwargs)
    names = [(key, type(value).__name__) for key, value in named.items()]
    payload = encode_values(named.values(), values)
    context = scope.custom_context
    code = _code_of(function, scope.attempt.action.run_state)
    action, replayed = begin_step(
        scope.attempt, function.name, code, names, payload, scope.group, context, scope.attempt.replays, values
    )
    return RecordedStep(scope.derive(trace=function.name), action, replayed, values)


def _code_of(function: TraceFunction[Any, Any], run: RunState) -> str:
    """The own digest of a traced function as it was when the run first called it."""
    code = run.trace_codes.get(function)
    if code is None:
        code = run.trace_codes[function] = own_digest(function)
    return code


def begin_step(
    attempt: Attempt,
    function: str,
    code: str,
    names: Sequence[tuple[str, str]],
    payload: bytes,
    group: str | None,
    custom_context: Mapping[str, str],
    replays: bool,
    values: ValueStore,
) -> tuple[Action, bytes | None]:
    """Records that a step begins.

    A step that is on record, of an earlier attempt or of the run that this one recovers, is not taken again unless the
    task failed by its own fault.

    Args:
        attempt: whose code called the traced function.
        function: the function's name.
        code: the own digest of its code.
        names: (name, type as text) of its arguments.
        payload: its arguments, encoded.
        group: the innermost group.
        custom_context: what is handed down.
        replays: a recorded result stands.
        values: where large values are.

    Returns:
        Its action, and the recorded result of one that is not to be taken.
    """
    parent = attempt.action
    run = parent.run_state
    inputs = identity_of(payload)
    call = (function, inputs, group)
    sequence = attempt.calls.get(call, 0)
    attempt.calls[call] = sequence + 1
    position = call_position(parent.position, function, group, sequence, inputs)
    name = action_name(position, trace_identity(code))
    known = run.actions.get(name)
    now = time.time_ns()
    if known is not None:
        if replays and known.phase in FINISHED and is_whole(known.outputs or b"", values.renew, values):
            return known, known.outputs
        run.restart(known)
        run.start(known, now, parent.where, announce=True)
        return known, None
    action = Action(run, parent, "trace", function, -1, group, name, position, payload, now)
    action.trace_inputs = list(names)
    recorded = run.history.find_trace(name) if run.history is not None and replays else None
    if recorded is not None and is_whole(recorded.outputs, values.renew, values):
        run.add_recovered(action, sequence, custom_context, recorded.outputs, recorded.source)
        return action, recorded.outputs
    run.add(action, sequence, custom_context)
    run.start(action, now, parent.where, announce=False)
    return action, None

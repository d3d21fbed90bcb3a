"""What every executor promises: `ExecutorContract` to its caller, `UserCodeContract` to the code that it runs.

A test of an executor inherits the contracts that apply to it and gives the fixtures `executor`, and `calls` where code
and values must be made ready for another process. Tasks are called by the names of their functions, so that an executor
that runs no code can be told what they come to.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from threading import Event
from typing import Any, Protocol, cast

import pytest

from flyte_nb.authoring.context import Controller, Scope, current_scope
from flyte_nb.executors.base import Call, Executor, Outcome
from tests.executors import callees
from tests.executors.callees import doubles, raises

__all__ = ["BOTH", "Calls", "ExecutorContract", "LocalCalls", "UserCodeContract", "call", "doubles", "scope", "waiting"]

BOTH = pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])

caller_says: ContextVar[str] = ContextVar("caller_says", default="nothing")
scope = Scope(cast(Controller, None), None)


def call(function: Callable[..., Any], is_async: bool, inputs: Mapping[str, Any] | None = None, name: str = "") -> Call:
    """A call of a function that may be sync for both: an async task awaits nothing then."""

    async def awaited(**inputs: Any) -> Any:
        return function(**inputs)

    return Call(
        awaited if is_async else function, inputs or {}, is_async, scope, name or function.__name__, _no_children
    )


class Calls(Protocol):
    """Makes calls of the functions of `callees`, and reads what they come to, as the place where they run has it."""

    def call(self, function: str, is_async: bool, inputs: Mapping[str, Any] | None = None, name: str = "") -> Call:
        """A call of a function by its name there; of its async form, if that is asked for."""

    def value(self, outcome: Outcome) -> Any:
        """What the function returned."""


class LocalCalls:
    """Calls of functions that run in this process."""

    def call(self, function: str, is_async: bool, inputs: Mapping[str, Any] | None = None, name: str = "") -> Call:
        return call(getattr(callees, function), is_async, inputs, name)

    def value(self, outcome: Outcome) -> Any:
        return outcome.value


class Waiting:
    """Functions that are inside until they are released or ended."""

    def __init__(self) -> None:
        self.started, self.released, self.ended = Event(), Event(), Event()

    async def awaits(self) -> int:
        self.started.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()
        return 1

    def spins(self) -> int:
        self.started.set()
        try:
            while not self.released.is_set():
                time.sleep(0.001)
        finally:
            self.ended.set()
        return 1

    def waits_in_c(self) -> int:
        self.started.set()
        try:
            self.released.wait()
        finally:
            self.ended.set()
        return 1


@pytest.fixture
def waiting() -> Any:
    waiting = Waiting()
    yield waiting
    waiting.released.set()


@asynccontextmanager
async def executing(executor: Executor, started: Event, waiting_call: Call) -> AsyncIterator[asyncio.Task[Outcome]]:
    """The call, once its code is inside."""
    task = asyncio.create_task(executor.execute(waiting_call))
    await asyncio.to_thread(started.wait)
    yield task


class ExecutorContract:
    """Outcomes, whichever the place."""

    @pytest.fixture
    def calls(self) -> Calls:
        return LocalCalls()

    async def test_it_has_a_name_to_show(self, executor: Executor) -> None:
        assert executor.name

    @BOTH
    async def test_a_value_is_the_outcome(self, executor: Executor, calls: Calls, is_async: bool) -> None:
        outcome = await executor.execute(calls.call("doubles", is_async, {"x": 21}))
        assert outcome.error is None
        assert calls.value(outcome) == 42

    @BOTH
    async def test_an_error_of_the_code_is_an_outcome_and_the_original(
        self, executor: Executor, calls: Calls, is_async: bool
    ) -> None:
        outcome = await executor.execute(calls.call("raises", is_async))
        assert isinstance(outcome.error, ValueError)
        assert outcome.error.args == ("unlucky",)

    @BOTH
    async def test_code_that_exits_ends_neither_the_loop_nor_the_process(
        self, executor: Executor, calls: Calls, is_async: bool
    ) -> None:
        outcome = await executor.execute(calls.call("exits", is_async))
        assert isinstance(outcome.error, SystemExit)
        assert outcome.error.code == 3

    @BOTH
    async def test_calls_run_at_the_same_time(self, executor: Executor, calls: Calls, is_async: bool) -> None:
        made = [calls.call("doubles", is_async, {"x": x}, name="doubles_at_once") for x in range(8)]
        outcomes = await asyncio.gather(*[executor.execute(one) for one in made])
        assert sorted(calls.value(outcome) for outcome in outcomes) == [0, 2, 4, 6, 8, 10, 12, 14]


class UserCodeContract:
    """What code sees that an executor of this process runs, and how it ends."""

    @BOTH
    async def test_the_scope_is_the_current_one_inside_and_only_there(self, executor: Executor, is_async: bool) -> None:
        outcome = await executor.execute(call(current_scope.get, is_async, name="sees"))
        assert outcome.value is scope
        assert current_scope.get() is None

    @BOTH
    async def test_context_variables_of_the_caller_are_visible(self, executor: Executor, is_async: bool) -> None:
        caller_says.set("hello")
        outcome = await executor.execute(call(caller_says.get, is_async, name="hears"))
        assert outcome.value == "hello"

    async def test_a_sync_task_changes_no_context_variable_of_its_caller(self, executor: Executor) -> None:
        await executor.execute(call(lambda: caller_says.set("changed"), is_async=False))
        assert caller_says.get() == "nothing"

    async def test_an_error_keeps_its_traceback(self, executor: Executor) -> None:
        outcome = await executor.execute(call(raises, is_async=False))
        assert outcome.error is not None
        traceback = outcome.error.__traceback__
        while traceback is not None and traceback.tb_next is not None:
            traceback = traceback.tb_next
        assert traceback is not None
        assert traceback.tb_frame.f_code is raises.__code__

    @BOTH
    async def test_cancellation_ends_the_code(self, executor: Executor, waiting: Waiting, is_async: bool) -> None:
        function = waiting.awaits if is_async else waiting.spins
        waiting_call = Call(function, {}, is_async, scope, "waits", _no_children)
        async with executing(executor, waiting.started, waiting_call) as task:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert waiting.ended.is_set()

    async def test_cancelling_a_sync_call_cancels_its_children(self, executor: Executor, waiting: Waiting) -> None:
        waiting_call = Call(waiting.waits_in_c, {}, False, scope, "waits", waiting.released.set)
        async with executing(executor, waiting.started, waiting_call) as task:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert waiting.ended.wait(60)

    async def test_a_thread_in_c_code_is_left_behind_with_a_note(self, executor: Executor, waiting: Waiting) -> None:
        waiting_call = Call(waiting.waits_in_c, {}, False, scope, "waits", _no_children)
        async with executing(executor, waiting.started, waiting_call) as task:
            task.cancel()
            with pytest.raises(asyncio.CancelledError, match="still runs") as cancelled:
                await task
        assert "dropped" in str(cancelled.value)
        assert not waiting.ended.is_set()

    async def test_a_late_result_is_dropped(self, executor: Executor, waiting: Waiting) -> None:
        said: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: said.append(context))
        waiting_call = Call(waiting.waits_in_c, {}, False, scope, "waits", _no_children)
        async with executing(executor, waiting.started, waiting_call) as task:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        waiting.released.set()
        assert await asyncio.to_thread(waiting.ended.wait, 60)
        assert (await executor.execute(call(doubles, False, {"x": 1}))).value == 2
        assert not said


def _no_children() -> None:
    """These calls have made none."""

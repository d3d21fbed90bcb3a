"""The kernel executor."""

from __future__ import annotations

import asyncio
import threading

import pytest

from flyte_nb.executors.inline import InlineExecutor
from flyte_nb.executors.threads import Aborted
from tests.executors.contract import ExecutorContract, UserCodeContract, call, waiting

__all__ = ["waiting"]


class TestInlineExecutor(ExecutorContract, UserCodeContract):
    @pytest.fixture
    def executor(self) -> InlineExecutor:
        return InlineExecutor()

    async def test_async_code_runs_on_the_callers_loop_and_sync_code_in_a_thread_named_after_its_task(
        self, executor: InlineExecutor
    ) -> None:
        here = threading.current_thread()
        assert (await executor.execute(call(threading.current_thread, True))).value is here
        name = await executor.execute(call(lambda: threading.current_thread().name, False, name="env.task"))
        assert name.value == "flyte-task env.task"

    @pytest.mark.parametrize("is_async", [True, False])
    async def test_code_that_was_ended_by_force_is_a_cancellation(
        self, executor: InlineExecutor, is_async: bool
    ) -> None:
        def ended() -> None:
            raise Aborted

        with pytest.raises(asyncio.CancelledError):
            await executor.execute(call(ended, is_async))

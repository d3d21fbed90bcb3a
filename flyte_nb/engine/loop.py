"""The engine loop: one daemon thread that owns one asyncio event loop.

User code may block it. Whoever notices (the watcher, an abort) can ask which code it is, end it if it is Python,
and put a fresh loop in its place if it is not.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from flyte_nb.engine.tracebacks import place_of
from flyte_nb.executors.base import Call
from flyte_nb.executors.inline import InlineExecutor
from flyte_nb.executors.threads import Aborted, raise_in_thread
from flyte_nb.executors.user_code import is_in_user_code, is_users_file

__all__ = ["EngineLoop"]

T = TypeVar("T")
STOP_SECONDS = 2.0
LAST_SECONDS = 1.0
"""How long cancelled code may take to end before the loop ends without it."""
TASK_ENTRY = InlineExecutor.execute.__code__


class EngineLoop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._answered_ns = time.monotonic_ns()
        self._asked_ns = self._answered_ns
        self._stopping: asyncio.Task[None] | None = None
        started = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(started,), name="flyte-engine", daemon=True)
        self.thread.start()
        started.wait()

    def start(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Runs a coroutine on the loop, in a copy of the caller's context; callable from any thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def is_current(self) -> bool:
        """Whether the caller runs on this loop's thread."""
        return threading.get_ident() == self.thread.ident

    def blocked_seconds(self) -> float:
        """How long the loop has not answered; asks anew at each call, so call it again and again. From any thread."""
        now = time.monotonic_ns()
        if self._asked_ns > self._answered_ns:
            return (now - self._asked_ns) / 1e9
        self._asked_ns = now
        self.loop.call_soon_threadsafe(self._answer)
        return 0.0

    def user_call(self) -> Call | None:
        """The call whose code the loop is in now, or None when it is in none."""
        frame = sys._current_frames().get(self.thread.ident or 0)
        while frame is not None and frame.f_code is not TASK_ENTRY:
            frame = frame.f_back
        return frame.f_locals.get("call") if frame is not None else None

    def user_place(self) -> str:
        """Cell and line of the innermost code of the user's own that the loop is in now."""
        frame = sys._current_frames().get(self.thread.ident or 0)
        while frame is not None and not is_users_file(frame.f_code.co_filename):
            frame = frame.f_back
        return place_of(frame.f_code.co_filename, frame.f_lineno) if frame is not None else ""

    def interrupt(self) -> bool:
        """Raises `Aborted` in the user code that the loop is in; returns whether it was in any."""
        thread_id = self.thread.ident
        if thread_id is None or self.user_call() is None or not is_in_user_code(thread_id):
            return False
        raise_in_thread(thread_id, Aborted)
        return True

    def abandon(self) -> None:
        """Ends the loop and its thread as soon as the code that blocks it gives way; tasks are cancelled first."""
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self._cancel_all)

    def stop(self) -> None:
        """Ends the loop and waits for its thread, if it is not stuck."""
        self.abandon()
        if not self.is_current():
            self.thread.join(timeout=STOP_SECONDS)

    def _answer(self) -> None:
        self._answered_ns = time.monotonic_ns()

    def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self._stopping = self.loop.create_task(self._stop_after(tasks))

    async def _stop_after(self, tasks: set[asyncio.Task[Any]]) -> None:
        """Ends the loop when everything in it has ended, or will not."""
        if tasks:
            await asyncio.wait(tasks, timeout=LAST_SECONDS)
        self.loop.stop()

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.call_soon(started.set)
        while True:
            try:
                self.loop.run_forever()
            except Aborted:  # it arrived when the code that it was meant for had just given way
                continue
            break
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()

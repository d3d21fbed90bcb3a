"""Threads for sync tasks: as many at work as allowed, and more while some of them wait for others.

A sync task that calls another blocks its thread until the child is done. Such a thread gives its place back
(`blocked`), so that no depth of nesting can use the places up; when the child is done it goes on ahead of calls
that have not started.
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context
from typing import Any

from flyte_nb.executors.user_code import is_in_user_code

__all__ = ["Aborted", "Job", "TaskThreads", "raise_in_thread"]

IDLE_SECONDS = 10.0


class Aborted(BaseException):
    """Raised inside user code to end it; a BaseException, so that `except Exception` does not swallow it."""


def raise_in_thread(thread_id: int, exception: type[BaseException] | None) -> None:
    """Raises an exception in another thread at its next Python instruction; None takes back one not yet delivered."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread_id), ctypes.py_object(exception) if exception is not None else None
    )


class Job:
    """One function running, or waiting to run, in a thread."""

    def __init__(self, function: Callable[[], Any], context: Context, name: str) -> None:
        self.function = function
        self.context = context
        self.name = name
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self._lock = threading.Lock()
        self._thread_id: int | None = None
        self._cancelled = False

    def run(self) -> None:
        """Runs in the pool's thread; the result reaches the loop unless nobody waits any more."""
        with self._lock:
            if self._cancelled:
                return
            self._thread_id = threading.get_ident()
        value, error = None, None
        try:
            try:
                value = self.context.run(self.function)
            finally:
                self._leave()
        except BaseException as raised:  # whatever user code raises belongs to its action, SystemExit included
            error = raised
        with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits for the result
            self.loop.call_soon_threadsafe(self._deliver, value, error)

    def abort(self) -> None:
        """Keeps a waiting job from starting and raises `Aborted` in a running one.

        Nothing is raised while the thread is in the engine's own code; call again until the job is over.
        """
        with self._lock:
            self._cancelled = True
            if self._thread_id is not None and is_in_user_code(self._thread_id):
                raise_in_thread(self._thread_id, Aborted)

    def _leave(self) -> None:
        with self._lock:
            if self._thread_id is not None and self._cancelled:
                raise_in_thread(self._thread_id, None)
            self._thread_id = None

    def _deliver(self, value: Any, error: BaseException | None) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result((value, None))
        else:
            self.future.set_result((None, error))


class TaskThreads:
    """A pool of daemon threads with a bound on those at work.

    Args:
        at_work: how many jobs may run at once; threads that wait for a child task do not count.
    """

    def __init__(self, at_work: int) -> None:
        self.at_work = at_work
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._queue: deque[Job] = deque()
        self._working = 0
        self._idle = 0
        self._waiting: dict[int, int] = {}
        """By thread of this pool: how many actions it waits for."""
        self._jobs: dict[int, Job | None] = {}

    def jobs(self) -> dict[int, Job | None]:
        """What each thread runs, by the system's number of the thread; None where it is idle. From any thread."""
        with self._lock:
            return dict(self._jobs)

    def start(self, job: Job) -> None:
        """Runs the job as soon as there is a place."""
        with self._lock:
            self._queue.append(job)
            self._dispatch()

    @contextmanager
    def blocked(self) -> Iterator[None]:
        """The calling thread waits for another action: its place, if it has one, is free meanwhile.

        A thread may wait for several at once (`asyncio.gather` in a sync task); it has one place to give.
        """
        thread_id = threading.get_ident()
        with self._lock:
            waiting = self._waiting.get(thread_id)
            if waiting == 0:
                self._working -= 1
                self._dispatch()
            if waiting is not None:
                self._waiting[thread_id] = waiting + 1
        try:
            yield
        finally:
            with self._lock:
                if waiting is not None:
                    self._waiting[thread_id] -= 1
                    if self._waiting[thread_id] == 0:
                        self._working += 1

    def _dispatch(self) -> None:
        """Wakes or makes threads for queued jobs that have a place. Called with the lock held."""
        free = self.at_work - self._working
        for _ in range(min(free, len(self._queue)) - self._idle):
            self._idle += 1
            threading.Thread(target=self._work, name="flyte-task", daemon=True).start()
        self._wake.notify(len(self._queue))

    def _work(self) -> None:
        thread_id, native_id = threading.get_ident(), threading.get_native_id()
        self._waiting[thread_id] = 0
        while True:
            with self._lock:
                while not self._queue or self._working >= self.at_work:
                    if not self._wake.wait(IDLE_SECONDS) and not self._queue:
                        self._idle -= 1
                        del self._waiting[thread_id]
                        self._jobs.pop(native_id, None)
                        return
                job = self._queue.popleft()
                self._idle -= 1
                self._working += 1
                self._jobs[native_id] = job
            threading.current_thread().name = f"flyte-task {job.name}"
            try:
                job.run()
            except Aborted:  # arrived between the end of the job and the end of its bookkeeping
                pass
            finally:
                threading.current_thread().name = "flyte-task"
                with self._lock:
                    self._jobs[native_id] = None
                    self._working -= 1
                    self._idle += 1
                    self._wake.notify()

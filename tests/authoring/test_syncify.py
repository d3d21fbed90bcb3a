"""Both ways to call an async function."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sys
import threading
from collections.abc import AsyncIterator, Coroutine
from contextvars import ContextVar
from typing import Any

import cloudpickle
import pytest

from flyte_nb.syncify import Syncify, syncify

word: ContextVar[str] = ContextVar("word", default="unset")
closed: list[str] = []


@syncify
async def add(a: int, b: int = 1) -> int:
    """Adds."""
    await asyncio.sleep(0)
    return a + b


@syncify
async def thread_and_word() -> tuple[str, str]:
    return threading.current_thread().name, word.get()


@syncify
async def count(n: int) -> AsyncIterator[str]:
    token = word.set("inside")
    try:
        for i in range(n):
            yield f"{i} {word.get()}"
    finally:
        word.reset(token)  # only works in the context of the first step
        closed.append("count")


class Box:
    @syncify
    async def method(self, x: int) -> tuple[type, int]:
        return type(self), x

    @syncify
    @classmethod
    async def of_class(cls, x: int) -> tuple[type, int]:
        return cls, x

    @syncify
    @staticmethod
    async def static(x: int) -> int:
        return x

    @syncify
    async def items(self) -> AsyncIterator[int]:
        yield 1


def test_a_call_blocks_and_aio_is_awaited() -> None:
    assert add(1) == 2
    assert asyncio.run(add.aio(1, b=2)) == 3
    assert (add.__name__, add.__doc__) == ("add", "Adds.")


def test_it_runs_on_one_thread_and_sees_the_callers_context_variables() -> None:
    token = word.set("of the caller")
    assert thread_and_word() == ("flyte_syncify", "of the caller")
    word.reset(token)


def test_aio_runs_on_the_callers_loop() -> None:
    assert asyncio.run(thread_and_word.aio())[0] == threading.current_thread().name


def test_a_blocking_call_works_while_a_loop_runs() -> None:
    async def cell() -> int:
        return add(1)

    assert asyncio.run(cell()) == 2


def test_an_async_generator_becomes_an_iterator_whose_steps_share_a_context() -> None:
    assert list(count(2)) == ["0 inside", "1 inside"]

    async def collect() -> list[str]:
        return [item async for item in count.aio(2)]

    assert asyncio.run(collect()) == ["0 inside", "1 inside"]


def test_leaving_an_iterator_early_closes_the_generator() -> None:
    closed.clear()
    for _ in count(5):
        break
    assert closed == ["count"]


def test_methods_class_methods_and_static_methods() -> None:
    box = Box()
    assert box.method(1) == (Box, 1)
    assert Box.of_class(2) == box.of_class(2) == (Box, 2)
    assert Box.static(3) == box.static(3) == 3
    assert list(box.items()) == [1]
    assert asyncio.run(box.method.aio(1)) == (Box, 1)
    assert asyncio.run(Box.of_class.aio(2)) == (Box, 2)
    assert asyncio.run(Box.static.aio(3)) == 3


def test_errors_are_raised_as_they_are() -> None:
    @syncify
    async def fail() -> None:
        raise KeyError("k")

    with pytest.raises(KeyError, match="k"):
        fail()


@pytest.mark.parametrize("blocking", [lambda: add(1), lambda: list(count(1))])
def test_a_blocking_call_on_the_background_thread_is_refused(blocking: Any) -> None:
    @syncify
    async def nested() -> None:
        blocking()

    with pytest.raises(AssertionError, match="Deadlock detected: blocking call used in syncify thread flyte_syncify"):
        nested()


def test_an_interrupted_wait_ends_what_it_waited_for() -> None:
    ended = threading.Event()
    main = threading.get_ident()

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    def is_waiting() -> bool:
        frame = sys._current_frames()[main]
        return frame.f_code.co_filename.endswith("threading.py")

    @syncify
    async def wait_for_ever() -> None:
        while not is_waiting():  # noqa: ASYNC110 - nobody sets an event when another thread begins to wait
            await asyncio.sleep(0)
        signal.pthread_kill(main, signal.SIGUSR1)
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            wait_for_ever()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert ended.wait(60)


@pytest.mark.parametrize("func", [lambda: 1, 3])
def test_only_async_functions_can_be_syncified(func: Any) -> None:
    with pytest.raises(TypeError, match="Syncify can only be applied to async functions"):
        syncify(func)


def test_a_function_of_a_module_is_pickled_by_name() -> None:
    assert pickle.loads(pickle.dumps(add)) is add


def test_a_function_of_a_cell_is_pickled_by_value() -> None:
    @syncify
    async def local() -> int:
        return 4

    assert cloudpickle.loads(cloudpickle.dumps(local))() == 4


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_gets_a_thread_of_its_own() -> None:
    assert add(1) == 2
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(write, str(add(2)).encode())
        os._exit(0)
    os.close(write)
    assert os.read(read, 10) == b"3"
    os.close(read)
    os.waitpid(pid, 0)


def test_a_syncify_of_ones_own_has_a_thread_of_its_own() -> None:
    mine = Syncify("mine")

    @mine
    async def name() -> str:
        return threading.current_thread().name + str(thread_and_word()[0])

    assert name() == "mineflyte_syncify"


def coroutine_type(coroutine: Coroutine[Any, Any, int]) -> int:
    """mypy: the types of both ways are the function's."""
    coroutine.close()
    return add(1)


def test_types() -> None:
    assert coroutine_type(add.aio(1)) == 2

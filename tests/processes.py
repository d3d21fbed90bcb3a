"""What tests that start processes share: waiting for what these do, and seeing that none is left."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

T = TypeVar("T")
ENDING_SECONDS = 20.0
WAITING_SECONDS = 100.0


@contextmanager
def one_session(home: Path) -> Iterator[None]:
    """Everything inside uses this home and one session, which is ended then; no process of it may live on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLYTE_NB_HOME", str(home))
        yield
        if (engine := sys.modules.get("flyte_nb.engine.session")) is not None:
            engine.end_session()
        _, alive = psutil.wait_procs(processes_of(home), timeout=ENDING_SECONDS)
        for process in alive:
            process.kill()
        assert not alive, f"left behind: {alive}"


@pytest.fixture(autouse=True, scope="module")
def flyte_nb_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One session for all tests of a file that imports this: what is warm stays so from test to test."""
    home = tmp_path_factory.mktemp("home")
    with one_session(home):
        yield home


def processes_of(home: Path) -> list[psutil.Process]:
    """The processes that were started with this home in their environment, whose-ever children; without zombies."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("FLYTE_NB_HOME") == str(home) and is_alive(process.pid):
                found.append(process)
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def until(condition: Callable[[], T]) -> T:
    """Waits for a condition; returns what it was then.

    The bound is its own: the alarm of a test's timeout is lost when it rings in a callback of the garbage collector
    (hypothesis has one), so it would never end a condition that collects. It times nothing: what takes milliseconds is
    given up after WAITING_SECONDS, where the test would hang for ever.
    """
    end = time.monotonic() + WAITING_SECONDS
    while not (found := condition()):
        assert time.monotonic() < end, f"not so within {WAITING_SECONDS:.0f} s: {found!r}"
        time.sleep(0.005)
    return found


async def until_aio(condition: Callable[[], T]) -> T:
    """`until`, while the loop goes on."""
    async with asyncio.timeout(WAITING_SECONDS):
        while not (found := condition()):  # noqa: ASYNC110  # others make it true, and tell of no event
            await asyncio.sleep(0.005)
    return found

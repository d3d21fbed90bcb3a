"""What every test shares: a store of its own, fixed seeds, an end in any case, and no process left behind.

Property tests run few examples from a fixed seed; `make fuzz` runs many, from fresh ones.
"""

from __future__ import annotations

import faulthandler
import signal
import sys
from collections.abc import Generator, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, settings

from tests.processes import one_session

settings.register_profile("fast", max_examples=50, derandomize=True, deadline=None, database=None)
settings.register_profile(
    "fuzz", max_examples=5_000, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("fast")

_numbers = count()
_timeouts = pytest.StashKey[Any]()
ENDING_SECONDS = 60


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(autouse=True)
def flyte_nb_home(_homes: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The store's folder of this test, not yet created: no test records anything in the checkout."""
    home = _homes / str(next(_numbers))
    monkeypatch.setenv("FLYTE_NB_HOME", str(home))
    yield home
    if (engine := sys.modules.get("flyte_nb.engine.session")) is not None:
        engine.end_session()


@pytest.fixture
def no_process_left(flyte_nb_home: Path) -> Iterator[None]:
    """Ends the session after the test, and fails it when a process that it started lives on."""
    with one_session(flyte_nb_home):
        yield


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> Generator[None, bool, bool]:
    """Lets the alarm of a test's timeout ring again: one is lost in a callback of the collector or of a loop."""
    answer = yield
    item.stash[_timeouts] = settings
    if signal.getitimer(signal.ITIMER_REAL) != (0.0, 0.0):
        signal.setitimer(signal.ITIMER_REAL, settings.timeout, settings.timeout)
    return answer


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Bounds the end of a test too: once a test has failed, pytest-timeout watches over it no more."""
    if item.stash.get(_timeouts, None) is not None and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0):
        item.config.hook.pytest_timeout_set_timer(item=item, settings=item.stash[_timeouts])
    return (yield)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails the session when a process that a test started outlives it."""
    children = [child for child in psutil.Process().children(recursive=True) if not _is_resource_tracker(child)]
    _, alive = psutil.wait_procs(children, timeout=20)
    if alive:
        for child in alive:
            with suppress(psutil.NoSuchProcess):
                print(f"\nleft behind: process {child.pid}: {' '.join(child.cmdline())}")
                child.kill()  # it may hold the output open, for whose end `make` waits
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _is_resource_tracker(process: psutil.Process) -> bool:
    """multiprocessing keeps one to the end of the interpreter."""
    try:
        return "resource_tracker" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return True


def pytest_unconfigure() -> None:
    """Ends an interpreter that does not end by itself, and says which of its threads go on."""
    faulthandler.dump_traceback_later(ENDING_SECONDS, exit=True)

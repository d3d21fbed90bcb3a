"""A backend that dies while its runs are shown, or is away when they are asked for: the pages say so and go on with it.

The runs live in the process of the tests; the backend is a server of their store, killed and started again.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psutil
import pytest

import flyte_nb as flyte
from tests.notebook.conftest import CELL_SECONDS, Kernel, running_kernel
from tests.processes import one_session, until
from tests.server.wire import served

env = flyte.TaskEnvironment("shop")


@env.task
async def sold(item: int) -> int:
    print(f"sold {item}")
    return 10 * item


@env.task
async def day(gate: str) -> int:
    """Sells one thing, and another when a file stands there."""
    first = await sold(1)
    while not Path(gate).exists():  # noqa: ASYNC110, ASYNC240  # the test opens it
        await asyncio.sleep(0.02)
    return first + await sold(2)


class Backend:
    """A server of a store, on one port: it can be killed and started again."""

    def __init__(self, home: Path) -> None:
        self._home = home
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._served: AbstractContextManager[str] | None = None

    def start(self) -> str:
        self._served = served(self._home, "--port", str(self._port))
        return self._served.__enter__()

    def kill(self) -> None:
        """As a machine that loses its power."""
        children = psutil.Process().children()
        (server,) = [one for one in children if {"serve", str(self._port)} <= set(one.cmdline())]
        server.send_signal(signal.SIGKILL)
        self.stop()

    def stop(self) -> None:
        if self._served is not None:
            self._served.__exit__(None, None, None)
            self._served = None


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gates") / "gate"


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory, gate: Path) -> Iterator[Backend]:
    home = tmp_path_factory.mktemp("other") / ".flyte_nb"
    with one_session(home):
        flyte.with_runcontext(name="over").run(sold, item=3)
        flyte.with_runcontext(name="long").start(day, gate=str(gate))
        backend = Backend(home)
        yield backend
        gate.touch()
        backend.stop()


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory, backend: Backend) -> Iterator[Kernel]:
    folder = tmp_path_factory.mktemp("kernel")
    with running_kernel(folder, folder / "home") as started:
        options = "insecure=True, rpc_retries=0, project='p', domain='d'"
        started.ok(f"flyte.init(endpoint={backend.start()!r}, {options})")
        yield started


def opened(kernel: Kernel, run: str) -> str:
    """The comm of a page that shows a run, which has greeted the kernel."""
    kernel.send_comm("comm_open", f"page of {run}", {"run": run})
    kernel.send_comm("comm_msg", f"page of {run}", {"kind": "hello", "run": run})
    return f"page of {run}"


def told(kernel: Kernel, *kinds: str) -> Iterator[dict[str, Any]]:
    """What pages are told, messages of these kinds."""
    while True:
        data = kernel.client.get_iopub_msg(timeout=CELL_SECONDS)["content"].get("data", {})
        if data.get("kind") in kinds:
            yield data


def head(kernel: Kernel, is_it: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The next head of a run that fits."""
    heads = (message.get("head") or message["doc"] for message in told(kernel, "snapshot", "delta"))
    return next(filter(is_it, heads))


def lost(head: dict[str, Any]) -> bool:
    return "Not followed at present" in head["note"]


def sdk_processes(kernel: Kernel) -> list[psutil.Process]:
    children = psutil.Process(kernel.manager.provisioner.pid).children()
    running = [one for one in children if one.status() != psutil.STATUS_ZOMBIE]
    return [one for one in running if "flyte_nb.remote.backend.sdk.main" in one.cmdline()]


def test_a_page_says_that_the_backend_died_and_goes_on_when_it_is_back(
    kernel: Kernel, backend: Backend, gate: Path
) -> None:
    page = opened(kernel, "long")
    while len(names := kernel.wait_for_comm("snapshot")["doc"]["actions"]["name"]) < 2:
        kernel.send_comm("comm_msg", page, {"kind": "hello"})
    (process,) = sdk_processes(kernel)
    process.kill()  # another one goes on
    until(lambda: [one for one in sdk_processes(kernel) if one != process])

    backend.kill()
    assert "does not answer" in head(kernel, lost)["note"]
    kernel.send_comm("comm_msg", page, {"kind": "detail", "action": names[1]})
    unanswered = next(told(kernel, "unanswered"))
    assert (unanswered["asked"], unanswered["action"], unanswered["again"]) == ("detail", names[1], True)
    assert "Check the address and that the backend runs" in unanswered["why"]
    opened(kernel, "over")
    assert next(told(kernel, "unanswered"))["asked"] == "hello"

    backend.start()
    head(kernel, lambda head: not lost(head))
    opened(kernel, "over")
    head(kernel, lambda head: head["phase"] == "succeeded")
    kernel.send_comm("comm_msg", page, {"kind": "detail", "action": names[1]})
    assert kernel.wait_for_comm("detail")["detail"]["inputs"][0]["preview"]["text"] == "1"
    gate.touch()
    assert head(kernel, lambda head: head["phase"] == "succeeded")["total"] == 3

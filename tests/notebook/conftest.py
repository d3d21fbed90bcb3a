"""A real kernel for tests: one per module, with a store of its own."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

MIME = "application/vnd.flyte.run+json"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
ANSI = re.compile(r"\x1b\[[0-9;]*m")
PROJECT = Path(__file__).resolve().parents[2]
CELL_SECONDS = 60

TASKS = """
import asyncio, threading, time
import flyte_nb as flyte
env = flyte.TaskEnvironment("quick")

@env.task
async def fit(x: int) -> int:
    print("fit", x)
    if x == 2:
        raise ValueError("unlucky")
    return x * x

@env.task
async def main(n: int = 3) -> list[int]:
    found = await asyncio.gather(*[fit(at) for at in range(n)], return_exceptions=True)
    return [one for one in found if isinstance(one, int)]

@env.task
async def wait(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds
"""


@dataclass
class Outputs:
    """What one cell put out, message by message."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)
    """What the pager shows, as of `name?`."""

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        return [message["content"] for message in self.messages if message["msg_type"] in kinds]

    def text(self, name: str) -> str:
        return "".join(content["text"] for content in self.of("stream") if content["name"] == name)

    @property
    def stdout(self) -> str:
        return self.text("stdout")

    @property
    def stderr(self) -> str:
        return self.text("stderr")

    @property
    def displays(self) -> list[dict[str, Any]]:
        """The runs displayed: the first time each."""
        return [content for content in self.of("display_data") if MIME in content["data"]]

    @property
    def renewals(self) -> list[dict[str, Any]]:
        return self.of("update_display_data")

    @property
    def shown(self) -> dict[str, Any]:
        """The bundle that the saved notebook keeps of the explorer."""
        return (self.displays + self.renewals)[-1]["data"]

    @property
    def result(self) -> dict[str, Any]:
        return self.of("execute_result")[-1]["data"]

    @property
    def traceback(self) -> str:
        return ANSI.sub("", "\n".join(self.of("error")[-1]["traceback"]))


class Kernel:
    def __init__(self, manager: Any, client: Any) -> None:
        self.manager = manager
        self.client = client

    def run(
        self,
        code: str,
        on_message: Callable[[dict[str, Any]], None] | None = None,
        answers: Sequence[str] = (),
    ) -> Outputs:
        """Executes a cell; `on_message` sees each output as it arrives, `answers` are typed where it asks."""
        outputs = Outputs()
        typed = iter(answers)

        def hook(message: dict[str, Any]) -> None:
            outputs.messages.append(message)
            if on_message is not None:
                on_message(message)

        reply = self.client.execute_interactive(
            code,
            output_hook=hook,
            timeout=CELL_SECONDS,
            store_history=True,
            allow_stdin=bool(answers),
            stdin_hook=lambda _: self.client.input(next(typed)),
        )
        payload = reply["content"].get("payload", [])
        outputs.pages = [ANSI.sub("", page["data"]["text/plain"]) for page in payload if page["source"] == "page"]
        return outputs

    def ok(self, code: str) -> Outputs:
        outputs = self.run(code)
        assert not outputs.of("error"), outputs.traceback
        return outputs

    def complete(self, line: str) -> list[str]:
        return list(self.client.complete(line, reply=True, timeout=CELL_SECONDS)["content"]["matches"])

    def interrupt(self) -> None:
        os.kill(self.manager.provisioner.pid, signal.SIGINT)

    def send_comm(self, kind: str, comm_id: str, data: dict[str, Any], target: str = "flyte_nb.run") -> None:
        content = {"comm_id": comm_id, "data": data}
        if kind == "comm_open":
            content["target_name"] = target
        self.client.shell_channel.send(self.client.session.msg(kind, content))

    def wait_for_comm(self, kind: str) -> dict[str, Any]:
        """The data of the next message of that kind on a comm, or its closing."""
        deadline = time.monotonic() + CELL_SECONDS
        while time.monotonic() < deadline:
            message = self.client.get_iopub_msg(timeout=CELL_SECONDS)
            content = message["content"]
            if message["msg_type"] == "comm_close" and kind == "close":
                return {}
            if message["msg_type"] == "comm_msg" and content["data"].get("kind") == kind:
                return dict(content["data"])
        raise AssertionError(f"no {kind} arrived")


@contextmanager
def running_kernel(folder: Path, home: Path) -> Iterator[Kernel]:
    """A kernel with the extension and some tasks, in a folder and on a store."""
    env = {
        **os.environ,
        "FLYTE_NB_HOME": str(home),
        "PYTHONPATH": str(PROJECT),
        "JPY_SESSION_NAME": str(folder / "risk.ipynb"),
        "IPYTHONDIR": str(folder / "ipython"),
    }
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(folder), env=env)
    try:
        started = Kernel(manager, client)
        started.ok("%load_ext flyte_nb")
        started.ok(TASKS)
        yield started
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel with the extension and some tasks, in a folder and with a store of its own."""
    folder = tmp_path_factory.mktemp("kernel")
    with running_kernel(folder, folder / "home") as started:
        yield started


@pytest.fixture
def start_kernel(tmp_path: Path) -> Iterator[Callable[[Path], Kernel]]:
    """Starts kernels on the store that they are given."""
    with ExitStack() as kernels:
        yield lambda home: kernels.enter_context(running_kernel(tmp_path, home))

"""What a live explorer costs the kernel, and how soon a page is answered while a cell blocks: a part of `explorer.py`.

A real ipykernel runs actions that change a thousand times a second; this process plays the page over the kernel's
channels. The cost is processor time of the threads that tell the page (the watcher's and ipykernel's IOPub), with the
explorer less without it.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

PROJECT = Path(__file__).resolve().parent.parent
QUESTIONS = 50
PREPARE = """
%load_ext flyte_nb
import asyncio, json, threading, time
import psutil
import flyte_nb as flyte
from flyte_nb.engine import watcher

env = flyte.TaskEnvironment("bench")

@env.task
async def step(x: int) -> int:
    await asyncio.sleep(0.25)
    return x

@env.task
async def steady(actions_per_second: int, seconds: float) -> int:
    began, started = time.perf_counter(), []
    while (passed := time.perf_counter() - began) < seconds:
        due = int(passed * actions_per_second) - len(started)
        started += [asyncio.create_task(step(len(started) + k)) for k in range(due)]
        await asyncio.sleep(0.01)
    return len(await asyncio.gather(*started))

@env.task
def block(seconds: float) -> float:
    time.sleep(seconds)
    return seconds

def cpu_seconds():
    of_thread = {one.id: one.user_time + one.system_time for one in psutil.Process().threads()}
    named = {thread.name: of_thread.get(thread.native_id, 0.0) for thread in threading.enumerate()}
    told = sum(seconds for name, seconds in named.items() if name in ("flyte-watcher", "IOPub"))
    return {"telling": told, "process": time.process_time()}

flyte.run(step, 0)
"""
STEADY = """
before, began = cpu_seconds(), time.perf_counter()
actions = flyte.run(steady, {rate}, {seconds}).outputs()[0]
lasted, after = time.perf_counter() - began, cpu_seconds()
print(json.dumps({{"actions": actions, **{{name: (after[name] - before[name]) / lasted for name in after}}}}))
"""
UNSEEN = "seen, watcher.observers[:] = watcher.observers[:], []\n"
SEEN = "watcher.observers[:] = seen\n"
BLOCK = "flyte.run(block, {seconds})"
ACTIONS_PER_SECOND = 500
"""Each is new in one delta and over in a later one: two changes."""


def kernel_figures(seconds: float) -> dict[str, Any]:
    """The cost of a live explorer as a part of one core, and the time to an answer, of one kernel.

    Args:
        seconds: how long each of the two runs is watched.
    """
    with kernel() as page:
        page.run(PREPARE)
        code = STEADY.format(rate=ACTIONS_PER_SECOND, seconds=seconds)
        unseen = json.loads(page.run(UNSEEN + code)[-1])
        seen = json.loads(page.run(SEEN + code)[-1])
        answers = page.ask_while_blocked(QUESTIONS)
    return {
        "actions": seen["actions"],
        "row_changes_per_second": round(page.row_changes / seconds),
        "deltas_per_second": round(page.deltas / seconds, 1),
        "explorer_percent_of_a_core": round(100 * (seen["telling"] - unseen["telling"]), 1),
        "process_percent_of_a_core": {
            "with_explorer": round(100 * seen["process"], 1),
            "without": round(100 * unseen["process"], 1),
        },
        "answer_while_a_cell_blocks_ms": {
            "median": round(1000 * sorted(answers)[len(answers) // 2], 1),
            "worst": round(1000 * max(answers), 1),
        },
    }


class Page:
    """A page as the kernel sees one: it runs cells, hears what it is told, and asks over a subshell, as JupyterLab."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self.client = client
        self.deltas = 0
        self.row_changes = 0

    def run(self, code: str) -> list[str]:
        """Executes a cell; returns what it printed, by line."""
        printed: list[str] = []

        def hear(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                printed.append(content["text"])
            if message["msg_type"] == "error":
                raise SystemExit("\n".join(content["traceback"]))
            if message["msg_type"] == "comm_msg" and content["data"].get("kind") == "delta":
                self.deltas += 1
                self.row_changes += len(content["data"]["rows"])

        self.client.execute_interactive(code, output_hook=hear, timeout=600)
        return "".join(printed).splitlines()

    def ask_while_blocked(self, questions: int) -> list[float]:
        """Seconds from each question about an action to its answer, while a cell blocks."""
        self.client.control_channel.send(self.client.session.msg("create_subshell_request"))
        subshell = self.client.get_control_msg(timeout=30)["content"]["subshell_id"]
        self.client.execute(BLOCK.format(seconds=questions * 0.05 + 2))
        while True:
            message = self.client.get_iopub_msg(timeout=30)
            content = message["content"]
            if message["msg_type"] == "comm_open" and content["target_name"] == "flyte_nb.run":
                break
        times = [self._ask(content["comm_id"], subshell) for _ in range(questions)]
        self.client.get_shell_msg(timeout=30)
        return times

    def _ask(self, comm: str, subshell: str) -> float:
        question = self.client.session.msg("comm_msg", {"comm_id": comm, "data": {"kind": "detail", "action": "a0"}})
        question["header"]["subshell_id"] = subshell
        question["header"]["msg_id"] = uuid4().hex
        asked = time.perf_counter()
        self.client.shell_channel.send(question)
        while True:
            content = self.client.get_iopub_msg(timeout=30)["content"]
            if content.get("comm_id") == comm and content["data"]["kind"] == "detail":
                return time.perf_counter() - asked


@contextmanager
def kernel() -> Iterator[Page]:
    """A kernel with a store of its own, for a notebook that somebody looks at."""
    with tempfile.TemporaryDirectory() as home:
        places = {"FLYTE_NB_HOME": f"{home}/store", "IPYTHONDIR": f"{home}/ipython", "JPY_SESSION_NAME": "bench.ipynb"}
        environment = {**os.environ, **places, "PYTHONPATH": str(PROJECT)}
        manager, client = start_new_kernel(kernel_name="python3", cwd=home, env=environment)
        try:
            yield Page(client)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            manager.cleanup_resources()

"""A kernel that is connected to a backend: runs there are shown as they go on, launched, and named by `%flyte`.

The backend is another store's server; the kernel's own store is empty at first.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

import flyte_nb as flyte
from tests.notebook.conftest import CELL_SECONDS, MIME, Kernel, Outputs, running_kernel
from tests.notebook.test_launch_form import Page, form_of
from tests.processes import one_session
from tests.server.wire import served

env = flyte.TaskEnvironment("shop")


@env.task
async def sold(item: int) -> int:
    """Sells an item.

    Args:
        item: which, by its number
            in the catalogue.
    """
    print(f"sold {item}")
    return 10 * item


@env.task
async def day(items: int, gate: str) -> int:
    """A day of sales, which goes on when a file stands there."""
    first = await sold(0)
    while not Path(gate).exists():  # noqa: ASYNC110, ASYNC240  # another process opens it, and an abort must end it
        await asyncio.sleep(0.02)
    return first + sum([await sold(item) for item in range(1, items)])


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    folder, other = tmp_path_factory.mktemp("kernel"), tmp_path_factory.mktemp("other") / ".flyte_nb"
    with one_session(other):
        flyte.deploy(env, version="v1")
    with served(other, "--execute") as url, running_kernel(folder, folder / "home") as started:
        started.ok(f"flyte.init(endpoint={url!r}, insecure=True, project='p', domain='d')")
        started.ok("day = flyte.remote.Task.get('shop.day', auto_version='latest')")
        yield started


@pytest.fixture(scope="module")
def sale(kernel: Kernel) -> str:
    """The name of a run that a line started at the backend, and that is over."""
    return kernel.ok("r = %flyte run shop.sold --item 7\nr.wait()\nprint(r.name)").stdout.strip()


def heard(
    kernel: Kernel, kind: str, is_it: Callable[[dict[str, Any]], object], cell: Outputs | None = None
) -> dict[str, Any]:
    """The content of the first message of this kind that fits, of a cell or told since by whichever."""
    for content in cell.of(kind) if cell is not None else []:
        if is_it(content):
            return content
    while True:
        message = kernel.client.get_iopub_msg(timeout=CELL_SECONDS)
        if message["msg_type"] == kind and is_it(message["content"]):
            return dict(message["content"])


def tells_of_sales(content: dict[str, Any]) -> bool:
    return "shop.sold" in str(content["data"])


def stop_waiting(kernel: Kernel, message: dict[str, Any]) -> None:
    """Interrupts the cell that says that it waits, as Stop does: also what the kernel started."""
    if message["content"].get("text", "").startswith("waiting"):
        os.killpg(os.getpgid(kernel.manager.provisioner.pid), signal.SIGINT)


def wait_until_none_is_followed(kernel: Kernel) -> None:
    kernel.ok(
        "import threading, time\n"
        "while [one for one in threading.enumerate() if one.name == 'flyte-follow']: time.sleep(0.02)"
    )


def test_a_run_at_a_backend_is_shown_until_it_is_over(kernel: Kernel, tmp_path: Path) -> None:
    started = kernel.ok(f"run = flyte.run(day, items=3, gate={str(tmp_path / 'gate')!r})\nprint(run.name)\nrun")
    (display,) = started.displays
    assert display["data"][MIME]["live"] and set(started.result) == {"text/plain"}
    grown = heard(kernel, "comm_msg", tells_of_sales, started)
    assert grown["data"]["kind"] in ("snapshot", "delta")
    stopped = kernel.run("print('waiting', flush=True)\nrun.wait()", lambda message: stop_waiting(kernel, message))
    assert stopped.of("error")[0]["ename"] == "KeyboardInterrupt"
    (tmp_path / "gate").touch()
    ended = heard(kernel, "update_display_data", lambda content: not content["data"][MIME]["live"])
    assert ended["transient"] == display["transient"]
    document = ended["data"][MIME]
    assert (document["run"], document["phase"], document["total"]) == (started.stdout.strip(), "succeeded", 4)
    assert ended["data"]["text/plain"].count("shop.sold") == 3
    assert document["actions"]["label"][1:] == ["item=0", "item=1", "item=2"]
    assert document["details"]["a0"]["outputs"][0]["preview"]["text"] == "30"
    wait_until_none_is_followed(kernel)
    assert kernel.ok("run.outputs()").result["text/plain"] == "ActionOutputs(o0=30)"
    assert kernel.ok("%flyte logs last").result["text/plain"].count("sold") == 3


def opened(kernel: Kernel, run: str) -> str:
    """The comm of a page that shows a run."""
    page = uuid4().hex
    kernel.send_comm("comm_open", page, {"run": run})
    return page


def saved(kernel: Kernel, run: str) -> dict[str, Any]:
    """The document that the notebook saves of a run."""
    kernel.send_comm("comm_msg", opened(kernel, run), {"kind": "bundle"})
    return dict(kernel.wait_for_comm("bundle")["data"][MIME])


def test_a_page_follows_asks_and_ends_a_run_at_a_backend(kernel: Kernel, tmp_path: Path) -> None:
    inputs = f"{{'items': 2, 'gate': {str(tmp_path / 'gate')!r}}}"
    kernel.ok("from flyte_nb.remote.source import source")
    kernel.ok(f"source.backend.start_deployed('shop.day', 'v1', {inputs}, {{'name': 'endless'}})")
    page = opened(kernel, "endless")
    first: list[str] = []
    while len(first) < 2:  # the first sale is recorded a moment after the run
        kernel.send_comm("comm_msg", page, {"kind": "hello"})
        first = kernel.wait_for_comm("snapshot")["doc"]["actions"]["name"]
    kernel.send_comm("comm_msg", page, {"kind": "detail", "action": first[1]})
    detail = kernel.wait_for_comm("detail")["detail"]
    assert detail["inputs"][0]["preview"]["text"] == "0"
    kernel.send_comm("comm_msg", page, {"kind": "rerun", "ask": "1"})
    assert "to repeat it takes its code" in kernel.wait_for_comm("outcome")["refused"]

    kernel.send_comm("comm_close", page, {})
    wait_until_none_is_followed(kernel)  # whom no page shows is left, and goes on
    assert kernel.ok("print(flyte.remote.Run.get('endless').phase.value)").stdout.strip() == "running"
    page = opened(kernel, "endless")
    kernel.send_comm("comm_msg", page, {"kind": "abort", "ask": "2", "action": "a0"})
    assert kernel.wait_for_comm("outcome")["refused"] == ""
    wait_until_none_is_followed(kernel)
    document = saved(kernel, "endless")
    assert document["phase"] == "aborted" and "stopped in the explorer" in document["error"]["message"]


def test_a_deployed_task_on_the_last_line_is_a_form_and_its_versions(kernel: Kernel) -> None:
    shown = kernel.ok("flyte.remote.Task.get('shop.sold', auto_version='latest')")
    form = form_of(shown)
    assert form["title"] == "shop.sold" and [field["name"] for field in form["fields"]] == ["item"]
    assert "Sells an item." in form["text"] and form["fields"][0]["help"] == "which, by its number\nin the catalogue."
    assert shown.result["text/plain"].endswith("Versions, newest first: v1")
    run = Page(kernel, form).ask("submit", item={"json": 4})["run"]
    wait_until_none_is_followed(kernel)
    assert saved(kernel, run)["details"]["a0"]["outputs"][0]["preview"]["text"] == "40"
    unknown = kernel.ok("flyte.remote.Task.get('shop.sould', auto_version='latest')").result["text/plain"]
    assert "Did you mean shop.sold" in unknown


def test_names_and_versions_of_deployed_tasks_are_completed(kernel: Kernel) -> None:
    assert {"shop.day", "shop.sold:v1"} <= set(kernel.complete("%flyte run shop."))
    assert kernel.complete("%flyte tasks shop.d") == ["shop.day"]
    assert kernel.complete("flyte.remote.Task.get('shop.s") == ["shop.sold"]
    assert kernel.complete("flyte.remote.Task.get('shop.sold', version='") == ["v1"]


def test_lines_run_show_and_list_what_is_at_the_backend(kernel: Kernel, sale: str) -> None:
    shown = kernel.ok("%flyte show last").result
    assert shown[MIME]["run"] == sale and shown[MIME]["actions"]["label"] == ["item=7"]
    listed = kernel.ok("%flyte runs --task shop.sold --limit 1").result["text/plain"]
    assert sale in listed and " 0 " not in listed
    kernel.ok("flyte.with_runcontext(mode='local').run(fit, x=3)")
    assert kernel.ok("%flyte show last").result[MIME]["task"] == "quick.fit"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("runs --notebook", "does not record notebooks: filter its runs by task, phase, label or time"),
        ("compare SALE SALE", "only runs of this store are compared"),
        ("tag SALE team=x", "which labels runs when they start"),
        ("recover SALE", "Run the task again with flyte.run"),
        ("run shop.sald --item 1", "No task is named 'shop.sald'. Did you mean shop.sold"),
        ("run shop.sold --item one", "item must be int, got 'one'"),
        ("run --isolation process shop.sold --item 1", "leave it out, or run here with mode='local'"),
    ],
)
def test_what_a_backend_cannot_do_is_said_in_one_message(kernel: Kernel, sale: str, line: str, said: str) -> None:
    refused = kernel.run("%flyte " + line.replace("SALE", sale))
    assert said in refused.stderr and not refused.of("error")

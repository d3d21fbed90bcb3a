"""Tasks in worker processes as a kernel shows them: displays, phases, where and why, `%flyte workers` and config."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

MIME = "application/vnd.flyte.run+json"
PHASES = ("queued", "waiting_for_resources", "initializing", "running")

WORKERS = """
import ctypes, os
warm = flyte.TaskEnvironment("warm", reusable=flyte.ReusePolicy(replicas=(1, 1), concurrency=2))
alone = flyte.TaskEnvironment("alone", resources=flyte.Resources(memory="300Mi"))

@warm.task
async def pid(x: int) -> int:
    return os.getpid()

@warm.task
async def wait_warm(seconds: float) -> None:
    await asyncio.sleep(seconds)

@warm.task
async def wait_for(gate: str) -> None:
    while not os.path.exists(gate):
        await asyncio.sleep(0.01)

@alone.task
def crash() -> None:
    print("one line", flush=True)
    ctypes.string_at(0)

@alone.task
def nothing() -> None:
    return None
"""


@pytest.fixture(scope="module", autouse=True)
def with_workers(kernel: Any) -> None:
    kernel.ok(WORKERS)


def displayed(outputs: Any) -> list[dict[str, Any]]:
    return [message["data"] for message in outputs.of("display_data") if MIME not in message["data"]]


def test_displays_of_a_worker_show_in_the_cell_and_stay_with_the_action(kernel: Any) -> None:
    kernel.ok(
        "import matplotlib.pyplot as plt\nfrom IPython.display import HTML, display\n"
        "@alone.task\ndef draw() -> None:\n    print('before')\n    display(HTML('<b>hi</b>'))\n"
        "    plt.figure(figsize=(2, 2))\n    plt.plot([1, 2])\n    plt.show()\n    print('after')\n"
        "    display(HTML('x' * 1_000_000))"
    )
    outputs = kernel.ok("r = flyte.run(draw)")
    shown = displayed(outputs)
    assert [set(data) for data in shown[:2]] == [{"text/html", "text/plain"}, {"image/png", "text/plain"}]
    assert len(shown[2]["text/html"]) == 1_000_000
    logs = outputs.shown[MIME]["details"]["a0"]["logs"]
    assert [line[1] for line in logs[:4]] == ["stdout", "display", "display", "stdout"]
    assert json.loads(logs[1][2])["text/html"] == "<b>hi</b>"


def test_a_display_of_a_worker_can_be_updated(kernel: Any) -> None:
    kernel.ok("@alone.task\ndef count() -> None:\n    handle = display(0, display_id=True)\n    handle.update(1)\n")
    outputs = kernel.ok("r = flyte.run(count)")
    (first,) = [one for one in outputs.of("display_data") if MIME not in one["data"]]
    (second,) = [one for one in outputs.renewals if MIME not in one["data"]]
    assert (first["data"]["text/plain"], second["data"]["text/plain"]) == ("0", "1")
    assert first["transient"]["display_id"] == second["transient"]["display_id"]


def test_secrets_are_masked_in_what_a_worker_displays(kernel: Any) -> None:
    kernel.ok(
        "os.environ['TOKEN'] = 'hunter2-and-more'\n"
        "safe = flyte.TaskEnvironment('safe', secrets=flyte.Secret('TOKEN', as_env_var='TOKEN'))\n"
        "@safe.task\ndef tell() -> None:\n    display({'token': os.environ['TOKEN']})"
    )
    outputs = kernel.ok("r = flyte.run(tell)")
    assert "hunter2" not in json.dumps(outputs.messages, default=str)
    assert "token" in displayed(outputs)[0]["text/plain"]


def test_an_action_says_where_it_ran_and_why(kernel: Any) -> None:
    detail = kernel.ok("r = flyte.run(nothing)").shown[MIME]["details"]["a0"]
    assert detail["where"].startswith("process (")
    assert (detail["isolation"], detail["isolation_reason"]) == ("process", "it has a memory limit")
    assert detail["code"]["settings"] == {"resources": "memory=300Mi"}
    detail = kernel.ok("r = flyte.run(pid, 1)").shown[MIME]["details"]["a0"]
    assert detail["where"].startswith("warm worker ")
    detail = kernel.ok("r = flyte.with_runcontext(isolation='kernel').run(nothing)").shown[MIME]["details"]["a0"]
    assert detail["isolation_reason"].endswith("; in the kernel these do not hold: a memory limit")


def test_the_phases_before_an_action_runs_are_told_to_the_page(kernel: Any) -> None:
    kernel.ok("%flyte workers stop")
    kernel.ok("@env.task\nasync def many() -> None:\n    await asyncio.gather(*[wait_warm(0.6) for _ in range(4)])")
    outputs = kernel.ok("r = flyte.run(many)")
    told = [one["data"] for one in outputs.of("comm_msg") if one["data"].get("kind") in ("snapshot", "delta")]
    columns = [one["doc"]["actions"] if one["kind"] == "snapshot" else one["actions"] for one in told]
    seen = {PHASES[phase] for table in columns for phase in table["phase"] if phase < len(PHASES)}
    assert {"waiting_for_resources", "running"} <= seen
    actions = outputs.shown[MIME]["actions"]
    started_with_a_worker = [init for init in actions["init"] if init is not None]
    assert len(started_with_a_worker) == 2 and set(actions["note"]) == {""}


def test_a_lost_process_is_told_without_the_frames_of_the_engine(kernel: Any) -> None:
    outputs = kernel.run("r = flyte.run(crash)")
    assert outputs.stdout == "one line\n"
    assert "Thread 0x" not in outputs.stderr
    error = outputs.shown[MIME]["details"]["a0"]["error"]
    first, *rest = error["message"].splitlines()
    assert "SIGSEGV" in first and rest[0] == "Its last output:" and "one line" in rest
    assert any(line.startswith('  File "cell ') for line in rest)


def test_workers_are_listed_and_stopped(kernel: Any) -> None:
    kernel.ok("%flyte workers stop")
    assert kernel.ok("%flyte workers").stdout.startswith("No process runs a task now.")
    kernel.ok("for x in range(3): flyte.run(pid, x)")
    kernel.ok("t = %flyte workers")
    assert kernel.ok("print(t['environment'], t['state'], t['calls'])").stdout == "['warm'] ['idle'] [3]\n"
    assert kernel.ok("print(t['worker'][0].startswith('warm worker'), t['memory_mb'][0] > 1)").stdout == "True True\n"
    assert kernel.complete("%flyte workers stop ") == ["warm"]
    assert "did you mean warm" in kernel.run("%flyte workers stop wam").stderr.lower()
    assert kernel.ok("%flyte workers stop warm").stdout == "1 worker ended; the next call starts afresh.\n"
    assert kernel.ok("%flyte workers stop").stdout == "There are no warm workers.\n"


def test_a_worker_that_is_stopped_finishes_its_calls(kernel: Any, tmp_path: Path) -> None:
    gate = str(tmp_path / "gate")
    kernel.ok("before = flyte.run(pid, 1).outputs()[0]")
    kernel.ok(f"r = flyte.with_runcontext().start(wait_for, {gate!r})\nwhile r['a0'].phase.value != 'running': pass")
    assert "1 of them when its calls are over" in kernel.ok("%flyte workers stop").stdout
    assert kernel.ok("print(flyte.run(pid, 1).outputs()[0] != before)").stdout == "True\n"
    assert kernel.ok(f"open({gate!r}, 'w').close()\nr.wait()\nprint(r.phase.value)").stdout == "succeeded\n"


def test_config_sets_and_shows_where_tasks_run(kernel: Any) -> None:
    assert kernel.ok("%flyte config").stdout.startswith("isolation = auto")
    try:
        said = kernel.ok("%flyte config isolation=process").stdout
        assert said.startswith("isolation = process  (%flyte config isolation=process)\n")
        assert said == kernel.ok("%flyte config").stdout
        detail = kernel.ok("r = flyte.run(fit, x=1)").shown[MIME]["details"]["a0"]
        assert (detail["isolation"], detail["isolation_reason"]) == ("process", "%flyte config isolation=process")
    finally:
        kernel.ok("%flyte config isolation=auto")
    assert kernel.ok("r = flyte.run(fit, x=1)").shown[MIME]["details"]["a0"]["where"] == "kernel"


@pytest.mark.parametrize("words", ["--isolation process fit --x 1", "fit --isolation=process --x 1"])
def test_a_run_can_be_told_where_its_tasks_run(kernel: Any, words: str) -> None:
    detail = kernel.ok(f"r = %flyte run {words}").shown[MIME]["details"]["a0"]
    assert (detail["isolation"], detail["isolation_reason"]) == ("process", "with_runcontext(isolation='process')")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%flyte config isolation=proces", "Did you mean process?"),
        ("%flyte config isolate=process", "Did you mean isolation?"),
        ("%flyte config isolation", "is given as isolation=process"),
        ("%flyte run --isolation fit", "isolation is kernel, process, virtualenv; got 'fit'"),
        ("%flyte run --isolation", "--isolation needs a value"),
        ("%flyte workers now", "%flyte workers stop [ENVIRONMENT] ends them; got 'now'"),
    ],
)
def test_what_is_not_understood_is_one_clear_line(kernel: Any, line: str, message: str) -> None:
    said = kernel.run(line).stderr
    assert message in said and said.startswith("UsageError: ")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("%flyte run --isolation v", ["virtualenv"]),
        ("%flyte run --isolation process fi", ["fit"]),
        ("%flyte run fit --iso", ["--isolation"]),
        ("%flyte run fit --isolation k", ["kernel"]),
        ("%flyte config isolation=a", ["isolation=auto"]),
        ("%flyte workers s", ["stop"]),
    ],
)
def test_tab_completes_isolation_and_workers(kernel: Any, line: str, offered: list[str]) -> None:
    assert kernel.complete(line) == offered

"""What users of notebooks and workflow tools complain about, and that it is not so here: one test a complaint.

Each is named after the complaint. Others look closer: `test_live_kernel` at what is stale, `test_kernel_processes` at
workers, `tests/browser` at pages that close, reload and are saved.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from flyte_nb.remote import Run
from tests.notebook.conftest import MIME, WIDGET_VIEW, Kernel, running_kernel

DECLARED = """
boxed = flyte.TaskEnvironment("boxed", env_vars={"PLACE": "worker"})
cached = flyte.TaskEnvironment("cached", cache="auto")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("complaints")


@pytest.fixture(scope="module")
def kernel(folder: Path) -> Iterator[Kernel]:
    with running_kernel(folder, folder / "home") as started:
        started.ok(DECLARED)
        yield started


def test_the_event_loop_is_already_running(kernel: Kernel) -> None:
    kernel.ok("async def script():\n    return (await flyte.run.aio(fit, 3)).outputs()[0]")
    assert kernel.ok("print(asyncio.run(script()), await script(), flyte.run(fit, 3).outputs()[0])").stdout.endswith(
        "9 9 9\n"
    )
    kernel.ok("@env.task\ndef scripted() -> int:\n    return asyncio.run(script())")
    assert kernel.ok("print(flyte.run(scripted).outputs()[0])").stdout.endswith("9\n")


def test_a_flow_must_sit_in_one_cell_and_shows_nothing_inline(kernel: Kernel) -> None:
    kernel.ok("@env.task\nasync def one(x: int) -> int:\n    return x + 1")
    kernel.ok("@env.task\nasync def two(x: int) -> int:\n    return await one(await one(x))")
    shown = kernel.ok("flyte.run(two, 1)").shown
    assert shown[MIME]["total"] == 3 and "two" in shown["text/html"]
    assert kernel.ok("print(flyte.last_run['two/one[1]'].outputs()[0])").stdout == "3\n"


def test_notebook_code_cannot_be_shipped_and_big_globals_are_pickled(kernel: Kernel) -> None:
    kernel.ok("import numpy as np, os\nBIG, RATE = np.zeros(50_000_000), 2\ndef rated(x): return x * RATE")
    kernel.ok(
        "@boxed.task\ndef shipped(x: int) -> tuple[int, bool, int]:\n"
        "    return rated(x), 'BIG' in globals(), os.getpid()"
    )
    assert kernel.ok(
        "print(*flyte.run(shipped, 4).outputs()[:2], os.getpid() != flyte.last_run.outputs()[2])"
    ).stdout == ("8 False True\n")
    kernel.ok("@boxed.task\ndef heavy(x: int) -> float:\n    return float(BIG[x])")
    assert "Large: heavy: BIG, 400.0 MB." in kernel.ok("%flyte explain heavy").stdout
    kernel.ok("del BIG")


def test_a_helper_is_pickled_by_reference_and_stays_stale(kernel: Kernel, folder: Path) -> None:
    module = folder / "helping.py"
    module.write_text("def helped(x):\n    return x\n")
    kernel.ok("import helping, importlib\n@boxed.task\ndef uses(x: int) -> int:\n    return helping.helped(x)")
    assert kernel.ok("print(flyte.run(uses, 5).outputs()[0])").stdout == "5\n"
    module.write_text("def helped(x):\n    return 100 * x\n")
    kernel.ok("importlib.reload(helping)")
    assert kernel.ok("print(flyte.run(uses, 5).outputs()[0])").stdout == "500\n"


def test_the_cache_ignores_a_redefined_helper_and_is_lost_when_an_unrelated_cell_changes(kernel: Kernel) -> None:
    kernel.ok("def grow(x): return x + 1\ndef unrelated(): return 1")
    kernel.ok("@cached.task\ndef grown(x: int) -> int:\n    return grow(x)")
    asked = "r = flyte.run(grown, 1)\nprint(r.outputs()[0], r.root.source[:5])"
    assert kernel.ok(asked).stdout == "2 \n"
    kernel.ok("def unrelated(): return 2")
    assert kernel.ok(asked).stdout == "2 cache\n"
    kernel.ok("def grow(x): return x + 2")
    assert kernel.ok(asked).stdout == "3 \n"


def test_output_is_lost_when_the_tab_closes(kernel: Kernel, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel.ok("@env.task\ndef speaks() -> int:\n    print('said')\n    return 1")
    kernel.client.execute("r = flyte.run(speaks)")  # nobody reads what it puts out
    monkeypatch.setenv("FLYTE_NB_HOME", str(folder / "home"))
    run = Run.get(kernel.ok("print(r.name)").stdout.strip())
    assert (str(run.logs()), run.outputs()[0]) == ("said", 1)


def test_worker_logs_are_missing_late_or_flooding(kernel: Kernel) -> None:
    kernel.ok(
        "@boxed.task\ndef floods() -> None:\n    for line in range(20_000):\n        print('line', line, '.' * 20)"
    )
    shown = kernel.ok("r = flyte.run(floods)").stdout
    assert shown.startswith("line 0 ") and len(shown) < 300_000
    told = kernel.ok("lines = list(r.root.get_logs())\nprint(len(lines), lines[-1][:10], lines[7][:6])").stdout
    assert told == "20000 line 19999 line 7\n"
    assert kernel.ok("print(len(r.logs().to_frame()) > 0)").stdout == "True\n"


def test_output_lands_in_the_wrong_cell(kernel: Kernel) -> None:
    kernel.ok(
        "first, second = threading.Event(), threading.Event()\n@env.task\ndef late() -> None:\n"
        "    first.wait(60)\n    print('of the run')\n    second.set()"
    )
    client = kernel.client
    asked = [
        client.execute("r = flyte.with_runcontext().start(late)"),
        client.execute("first.set()\nsecond.wait(60)\nprint('of the cell')"),
    ]
    printed: dict[str, str] = {}
    while len(printed) < 2:
        message = client.get_iopub_msg(timeout=60)
        if message["msg_type"] == "stream":
            printed[message["content"]["text"].strip()] = message["parent_header"]["msg_id"]
    assert printed == {"of the run": asked[0], "of the cell": asked[1]}
    kernel.ok("r.wait()")


@pytest.mark.parametrize(
    "body",
    [
        "while True: pass",
        "await asyncio.sleep(600)",
        "await asyncio.to_thread(time.sleep, 1)\n    while True: await asyncio.sleep(0)",
    ],
)
def test_stop_does_not_stop_async_work(kernel: Kernel, body: str) -> None:
    kernel.ok(f"@env.task\nasync def endless() -> None:\n    print('begun', flush=True)\n    {body}")

    def stop(message: dict) -> None:  # type: ignore[type-arg]
        if message["msg_type"] == "stream" and "begun" in message["content"]["text"]:
            threading.Thread(target=kernel.interrupt).start()

    outputs = kernel.run("flyte.run(endless)", on_message=stop)
    assert outputs.of("error")[-1]["ename"] == "KeyboardInterrupt"
    assert kernel.ok("print(flyte.last_run.phase.value, flyte.run(fit, 1).outputs()[0])").stdout.endswith("aborted 1\n")


def test_after_a_failure_one_rebuilds_the_inputs_by_hand(kernel: Kernel) -> None:
    kernel.ok("@env.task\nasync def prepare(n: int) -> list[int]:\n    return list(range(n))")
    kernel.ok("@env.task\nasync def train(rows: list[int], depth: int) -> float:\n    return rows[depth] / 0")
    kernel.ok("@env.task\nasync def pipeline(n: int) -> float:\n    return await train(await prepare(n), n - 1)")
    assert kernel.run("%flyte run pipeline --n 3").of("error")
    assert "Bound here: rows, depth." in kernel.run("%flyte debug --bind").stdout
    assert kernel.ok("print(rows, depth)").stdout == "[0, 1, 2] 2\n"
    kernel.ok("@env.task\nasync def train(rows: list[int], depth: int) -> float:\n    return rows[depth] / 1")
    assert (
        kernel.ok("r = %flyte fork last\nprint(r['prepare'].phase.value, r.outputs()[0])").stdout == "recovered 2.0\n"
    )


def test_widgets_vanish_on_reopening_and_notebooks_get_huge(kernel: Kernel) -> None:
    kernel.ok(
        "@env.task\nasync def many(n: int) -> int:\n    return sum(await asyncio.gather(*[one(at) for at in range(n)]))"
    )
    shown = kernel.ok("flyte.run(many, 1000)").shown
    assert WIDGET_VIEW not in shown and shown[MIME]["total"] == 1001
    assert len(json.dumps(shown)) < 200_000


def test_the_dashboard_is_unreachable_behind_a_proxy(kernel: Kernel) -> None:
    pid = kernel.manager.provisioner.pid
    before = {one.laddr for one in psutil.Process(pid).net_connections() if one.status == psutil.CONN_LISTEN}
    shown = kernel.ok("flyte.run(main)").shown
    after = {one.laddr for one in psutil.Process(pid).net_connections() if one.status == psutil.CONN_LISTEN}
    assert after == before, "the page talks through the kernel's own channels"
    assert "http://" not in shown["text/html"] and "localhost" not in json.dumps(shown)


def test_execution_data_cannot_be_had_in_the_notebook(kernel: Kernel) -> None:
    kernel.ok("r = flyte.run(main, 2)")
    snippet = kernel.ok(
        "from flyte_nb.notebook.views.details import RunReader\n"
        "print(RunReader(r.name).detail(r['fit[1]'].name)['snippet'])"
    ).stdout.strip()
    assert kernel.ok(f"import flyte_nb\nprint({snippet})").stdout == "ActionOutputs(o0=1)\n"
    assert kernel.ok("f = r.to_frame()\nprint(list(f['task']), f['phase'].nunique())").stdout == (
        "['quick.main', 'quick.fit', 'quick.fit'] 1\n"
    )


def test_a_deployed_task_cannot_be_called_from_a_local_run(kernel: Kernel) -> None:
    kernel.ok("shop = flyte.TaskEnvironment('shop')\n@shop.task\nasync def price(x: int) -> int:\n    return 3 * x")
    kernel.ok("flyte.deploy(shop)\ndel price, shop")
    kernel.ok("deployed = flyte.remote.Task.get('shop.price', auto_version='latest')")
    kernel.ok("@env.task\nasync def buys(x: int) -> int:\n    return await deployed(x=x) + 1")
    told = kernel.ok("r = flyte.run(buys, 2)\nprint(r.outputs()[0], [a.task_name for a in r.actions()])").stdout
    assert told == "7 ['quick.buys', 'shop.price']\n"


def test_one_must_leave_the_notebook_to_learn_the_inputs_of_a_task(kernel: Kernel) -> None:
    assert kernel.ok("%flyte run main?").stdout.startswith("quick.main\n  n: int = 3\n")
    assert "--n" in kernel.complete("%flyte run main --")
    assert "It takes n: int = 3." in kernel.run("%flyte run main --m 3").stderr

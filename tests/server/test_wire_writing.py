"""What Flyte's own SDK writes through the server: published runs, deployed tasks, runs that it asks for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import flyte_nb as flyte
from flyte_nb.store.queries import Store
from tests.processes import one_session
from tests.server import wire_tasks
from tests.server.wire import Client, ClientError, official_client, served

OFFICIAL_TASKS = '''
import flyte

env = flyte.TaskEnvironment("off")
TRIES = []

@env.task
async def square(x: int) -> int:
    return x * x

@flyte.trace
async def lookup(x: int) -> str:
    return "t" * x

@env.task(report=True)
async def total(n: int, label: str | None = None) -> list[int]:
    """Adds."""
    await flyte.report.replace.aio("<b>hi</b>", do_flush=True)
    await lookup(2)
    return [await square(x=i) for i in range(n)]

@env.task(retries=1)
async def flaky(x: int) -> int:
    TRIES.append(x)
    if len(TRIES) < 2:
        raise ValueError("once")
    return x
'''
TRACKED = 'flyte.with_runcontext(mode="local", tracked=True, tracked_strict=True{}).run(tasks.{})'


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop") / ".flyte_nb"
    with one_session(folder):
        flyte.with_runcontext(name="adds").run(wire_tasks.total, n=1)
        flyte.deploy(wire_tasks.env, version="v1")
    return folder


@pytest.fixture(scope="module")
def client(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("client")
    (folder / "off_tasks.py").write_text(OFFICIAL_TASKS)
    options = ("--execute", "--max-depth", "5", "--max-actions", "40", "--max-seconds", "30")
    with served(home, *options) as url, official_client(url, folder) as client:
        client.run(
            "import sys\n"
            "sys.path.insert(0, '.')\n"
            "import off_tasks as tasks\n"
            "def deployed(name): return remote.Task.get(name, auto_version='latest').fetch()\n"
        )
        yield client


def test_a_published_run_is_found_like_any_other(client: Client, home: Path) -> None:
    client(TRACKED.format(', name="local-total"', 'total, n=3, label="z"') + " and None")
    assert client('remote.Run.get("local-total").phase.value') == "succeeded"
    assert client('dict(remote.Run.get("local-total").inputs())') == {"n": 3, "label": "z"}
    assert client('list(remote.Run.get("local-total").outputs())') == [[0, 1, 4]]
    assert "<b>hi</b>" in client('remote.Run.get("local-total").get_report()')
    actions = client(
        '[(a.task_name, a.parent_name, a.phase.value) for a in remote.Action.listall(for_run_name="local-total")]'
    )
    assert sorted(actions, key=str) == sorted(
        [
            ["off.total", None, "succeeded"],
            *[["off.square", "a0", "succeeded"]] * 3,
            [None, "a0", "succeeded"],
        ],
        key=str,
    )
    row = Store.open(home).run("local-total")
    assert (row.task, row.phase, row.action_count) == ("off.total", "succeeded", 5)
    frame = Store.open(home).sql("SELECT value FROM \"values\" WHERE run = 'local-total' AND name = 'n'")
    assert "3" in str(frame)


def test_a_published_run_that_is_tried_again_ends_as_its_last_attempt(client: Client, home: Path) -> None:
    client(TRACKED.format(', name="local-flaky"', "flaky, x=3") + " and None")
    assert client('remote.Run.get("local-flaky").phase.value') == "succeeded"
    attempts = Store.open(home).attempts("local-flaky", "a0")
    assert [attempt.phase for attempt in attempts] == ["failed", "succeeded"]


def test_a_name_is_published_once(client: Client) -> None:
    with pytest.raises(ClientError, match="There is a run 'local-total' already"):
        client(TRACKED.format(', name="local-total"', "total, n=3"))


def test_tasks_that_the_official_client_deploys_come_back_as_they_were(client: Client, home: Path) -> None:
    client('flyte.deploy(tasks.env, version="v7", copy_style="loaded_modules") and None')
    client('flyte.deploy(tasks.env, version="v7", copy_style="loaded_modules") and None')  # changes nothing
    names = client('sorted((t.name, t.version) for t in remote.Task.listall(by_task_env="off"))')
    assert names == [["off.flaky", "v7"], ["off.square", "v7"], ["off.total", "v7"]]
    client.run('details = deployed("off.total")')
    assert client("(details.name, details.version, details.required_args)") == ["off.total", "v7", ["n"]]
    assert client("details.pb2.spec.documentation.short_description") == "Adds."
    assert client("list(details.pb2.spec.task_template.container.args)")[0] == "a0"
    with pytest.raises(ClientError, match=r"Task off\.totl, version v7 not found"):
        client('remote.Task.get("off.totl", version="v7").fetch()')


def test_tasks_that_flyte_nb_deploys_show_their_interface(client: Client) -> None:
    client.run('details = remote.Task.get("shop.total", version="v1").fetch()')
    assert client("(details.required_args, details.default_input_args)") == [[], ["n"]]
    assert client("str(details.interface)").startswith("(n: int = ...) -> ")
    assert client("details.pb2.metadata.short_description") == "Adds squares."


def test_a_deployed_task_runs_when_a_client_asks_for_it(client: Client) -> None:
    client.run('run = flyte.run(deployed("shop.total"), n=3)\nrun.wait(quiet=True)')
    assert client("run.phase.value") == "succeeded"
    assert client("list(run.outputs())") == [5, "ttt"]
    assert client("dict(run.inputs())") == {"n": 3}
    client.run('run = flyte.run(deployed("shop.everything"), number=8)\nrun.wait(quiet=True)')
    assert client("list(run.outputs())") == [8]


def test_a_run_that_fails_is_recorded_with_its_error(client: Client) -> None:
    client.run('run = flyte.run(deployed("shop.failing"), x=3)\nrun.wait(quiet=True)')
    assert client("run.details().action_details.error_info.code") == "ValueError"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("'shop.nested', depth=6", "nested deeper than the 5 levels"),
        ("'shop.many', n=60", "more than the 40 actions"),
    ],
)
def test_a_run_beyond_its_limits_is_aborted(client: Client, asked: str, says: str) -> None:
    name, inputs = asked.split(", ")
    client.run(f"run = flyte.run(deployed({name}), {inputs})\nrun.wait(quiet=True)")
    assert client("run.phase.value") == "aborted"
    assert says in client("remote.Run.get(run.name).details().action_details.abort_info.reason")


def test_a_run_whose_code_is_in_the_store_is_not_repeated_by_a_client(client: Client) -> None:
    with pytest.raises(ClientError, match=r"code of task shop\.total is in the store.*flyte-nb rerun"):
        client('flyte.rerun("adds")')

"""A store read by Flyte's own SDK, through the server, while runs go on in this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import flyte_nb as flyte
from flyte_nb.engine.session import end_session
from tests.processes import one_session
from tests.server import wire_tasks
from tests.server.wire import Client, ClientError, official_client, served

HELPERS = """
import threading, time
from datetime import UTC, datetime
from flyteidl2.app import app_definition_pb2 as apps

def until_running(name):
    while not any(run.name == name for run in remote.Run.listall(in_phase=("running",))):
        time.sleep(0.05)
"""

STREAMS = """
from collections import defaultdict
from flyte._initialize import get_client
from flyteidl2.common import identifier_pb2
from flyteidl2.workflow import run_service_pb2 as messages

until_running("gated")
named = identifier_pb2.RunIdentifier(name="gated")
told = defaultdict(list)

async def actions(watcher):
    async for told_now in get_client().run_service.watch_actions(messages.WatchActionsRequest(run_id=named)):
        told[watcher] += [(one.action.id.name, one.action.status.phase) for one in told_now.enriched_actions]

async def run():
    async for told_now in get_client().run_service.watch_run_details(messages.WatchRunDetailsRequest(run_id=named)):
        told["run"].append(("gated", told_now.details.action.status.phase))

async def runs():
    async for told_now in get_client().run_service.watch_runs(messages.WatchRunsRequest(org="o")):
        of_it = [one.action.status.phase for one in told_now.runs if one.action.id.run.name == "gated"]
        told["runs"] += [("gated", phase) for phase in of_it]
        if 5 in of_it:
            return

async def follow():
    await asyncio.gather(actions("actions 1"), actions("actions 2"), run(), runs())

followers = [threading.Thread(target=lambda: asyncio.run(follow()))]
followers[0].start()
while len(told) < 4: time.sleep(0.01)
"""
RUNNING, SUCCEEDED = 4, 5


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop") / ".flyte_nb"
    with one_session(folder):
        flyte.with_runcontext(name="adds", labels={"team": "x"}).run(wire_tasks.total, n=4)
        flyte.with_runcontext(name="all-types").run(wire_tasks.everything)
        with pytest.raises(flyte.errors.RuntimeUserError):
            flyte.with_runcontext(name="fails").run(wire_tasks.failing, x=1)
        for version in ("v1", "v2"):
            flyte.deploy(wire_tasks.env, version=version)
    return folder


@pytest.fixture(autouse=True)
def flyte_nb_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The tests of this module share a store, and record in it themselves."""
    monkeypatch.setenv("FLYTE_NB_HOME", str(home))
    yield home
    end_session()


@pytest.fixture(scope="module")
def client(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with served(home) as url, official_client(url, tmp_path_factory.mktemp("client")) as client:
        client.run(HELPERS)
        yield client


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("", ["adds", "all-types", "fails"]),
        ('sort_by=("created_at", "desc")', ["fails", "all-types", "adds"]),
        ('sort_by=("name", "desc"), limit=1', ["fails"]),
        ('in_phase=("failed",)', ["fails"]),
        ('in_phase=("failed", "aborted", "timed_out")', ["fails"]),
        ('in_phase=("recovered",)', []),
        ('task_name="shop.total"', ["adds"]),
        ("created_by_subject=remote.User.get().subject(), limit=2", ["adds", "all-types"]),
        ('created_by_subject="somebody else"', []),
        ('with_labels={"team": "x"}', ["adds"]),
        ('with_labels={"team": "y"}', []),
        ('with_label_keys=["team"]', ["adds"]),
        ("created_at=remote.TimeFilter(after=datetime(2020, 1, 1, tzinfo=UTC))", ["adds", "all-types", "fails"]),
        ("created_at=remote.TimeFilter(before=datetime(2020, 1, 1, tzinfo=UTC))", []),
    ],
)
def test_runs_are_listed_under_filters_and_in_orders(client: Client, wanted: str, names: list[str]) -> None:
    finished = ("adds", "all-types", "fails")
    assert [name for name in client(f"[run.name for run in remote.Run.listall({wanted})]") if name in finished] == names


def test_runs_are_paged_without_one_missing_or_twice(client: Client, home: Path) -> None:
    client.run(
        "from flyteidl2.common import list_pb2\n"
        "from flyteidl2.workflow import run_service_pb2\n"
        "from flyte._initialize import get_client\n"
        "async def pages(size, descending):\n"
        "    found, token = [], ''\n"
        "    while True:\n"
        "        sort = list_pb2.Sort(key='created_at', direction=0 if descending else 1)\n"
        "        asked = list_pb2.ListRequest(limit=size, token=token, sort_by=sort)\n"
        "        page = await get_client().run_service.list_runs(run_service_pb2.ListRunsRequest(request=asked))\n"
        "        assert len(page.runs) <= size\n"
        "        found += [run.action.id.run.name for run in page.runs]\n"
        "        token = page.token\n"
        "        if not token:\n"
        "            return found\n"
    )
    everything = client("[run.name for run in remote.Run.listall()]")
    assert client("pages(1, False)") == everything
    assert client("pages(2, True)") == everything[::-1]


def test_a_run_shows_its_phase_values_logs_and_report(client: Client) -> None:
    client.run('run = remote.Run.get("adds")')
    assert client("run.phase.value") == "succeeded"
    assert client("dict(run.inputs())") == {"n": 4}
    assert client("list(run.outputs())") == [14, "ttt"]
    assert client("list(run.get_logs())") == [" adding\n"]
    assert "<b>done</b>" in client("run.get_report()")
    assert client("dict(run.details().pb2.run_spec.labels.values)") == {"team": "x"}
    assert client("run.wait(quiet=True)") is None


def test_the_actions_of_a_run_are_its_tree(client: Client) -> None:
    listed = client(
        "[(a.task_name or a.pb2.metadata.trace.name, a.parent_name, a.pb2.metadata.group, a.phase.value)"
        ' for a in remote.Action.listall(for_run_name="adds")]'
    )
    assert listed == [
        ["shop.total", None, "", "succeeded"],
        *[["shop.square", "a0", "squares", "succeeded"]] * 4,
        ["lookup", "a0", "", "succeeded"],
    ]
    children = client('[a.name for a in remote.Action.listall(for_run_name="adds", parent_name="a0")]')
    assert len(children) == 5
    action = client(
        'settled(remote.Action.get(run_name="adds", name=name).details()).phase_durations', name=children[0]
    )
    assert set(action) or action


def test_the_values_of_an_action_are_those_of_the_task(client: Client) -> None:
    client.run(
        'actions = list(remote.Action.listall(for_run_name="adds", parent_name="a0"))\n'
        "async def io(action):\n"
        "    details = await action.details()\n"
        "    return dict(await details.inputs()), list(await details.outputs())\n"
    )
    assert client("io(actions[3])") == [{"x": 3}, [9]]
    assert client("io(actions[4])") == [{"x": 3}, ["ttt"]]  # a trace


def test_values_of_every_type_arrive_as_what_they_are(client: Client) -> None:
    client.run(
        "import dataclasses, enum\n"
        "def plain(value):\n"
        "    if dataclasses.is_dataclass(value): return dataclasses.asdict(value)\n"
        "    if hasattr(value, 'model_dump'): return value.model_dump(mode='json')\n"
        "    if isinstance(value, enum.Enum): return value.name\n"
        "    return sorted(value) if isinstance(value, set) else value\n"
    )
    values = client('{name: plain(value) for name, value in remote.Run.get("all-types").inputs().items()}')
    assert values == {
        "flag": True,
        "number": 5,
        "ratio": 0.5,
        "text": "a<b>",
        "at": "datetime.datetime(2024, 1, 2, 0, 0, tzinfo=datetime.timezone.utc)",
        "day": "datetime.datetime(2024, 1, 2, 0, 0, tzinfo=datetime.timezone.utc)",  # Flyte has one type for both
        "span": "datetime.timedelta(seconds=90)",
        "order": {"x": 1, "y": 1.0, "note": None, "items": [], "inner": {"a": 2}, "counts": {}},
        "model": {"depth": 3, "at": None},
        "pair": {"left": 1, "right": "b"},  # Flyte carries tuples as models
        "two": {"item_0": 1, "item_1": "b"},
        "color": "BLUE",
        "maybe": None,
        "either": "q",
        "numbers": [1.0, 2.0],
        "counts": {"a": 1},
        "by_number": {"1": "x"},  # as JSON brings it here
        "loose": {"q": [1]},
        "some": [1, 2],
        "raw": "b'xyz'",
        "anything": [1, [2]],
    }


def test_a_failed_run_says_why_and_where(client: Client) -> None:
    client.run('failure = remote.Run.get("fails").details().action_details.error_info')
    assert client("(failure.code, failure.kind)") == ["ValueError", 1]
    assert client("failure.message").startswith("no luck (wire_tasks.py, line ")
    with pytest.raises(ClientError, match="no luck"):
        client('remote.Run.get("fails").raise_for_status()')


def test_a_live_run_is_watched_and_its_logs_are_followed_to_the_end(client: Client) -> None:
    wire_tasks.GO_ON.clear()
    runner = threading.Thread(
        target=lambda: flyte.with_runcontext(name="live").run(wire_tasks.waiting, x=7), name="live"
    )
    runner.start()
    try:
        client.run(
            "until_running('live')\n"
            "lines, phases = [], []\n"
            "def tail():\n"
            "    lines.extend(remote.Run.get('live').get_logs())\n"
            "async def follow():\n"
            "    async for details in (await remote.Run.get.aio('live')).watch():\n"
            "        phases.append(details.phase.value)\n"
            "followers = [threading.Thread(target=tail), threading.Thread(target=lambda: asyncio.run(follow()))]\n"
            "for follower in followers: follower.start()\n"
            "while not phases: time.sleep(0.01)\n"
        )
        wire_tasks.GO_ON.set()
        client.run("for follower in followers: follower.join()")
        phases = client("phases")
        assert phases[0] == "running" and phases[-1] == "succeeded"
        assert client("lines") == [" waiting\n", " went on\n"]
        assert client('list(remote.Run.get("live").outputs())') == [7]
    finally:
        wire_tasks.GO_ON.set()
        runner.join()


def test_every_change_of_a_live_run_is_told_to_all_who_watch(client: Client) -> None:
    wire_tasks.GO_ON.clear()
    runner = threading.Thread(target=lambda: flyte.with_runcontext(name="gated").run(wire_tasks.gated, n=30))
    runner.start()
    try:
        client.run(STREAMS)
        wire_tasks.GO_ON.set()
        client.run("for follower in followers: follower.join()")
    finally:
        wire_tasks.GO_ON.set()
        runner.join()
    for watcher in ("actions 1", "actions 2"):
        told = client("told[watcher]", watcher=watcher)
        assert len({name for name, _ in told}) == 31
        assert {phase for name, phase in dict(told).items()} == {SUCCEEDED}
        for action in dict(told):
            phases = [phase for name, phase in told if name == action]
            assert phases == sorted(set(phases)), "no phase twice, none back"
    for watcher in ("run", "runs"):
        phases = [phase for _, phase in client("told[watcher]", watcher=watcher)]
        assert (phases[0], phases[-1]) == (RUNNING, SUCCEEDED)


def test_an_action_of_a_live_run_is_aborted_with_all_below_it(client: Client) -> None:
    outcome: list[str] = []

    def run_it() -> None:
        try:
            flyte.with_runcontext(name="nests").run(wire_tasks.nested, depth=2)
        except flyte.errors.RuntimeUserError as error:
            outcome.append(str(error))

    runner = threading.Thread(target=run_it)
    runner.start()
    client.run(
        "until_running('nests')\n"
        "def tree(): return list(remote.Action.listall(for_run_name='nests', in_phase=('running',)))\n"
        "while len(tree()) < 3: time.sleep(0.05)\n"
        "child = next(action for action in tree() if action.parent_name == 'a0')\n"
        "child.abort('enough')\n"
    )
    runner.join()
    phases = client("{a.parent_name: a.phase.value for a in remote.Action.listall(for_run_name='nests')}")
    assert phases.pop("null") == "failed"
    assert set(phases.values()) == {"aborted"}
    assert "enough" in outcome[0]


def test_the_versions_of_a_task_and_the_place_of_its_values_are_told(client: Client) -> None:
    client.run(
        "from flyteidl2.common import identifier_pb2\n"
        "from flyteidl2.task import task_definition_pb2, task_service_pb2\n"
        "from flyteidl2.workflow import run_service_pb2\n"
        "from flyte._initialize import get_client\n"
        "async def versions(name):\n"
        "    asked = task_service_pb2.ListVersionsRequest(task_name=task_definition_pb2.TaskName(name=name))\n"
        "    return [one.version for one in (await get_client().task_service.list_versions(asked)).versions]\n"
        "async def deployed_by(user):\n"
        "    asked = task_service_pb2.ListTasksRequest.KnownFilter(deployed_by=user)\n"
        "    asked = task_service_pb2.ListTasksRequest(known_filters=[asked])\n"
        "    return len((await get_client().task_service.list_tasks(asked)).tasks)\n"
        "async def place():\n"
        "    named = remote.Run.get('adds').action.action_id\n"
        "    asked = run_service_pb2.GetActionDataURIsRequest(action_id=named)\n"
        "    return str(await get_client().run_service.get_action_data_u_r_is(asked))\n"
    )
    assert client("versions('shop.total')") == ["v2", "v1"]
    assert client("deployed_by(remote.User.get().subject())") == 2 * len(wire_tasks.env.tasks)
    assert client("deployed_by('somebody else')") == 0
    assert client("place()") == ""


def test_a_live_run_is_aborted_from_the_client(client: Client) -> None:
    wire_tasks.GO_ON.clear()
    outcome: list[Any] = []

    def run_it() -> None:
        try:
            flyte.with_runcontext(name="endless").run(wire_tasks.waiting, x=7)
        except flyte.errors.ActionAbortedError as error:
            outcome.append(str(error))

    runner = threading.Thread(target=run_it, name="endless")
    runner.start()
    try:
        client.run("until_running('endless')\nremote.Run.get('endless').abort('enough')\n")
        runner.join()
    finally:
        wire_tasks.GO_ON.set()
        runner.join()
    assert "enough" in outcome[0]
    assert client('remote.Run.get("endless").phase.value') == "aborted"
    reason = client('remote.Run.get("endless").details().action_details.abort_info.reason')
    assert reason.endswith("enough")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ('remote.Run.get("addz")', "No run is named 'addz'.*adds"),
        ('remote.Action.get(run_name="adds", name="zz")', "no action .*zz|named 'zz'"),
        ('list(remote.Run.listall(sort_by=("cost", "asc")))', "cannot be sorted by 'cost', only by created_at"),
        ('remote.Run.get("fails").get_report()', "has written no report"),
        (
            "remote.App.create(apps.App(metadata={'id': {'name': 'hello'}}))",
            "'hello' cannot be served here: apps need a cl",
        ),
        ("remote.Settings.get_settings_for_edit()", "does not serve .*GetSettingsForEdit: settings are a cluster's"),
        ('remote.Project.get("other")', "no project 'other': it serves"),
    ],
)
def test_what_is_asked_wrongly_is_answered_with_one_clear_error(client: Client, asked: str, says: str) -> None:
    with pytest.raises(ClientError, match=says):
        client(asked)
    assert client('remote.Run.get("adds").name') == "adds"


def test_the_client_learns_where_it_is(client: Client, home: Path) -> None:
    assert client("[project.pb2.id for project in remote.Project.listall()]") == [home.parent.name]
    assert client("remote.User.get().name()")

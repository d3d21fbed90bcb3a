"""Triggers by Flyte's own SDK and command line: deployed, listed, changed, and fired while the server runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import flyte_nb as flyte
from flyte_nb.store.deployments import Deployments
from flyte_nb.store.home import Home
from flyte_nb.store.queries import Store
from tests.processes import one_session, until
from tests.server import wire_tasks
from tests.server.webhook import Webhook, post
from tests.server.wire import Client, ClientError, official_client, served

OFFICIAL_TASKS = """
from datetime import datetime, timedelta, timezone
import flyte

env = flyte.TaskEnvironment("off")
NIGHTLY = flyte.Trigger(
    "nightly",
    flyte.Cron("30 2 * * *", timezone="Europe/Berlin"),
    description="Every night.",
    inputs={"when": flyte.TriggerTime, "depth": 7},
    env_vars={"A": "1"},
    labels={"team": "red"},
    custom_context={"k": "v"},
)
OFTEN = flyte.Trigger("often", flyte.FixedRate(90, datetime(2026, 1, 1, tzinfo=timezone.utc)), auto_activate=False)
BY_HAND = flyte.Trigger("by-hand", inputs={"n": 2})
RARELY = 10**6


def soon() -> flyte.Trigger:
    due = datetime.now(timezone.utc) + timedelta(seconds=1)
    rate = flyte.FixedRate(RARELY, due - timedelta(minutes=RARELY))
    return flyte.Trigger("soon", rate, inputs={"at": flyte.TriggerTime, "number": 9}, labels={"team": "blue"})


@env.task(triggers=(NIGHTLY, OFTEN))
async def report(when: datetime = datetime(2020, 1, 1), depth: int = 3, hook: str = "") -> str:
    if hook:
        webhook = flyte.ConditionWebhook(hook, {"post to": "{callback_uri}"})
        condition = await flyte.new_condition.aio("deeper", "How deep?", data_type=int, webhook=webhook)
        depth += await condition.wait.aio()
    return f"{when} {depth}"
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop") / ".flyte_nb"
    with one_session(folder):
        flyte.deploy(wire_tasks.env, version="v1")
        said = {"labels": {"a": "b"}, "annotations": {"why": "test"}, "custom_context": {"k": "v"}}
        trigger = flyte.Trigger("own", flyte.FixedRate(60), inputs={"n": 1}, auto_activate=False, **said)
        flyte.remote.Trigger.create(trigger, "shop.total")
    return folder


@pytest.fixture(scope="module")
def client(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("client")
    (folder / "off_triggers.py").write_text(OFFICIAL_TASKS)
    with served(home, "--execute") as url, official_client(url, folder) as client:
        client.run("import sys\nsys.path.insert(0, '.')\nimport off_triggers as off\n")
        client('flyte.deploy(off.env, version="v7", copy_style="loaded_modules") and None')
        client('remote.Trigger.create(off.soon(), "shop.everything") and None')
        yield client


def test_triggers_that_a_client_deploys_with_a_task_are_recorded_as_it_said_them(client: Client, home: Path) -> None:
    client.run('nightly = remote.Trigger.get(name="nightly", task_name="off.report")')
    assert client("(nightly.name, nightly.task_name, nightly.is_active)") == ["nightly", "off.report", True]
    assert client("(nightly.pb2.spec.task_version, nightly.pb2.spec.description)") == ["v7", "Every night."]
    assert client("nightly.automation_spec.schedule.cron.timezone") == "Europe/Berlin"
    assert client("nightly.automation_spec.schedule.kickoff_time_input_arg") == "when"
    assert client("dict(nightly.pb2.spec.run_spec.labels.values)") == {"team": "red"}
    assert client("[(one.key, one.value) for one in nightly.pb2.spec.inputs.context][0]") == ["k", "v"]
    assert client("nightly.pb2.status.deployed_at.seconds") > 0
    row = Deployments(Home(home)).trigger("off.report", "nightly")
    assert row.automation == {"kind": "cron", "expression": "30 2 * * *", "timezone": "Europe/Berlin"}
    assert (row.version, row.time_inputs, row.description) == ("v7", ["when"], "Every night.")
    assert row.settings == {"labels": {"team": "red"}, "env_vars": {"A": "1"}, "custom_context": {"k": "v"}}
    assert Deployments(Home(home)).trigger("off.report", "often").automation["interval_minutes"] == 90


def test_triggers_of_flyte_nb_and_of_flyte_are_listed_a_page_at_a_time(client: Client) -> None:
    listed = client("[(t.task_name, t.name, t.is_active) for t in remote.Trigger.listall(limit=2)]")
    assert listed == [
        ["shop.everything", "soon", True],
        ["off.report", "often", False],
        ["off.report", "nightly", True],
        ["shop.total", "own", False],
    ]
    assert client('[t.name for t in remote.Trigger.listall("off.report")]') == ["often", "nightly"]
    assert client('[t.name for t in remote.Trigger.listall("off.report", "v7")]') == ["often", "nightly"]
    assert client('[t.name for t in remote.Trigger.listall("off.report", "v8")]') == []
    client.run('own = remote.Trigger.get(name="own", task_name="shop.total")')
    assert client("own.pb2.spec.inputs.literals[0].value.scalar.primitive.integer") == 1
    assert client("(own.automation_spec.schedule.rate.value, own.automation_spec.schedule.rate.unit)") == [60, 1]
    assert client("dict(own.pb2.spec.run_spec.labels.values)") == {"a": "b"}


def test_triggers_are_paused_resumed_replaced_and_deleted(client: Client, home: Path) -> None:
    client('remote.Trigger.update("nightly", "off.report", active=False)')
    assert client('remote.Trigger.get(name="nightly", task_name="off.report").is_active') is False
    client('remote.Trigger.update("nightly", "off.report", active=True)')
    client('remote.Trigger.create(flyte.Trigger.hourly("when", name="often"), "off.report") and None')
    row = Deployments(Home(home)).trigger("off.report", "often")
    assert (row.automation["expression"], row.is_active, row.time_inputs) == ("0 * * * *", True, ["when"])
    client('remote.Trigger.delete("often", "off.report")')
    assert client('[t.name for t in remote.Trigger.listall("off.report")]') == ["nightly"]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ('remote.Trigger.get(name="nightl", task_name="off.report")', "named 'nightl'; did you mean nightly"),
        ('remote.Trigger.update("own", "off.reprt", active=True)', "No trigger of task off.reprt is named 'own'"),
        ('remote.Trigger.delete("gone", "off.report")', "No trigger of task off.report is named 'gone'"),
        ('remote.Trigger.create(flyte.Trigger.hourly(name="x"), "shop.totl")', "No versions found for Task shop.totl"),
        ('remote.Trigger.create(flyte.Trigger("x", flyte.Cron("0 0 * * *", "Mars/Base")), "shop.total")', "Mars/Base"),
        ('remote.Trigger.create(flyte.Trigger("x", flyte.Cron("@every 0s")), "shop.total")', "@every 0s"),
    ],
)
def test_what_is_asked_wrongly_of_triggers_is_answered_with_the_way_out(client: Client, asked: str, says: str) -> None:
    with pytest.raises(ClientError, match=re.escape(says)):
        client(asked)


def test_a_trigger_of_a_client_fires_as_a_run_of_its_own(client: Client, home: Path) -> None:
    until(lambda: Deployments(Home(home)).trigger("shop.everything", "soon").fired_ns)
    row = Deployments(Home(home)).trigger("shop.everything", "soon")
    assert row.fired_error == ""
    client.run(f"run = remote.Run.get({row.fired_run!r})\nrun.wait(quiet=True)")
    assert client("list(run.outputs())") == [9]
    assert row.fired_due_ns is not None
    at = datetime.fromtimestamp(row.fired_due_ns // 1_000 / 1e6, UTC)
    assert client("dict(run.pb2.labels) or dict(run.details().pb2.run_spec.labels.values)") == {
        "team": "blue",
        "trigger": "soon",
        "trigger_time": f"{at:%Y%m%dT%H%M%S.%fZ}",
    }
    assert client("run.inputs()['at'].isoformat()") == at.isoformat()
    seconds = client("remote.Trigger.get(name='soon', task_name='shop.everything').pb2.status.triggered_at.seconds")
    assert seconds >= int(at.timestamp())


def test_a_trigger_is_fired_by_hand(client: Client, home: Path) -> None:
    client.run('own = flyte.run(remote.Trigger.get(name="own", task_name="shop.total"))\nown.wait(quiet=True)')
    assert client("list(own.outputs())") == [0, "ttt"]
    row = Store.open(home).run(client("own.name"))
    assert (row.labels, row.annotations) == ({"a": "b", "trigger": "own"}, {"why": "test"})
    assert row.options["custom_context"] == {"k": "v"} and "env_vars" not in row.options


def test_a_trigger_of_flytes_own_task_is_fired_with_other_inputs(client: Client) -> None:
    began = datetime.now(UTC)
    with Webhook() as webhook:
        nightly = "remote.Trigger.get(name='nightly', task_name='off.report')"
        client.run(f"run = flyte.run({nightly}, depth=5, hook={webhook.url!r})")
        webhook.handle_request()
    assert post(webhook.told[0]["post to"], b"2") == "200 The condition is answered"
    client.run("run.wait(quiet=True)")
    when, _, depth = client("list(run.outputs())[0]").rpartition(" ")
    assert began <= datetime.fromisoformat(when) <= datetime.now(UTC) and depth == "7"


def test_the_code_that_a_client_brought_comes_back_by_a_link(client: Client) -> None:
    client.run(
        "import flyte.remote._code\n"
        "flyte.remote._code._download_via_storage = None  # as from another machine\n"
        "code = run.download_code(dest='code')\n"
    )
    assert client("(code / 'off_triggers.py').read_text()") == OFFICIAL_TASKS
    with pytest.raises(ClientError, match="No code bundle is associated with action 'a0'"):
        client("own.download_code(dest='other')")

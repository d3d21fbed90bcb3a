"""Conditions of a run of another process, answered over the wire: by Flyte's own SDK, by flyte_nb, by a webhook."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

import flyte_nb as flyte
from flyte_nb.errors import ConditionNotFoundError
from flyte_nb.remote import Condition, Run, Secret, Trigger
from flyte_nb.remote.condition import answer, open_questions
from flyte_nb.store.callbacks import CALLBACKS
from flyte_nb.store.queries import Store
from tests.processes import one_session
from tests.server import wire_tasks
from tests.server.webhook import Webhook, post
from tests.server.wire import PROJECT, Client, ClientError, official_client, served

RUN = "release"
RELEASE = f"""
import asyncio, sys
import flyte_nb as flyte

env = flyte.TaskEnvironment("releases")


@env.task
async def release(hook: str) -> list[str]:
    webhook = flyte.ConditionWebhook(hook, {{"post to": ["{{callback_uri}}"]}})
    asked = [
        flyte.new_condition("publish", "**Publish** it?", "markdown", bool, "All of it.", timeout=600),
        flyte.new_condition("count", "How many?", data_type=int),
        flyte.new_condition("ratio", "Which part?", data_type=float),
        flyte.new_condition("note", "Why?", data_type=str, webhook=webhook),
    ]
    return [repr(answer) for answer in await asyncio.gather(*[one.wait.aio() for one in asked])]


flyte.with_runcontext(name="{RUN}").run(release, sys.argv[1])
"""
GET = f"remote.Condition.get({{!r}}, run_name={RUN!r})"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("releases") / ".flyte_nb"
    with one_session(folder):
        flyte.deploy(wire_tasks.env, version="v1")
        flyte.remote.Trigger.create(flyte.Trigger("weekly", flyte.Cron("0 8 * * mon"), inputs={"n": 2}), "shop.total")
    return folder


@pytest.fixture(scope="module")
def url(home: Path) -> Iterator[str]:
    with served(home) as url:
        yield url


@pytest.fixture(scope="module")
def webhook() -> Iterator[Webhook]:
    """Somebody who is told, once."""
    with Webhook() as webhook:
        yield webhook


@pytest.fixture(scope="module")
def waiting_run(home: Path, url: str, webhook: Webhook) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose run waits for four answers; the webhook was told of one."""
    folder = home.parent
    (folder / "release.py").write_text(RELEASE)
    thread = Thread(target=webhook.handle_request)
    thread.start()
    command = [sys.executable, "release.py", webhook.url]
    variables = {**os.environ, "FLYTE_NB_HOME": str(home), "PYTHONPATH": str(PROJECT)}
    with subprocess.Popen(
        command, cwd=folder, env=variables, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as process:
        try:
            thread.join()
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def client(url: str, waiting_run: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with official_client(url, tmp_path_factory.mktemp("client")) as client:
        yield client


@pytest.fixture(scope="module")
def connected(url: str) -> Iterator[None]:
    """This process with the server as its backend."""
    flyte.init(endpoint=url, insecure=True, project="p", domain="d")
    yield
    flyte.init()


def test_conditions_are_listed_with_what_they_ask(client: Client) -> None:
    listed = client(f"[(c.name, c.phase, c.expected_type.__name__) for c in remote.Condition.listall({RUN!r})]")
    assert sorted(listed) == [
        ["count", "ACTION_PHASE_PAUSED", "int"],
        ["note", "ACTION_PHASE_PAUSED", "str"],
        ["publish", "ACTION_PHASE_PAUSED", "bool"],
        ["ratio", "ACTION_PHASE_PAUSED", "float"],
    ]
    assert client(f"[c.name for c in remote.Condition.listall({RUN!r}, action_name='other')]") == []
    client.run(f"asked = remote.Action.get(run_name={RUN!r}, name={GET.format('publish')}.action_name)")
    client.run("asked = asked._details.pb2.condition")
    assert client("(asked.prompt, asked.prompt_type, asked.description)") == ["**Publish** it?", 2, "All of it."]
    assert client("asked.timeout.seconds") == 600


def test_an_answer_that_does_not_fit_is_refused_and_the_condition_stays_open(client: Client) -> None:
    with pytest.raises(ClientError, match=re.escape("'perhaps' is no answer: answer yes or no")):
        client(GET.format("publish") + ".signal('perhaps')")
    assert client(GET.format("publish") + ".phase") == "ACTION_PHASE_PAUSED"
    with pytest.raises(ClientError, match="Action a0 of run release is a task, no condition"):
        client(f"remote.Condition(pb2=remote.Action.get(run_name={RUN!r}, name='a0').pb2).signal(True)")


def test_the_first_answer_of_a_client_counts(client: Client, url: str) -> None:
    client.run("from click.testing import CliRunner\nfrom flyte.cli.main import main")
    action = client(GET.format("publish") + ".action_name")
    words = ["--endpoint", url, "--insecure", "signal", "condition", "-p", "p", "-d", "d", RUN, action, "true"]
    code, told = client("(lambda done: [done.exit_code, done.output])(CliRunner().invoke(main, words))", words=words)
    assert code == 0 and "has been signaled" in told and "**Publish**" not in told, told
    assert client(GET.format("publish") + ".phase") == "ACTION_PHASE_SUCCEEDED"
    with pytest.raises(ClientError, match="Condition 'publish' of run release does not wait any more: succeeded"):
        client(GET.format("publish") + ".signal(False)")


@pytest.mark.usefixtures("connected", "waiting_run")
def test_flyte_nb_answers_through_the_server() -> None:
    assert {one.name: one.type_name for one in Condition.listall(RUN)} == {
        "publish": "bool",
        "count": "int",
        "ratio": "float",
        "note": "str",
    }
    count = Condition.get("count", run_name=RUN)
    assert count is not None and (count.prompt, count.phase.value) == ("How many?", "paused")
    with pytest.raises(ValueError, match=r"'2\.5' is no answer: answer with a whole number"):
        count.signal("2.5")
    assert ", int): How many?" in open_questions(RUN)
    assert answer(RUN, "count", "3") == "Condition 'count' of run release is answered: 3"
    with pytest.raises(ConditionNotFoundError, match="Condition 'count' of run release does not wait any more"):
        count.signal(4)
    assert Run.get(RUN)[count.action_name].outputs() == (3,)
    ratio = Condition.get("ratio", run_name=RUN)
    assert ratio is not None
    ratio.signal(1)


@pytest.mark.usefixtures("connected")
def test_flyte_nb_changes_the_triggers_of_a_server() -> None:
    (weekly,) = Trigger.listall()
    assert (weekly.task_name, weekly.name, weekly.task_version, weekly.is_active) == (
        "shop.total",
        "weekly",
        "v1",
        True,
    )
    assert [at.weekday() for at in weekly.next_times] == [0] * 5
    Trigger.update("weekly", "shop.total", active=False)
    assert not Trigger.get(name="weekly", task_name="shop.total").is_active
    made = Trigger.create(flyte.Trigger("often", flyte.FixedRate(90), inputs={"n": 1}, labels={"a": "b"}), "shop.total")
    assert (made.automation_spec["interval_minutes"], made.row.settings) == (90, {"labels": {"a": "b"}})
    Trigger.delete("often", "shop.total")
    with pytest.raises(KeyError, match=r"no trigger 'weekl' of task shop\.total at http.* Did you mean weekly"):
        Trigger.get(name="weekl", task_name="shop.total")


@pytest.mark.usefixtures("connected")
def test_flyte_nb_keeps_secrets_at_a_server(home: Path) -> None:
    Secret.create("api-key", "of the server")
    Secret.create("other", b"as bytes")
    assert (home / "secrets" / "other").read_text() == "as bytes"
    assert [(one.name, one.type) for one in Secret.listall(limit=1)] == [("api-key", "regular"), ("other", "regular")]
    with pytest.raises(ValueError, match="There is a secret 'other' already: delete it first"):
        Secret.create("other", "again")
    Secret.delete("other")
    with pytest.raises(KeyError, match=r"no secret 'api' at http.* Did you mean api-key"):
        Secret.get("api")


@pytest.mark.usefixtures("waiting_run")
def test_a_webhook_is_told_where_the_answer_is_posted(webhook: Webhook, url: str) -> None:
    (address,) = webhook.told[0]["post to"]
    assert address.startswith(url + CALLBACKS)
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(address)


def test_one_answer_is_taken_at_the_address_of_a_condition(
    webhook: Webhook, home: Path, waiting_run: subprocess.Popen[bytes]
) -> None:
    (address,) = webhook.told[0]["post to"]
    forged = re.sub(r"/[^/?]+\?", "/a0?", address)
    assert post(forged, b"true").startswith("403 This address was not made by this server")
    assert post(address, b"[1]").startswith("400 The body is no answer")
    assert post(address, b'{"value": "in time"}') == "200 The condition is answered"
    assert post(address, b'"late"').startswith("409 Condition 'note' of run release does not wait any more")
    assert waiting_run.wait(timeout=60) == 0
    assert Store.open(home).run(RUN).phase == "succeeded"
    answers = Store.open(home).sql("SELECT value FROM \"values\" WHERE action = 'a0' AND direction = 'output'")
    assert "'in time'" in str(answers) and "1.0" in str(answers) and "True" in str(answers)

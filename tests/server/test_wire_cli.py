"""Flyte's own command line, and its configuration file, with the server as its backend."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import flyte_nb as flyte
from flyte_nb.store.queries import Store
from tests.processes import one_session, until
from tests.server import wire_tasks
from tests.server.wire import Client, official_client, served

CONFIG = "admin:\n  endpoint: {}\n  insecure: true\ntask:\n  project: shop\n  domain: development\n  org: o\n"
OFFICIAL = '''
import flyte

env = flyte.TaskEnvironment("off")

@env.task
async def square(x: int) -> int:
    """Squares."""
    return x * x
'''
CREATED = re.compile(r"Created Run: (\w+)")
Command = Callable[..., str]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop") / ".flyte_nb"
    with one_session(folder):
        flyte.with_runcontext(name="adds", labels={"team": "x"}).run(wire_tasks.total, n=3)
        flyte.deploy(wire_tasks.env, version="v1")
    return folder


@pytest.fixture(scope="module")
def folder(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where a user of Flyte works: a configuration file that names the server, and a file with tasks."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "off.py").write_text(OFFICIAL)
    (folder / ".flyte").mkdir()
    with served(home, "--execute") as url:
        (folder / ".flyte" / "config.yaml").write_text(CONFIG.format(url))
        yield folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[Client]:
    """One process for all commands: to start one takes longer than most of them."""
    terminal = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "300"}
    with official_client("http://127.0.0.1:9", folder, terminal) as client:
        client.run("from click.testing import CliRunner\nfrom flyte.cli.main import main")
        yield client


@pytest.fixture(scope="module")
def command(client: Client) -> Command:
    """`flyte WORDS` in that folder: what it printed."""

    def run(*words: str, fails: bool = False) -> str:
        code, told = client(
            "(lambda done: [done.exit_code, done.output])(CliRunner().invoke(main, words))", words=words
        )
        assert (code != 0) == fails, told
        return str(told)

    return run


def test_runs_and_their_values_and_logs_are_got(command: Command) -> None:
    assert [run["action"]["id"]["run"]["name"] for run in json.loads(command("-of", "json-raw", "get", "run"))] == [
        "adds"
    ]
    assert re.search(r"'n': 3.*o0=5, o1=\"ttt\"", command("get", "io", "adds"), re.DOTALL)
    assert "adding" in command("get", "logs", "adds")


def test_a_deployed_task_is_run_and_followed_then_another_is_aborted(command: Command, home: Path) -> None:
    told = command("run", "--follow", "deployed-task", "shop.square", "--x", "4")
    assert "square 4" in told
    found = CREATED.search(told)
    assert found is not None
    until(lambda: Store.open(home).run(found[1]).phase == "succeeded")
    endless = CREATED.search(command("run", "deployed-task", "shop.nested", "--depth", "0"))
    assert endless is not None
    command("abort", "run", endless[1], "--reason", "enough")
    row = Store.open(home).run(endless[1])
    assert row.phase == "aborted"
    assert row.error is not None and "enough" in row.error.message


def test_a_file_is_deployed_and_its_task_is_got(command: Command) -> None:
    command("deploy", "--version", "v9", "off.py", "env")
    (task,) = json.loads(command("-of", "json-raw", "get", "task", "off.square"))
    assert (task["taskId"]["version"], task["metadata"]["shortDescription"]) == ("v9", "Squares.")


def test_triggers_are_made_listed_paused_and_deleted(command: Command) -> None:
    command("create", "trigger", "shop.everything", "nightly", "--schedule", "0 2 * * *", "--trigger-time-var", "at")
    assert "cron: 0 2 * * * (UTC)" in command("get", "trigger")
    assert [one.get("active") for one in json.loads(command("-of", "json-raw", "get", "trigger"))] == [True]
    command("update", "trigger", "nightly", "shop.everything", "--deactivate")
    assert [one.get("active") for one in json.loads(command("-of", "json-raw", "get", "trigger"))] == [None]
    assert 'expression: "0 2 * * *"' in command("get", "trigger", "shop.everything", "nightly")
    command("delete", "trigger", "nightly", "shop.everything")
    assert "nightly" not in command("get", "trigger")


def test_what_is_not_there_is_one_error_with_what_is(command: Command) -> None:
    told = command("get", "run", "addz", fails=True)
    assert "No run is named 'addz'" in told and "adds" in told
    assert "Traceback" not in told


def test_flytes_sdk_finds_the_server_by_its_configuration_file(client: Client) -> None:
    client.run("flyte.init_from_config('.flyte/config.yaml')")
    assert client('dict(remote.Run.get("adds").inputs())') == {"n": 3}

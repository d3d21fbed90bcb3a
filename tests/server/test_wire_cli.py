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

CONFIG = """
admin:
  endpoint: {}
  insecure: true
image:
  builder: remote
task:
  project: shop
  domain: development
  org: o
"""
OFFICIAL = '''
import os
import flyte

env = flyte.TaskEnvironment("off")
image = flyte.Image.from_debian_base().with_pip_packages("a-package-that-is-built-nowhere")
secretive = flyte.TaskEnvironment("secretive", secrets="api-key", image=image)

@env.task(entrypoint=True)
async def square(x: int) -> int:
    """Squares."""
    return x * x

@secretive.task
async def tell() -> int:
    print("the key is", os.environ["API_KEY"])
    return len(os.environ["API_KEY"])
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


def test_a_secret_is_kept_for_the_tasks_that_ask_for_it_and_told_to_nobody(
    command: Command, home: Path, folder: Path
) -> None:
    command("create", "secret", "api-key", "--value", "of the store")
    (folder / "binary").write_bytes(b"from a file")
    command("create", "secret", "other", "--from-file", "binary", "--project", "shop", "--domain", "development")
    assert (home / "secrets" / "other").read_bytes() == b"from a file"
    listed = json.loads(command("-of", "json-raw", "get", "secret"))
    assert [one["id"]["name"] for one in listed] == ["api-key", "other"]
    assert "FULLY_PRESENT" in command("get", "secret", "api-key")
    told = command("run", "--follow", "off.py", "tell")  # with an image that no machine has
    assert "the key is ***" in told
    found = CREATED.search(told)
    assert found is not None
    until(lambda: Store.open(home).run(found[1]).phase == "succeeded")
    assert "o0=12" in command("get", "io", found[1])
    command("delete", "secret", "other")
    assert "No secret is named 'other'; there is api-key." in command("get", "secret", "other", fails=True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("create secret api/key --value x", "'api/key' is no name of a secret"),
        ("create secret pull --type image_pull --registry r --username u --password p", "which pull no images"),
        ("delete secret nope", "No secret is named 'nope'"),
        ("get app shop", "There is no app 'shop': this server has none, they need a cluster"),
        ("get artifact", "it keeps no artifacts. Values are found as the outputs of runs"),
        ("get settings", "Queue, labels and variables are given with each run"),
    ],
)
def test_what_cannot_be_had_is_refused_with_the_way_out(command: Command, words: str, says: str) -> None:
    assert says in command(*words.split(), fails=True)


def test_there_are_no_apps_and_everything_is_the_users_own(command: Command) -> None:
    assert command("get", "app", "--only-mine").strip() == ""
    assert "adds" in command("get", "run", "--only-mine")
    assert command("get", "project", "--archived").strip() == ""
    command("deploy", "--version", "v10", "off.py", "env")
    tasks = json.loads(command("-of", "json-raw", "get", "task", "--entrypoint"))
    assert {task["taskId"]["name"] for task in tasks} == {"off.square"}


def test_what_is_not_there_is_one_error_with_what_is(command: Command) -> None:
    told = command("get", "run", "addz", fails=True)
    assert "No run is named 'addz'" in told and "adds" in told
    assert "Traceback" not in told


def test_flytes_sdk_finds_the_server_by_its_configuration_file(client: Client) -> None:
    client.run("flyte.init_from_config('.flyte/config.yaml')")
    assert client('dict(remote.Run.get("adds").inputs())') == {"n": 3}

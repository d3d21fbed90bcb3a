"""Local runs published at another store's server. The oracle is what Flyte's own client publishes of the same."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import flyte_nb as flyte
from flyte_nb.cli.main import cli
from flyte_nb.remote import Run
from flyte_nb.remote.source import source
from flyte_nb.remote.upkeep.housekeeping import publish
from flyte_nb.store.queries import Store
from tests.processes import one_session, until
from tests.remote.backend.program import OURS, PROGRAM
from tests.server.wire import Client, official_client, served

TELL = """
def told(run):
    names = {}
    for action in remote.Action.listall(for_run_name=run):
        names[action.name] = action.pb2.metadata.trace.name or action.task_name
    found = []
    for name, task in names.items():
        details = remote.ActionDetails.get(run_name=run, name=name)
        pb2 = details.pb2
        values = [sorted(dict(settled(details.inputs()) or {}).items())]
        if pb2.status.phase == 5:
            values.append(list(settled(details.outputs())))
        found.append({
            "task": task,
            "parent": names.get(pb2.metadata.parent, ""),
            "group": pb2.metadata.group,
            "kind": pb2.metadata.WhichOneof("spec"),
            "phase": details.phase.value,
            "attempts": [attempt.phase for attempt in pb2.attempts],
            "values": repr(values),
            "error": (pb2.error_info.message, pb2.error_info.kind),
            "environment": pb2.task.environment.name,
            "short_name": pb2.task.short_name,
            "report": "<b>hi</b>" in remote.Action.get(run_name=run, name=name).get_report()
            if any(attempt.outputs.report_uri for attempt in pb2.attempts) else False,
        })
    return sorted(found, key=lambda one: (one["task"], one["values"]))
"""


DYING = """

@env.task
async def dies() -> int:
    await square(x=3)
    await fill(basket=Basket("fig"), at=datetime.now(timezone.utc))
    while "dying" not in [row.name for row in source.backend.runs()]:
        await asyncio.sleep(0.01)
    os.kill(os.getpid(), 9)
    return 0


flyte.init(endpoint={!r}, insecure=True, project="p", domain="d")
from flyte_nb.remote.source import source
flyte.with_runcontext(mode="local", tracked=True, name="dying").run(dies)
"""
ADDING = """
import os
import flyte_nb as flyte

env = flyte.TaskEnvironment("adding")

@env.task
async def add(x: int) -> int:
    return x + int(os.environ["BY"])
"""
CONFIG = """
admin:
  endpoint: {}
  insecure: true
task:
  project: p
  domain: d
"""
PROJECT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store behind the backend."""
    return tmp_path_factory.mktemp("there") / ".flyte_nb"


@pytest.fixture(scope="module")
def backend(there: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    there.mkdir()
    with one_session(tmp_path_factory.mktemp("here") / ".flyte_nb"), served(there) as url:
        yield url
        flyte.init()


@pytest.fixture(scope="module")
def config(backend: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration file of Flyte's that names the backend."""
    file = tmp_path_factory.mktemp("config") / "config.yaml"
    file.write_text(CONFIG.format(backend))
    return file


@pytest.fixture(autouse=True)
def connected(config: Path, request: pytest.FixtureRequest) -> None:
    if "without" not in request.node.name:
        flyte.init_from_config(config)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The program as flyte_nb's."""
    folder = tmp_path_factory.mktemp("program")
    (folder / "ours.py").write_text(OURS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield importlib.import_module("ours")


@pytest.fixture(scope="module")
def client(backend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("client")
    (folder / "theirs.py").write_text(PROGRAM)
    with official_client(backend, folder) as client:
        client.run("import sys\nsys.path.insert(0, '.')\nimport theirs\n" + TELL)
        yield client


def test_a_published_run_tells_what_flytes_own_client_tells_of_the_same(client: Client, tasks: Any) -> None:
    run = flyte.with_runcontext(mode="local", tracked=True, tracked_strict=True, name="ours").run(tasks.main)
    client('flyte.with_runcontext(mode="local", tracked=True, name="theirs").run(theirs.main) and None')
    assert run.url.endswith("/tracked-runs/ours")
    assert "<b>hi</b>" in Run.get("theirs").report()
    ours, theirs = client("told('ours')"), client("told('theirs')")
    for one, other in zip(ours, theirs, strict=True):
        error, written_out = one.pop("error"), other.pop("error")  # Flyte's client publishes the text of a message
        assert (error[0] in written_out[0], error[1]) == (True, written_out[1])
    assert ours == theirs
    assert {one["values"] for one in ours} >= {"[[('x', 7)]]", "[[('x', 3)], [3]]", "[[('x', 2)], ['tt']]"}
    assert {one["task"]: one["phase"] for one in ours} == {
        "kept.square": "succeeded",
        "lookup": "succeeded",
        "pub.broken": "failed",
        "pub.fill": "succeeded",
        "pub.flaky": "succeeded",
        "pub.inner": "succeeded",
        "pub.main": "succeeded",
    }


def test_a_past_run_is_published_whole_and_stays_this_projects(there: Path, tasks: Any) -> None:
    run = flyte.with_runcontext(mode="local", labels={"team": "x"}).run(tasks.inner, n=2)
    assert run.publish() == run.url == run.publish()
    row = Store.open(there).run(f"local-{run.name}")
    assert (row.phase, row.labels, row.action_count) == ("succeeded", {"team": "x"}, 3)
    assert publish(run.name, "other") == f"Run {run.name} is published: {run.url}"
    assert run.url.endswith("/other")
    flyte.with_runcontext(mode="local", name="mine").run(tasks.flaky, x=1).publish()
    one_more = flyte.with_runcontext(mode="local").rerun("mine")  # its code is here: it was not taken for the backend's
    assert one_more.parent_run == "mine"


def test_a_file_is_published_by_its_address(client: Client, tasks: Any) -> None:
    run = flyte.with_runcontext(mode="local", name="files").run(tasks.files)
    run.publish()
    client.run('(file,) = remote.Run.get("files").outputs()')
    assert client("type(file).__module__, open(file.path).read()") == ["flyte.io._file", "content"]


async def test_an_aborted_publication_aborts_the_run_here(client: Client, tasks: Any) -> None:
    run = flyte.with_runcontext(mode="local", tracked=True, name="long").start(tasks.waits)
    assert run.url.endswith("/tracked-runs/long")
    until(lambda: client('[one.name for one in remote.Run.listall() if one.name == "long"]'))
    client('remote.Run.get("long").abort("enough of it")')
    await run.wait.aio()
    assert (run.phase, "enough of it" in str(run.error_info)) == ("aborted", True)


def test_what_a_dead_process_left_unpublished_is_published_later(there: Path, backend: str, tmp_path: Path) -> None:
    (tmp_path / "dying.py").write_text("import os, time\n" + OURS + DYING.format(backend))
    done = subprocess.run([sys.executable, "dying.py"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(PROJECT)})
    assert done.returncode == -signal.SIGKILL
    assert Store.open(there).run("dying").phase == "running"
    Run.get("dying").publish()
    row = Store.open(there).run("dying")
    assert (row.phase, row.action_count) == ("aborted", 3)
    assert "ended before the run did" in str(row.error)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"tracked": True}, 'publishes a run that runs here: add mode="local"'),
        ({"mode": "local", "tracked": True, "name": "run-7"}, "must not begin with u or r.* got 'run-7'"),
        ({"mode": "local", "tracked": True, "name": "n" * 31}, "at most 30 characters, got 31"),
        ({"mode": "local", "tracked_strict": True}, "it needs tracked=True"),
        ({"mode": "local", "tracked": True, "tracked_strict": True, "name": "taken"}, "There is a run 'taken' already"),
    ],
)
def test_what_cannot_be_published_is_refused_before_it_runs(tasks: Any, options: dict[str, Any], told: str) -> None:
    if options.get("name") == "taken":
        flyte.with_runcontext(mode="local").run(tasks.inner, n=0).publish(name="taken")
    before = len(Store.open().runs())
    with pytest.raises(ValueError, match=told):
        flyte.with_runcontext(**options).run(tasks.inner, n=0)
    assert len(Store.open().runs()) == before


def test_all_local_runs_are_published_where_the_configuration_says_so(there: Path, config: Path, tasks: Any) -> None:
    config.write_text(config.read_text() + "local:\n  tracked: true\n  tracked_strict: true\n")
    flyte.init_from_config(config)
    run = flyte.with_runcontext(mode="local").run(tasks.inner, n=1)
    assert Store.open(there).run(run.name).phase == "succeeded"
    flyte.init_from_config(config, local_tracked=False)
    assert not flyte.with_runcontext(mode="local").run(tasks.inner, n=1).url.startswith("http")


def test_a_backend_that_is_away_costs_a_warning_and_is_told_when_it_is_back(
    tasks: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    home = tmp_path / ".flyte_nb"
    home.mkdir()
    flyte.init(endpoint=f"http://127.0.0.1:{port}", insecure=True, rpc_retries=1, project="p", domain="d")
    publisher = source.publisher
    assert publisher is not None
    with caplog.at_level(logging.WARNING, "flyte"):
        run = flyte.with_runcontext(mode="local", tracked=True).run(tasks.flaky, x=1)
        until(lambda: "does not answer" in caplog.text)
    assert run.outputs() == (1,)
    with pytest.raises(ConnectionError, match="does not answer"):
        flyte.with_runcontext(mode="local", tracked=True, tracked_strict=True).run(tasks.flaky, x=1)
    with served(home, "--port", str(port)):

        def is_told() -> bool:
            publisher.hurry()
            return publisher.url(run.name) is not None

        until(is_told)
        assert Store.open(home).run(run.name).phase == "succeeded"
    assert caplog.text.count(run.name) == 1


def test_without_a_backend_a_tracked_run_goes_on_unpublished(tasks: Any, caplog: pytest.LogCaptureFixture) -> None:
    flyte.init()
    with caplog.at_level(logging.WARNING, "flyte"):
        run = flyte.with_runcontext(tracked=True).run(tasks.inner, n=1)
    assert run.outputs() == ([0],)
    assert "none is connected: it runs unpublished" in caplog.text
    strict = flyte.with_runcontext(tracked=True, tracked_strict=True)
    for ask in (run.publish, lambda: strict.run(tasks.inner, n=1)):
        with pytest.raises(flyte.errors.InitializationError, match=r"none is connected: flyte\.init\(endpoint="):
            ask()


def test_the_command_line_publishes_without_any_connection_before(there: Path, config: Path, tasks: Any) -> None:
    flyte.init()
    run = flyte.with_runcontext(name="by-command").run(tasks.inner, n=2)
    refused = CliRunner().invoke(cli, ["publish", "by-command"], env={"FLYTECTL_CONFIG": None, "HOME": "/nowhere"})
    assert (refused.exit_code, "Say at which backend: --endpoint URL" in refused.output) == (2, True)
    refused = CliRunner().invoke(cli, ["publish", "by-command", "-c", "nowhere.yaml"])
    assert (refused.exit_code, "There is no configuration file at nowhere.yaml" in refused.output) == (2, True)
    done = CliRunner().invoke(cli, ["publish", "by-command", "-c", str(config)])
    assert (done.exit_code, done.output.endswith("/by-command\n")) == (0, True), done.output
    assert Store.open(there).run(run.name).action_count == 3


def test_the_command_line_runs_a_task_and_shows_it_at_a_backend(there: Path, config: Path, tmp_path: Path) -> None:
    flyte.init()
    (tmp_path / "adding.py").write_text(ADDING)

    def run(*words: str) -> Result:
        return CliRunner().invoke(cli, ["run", *words, str(tmp_path / "adding.py"), "add", "--x", "1"])

    done = run(
        "--tracked",
        "--tracked-strict",
        "--name",
        "from-command",
        "-c",
        str(config),
        "-e",
        "BY=2",
        "--label",
        "team=risk",
    )
    assert (done.exit_code, "o0 = 3\nPublished: http" in done.output) == (0, True), done.output
    assert done.output.endswith("/from-command\n") and not flyte.is_control_plane_available()
    assert (Store.open(there).run("from-command").phase, Run.get("from-command").outputs()[0]) == ("succeeded", 3)
    for words, said in (
        (["--tracked", "--name", "u-mine", "-c", str(config)], "must not begin with u or r"),
        (["--tracked-strict", "--endpoint", "here"], "--endpoint, --tracked-strict: a run is shown at a backend with"),
        (
            ["--tracked", "--endpoint", "http://127.0.0.1:9", "-p", "p"],
            "--endpoint takes -p PROJECT and -d DOMAIN, too",
        ),
        (["-e", "BY"], "A variable is given as KEY=VALUE, got 'BY'"),
    ):
        refused = run(*words)
        assert (refused.exit_code, said in refused.output) == (2, True), refused.output
    assert {one.name for one in Run.listall(task_name="adding.add")} == {"from-command"}
    del sys.modules["adding"]

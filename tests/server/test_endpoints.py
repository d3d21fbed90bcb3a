"""What pages ask the Jupyter server for, answered by a real one that reads real stores."""

from __future__ import annotations

import asyncio
import http.cookiejar
import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import flyte_nb as flyte
from flyte_nb.engine import conditions
from flyte_nb.engine.session import end_session
from flyte_nb.notebook.views.details import RunReader
from flyte_nb.server.serving import ServedStores
from flyte_nb.store.events import Event, RunEnded, RunLabelled, RunStarted, encode_event
from flyte_nb.store.home import Home
from flyte_nb.store.journal import Journal
from flyte_nb.store.locks import FileLock
from tests.processes import processes_of, until
from tests.server.conftest import PROJECT, TOKEN, Server

SECOND_NS = 1_000_000_000
STARTED_NS = 1_790_000_000 * SECOND_NS

env = flyte.TaskEnvironment("served")
started = threading.Event()


@env.task
async def halved(x: int) -> float:
    print("halving", x)
    return x / 2


@env.task
async def halves(xs: list[int]) -> list[float]:
    return list(await asyncio.gather(*(halved(x) for x in xs)))


@env.task
async def waits() -> None:
    started.set()
    await asyncio.Event().wait()


@env.task
async def asks() -> float:
    share = await flyte.new_condition.aio("share", prompt="How much?", data_type=float, timeout=60)
    return await share.wait.aio()


@pytest.fixture
def project(server: Server, tmp_path: Path) -> Home:
    """An empty project in the server's folder; named after the test, so that no two share one."""
    folder = server.root / tmp_path.name
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    return Home.find(folder / ".flyte_nb")


@pytest.fixture
def name(project: Home) -> str:
    """What the server calls the project's store."""
    return f"{project.path.parent.name}/.flyte_nb"


@pytest.fixture
def journal(project: Home) -> Iterator[Journal]:
    journal = Journal.create(project)
    yield journal
    journal.close()


@pytest.fixture
def session_here(project: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process runs tasks, and records them in the project."""
    monkeypatch.setenv("FLYTE_NB_HOME", str(project.path))
    started.clear()
    yield
    end_session()


def record(journal: Journal, *events: Event) -> None:
    for event in events:
        journal.append(encode_event(event))
    journal.flush()


def run_events(number: int, task: str = "shop.main", phase: str = "succeeded") -> list[Event]:
    """A run of no actions that took a second; later ones have higher numbers."""
    run, at_ns = f"r{number:04}", STARTED_NS + number * SECOND_NS
    begun = RunStarted(run, at_ns, task, {}, notebook=f"book{number % 2}.ipynb")
    return [begun, RunEnded(run, at_ns + SECOND_NS, phase)]


def names(answer: dict[str, list[dict[str, str]]]) -> list[str]:
    return [run["run"] for run in answer["runs"]]


def test_nobody_is_answered_without_the_token(server: Server) -> None:
    for path in ("stores", "activity", "choices", "runs", "runs/r1", "runs/r1/actions/a0"):
        assert server.ask(path, token="")[0] == 403, path
    assert server.ask("runs/r1/abort", token="", body={})[0] == 403


def test_another_site_cannot_use_a_readers_cookie_to_abort(server: Server) -> None:
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    browser.open(f"{server.url}/login?token={TOKEN}").close()
    browser.open(f"{server.url}/flyte-nb/stores").close()
    with pytest.raises(urllib.error.HTTPError, match="403"):
        browser.open(f"{server.url}/flyte-nb/runs/r1/abort", b"{}")


def test_a_notebook_has_the_store_of_its_project(server: Server, project: Home, name: str) -> None:
    notebooks = project.path.parent / "deep" / "notebooks"
    notebooks.mkdir(parents=True)
    folder = notebooks.relative_to(server.root)
    answer = server.get("stores", notebook=f"{folder}/new.ipynb")
    assert answer["store"] == {"store": name, "title": project.path.parent.name}


def test_stores_in_the_servers_folder_are_listed(server: Server, project: Home, name: str, journal: Journal) -> None:
    assert name in [store["store"] for store in server.get("stores", all="true")["stores"]]


def test_reading_a_project_without_a_store_creates_none(server: Server, project: Home, name: str) -> None:
    assert server.get("runs", store=name) == {"runs": [], "total": 0, "cursor": ""}
    assert server.get("activity", store=name) == {"revision": "empty", "live_runs": 0, "running_actions": 0}
    assert server.get("choices", store=name) == {"tasks": [], "notebooks": [], "labels": []}
    assert server.ask("runs/r1", store=name)[0] == 404
    assert not project.path.exists()


def test_no_store_outside_the_servers_folder_is_read(server: Server, tmp_path: Path) -> None:
    outside = Home(tmp_path / ".flyte_nb").ensure()
    link = server.root / "linked"
    link.symlink_to(tmp_path, target_is_directory=True)
    for store in (str(outside.path), "../.flyte_nb", "linked/.flyte_nb", "/etc", ".", "linked"):
        status, answer = server.ask("runs", store=store)
        assert (status, answer["message"][: len(store) + 2]) == (404, repr(store)), store
    for notebook in ("../x.ipynb", "linked/x.ipynb", "/etc/passwd"):
        assert server.ask("stores", notebook=notebook)[0] == 404, notebook


def test_pages_follow_one_another_while_runs_are_added(server: Server, name: str, journal: Journal) -> None:
    for number in range(250):
        record(journal, *run_events(number))
    seen: list[str] = []
    cursor = ""
    while not seen or cursor:
        page = server.get("runs", store=name, limit=100, cursor=cursor)
        seen, cursor = seen + names(page), page["cursor"]
        record(journal, *run_events(1_000 + len(seen)))
    assert seen == [f"r{number:04}" for number in reversed(range(250))]
    assert page["total"] == 252


def test_runs_are_found_by_what_is_known_of_them(server: Server, name: str, journal: Journal) -> None:
    for number in range(10):
        task = "shop.train" if number < 5 else "shop.load"
        record(journal, *run_events(number, task, "failed" if number == 3 else "succeeded"))
    record(journal, RunLabelled("r0004", STARTED_NS, {"model": "best", "owner": "ana"}))
    found: dict[str, object] = {
        "r0003": {"phase": ["failed", "aborted"]},
        "r0004": {"label": "model=best"},
        "r0002": {"text": "TRAIN r0002"},
        "r0008": {"task": "load", "notebook": "book0.ipynb", "since": (STARTED_NS + 8 * SECOND_NS) // 1_000_000},
        "r0000": {"until": (STARTED_NS + SECOND_NS) // 1_000_000},
    }
    for run, query in found.items():
        answer = server.get("runs", store=name, **query)  # type: ignore[arg-type]
        assert (names(answer), answer["total"]) == ([run], 1), query
    for query in ({"text": "best"}, {"label": "owner"}):
        assert names(server.get("runs", store=name, **query)) == ["r0004"]
    assert names(server.get("runs", store=name, label="owner=bob")) == []
    assert server.get("choices", store=name) == {
        "tasks": ["shop.load", "shop.train"],
        "notebooks": ["book0.ipynb", "book1.ipynb"],
        "labels": ["model=best", "owner=ana"],
    }


def test_what_is_asked_wrongly_is_answered_with_one_message(server: Server, name: str, journal: Journal) -> None:
    record(journal, *run_events(1))
    wrong = {
        "limit": ("many", "limit=many is not a whole number"),
        "phase": ("happy", "'happy' is not a phase"),
        "cursor": ("x", "'x' is not a cursor"),
    }
    for key, (value, message) in wrong.items():
        status, answer = server.ask("runs", store=name, **{key: value})
        assert status == 400
        assert message in answer["message"]
    assert server.ask("runs", store=name, limit=0)[0] == 400
    assert server.ask("runs/r0001/abort", store=name, body=b"{no JSON")[0] == 400
    status, answer = server.ask("runs/r0002", store=name)
    assert (status, answer["message"]) == (404, "No run is named 'r0002'; did you mean r0001?")


def test_a_store_that_cannot_be_read_is_answered_with_the_reason(server: Server, project: Home, name: str) -> None:
    project.ensure().database.write_bytes(b"no database" * 1000)
    status, answer = server.ask("runs", store=name)
    assert status == 500
    assert "runs.duckdb cannot be opened" in answer["message"]


@pytest.mark.usefixtures("session_here")
def test_a_run_is_read_as_its_own_process_shows_it(server: Server, name: str) -> None:
    run = flyte.run(halves, [1, 2, 3])
    end_session()
    reader = RunReader(run.name)
    assert server.get(f"runs/{run.name}", store=name) == json.loads(json.dumps(reader.document(details=False)))
    action = run.actions(task="served.halved")[0].name
    detail = server.get(f"runs/{run.name}/actions/{action}", store=name)
    assert detail == json.loads(json.dumps(reader.detail(action)))
    assert detail["logs"][0][2] == "halving 1"


@pytest.mark.usefixtures("session_here")
def test_a_condition_of_another_process_is_asked_and_answered(
    server: Server, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conditions, "console", None)
    run = flyte.with_runcontext().start(asks)
    until(lambda: server.ask(f"runs/{run.name}", store=name)[1].get("questions"))
    [question] = server.get(f"runs/{run.name}", store=name)["questions"]
    assert (question["name"], question["prompt"], question["type"]) == ("share", "How much?", "float")
    assert question["until"] > 0
    address, action = f"runs/{run.name}/answer", question["action"]
    refusals: list[tuple[Any, int, str]] = [
        ({"action": action, "value": "much"}, 400, "'much' is no answer: answer with a number"),
        ({"action": action, "value": [1]}, 400, "the body must be"),
        ({"action": "a0", "value": 1}, 409, "is a task, no condition"),
        ({"action": "a9", "value": 1}, 404, "a9"),
    ]
    for body, status, message in refusals:
        answer = server.ask(address, store=name, body=body)
        assert (answer[0], message in answer[1]["message"]) == (status, True), answer
    assert server.ask(address, token="", body={"action": action, "value": 1})[0] == 403
    assert server.ask(address, store=name, body={"action": action, "value": "0.25"}) == (200, {"phase": "succeeded"})
    run.wait()
    assert run.outputs()[0] == 0.25


@pytest.mark.usefixtures("session_here")
def test_a_live_run_of_another_process_is_seen_and_aborted(server: Server, name: str) -> None:
    before = server.get("activity", store=name)["revision"]
    run = flyte.with_runcontext().start(waits)
    started.wait()
    until(lambda: server.get("activity", store=name, known=before).get("running_actions") == 1)
    assert server.get(f"runs/{run.name}", store=name)["live"]
    assert server.ask(f"runs/{run.name}/abort", store=name, body={}) == (200, {"phase": "aborted"})
    run.wait()
    assert run.error_info is not None
    assert "stopped in JupyterLab" in run.error_info.message
    assert server.get("activity", store=name)["live_runs"] == 0


def test_the_revision_changes_with_what_is_recorded_and_opens_no_database(
    server: Server, project: Home, name: str, journal: Journal
) -> None:
    record(journal, *run_events(1))
    server.get("runs", store=name)
    first = server.get("activity", store=name)["revision"]
    assert server.get("activity", store=name, known=first) == {"revision": first}
    lock = FileLock(project.lock)
    until(lock.try_exclusive)  # whoever opened the database would wait for it
    try:
        assert server.get("activity", store=name, known=first) == {"revision": first}
    finally:
        lock.close()
    record(journal, RunLabelled("r0001", STARTED_NS, {"a": "b"}))
    assert server.get("activity", store=name, known=first)["revision"] != first


def test_a_store_that_is_busy_keeps_nobody_else_waiting(
    server: Server, project: Home, name: str, journal: Journal
) -> None:
    record(journal, *run_events(1))
    lock = FileLock(project.lock)
    until(lock.try_exclusive)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(server.get, "runs", store=name)
        try:
            until(lambda: project.want.exists())
            ask: Callable[..., object] = server.get
            assert ask("stores", notebook="elsewhere/x.ipynb")
            assert ask("runs", store="elsewhere/.flyte_nb")
            assert not waiting.done()
        finally:
            lock.close()
        assert names(waiting.result()) == ["r0001"]


def test_a_store_is_served_until_it_is_told_to_stop(server: Server, project: Home, name: str, journal: Journal) -> None:
    record(journal, *run_events(1))
    assert server.get("serving", store=name)["serving"] is False
    assert server.ask("serving", token="", store=name, body={})[0] == 403
    status, started = server.ask("serving", store=name, body={"execute": True})
    assert (status, started["serving"], started["execute"]) == (200, True, True), started
    assert started["project"] == project.path.parent.name
    assert started["log"][0].startswith(f"Serving {project.path} at {started['address']}")
    listed = f"{started['address']}/flyteidl2.workflow.RunService/ListRuns"
    request = urllib.request.Request(listed, b"{}", {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert b"r0001" in answer.read()
    assert server.ask("serving", store=name, body={})[1]["address"] == started["address"]
    assert server.ask("serving", store=name, method="DELETE")[1]["serving"] is False
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(request, timeout=60)


def test_a_server_whose_packages_are_missing_says_what_installs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "uvicorn.py").write_text('raise ModuleNotFoundError("no uvicorn", name="uvicorn")')
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{PROJECT}")
    with pytest.raises(
        ValueError, match=r'cannot be served\. .*The server needs uvicorn: pip install "flyte_nb\[server\]"'
    ):
        ServedStores().start(Home(tmp_path / ".flyte_nb"), execute=False)


def test_a_store_is_not_served_any_more_when_the_jupyter_server_is_killed(project: Home) -> None:
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom flyte_nb.server.serving import ServedStores\n"
        "from flyte_nb.store.home import Home\n"
        "print(ServedStores().start(Home(Path(sys.argv[1])), False)['address'], flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", program, str(project.path)], stdout=subprocess.PIPE, text=True, cwd=PROJECT, check=False
    )
    assert killed.stdout.startswith("http://127.0.0.1:")
    until(lambda: not processes_of(project.path))

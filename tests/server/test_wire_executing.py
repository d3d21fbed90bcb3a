"""The server executes tasks of Flyte's own SDK, which its unmodified client sends along or has deployed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flyteidl2.core import tasks_pb2
from flyteidl2.task import task_definition_pb2

from flyte_nb.remote.aborting import signal_elsewhere
from flyte_nb.server.wire.executing.commands import check_executable
from flyte_nb.store.events import ErrorRecord
from flyte_nb.store.home import Home
from flyte_nb.store.queries import Store
from tests.processes import until
from tests.server.wire import PROJECT, Client, ClientError, official_client, served

LIMITS = ("--execute", "--max-depth", "3", "--max-actions", "40", "--max-seconds", "60", "--max-processes", "2")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shop") / ".flyte_nb"


@pytest.fixture(scope="module")
def store(home: Path) -> Iterator[Store]:
    store = Store.open(Home(home))
    yield store
    store.close()


@pytest.fixture(scope="module")
def url(home: Path) -> Iterator[str]:
    with served(home, *LIMITS, env={"FLYTECTL_CONFIG": "elsewhere.yaml", "SHOP_KEY": "opensesame"}) as url:
        yield url


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("client")
    shutil.copy(Path(__file__).with_name("wire_official_tasks.py"), folder / "tasks.py")
    (folder / "in.txt").write_text("hello")
    (folder / "unguarded.py").write_text(
        "import flyte\n\nenv = flyte.TaskEnvironment('bare')\n\n\n@env.task\nasync def again(x: int) -> int:\n"
        "    return x\n\n\nrun = flyte.run(again, x=1)\n"
    )
    return folder


@pytest.fixture(scope="module")
def client(url: str, folder: Path) -> Iterator[Client]:
    with official_client(url, folder) as client:
        client.run(
            "import sys\nsys.path.insert(0, '.')\nimport tasks\n"
            "def ran(task, **inputs):\n"
            "    run = flyte.run(task, **inputs)\n"
            "    run.wait(quiet=True)\n"
            "    return remote.Run.get(run.name)\n"
        )
        yield client


@pytest.fixture(scope="module")
def deployed(client: Client) -> str:
    """The version of the tasks that the official client has deployed."""
    client.run("flyte.deploy(tasks.env, version='v1', copy_style='loaded_modules')")
    return "v1"


def processes_of(run: str) -> list[int]:
    """Those that execute an action of a run, or were started there: each runs in a folder of the run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if run in path.readlink().parts:
                found.append(int(path.parent.name))
        except OSError:  # it has ended, or is another user's
            continue
    return found


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def wait_until_asleep(store: Store, run: str) -> None:
    query = f"SELECT * FROM logs WHERE run = '{run}' AND text = 'asleep'"
    until(lambda: len(store.sql(query)))


def test_a_task_that_is_sent_along_runs_with_all_that_it_calls(client: Client, store: Store) -> None:
    client.run(
        "file = tasks.File.from_local_sync('in.txt')\nrun = ran(tasks.everything, order=tasks.Order(7), file=file)"
    )
    assert client("run.phase.value") == "succeeded"
    client.run("order, file, caught = run.outputs()")
    assert client("(order.x, order.note, caught)") == [13, "ttt", "ValueError: no luck with 7"]
    assert client("open(file.path).read()") == "HELLO"
    assert client("run.inputs()['order'].x") == 7
    assert "<b>all of it</b>" in client("run.get_report()")
    name = client("run.name")
    listed = client(
        "[(a.task_name, a.parent_name, a.phase.value, a.pb2.metadata.group)"
        " for a in remote.Action.listall(for_run_name=run.name)]"
    )
    assert sorted(listed, key=str) == sorted(
        [
            ["off.everything", None, "succeeded", ""],
            *[["off.square", "a0", "succeeded", "squares"]] * 2,
            ["off.failing", "a0", "failed", ""],
            [None, "a0", "succeeded", ""],
        ],
        key=str,
    )
    logs = store.sql(f"SELECT text FROM logs WHERE run = '{name}' AND stream = 'stdout'")["text"]
    assert sorted(logs) == ["square of 2", "square of 3"]
    row = store.run(name)
    assert (row.task, row.phase, row.action_count) == ("off.everything", "succeeded", 5)


def test_a_process_has_surroundings_of_its_own(client: Client, store: Store, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("")
    variables = {"MINE": "1", "PYTHONPATH": str(tmp_path)}
    client.run(f"run = flyte.with_runcontext(env_vars={variables}).run(tasks.surroundings)\nrun.wait(quiet=True)")
    name = client("run.name")
    assert client("remote.Run.get(run.name).outputs()[0]") == {
        "MINE": "1",
        "FLYTECTL_CONFIG": "",
        "RUN_NAME": name,
        "folder": f"{name}/a0/1/work",
        "beside": "found",
        "hash randomization": "1",
        "leads its session": "True",
    }
    logs = store.sql(f"SELECT text FROM logs WHERE run = '{name}' AND stream = 'stdout'")["text"]
    assert "\n".join(logs).splitlines() == ["before the end", "at the very end"]
    client.run("run = flyte.with_runcontext(env_vars={'PYTHONHASHSEED': '0'}).run(tasks.surroundings)")
    client.run("run.wait(quiet=True)")
    assert client("remote.Run.get(run.name).outputs()[0]['hash randomization']") == "0"


def test_a_task_that_the_official_client_deployed_runs_and_recovers(client: Client, deployed: str) -> None:
    client.run(f"run = ran(remote.Task.get('off.doubled', version={deployed!r}), x=7)")
    assert client("(run.phase.value, list(run.outputs()))") == ["succeeded", [98]]
    client.run("again = flyte.with_runcontext(mode='remote').rerun(run.name, recover=True)\nagain.wait(quiet=True)")
    phases = client("{a.task_name: a.phase.value for a in remote.Action.listall(for_run_name=again.name)}")
    assert phases == {"off.doubled": "succeeded", "off.square": "recovered"}


def test_a_lost_process_takes_its_daemons_with_it_and_is_followed_by_another(
    client: Client, store: Store, folder: Path
) -> None:
    client.run(f"run = ran(tasks.flaky, folder={str(folder)!r})")
    attempts = store.attempts(client("run.name"), "a0")
    assert [(one.phase, one.error and one.error.code) for one in attempts] == [
        ("failed", "ProcessEnded"),
        ("failed", "ValueError"),
    ]
    assert client("run.details().action_details.error_info.message") == "again"
    assert processes_of(client("run.name")) == []
    client.run("run = ran(tasks.leaving)")
    assert "exit code 1" in client("run.details().action_details.error_info.message")
    logs = store.sql(f"SELECT text FROM logs WHERE run = '{client('run.name')}' AND stream = 'stderr'")["text"]
    assert "no reason to stay" in "\n".join(logs)


def test_a_report_is_there_as_soon_as_it_is_flushed(client: Client, store: Store, folder: Path) -> None:
    client.run(f"run = flyte.run(tasks.reporting, folder={str(folder)!r})")
    until(lambda: "half of it" in (store.report(client("run.name"), "a0") or ""))
    assert "half of it" in client("remote.Run.get(run.name).get_report()")
    (folder / "seen").touch()
    client.run("run.wait(quiet=True)")
    assert "the whole" in client("remote.Run.get(run.name).get_report()")


def test_a_secret_is_a_variable_and_never_a_file(client: Client, store: Store) -> None:
    client.run("run = ran(tasks.confiding)")
    assert client("list(run.outputs())") == [True]
    logs = store.sql(f"SELECT text FROM logs WHERE run = '{client('run.name')}' AND stream = 'stdout'")["text"]
    assert list(logs) == ["the key is ***"]
    wanted = "The secret 'shop-key' is asked for as a file .* Ask for a variable: flyte.Secret"
    with pytest.raises(ClientError, match=wanted):
        client.run("flyte.run(tasks.mounting)")
    client.run("run = ran(tasks.asking_for_a_file)")
    assert re.search(wanted, client("run.details().action_details.error_info.message"))


def test_a_task_is_ended_after_its_timeout(client: Client, store: Store) -> None:
    client.run("run = ran(tasks.slow)")
    assert client("(run.phase.value, run.details().action_details.error_info.code)") == [
        "timed_out",
        "MaxRuntimeExceededError",
    ]
    assert processes_of(client("run.name")) == []


def test_to_abort_a_run_ends_its_processes(client: Client, store: Store) -> None:
    client.run("run = flyte.run(tasks.waiting)")
    name = client("run.name")
    wait_until_asleep(store, name)
    assert len(processes_of(name)) == 2
    client.run("run.abort(reason='enough')")
    assert processes_of(name) == []
    listed = client("[a.phase.value for a in remote.Action.listall(for_run_name=run.name)]")
    assert (listed, store.action(name, "a0").error) == (
        ["aborted", "aborted"],
        ErrorRecord("Aborted", "user", "enough"),
    )


def test_a_run_beyond_its_depth_is_aborted(client: Client) -> None:
    client.run("run = ran(tasks.nested, depth=9)")
    assert client("run.phase.value") == "aborted"
    assert "nested deeper than the 3 levels" in client("run.details().action_details.abort_info.reason")


def test_a_script_that_starts_itself_is_told_so(client: Client) -> None:
    client.run("import unguarded\nunguarded.run.wait(quiet=True)")
    error = client("remote.Run.get(unguarded.run.name).details().action_details.error_info.message")
    assert "The run of bare.again starts itself" in error and "__main__" in error


def test_a_condition_waits_for_its_answer(client: Client, store: Store) -> None:
    client.run("run = flyte.run(tasks.asking)")
    query = f"SELECT action FROM actions WHERE run = '{client('run.name')}' AND phase = 'paused'"
    found = until(lambda: list(store.sql(query)["action"]))
    signal_elsewhere(store, client("run.name"), found[0], True)
    client.run("run.wait(quiet=True)")
    assert client("list(run.outputs())") == [True]


def test_a_cached_result_is_reused(client: Client, store: Store) -> None:
    client.run("run = ran(tasks.moments)\nfirst, second = run.outputs()[0]")
    assert client("first == second")
    sources = store.sql(f"SELECT source FROM actions WHERE run = '{client('run.name')}' AND parent = 'a0'")["source"]
    assert sorted(source.partition("/")[0] for source in sources) == ["", f"cache:{client('run.name')}"]


def test_of_simultaneous_actions_with_a_key_one_executes(client: Client, store: Store) -> None:
    client.run("run = ran(tasks.simultaneous)")
    assert client("(run.phase.value, len(set(run.outputs()[0])))") == ["succeeded", 1]
    sources = store.sql(f"SELECT source FROM actions WHERE run = '{client('run.name')}' AND parent = 'a0'")["source"]
    assert sorted(bool(source) for source in sources) == [False, True, True]


def test_what_cannot_be_had_is_refused_with_the_way_out(client: Client) -> None:
    with pytest.raises(ClientError, match="run_base_dir cannot be chosen here"):
        client("flyte.with_runcontext(run_base_dir='/elsewhere').run(tasks.square, x=1)")
    template = tasks_pb2.TaskTemplate(type="spark", container=tasks_pb2.Container(args=["a0"]))
    with pytest.raises(ValueError, match="of type 'spark'"):
        check_executable(task_definition_pb2.TaskSpec(task_template=template))
    template = tasks_pb2.TaskTemplate(type="python", container=tasks_pb2.Container(args=["rm", "-rf"]))
    with pytest.raises(ValueError, match="not executed here"):
        check_executable(task_definition_pb2.TaskSpec(task_template=template))


NOTEBOOK = """
import asyncio, sys
import flyte_nb as flyte
import flyte_nb.remote

flyte.init(endpoint=sys.argv[1], insecure=True, project="p", domain="d", org="o")
env = flyte.TaskEnvironment("cells")

@env.task
async def double(x: int) -> int:
    return 2 * x

@env.task
async def both(n: int) -> list[int]:
    return list(await asyncio.gather(*(double(i) for i in range(n))))

run = flyte.with_runcontext(mode="remote").run(both, n=2)
square = flyte_nb.remote.Task.get("off.square", version=sys.argv[2])

@env.task
async def parent(x: int) -> int:
    return 1 + await square(x=x)

print(flyte.with_runcontext(mode="local").run(parent, x=5).outputs()[0])
run.wait()
print(run.outputs()[0])
"""


def test_tasks_of_a_notebook_run_on_the_server_and_call_those_that_are_deployed_there(
    deployed: str, url: str, tmp_path: Path
) -> None:
    script = tmp_path / "cells.py"
    script.write_text(NOTEBOOK)
    env = {**os.environ, "PYTHONPATH": str(PROJECT), "FLYTE_NB_HOME": str(tmp_path / "mine")}
    ran = subprocess.run(
        [sys.executable, script, url, deployed], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert [line for line in ran.stdout.splitlines() if not line.startswith("Run ")] == ["26", "[0, 2]"]


def test_nothing_goes_on_when_a_server_with_tls_and_a_token_is_killed(tmp_path: Path, folder: Path) -> None:
    home, certificate, key = (tmp_path / name for name in (".flyte_nb", "cert.pem", "key.pem"))
    token = "0123456789abcdef"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run([*made, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    options = ("--host", "0.0.0.0", "--tls-cert", str(certificate), "--tls-key", str(key))
    with served(home, *LIMITS, *options, env={"FLYTE_NB_TOKEN": token}) as url:
        endpoint, env = f"dns:///localhost:{url.rpartition(':')[2]}", {"SSL_CERT_FILE": str(certificate)}
        trust = {"token": token, "insecure": False, "ca_cert_file_path": str(certificate)}
        with official_client(endpoint, folder, env, **trust) as client:
            client.run("import sys\nsys.path.insert(0, '.')\nimport tasks\nrun = flyte.run(tasks.waiting)")
            name, store = client("run.name"), Store.open(Home(home))
            wait_until_asleep(store, name)
            (forker,) = {parent_of(pid) for pid in processes_of(name)}
            for pid in (forker, *processes_of(name)):
                assert token not in Path(f"/proc/{pid}/environ").read_text()
            os.kill(parent_of(forker), signal.SIGKILL)
            until(lambda: not processes_of(name) and not Path(f"/proc/{forker}").exists())
            until(lambda: store.run(name).phase == "aborted")
            store.close()

"""Secrets: found in the environment, a `.env` file or the keyring, for the process of a task only."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend

import flyte_nb as flyte
from flyte_nb.authoring.secret import Secret
from flyte_nb.engine.secrets import values as secrets
from flyte_nb.engine.secrets.values import process_variables, resolve
from flyte_nb.engine.session import end_session
from flyte_nb.errors import RuntimeUserError
from flyte_nb.store.home import Home
from flyte_nb.store.secrets import StoredSecrets

Get = Callable[[str, str], str | None]


class TestKeyring(KeyringBackend):
    """A keyring in memory."""

    __test__ = False
    priority = 1.0

    def __init__(self, get: Get) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._get = get

    def get_password(self, service: str, username: str) -> str | None:
        return self._get(service, username)

    def set_password(self, service: str, username: str, password: str) -> None:
        raise AssertionError("a secret is only ever read")

    def delete_password(self, service: str, username: str) -> None:
        raise AssertionError("a secret is only ever read")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, and the working directory in it."""
    (tmp_path / "pyproject.toml").touch()
    here = tmp_path / "notebooks"
    here.mkdir()
    monkeypatch.chdir(here)
    return tmp_path


@pytest.fixture(autouse=True)
def use_keyring() -> Iterator[Callable[[Get], None]]:
    """Installs what the keyring answers; nothing by default."""
    before = keyring.get_keyring()
    keyring.set_keyring(TestKeyring(lambda service, name: None))
    yield lambda get: keyring.set_keyring(TestKeyring(get))
    keyring.set_keyring(before)


def test_a_secret_comes_from_its_own_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "from the environment")
    assert resolve("api-key") == {"API_KEY": "from the environment"}


def test_a_secret_of_a_group_comes_from_the_variable_of_group_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_KEY", "grouped")
    monkeypatch.setenv("KEY", "another group's")
    assert resolve(Secret("key", group="openai")) == {"OPENAI_KEY": "grouped"}
    assert resolve(Secret("key", group="openai", as_env_var="LLM_KEY")) == {"LLM_KEY": "grouped"}


def test_the_variable_asked_for_counts_before_that_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_KEY", "asked for")
    monkeypatch.setenv("KEY", "by key")
    assert resolve(Secret("key", as_env_var="LLM_KEY")) == {"LLM_KEY": "asked for"}


@pytest.mark.parametrize("folder", ["notebooks", "."])
def test_a_secret_comes_from_the_nearest_env_file_up_to_the_projects_root(project: Path, folder: str) -> None:
    (project / folder / ".env").write_text('export API_KEY="from a file"  # comment\n', encoding="utf-8")
    assert resolve("api-key") == {"API_KEY": "from a file"}
    assert "API_KEY" not in os.environ


def test_an_env_file_outside_the_project_is_not_read(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".env").write_text("API_KEY=outside\n")
    (project / "notebooks" / ".git").mkdir()
    with pytest.raises(RuntimeUserError, match=r"\(there is none\)"):
        resolve("api-key")


def test_a_variable_that_is_set_counts_before_the_file_and_an_empty_one_does_not(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / ".env").write_text("ONE=file\nTWO=file\n")
    monkeypatch.setenv("ONE", "environment")
    monkeypatch.setenv("TWO", "")
    assert resolve(["one", "two"]) == {"ONE": "environment", "TWO": "file"}


def test_a_secret_of_the_store_counts_after_the_env_file_and_before_the_keyring(
    project: Path, use_keyring: Callable[[Get], None]
) -> None:
    use_keyring(lambda service, name: f"{service}/{name}")
    (project / ".env").write_text("ONE=file\n")
    stored = StoredSecrets(Home.find())
    for name in ("one", "two", "openai_key"):
        stored.create(name, "store")
    assert resolve(["one", "two", "three"]) == {"ONE": "file", "TWO": "store", "THREE": "flyte_nb/three"}
    assert resolve([Secret("key", group="openai"), Secret("two", as_env_var="DEUX")]) == {
        "OPENAI_KEY": "store",
        "DEUX": "store",
    }


def test_a_secret_comes_from_the_keyring_under_its_group_or_the_packages_name(
    use_keyring: Callable[[Get], None],
) -> None:
    use_keyring(lambda service, name: f"{service}/{name}")
    assert resolve(["api-key", Secret("key", group="openai")]) == {
        "API_KEY": "flyte_nb/api-key",
        "OPENAI_KEY": "openai/key",
    }


def test_what_is_found_nowhere_is_one_error_that_says_where_was_looked(project: Path) -> None:
    (project / ".env").touch()
    with pytest.raises(RuntimeUserError) as raised:
        resolve(["api-key", Secret("token", group="github", as_env_var="GH_TOKEN")])
    assert raised.value.code == "SecretNotFoundError"
    lines = str(raised.value).splitlines()
    assert lines[0] == "The secret 'api-key' was not found: API_KEY is not set."
    assert lines[1] == "The secret 'token' of group 'github' was not found: GH_TOKEN or GITHUB_TOKEN is not set."
    assert lines[2] == (
        f"Looked at the environment variables of this process, the file {project / '.env'}, the secrets of the store "
        f"{Home.find().path}, and the keyring (service 'flyte_nb', 'github'). Set it with os.environ['API_KEY'] = ... "
        "(or %env), a line API_KEY=... in .env, flyte.remote.Secret.create('api-key', ...), or `keyring set flyte_nb "
        "api-key`."
    )


def test_a_keyring_that_refuses_is_named_with_its_reason(use_keyring: Callable[[Get], None]) -> None:
    def refuse(service: str, name: str) -> str:
        raise keyring.errors.KeyringLocked("the collection is locked. Unlock it")

    use_keyring(refuse)
    with pytest.raises(RuntimeUserError, match=r"\(KeyringLocked: the collection is locked\)"):
        resolve("api-key")


def test_a_keyring_that_does_not_answer_is_left_behind(
    use_keyring: Callable[[Get], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "KEYRING_TIMEOUT_SECONDS", 0.05)
    go_on = threading.Event()

    def wait(service: str, name: str) -> None:
        go_on.wait()

    use_keyring(wait)
    with pytest.raises(RuntimeUserError, match="did not answer within"):
        resolve("api-key")
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "flyte-keyring":
            thread.join()


def test_an_env_file_that_cannot_be_read_is_named_with_its_reason(project: Path) -> None:
    (project / ".env").write_bytes(b"API_KEY=\xff\n")
    with pytest.raises(RuntimeUserError, match=r"\.env \(cannot be read: 'utf-8' codec"):
        resolve("api-key")


def test_a_secret_as_a_file_only_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "set")
    with pytest.raises(RuntimeUserError, match=r"flyte.Secret\('api-key', as_env_var='API_KEY'\)") as raised:
        resolve(Secret("api-key", mount=Path("/etc/flyte/secrets")))
    assert raised.value.code == "SecretMountError"


def test_no_request_asks_nobody() -> None:
    assert resolve(None) == {}


def test_a_runs_variables_replace_the_tasks_and_a_secret_replaces_both() -> None:
    variables = process_variables({"A": "task", "B": "task", "C": "task"}, {"B": "run", "C": "run"}, {"C": "secret"})
    assert variables == {"A": "task", "B": "run", "C": "secret"}


def test_a_variable_that_is_not_text_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"env_vars holds text only, got 'N': 1; write 'N': '1'"):
        process_variables({"N": 1}, None, {})  # type: ignore[dict-item]


# ---------------------------------------------------------------- in a run

VALUE = "s3cr3t-value-4711"
env = flyte.TaskEnvironment("secretive", secrets="api-key", env_vars={"MODE": "task", "REGION": "task"})


@env.task
async def uses(given: str = "") -> list[str | None]:
    print("the key is", os.environ["API_KEY"])
    return [os.environ["API_KEY"], *map(os.environ.get, ("MODE", "REGION", "EXTRA"))]


@env.task
def fails() -> int:
    raise ValueError(os.environ["API_KEY"])


def recorded(home: Path) -> bytes:
    """The bytes of every file of the store."""
    end_session()
    return b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())


def test_a_task_finds_its_secret_and_variables_in_its_process_only(
    project: Path, flyte_nb_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / ".env").write_text(f"API_KEY={VALUE}\n")
    run = flyte.with_runcontext(env_vars={"REGION": "run", "EXTRA": "run"}).run(uses, VALUE)
    assert run.outputs()[0] == [VALUE, "task", "run", "run"]
    assert not {"API_KEY", "MODE", "REGION", "EXTRA"} & set(os.environ)
    assert list(run.get_logs()) == ["the key is ***"]
    assert "the key is ***" in capsys.readouterr().out
    assert VALUE.encode() not in recorded(flyte_nb_home)


def test_an_error_that_a_task_makes_of_its_secret_is_masked(
    monkeypatch: pytest.MonkeyPatch, flyte_nb_home: Path
) -> None:
    monkeypatch.setenv("API_KEY", VALUE)
    with pytest.raises(RuntimeUserError) as raised:
        flyte.run(fails)
    assert str(raised.value) == str(raised.value.__cause__) == "***"
    assert VALUE.encode() not in recorded(flyte_nb_home)


def test_a_task_whose_secret_is_found_nowhere_fails_with_that_error() -> None:
    with pytest.raises(RuntimeUserError) as raised:
        flyte.run(uses)
    assert raised.value.code == "SecretNotFoundError"
    assert raised.value.run.phase == "failed"


def test_in_the_kernel_a_secret_of_its_environment_is_masked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", VALUE)
    run = flyte.with_runcontext(isolation="kernel").run(uses)
    assert run.outputs()[0][0] == VALUE
    assert list(run.get_logs()) == ["the key is ***"]

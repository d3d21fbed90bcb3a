"""`flyte.remote.Secret`: secrets of the store, in both call styles and by the command line; no way gives a value."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result

import flyte_nb as flyte
from flyte_nb.cli.main import cli
from flyte_nb.engine.session import end_session
from flyte_nb.remote import Secret

VALUE = "hunter2-and-more"
env = flyte.TaskEnvironment("secretive", secrets=["api-key", flyte.Secret("token", group="github")])


@env.task
def lengths() -> list[int]:
    import os

    print("they are", os.environ["API_KEY"], os.environ["GITHUB_TOKEN"])
    return [len(os.environ["API_KEY"]), len(os.environ["GITHUB_TOKEN"])]


def ask(*words: str, given: str | None = None) -> Result:
    return CliRunner().invoke(cli, words, given)


def test_a_task_is_given_the_secrets_of_the_store_and_no_record_has_them() -> None:
    Secret.create("api-key", VALUE)
    Secret.create("github_token", b"of a group")
    try:
        run = flyte.run(lengths)
        assert run.outputs() == ([len(VALUE), len("of a group")],)
        assert list(run.get_logs()) == ["they are *** ***"]
    finally:
        end_session()


def test_secrets_are_listed_and_deleted_in_both_call_styles() -> None:
    Secret.create("b", VALUE)

    async def changed() -> list[str]:
        await Secret.create.aio("a", VALUE)
        names = [one.name async for one in Secret.listall.aio(limit=1)]
        await Secret.delete.aio("b")
        return [*names, (await Secret.get.aio("a")).name]

    assert asyncio.run(changed()) == ["a", "b", "a"]
    (left,) = Secret.listall()
    assert (left.name, left.type) == ("a", "regular")
    assert abs(datetime.now(UTC) - left.created_at) < timedelta(days=1)
    assert VALUE not in repr(left) + left.to_json() + str(vars(left))


@pytest.mark.parametrize(
    ("asked", "kind", "says"),
    [
        (lambda: Secret.create("there", "x"), ValueError, "There is a secret 'there' already: delete it first"),
        (lambda: Secret.create("a/b", "x"), ValueError, "'a/b' is no name of a secret"),
        (lambda: Secret.create("a", "x", type="image_pull"), ValueError, "images are pulled by a backend only"),
        (
            lambda: Secret.create("a", "x", type=cast(Any, "odd")),
            ValueError,
            "regular or image_pull, got 'odd'",
        ),
        (
            lambda: Secret.get("there", cluster_pool="gpu"),
            ValueError,
            "cluster_pool='gpu': the store on this machine",
        ),
        (lambda: Secret.listall(limit=0), ValueError, "limit must be 1 or more, got 0"),
        (lambda: Secret.delete("ther"), KeyError, "No secret is named 'ther'; did you mean there"),
    ],
)
def test_what_is_asked_wrongly_is_one_clear_error(asked: Any, kind: type[Exception], says: str) -> None:
    Secret.create("there", VALUE)
    with pytest.raises(kind, match=says):
        asked()
    assert [one.name for one in Secret.listall()] == ["there"]


def test_the_command_line_keeps_shows_and_deletes_secrets(tmp_path: Path) -> None:
    assert "No secrets are kept: flyte-nb create secret NAME" in ask("get", "secret").output
    assert ask("create", "secret", "asked", given=f"{VALUE}\n").output == "Secret asked is created.\n"
    (tmp_path / "value").write_text(VALUE)
    assert ask("create", "secret", "filed", "--from-file", str(tmp_path / "value")).exit_code == 0
    assert [one["name"] for one in json.loads(ask("get", "secret", "-o", "json").output)] == ["asked", "filed"]
    shown = ask("get", "secret", "asked").output
    assert "regular" in shown and VALUE not in shown
    again = ask("create", "secret", "asked", "--value", "x")
    assert again.exit_code == 2 and again.output == "Error: There is a secret 'asked' already: delete it first\n"
    assert "not both" in ask("create", "secret", "a", "--value", "x", "--from-file", str(tmp_path / "value")).output
    assert ask("delete", "secret", "filed").output == "Secret filed is deleted.\n"
    assert ask("delete", "secret", "filed").output == "Error: No secret is named 'filed'; there is asked.\n"

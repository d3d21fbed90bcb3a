"""`%flyte deploy`, `tasks`, `triggers`, and what other subcommands make of a deployed task's name."""

from __future__ import annotations

from typing import Any

import pytest

from flyte_nb.notebook.magics.commands import execute
from flyte_nb.remote.errors import CommandError
from tests.remote import deployed_tasks as tasks


@pytest.fixture
def names() -> dict[str, Any]:
    return {"env": tasks.env, "base": tasks.base}


def test_an_environment_is_deployed_by_its_variable_or_name(names: dict[str, Any]) -> None:
    dry = execute(names, "deploy env --dry-run")
    assert "dry run" in repr(dry)
    assert "base.load            v1  deployed" in repr(execute(names, "deploy train --version v1"))
    assert "base.load  v1  unchanged" in repr(execute(names, "deploy base --version v1"))


def test_deployed_tasks_and_triggers_are_listed(names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(names, "tasks") is None and execute(names, "triggers") is None
    assert capsys.readouterr().out == "No tasks are deployed yet: %flyte deploy ENV\nNo triggers are deployed yet.\n"
    execute(names, "deploy env --version v1")
    execute(names, "deploy env --version v2")
    assert [row[:2] for row in execute(names, "tasks train.fit").rows] == [("train.fit", "v2"), ("train.fit", "v1")]
    nightly, often = execute(names, "triggers").rows
    assert nightly[:5] == ("train.tidy", "nightly", "v2", True, "cron: 30 2 * * * (Europe/Berlin)")
    assert nightly[5].count(",") == 4 and often[3:6] == (False, "every 10 minutes starting at now", "")


def test_a_deployed_task_is_run_and_described_by_its_name(
    names: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    execute(names, "deploy env --version v1")
    assert execute({}, "run train.fit --depth 3").outputs()[0] == 15.0
    assert execute({}, "run train.fit:v1 depth=1+1").outputs()[0] == 5.0
    capsys.readouterr()
    execute({}, "help run train.fit")
    assert "train.fit: Fits a model.\n  depth: int" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("deploy", "ENV missing: %flyte deploy ENV"),
        ("deploy envi", "No environment is named 'envi'. Did you mean env?"),
        ("deploy env --version", "--version needs a value"),
        ("tasks train.fitt", "No deployed task is named 'train.fitt'; did you mean train.fit"),
        ("run train.fit:v2 --depth 1", "No version of deployed task train.fit is named 'v2'; did you mean v1?"),
        ("run train.fitt --depth 1", "No task is named 'train.fitt'."),
    ],
)
def test_bad_input_is_one_clear_message(names: dict[str, Any], line: str, said: str) -> None:
    execute(names, "deploy env --version v1")
    with pytest.raises(CommandError) as refused:
        execute(names if line.startswith("deploy") else {}, line)
    assert said in str(refused.value)

"""What reruns, recoveries and forks take over of what the earlier run was asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import flyte_nb as flyte
from flyte_nb.engine.session import end_session
from flyte_nb.remote import Run
from flyte_nb.remote.repeats.repeating import ask_recovery

env = flyte.TaskEnvironment("inherits")


@env.task
def what_it_sees(times: int = 1) -> dict[str, str]:
    context = flyte.ctx()
    assert context is not None
    return {
        "team": flyte.get_custom_context().get("team", ""),
        "raw": context.raw_data_path.path,
        "base": context.run_base_dir,
        "variable": os.environ.get("INHERITED", ""),
    }


REPEATS: dict[str, Callable[[str], Run]] = {
    "reruns": lambda run: flyte.rerun(run),
    "recovers": lambda run: flyte.rerun(run, recover=True, force_rerun_actions=["a0"]),
    "forks": lambda run: flyte.fork(run, what_it_sees, force_rerun_actions=["a0"]),
}
"""Each executes the task again."""


@pytest.fixture
def asked(tmp_path: Path) -> str:
    """A run that was asked for with everything that can be inherited."""
    options = flyte.with_runcontext(
        name="asked",
        labels={"a": "1"},
        annotations={"why": "because"},
        custom_context={"team": "red"},
        raw_data_path=str(tmp_path / "raw"),
        run_base_dir=str(tmp_path / "base"),
        max_action_concurrency=3,
        overwrite_cache=True,
        queue="fast",
    )
    return options.run(what_it_sees).name


@pytest.mark.parametrize("is_in_memory", [True, False], ids=["same kernel", "another kernel"])
@pytest.mark.parametrize("lineage", REPEATS)
def test_a_run_that_repeats_another_is_asked_for_as_that_was(lineage: str, is_in_memory: bool, asked: str) -> None:
    seen, options = Run(asked).outputs()[0], Run(asked).options
    if not is_in_memory:
        end_session()
    again = REPEATS[lineage](asked)
    assert again.name != asked
    assert again.outputs()[0] == seen
    assert again.options.items() >= options.items()
    assert (again.labels, again.annotations) == ({"a": "1"}, {"why": "because"})
    assert (again.parent_run, again.options["lineage"]) == (asked, lineage)


def test_what_is_given_replaces_what_is_inherited(asked: str, tmp_path: Path) -> None:
    given = flyte.with_runcontext(
        name="given", labels={"b": "2"}, custom_context={"team": "blue"}, raw_data_path=str(tmp_path / "other")
    )
    again = given.rerun(asked)
    assert (again.name, again.labels) == ("given", {"a": "1", "b": "2"})
    assert again.outputs()[0]["team"] == "blue"
    assert again.outputs()[0]["raw"] == str(tmp_path / "other")
    assert again.options["queue"] == "fast"


def test_what_one_run_itself_is_is_not_inherited(asked: str) -> None:
    recovered = flyte.rerun(asked, recover=True, force_rerun_actions=["a0"])
    again = flyte.rerun(recovered.name)
    assert "force_rerun_actions" not in again.options
    assert again.options["lineage"] == "reruns"
    assert again.parent_run == recovered.name


def test_values_of_variables_are_those_of_the_run_or_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    run = flyte.with_runcontext(name="variables", env_vars={"INHERITED": "once"}).run(what_it_sees)
    assert run.outputs()[0]["variable"] == "once"
    assert flyte.rerun("variables").outputs()[0]["variable"] == "once"
    end_session()
    with pytest.raises(
        flyte.errors.RuntimeUserError, match="variable INHERITED, whose values are not recorded"
    ) as raised:
        flyte.rerun("variables")
    assert raised.value.code == "EnvironmentNotFound"
    with pytest.raises(Exception, match="%env"):
        ask_recovery(Run("variables"), ["a0"]).start()
    given = flyte.with_runcontext(env_vars={"INHERITED": "given", "MORE": "1"}).rerun("variables")
    assert given.outputs()[0]["variable"] == "given"
    assert given.options["env_vars"] == ["INHERITED", "MORE"]
    monkeypatch.setenv("INHERITED", "of this process")
    assert (
        flyte.fork("variables", what_it_sees, force_rerun_actions=["a0"]).outputs()[0]["variable"] == "of this process"
    )


def test_forcing_without_recover_is_refused(asked: str) -> None:
    with pytest.raises(ValueError, match="force_rerun_actions= needs recover=True"):
        flyte.rerun(asked, force_rerun_actions=["a0"])

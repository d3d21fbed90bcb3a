"""`flyte.deploy`: environments into the store, as versions of their tasks."""

from __future__ import annotations

import asyncio
import logging
from contextlib import nullcontext
from typing import Any

import pytest

import flyte_nb as flyte
from flyte_nb.remote.source import source
from flyte_nb.remote.task import Task
from flyte_nb.remote.task_details import TaskDetails
from tests.remote import deployed_tasks as tasks


def versions(name: str) -> list[str]:
    return [task.version for task in Task.listall(by_task_name=name)]


def test_an_environment_is_deployed_with_all_that_it_depends_on() -> None:
    (deployment,) = flyte.deploy(tasks.env)
    assert list(deployment.envs) == ["train", "base"]
    (load,) = deployment.envs["base"].deployed_entities
    version = load.deployed_task.version
    assert deployment.envs["base"].summary_repr() == (
        f"Deployment(env=[base], entities=[DeployedTask(name=base.load, version={version})])"
    )
    assert load.table_repr() == [("type", "task"), ("name", "base.load"), ("version", version), ("triggers", "")]
    assert deployment.table_repr()[-2][3] == ("triggers", "nightly,often")
    assert deployment.env_repr()[0][0] == ("environment", "train")
    assert f"base.load            {version}  deployed" in repr(deployment)
    assert versions("train.fit") == [version] and len(version) == 32


def test_what_a_task_says_of_itself_is_recorded() -> None:
    flyte.deploy(tasks.env, version="v1")
    row = source.deployed_task("train.fit", "v1")
    assert (row.environment, row.depends_on, row.settings["retries"]) == ("train", ["base"], "count=2")
    assert (row.inputs[0], row.defaults) == (("depth", "int"), {"rate": 0.5, "names": ["a"]})
    assert row.input_descriptions == {"depth": "how deep it goes."}
    details = TaskDetails(row)
    assert details.docs == "Fits a model.\n\nTo all of the data."
    assert (
        details.signature == "train.fit(depth: int, rate: float = 0.5, names: list[str] = ['a']) -> tuple[float, str]"
    )
    assert (details.required_args, details.default_input_args) == (("depth",), ("rate", "names"))
    assert details.max_inline_io_bytes == flyte.models.MAX_INLINE_IO_BYTES
    assert details.interface.inputs["names"] == (list[str], ["a"])
    assert "async def fit" in details.source and "types" not in details.to_dict()


def test_a_deployed_task_is_checked_with_the_code_that_was_deployed() -> None:
    flyte.deploy(tasks.env, version="v1")
    fit = Task.get("train.fit", auto_version="latest")
    for checked in (flyte.check(fit), flyte.check(fit.fetch())):
        assert checked and list(checked.graph.nodes) == ["train.fit", "base.load"] and not checked.unread
    with pytest.raises(flyte.errors.RemoteTaskNotFoundError, match="did you mean"):
        flyte.check(Task.get("train.fti", auto_version="latest"))


def test_deploying_the_same_again_changes_nothing() -> None:
    first = flyte.deploy(tasks.env)
    (again,) = flyte.deploy(tasks.env)
    assert {task.outcome for env in again.envs.values() for task in env.deployed_entities} == {"unchanged"}
    assert again.table_repr() == first[0].table_repr()
    assert len(versions("train.fit")) == 1


def test_a_version_never_changes(caplog: pytest.LogCaptureFixture) -> None:
    flyte.deploy(tasks.base, version="v1")
    before = source.deployed_task("base.load").own_digest
    other = flyte.TaskEnvironment("base")

    @other.task
    async def load(n: int) -> list[int]:
        return [n]

    with caplog.at_level(logging.WARNING, "flyte"):
        (deployment,) = flyte.deploy(other, version="v1")
    assert deployment.envs["base"].deployed_entities[0].outcome == "kept"
    assert "base.load has a version v1 already, with other code" in caplog.text
    assert source.deployed_task("base.load").own_digest == before
    flyte.deploy(other)
    assert source.deployed_task("base.load").own_digest != before


def test_a_dry_run_records_nothing() -> None:
    (deployment,) = flyte.deploy(tasks.env, dry_run=True)
    assert len(deployment.table_repr()) == 5 and "dry run" in repr(deployment)
    assert list(Task.listall()) == []
    with pytest.warns(FutureWarning, match="dry_run"):
        flyte.deploy(tasks.env, dryrun=True)
    assert list(Task.listall()) == []


def test_it_can_be_awaited() -> None:
    assert list(asyncio.run(flyte.deploy.aio(tasks.base))[0].envs) == ["base"]


def test_what_is_no_environment_or_has_its_name_twice_is_refused() -> None:
    with pytest.raises(TypeError, match="takes environments of tasks"):
        flyte.deploy(tasks.load)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Duplicate environment name 'base' found"):
        flyte.deploy(tasks.env, flyte.TaskEnvironment("base"))
    with pytest.raises(flyte.errors.DeploymentError, match="Version must be set when copy_style is none"):
        flyte.deploy(tasks.env, copy_style="none")
    with pytest.raises(ValueError, match="copy_style must be one of"):
        flyte.deploy(tasks.env, copy_style="tgz")
    with pytest.raises(ValueError, match="version must not be empty"):
        flyte.deploy(tasks.env, version=" ")


def test_an_environment_that_was_declared_again_is_not_deployed_as_it_was_before() -> None:
    def declared() -> tuple[flyte.TaskEnvironment, Any]:
        called = flyte.TaskEnvironment("called")

        @called.task
        async def gives() -> int:
            return 1

        return called, gives

    (before, _), (now, gives) = declared(), declared()
    for depends_on, is_stale in ((before, True), (now, False)):
        calling = flyte.TaskEnvironment("calling", depends_on=[depends_on])

        @calling.task
        async def calls() -> int:
            return await gives()  # type: ignore[no-any-return]

        with pytest.raises(ValueError, match="Duplicate environment name 'called'") if is_stale else nullcontext():
            flyte.deploy(calling)
    assert len(versions("called.gives")) == 1


def test_code_that_cannot_be_kept_is_refused_with_its_name() -> None:
    numbers = (number for number in range(3))
    holding = flyte.TaskEnvironment("holding")

    @holding.task
    async def held() -> int:
        return next(numbers)

    for dry_run in (True, False):
        with pytest.raises(flyte.errors.DeploymentError, match=r"Task holding.held cannot be deployed: `numbers`"):
            flyte.deploy(holding, dry_run=dry_run)
    assert list(Task.listall()) == []


def test_a_trigger_that_does_not_fit_its_task_is_refused() -> None:
    unfit = flyte.TaskEnvironment("unfit")

    @unfit.task(triggers=flyte.Trigger.daily(inputs={"count": "many"}))
    async def count(count: int) -> int:
        return count

    with pytest.raises(flyte.errors.DeploymentError, match=r"Trigger daily of task unfit\.count does not fit"):
        flyte.deploy(unfit)
    with pytest.raises(flyte.errors.DeploymentError, match=r"gives unknown inputs: counts. unfit.plain takes count."):
        flyte.remote.Trigger.create(flyte.Trigger.daily(inputs={"counts": 1}), deployed("unfit.plain"))


def deployed(name: str) -> str:
    """Deploys a task that takes a count."""
    environment = flyte.TaskEnvironment(name.partition(".")[0])

    @environment.task
    async def plain(count: int = 1) -> int:
        return count

    flyte.deploy(environment)
    return name


def test_an_environment_that_another_one_depends_on_is_deployed_with_that() -> None:
    (deployment,) = flyte.deploy(tasks.base, tasks.env)
    assert list(deployment.envs) == ["train", "base"]
    assert len(versions("base.load")) == 1


def test_what_a_task_says_of_itself_is_part_of_its_version() -> None:
    def said(text: str) -> str:
        saying = flyte.TaskEnvironment("saying")

        async def says() -> None: ...

        says.__doc__ = text
        saying.task(says)
        flyte.deploy(saying)
        return source.deployed_task("saying.says").short_description

    assert [said("One."), said("Two.")] == ["One.", "Two."]


def test_code_that_was_the_latest_once_is_not_the_latest_again_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    def deployed_with(number: int) -> str:
        turning = flyte.TaskEnvironment("turning")

        @turning.task
        async def gives() -> int:
            return number

        (deployment,) = flyte.deploy(turning)
        return deployment.envs["turning"].deployed_entities[0].deployed_task.version

    with caplog.at_level(logging.WARNING, "flyte"):
        first, second = deployed_with(1), deployed_with(2)
        assert not caplog.text
        assert deployed_with(1) == first
    assert f"Version {first} of turning.gives was deployed before, and version {second} since" in caplog.text
    assert source.deployed_task("turning.gives").version == second

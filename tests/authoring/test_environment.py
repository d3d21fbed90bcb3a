"""Declaring environments, and tasks in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from flyte_nb.authoring.cache import Cache
from flyte_nb.authoring.environment import Environment, TaskEnvironment
from flyte_nb.authoring.image import Image
from flyte_nb.authoring.plugins import TaskPluginRegistry
from flyte_nb.authoring.resources import Resources
from flyte_nb.authoring.retry import RetryStrategy
from flyte_nb.authoring.reuse import ReusePolicy
from flyte_nb.authoring.secret import Secret
from flyte_nb.authoring.task import AsyncFunctionTaskTemplate, TaskTemplate
from flyte_nb.authoring.trigger import Cron, Trigger


async def square(x: int) -> int:
    """Squares a number."""
    return x * x


def square_sync(x: int) -> int:
    return x * x


@pytest.mark.parametrize("name", ["bad name", "", "UPPER", "a__b", "-a", "ä"])
def test_a_name_is_snake_case_or_kebab_case(name: str) -> None:
    with pytest.raises(ValueError, match=f"Environment name '{name}' must be in snake_case or kebab-case format."):
        TaskEnvironment(name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image": 3}, "Expected image to be of type str or Image, got <class 'int'>"),
        ({"secrets": 3}, "Expected secrets to be of type SecretRequest, got <class 'int'>"),
        ({"service_account": 3}, "Expected service_account to be of type str, got <class 'int'>"),
        ({"depends_on": [3]}, "Expected depends_on to be of type"),
        ({"resources": 3}, "Expected resources to be of type Resources, got <class 'int'>"),
        ({"env_vars": 3}, "Expected env_vars to be of type"),
        ({"pod_template": 3}, "Expected pod_template to be of type str or PodTemplate, got <class 'int'>"),
        ({"include": "x"}, "got a bare str"),
        ({"include": 3}, "Expected include to be a sequence of str paths, got <class 'int'>"),
        ({"include": [3]}, "include entries must be str, got <class 'int'>"),
        ({"reusable": 3}, "Expected reusable to be of type ReusePolicy, got <class 'int'>"),
        ({"cache": 3}, "Expected cache to be of type str or Cache, got <class 'int'>"),
    ],
)
def test_a_setting_of_another_type_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as raised:
        TaskEnvironment("a", **settings)
    assert message in str(raised.value)


def test_settings_are_kept_as_they_are() -> None:
    env_vars: Any = {1: 2}
    include: Any = ["f"]
    env = TaskEnvironment("a", cache="auto", secrets=["x", Secret("y")], env_vars=env_vars, include=include)
    assert (env.cache, env.secrets, env.env_vars, env.include) == ("auto", ["x", Secret("y")], {1: 2}, ("f",))


def test_a_long_description_is_cut() -> None:
    description = TaskEnvironment("a", description="x" * 300).description
    assert description is not None
    assert len(description) == 255
    assert description.endswith("...(tr.)")


def test_an_environment_knows_the_file_it_was_declared_in() -> None:
    assert TaskEnvironment("a")._declaring_file == __file__


def test_a_clone_has_the_settings_but_not_the_tasks() -> None:
    dependency = TaskEnvironment("d")
    env = TaskEnvironment("a", cache="auto", interruptible=True, queue="q", depends_on=[dependency])
    env.task(square)
    clone = env.clone_with("b", env_vars={"k": "v"}, cache="disable")
    assert (clone.name, clone.cache, clone.interruptible, clone.queue) == ("b", "disable", True, "q")
    assert clone.env_vars == {"k": "v"}
    assert clone.tasks == {}
    clone.add_dependency(TaskEnvironment("e"))
    assert env.depends_on == [dependency]


def test_a_clone_can_lose_its_reuse_policy_and_takes_no_unknown_settings() -> None:
    env = TaskEnvironment("a", reusable=ReusePolicy())
    assert env.clone_with("b").reusable is env.reusable
    assert env.clone_with("b", reusable=None).reusable is None
    with pytest.raises(TypeError, match=r"Unexpected keyword arguments: \['bogus'\]"):
        env.clone_with("b", bogus=1)


def test_dependencies_are_other_environments_and_count_once() -> None:
    env, other = TaskEnvironment("a"), TaskEnvironment("b")
    env.add_dependency(other)
    env.add_dependency(other)
    assert env.depends_on == [other]
    with pytest.raises(ValueError, match="Cannot add self as a dependency"):
        env.add_dependency(TaskEnvironment("a"))
    with pytest.raises(TypeError, match="Expected Environment"):
        env.add_dependency(3)  # type: ignore[arg-type]


def test_a_task_is_named_after_environment_and_function() -> None:
    env = TaskEnvironment("a")
    task = env.task(square)
    assert (task.name, task.short_name, task.parent_env_name) == ("a.square", "square", "a")
    assert task.parent_env is not None
    assert task.parent_env() is env
    assert env.tasks == {"a.square": task}
    assert task.__class__ is AsyncFunctionTaskTemplate


def test_a_task_has_flytes_defaults() -> None:
    task = TaskEnvironment("a").task(square)
    assert isinstance(task.cache, Cache)
    assert isinstance(task.retries, RetryStrategy)
    assert (task.cache.behavior, task.retries.count, task.timeout, task.report) == ("disable", 0, 0, False)
    assert (task.task_type, task.interruptible, task.debuggable, task.entrypoint) == ("python", False, True, False)
    assert task.max_inline_io_bytes == 10 * 1024 * 1024
    assert isinstance(task.image, Image)


def test_a_task_takes_its_settings_from_the_environment_unless_it_has_its_own() -> None:
    env = TaskEnvironment(
        "a", cache="auto", interruptible=True, queue="q", env_vars={"k": "v"}, resources=Resources(cpu=1), image="img"
    )
    plain = env.task(square)
    own = env.task(cache="override", interruptible=False, queue="other", short_name="s", retries=2)(square)
    assert isinstance(plain.cache, Cache)
    assert isinstance(own.cache, Cache)
    assert isinstance(own.retries, RetryStrategy)
    assert (plain.cache.behavior, plain.interruptible, plain.queue) == ("auto", True, "q")
    assert (own.cache.behavior, own.interruptible, own.queue, own.short_name) == ("override", False, "other", "s")
    assert own.retries.count == 2
    assert own.resources == Resources(cpu=1)
    assert isinstance(own.image, Image)
    assert own.image.uri == "img"


def test_a_task_declared_again_takes_the_place_of_the_one_before() -> None:
    env = TaskEnvironment("a")
    env.task(square)
    second = env.task(square)
    assert env.tasks == {"a.square": second}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cache": "bogus"}, "Invalid cache behavior: 'bogus'"),
        ({"retries": 1.5}, "retries must be an int"),
        ({"retries": -1}, "greater than or equal to 0, got -1"),
    ],
)
def test_a_bad_setting_of_a_task_is_refused_where_it_is_declared(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TaskEnvironment("a").task(**settings)(square)


def test_triggers_and_links_may_be_given_one_by_one() -> None:
    @dataclass
    class Dashboard:
        name: str = "d"
        icon_uri: str | None = ""

        def get_link(self, **_: Any) -> str:
            return ""

    trigger = Trigger("t", Cron("0 * * * *"))
    task = TaskEnvironment("a").task(triggers=trigger, links=Dashboard())(square)
    assert task.triggers == (trigger,)
    assert task.links == (Dashboard(),)


def test_warm_workers_take_neither_pods_nor_concurrent_sync_tasks() -> None:
    env = TaskEnvironment("a", reusable=ReusePolicy(concurrency=2))
    env.task(square)
    with pytest.raises(ValueError, match="only supported for async tasks"):
        env.task(square_sync)
    with pytest.raises(ValueError, match="Cannot set pod_template"):
        env.task(pod_template="p")
    with pytest.raises(ValueError, match="Cannot override service_account"):
        env.task(service_account="s")


def test_free_tasks_can_be_given_an_environment() -> None:
    free = TaskTemplate(name="shell", interface=TaskEnvironment("x").task(square).interface)
    env = TaskEnvironment.from_task("a", free)
    assert env.tasks == {"shell": free}
    assert free.parent_env_name == "a"
    with pytest.raises(ValueError, match="Tasks cannot assigned to multiple environments"):
        TaskEnvironment.from_task("b", free)


def test_tasks_of_one_environment_have_one_image() -> None:
    interface = TaskEnvironment("x").task(square).interface
    tasks = [TaskTemplate(name=name, interface=interface, image=name) for name in ("one", "two")]
    with pytest.raises(ValueError, match="must have the same image"):
        TaskEnvironment.from_task("a", *tasks)


@dataclass(kw_only=True, eq=False)
class SparkTask(AsyncFunctionTaskTemplate[..., Any]):
    task_type: str = "spark"


class SparkConfig:
    pass


@pytest.fixture
def spark() -> Any:
    TaskPluginRegistry.register(SparkConfig, SparkTask)
    yield SparkConfig()
    TaskPluginRegistry._plugins.pop(SparkConfig)


def test_a_plugin_makes_tasks_of_its_own_class(spark: SparkConfig) -> None:
    task = TaskEnvironment("a", plugin_config=spark).task(square)
    assert type(task) is SparkTask
    assert task.task_type == "spark"
    assert "SparkConfig" in repr(TaskPluginRegistry)


def test_an_override_can_make_it_a_plugins_task(spark: SparkConfig) -> None:
    task = TaskEnvironment("a").task(retries=3)(square)
    overridden = task.override(plugin_config=spark)
    assert type(overridden) is SparkTask
    assert (overridden.task_type, overridden.retries, overridden.name) == ("spark", RetryStrategy(3), "a.square")


@pytest.mark.parametrize(
    "declare", [lambda env: env.task(square), lambda env: TaskEnvironment("b").task(square).override(plugin_config=3)]
)
def test_an_unknown_plugin_is_refused(declare: Callable[[TaskEnvironment], Any]) -> None:
    with pytest.raises(ValueError, match="No task plugin found for config type <class 'int'>"):
        declare(TaskEnvironment("a", plugin_config=3))


def test_a_plugin_and_warm_workers_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="Cannot set plugin_config when environment is reusable"):
        TaskEnvironment("a", reusable=ReusePolicy(), plugin_config=3)


def test_the_base_class_has_no_clones() -> None:
    with pytest.raises(NotImplementedError):
        Environment("a").clone_with("b")

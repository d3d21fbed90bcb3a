"""Calling and overriding tasks."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
from typing import Any

import cloudpickle
import pytest

from flyte_nb.authoring.cache import Cache
from flyte_nb.authoring.context import Scope, current_scope
from flyte_nb.authoring.environment import TaskEnvironment
from flyte_nb.authoring.group import ctx
from flyte_nb.authoring.resources import Resources
from flyte_nb.authoring.retry import RetryStrategy
from flyte_nb.authoring.reuse import ReusePolicy
from flyte_nb.authoring.task import AsyncFunctionTaskTemplate, TaskTemplate
from flyte_nb.errors import TraceDoesNotAllowNestedTasksError

env = TaskEnvironment("calls")


@env.task
async def square(x: int) -> int:
    return x * x


@env.task
def half(x: int) -> int:
    return x // 2


reused = TaskEnvironment("warm", reusable=ReusePolicy()).task(half.func)


def test_outside_a_run_a_call_is_the_plain_function() -> None:
    assert inspect.iscoroutine(call := square(3))
    assert asyncio.run(call) == 9
    assert half(8) == 4
    assert half.forward(8) == 4
    assert asyncio.run(square.forward(3)) == 9


def test_outside_a_run_aio_gives_the_value() -> None:
    assert asyncio.run(square.aio(3)) == 9
    assert asyncio.run(half.aio(8)) == 4


def test_inside_a_run_calls_go_to_the_controller(inside_task: Any) -> None:
    assert asyncio.run(square(3)) == 9
    assert half(8) == 4
    assert asyncio.run(half.aio(x=8)) == 4
    assert inside_task.calls == [
        ("calls.square", None, (3,), {}),
        ("calls.half", None, (8,), {}),
        ("calls.half", None, (), {"x": 8}),
    ]


def test_forward_never_goes_to_the_controller(inside_task: Any) -> None:
    assert half.forward(8) == 4
    assert inside_task.calls == []


@pytest.mark.parametrize("call", [lambda: half(1), lambda: square(1), lambda: square.aio(1)])
def test_a_trace_calls_no_tasks(inside_task: Any, call: Any) -> None:
    token = current_scope.set(Scope(inside_task, None, trace="step"))
    with pytest.raises(TraceDoesNotAllowNestedTasksError, match="invoked from inside a `flyte"):
        call()
    current_scope.reset(token)


def test_an_override_is_another_task() -> None:
    other = square.override(short_name="s", retries=4, cache="on", timeout=5, resources=Resources(cpu=2), report=True)
    assert isinstance(other.cache, Cache)
    assert (other.short_name, other.retries, other.cache.behavior) == ("s", RetryStrategy(4), "auto")
    assert (other.timeout, other.resources, other.report) == (5, Resources(cpu=2), True)
    assert (square.short_name, square.retries, square.report) == ("square", RetryStrategy(0), False)
    assert other.name == square.name
    assert other is not square
    assert isinstance(other, AsyncFunctionTaskTemplate)


def test_what_an_override_leaves_out_stays() -> None:
    task = env.task(retries=3, cache="auto", short_name="s", interruptible=True)(half.func)
    other = task.override(retries=0)
    assert (other.retries, other.cache, other.short_name, other.interruptible) == (
        task.retries,
        task.cache,
        "s",
        True,
    )
    assert other.override(interruptible=False).interruptible is False


@pytest.mark.parametrize("name", ["name", "image", "docs", "interface"])
def test_some_things_cannot_be_overridden(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name.capitalize()} cannot be overridden"):
        square.override(**{name: "x"})


def test_an_unknown_setting_cannot_be_overridden() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'bogus'"):
        square.override(bogus=1)


@pytest.mark.parametrize(
    ("setting", "word"),
    [
        ({"resources": Resources(cpu=1)}, "resources"),
        ({"env_vars": {"a": "b"}}, "env"),
        ({"secrets": "s"}, "secrets"),
        ({"service_account": "s"}, "service_account"),
    ],
)
def test_what_a_warm_worker_has_already_cannot_be_overridden(setting: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=f"Cannot override {word} when reusable is set"):
        reused.override(**setting)
    assert reused.override(reusable="off", **setting).reusable is None


def test_tasks_are_told_apart_by_identity() -> None:
    assert square != square.override()
    assert len({square, square.override(), half}) == 3


def test_a_task_travels_without_its_environment_and_what_the_engine_keeps() -> None:
    half._compiled = object()  # type: ignore[attr-defined]
    try:
        for again in (cloudpickle.loads(cloudpickle.dumps(half)), copy.copy(half), half.override()):
            assert "_compiled" not in vars(again)
            assert again.name == "calls.half"
            assert again(8) == 4
        assert cloudpickle.loads(cloudpickle.dumps(half)).parent_env is None
        assert copy.copy(half).parent_env is half.parent_env
        assert pickle.loads(pickle.dumps(TaskTemplate(name="t", interface=half.interface))).name == "t"
    finally:
        del half._compiled  # type: ignore[attr-defined]


def test_a_task_knows_where_it_was_declared() -> None:
    lines, start = inspect.getsourcelines(half.func)
    assert half._declared_at == (__file__, start)
    assert lines[0].startswith("@env.task")
    assert half.source_file == __file__
    assert TaskTemplate(name="t", interface=half.interface).source_file is None


def test_a_task_shows_its_interface() -> None:
    assert half.native_interface.required_inputs() == ["x"]
    assert half.json_schema["properties"]["x"]["type"] == "integer"


class Measured(AsyncFunctionTaskTemplate[..., Any]):
    returned: Any = None

    async def pre(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {"began": kwargs}

    async def post(self, return_vals: Any) -> Any:
        Measured.returned = return_vals


@pytest.mark.parametrize("is_async", [False, True])
def test_execute_runs_what_a_plugin_puts_around_the_function(inside_task: Any, is_async: bool) -> None:
    def sync_body(x: int) -> Any:
        return ctx()["began"], x

    async def async_body(x: int) -> Any:
        return ctx()["began"], x

    task = Measured(name="m", func=async_body if is_async else sync_body, interface=half.interface)
    assert asyncio.run(task.execute(x=1)) == ({"x": 1}, 1)
    assert Measured.returned == ({"x": 1}, 1)


def test_a_kind_of_task_says_how_it_is_executed() -> None:
    task = TaskTemplate(name="t", interface=half.interface)
    with pytest.raises(NotImplementedError):
        task(1)
    with pytest.raises(NotImplementedError):
        asyncio.run(task.execute())


def test_service_accounts_are_names() -> None:
    with pytest.raises(TypeError, match="Expected service_account to be of type str"):
        TaskTemplate(name="t", interface=half.interface, service_account=3)  # type: ignore[arg-type]

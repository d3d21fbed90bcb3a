"""Steps inside a task that are recorded, each on its own.

    @flyte.trace
    async def ask(question: str) -> str: ...

Inside a run a call of a traced function is a step under the running action: its arguments and its result are recorded,
and its caller goes on once the record would survive a power cut. A step that the engine has on record (see
`TraceStep.replayed`) gives its result without executing; docs/evaluation.md says when. Outside a run it is a plain
call. Errors are raised as they are.

Functions, coroutine functions, generators and async generators can be traced; of a generator the list of what it
yielded is recorded, when it ends.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Generic, Literal, ParamSpec, TypeVar, cast

from flyte_nb.authoring.context import Scope, current_scope
from flyte_nb.models import NativeInterface

__all__ = ["TraceFunction", "trace"]

F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")
R = TypeVar("R")

Kind = Literal["function", "coroutine", "generator", "async_generator"]

_END = object()


def trace(func: F) -> F:
    """Has the calls of a function recorded as steps; see the module.

    Args:
        func: a function, a coroutine function, a generator function or an async generator function.

    Returns:
        A `TraceFunction` that is called as the function is.
    """
    return cast(F, TraceFunction(func))


class TraceFunction(Generic[P, R]):
    """A traced function.

    Attributes:
        func: the function itself.
        name: its name, and the name of its steps.
        kind: what calling it gives.
    """

    def __init__(self, func: Callable[P, R]) -> None:
        functools.update_wrapper(self, func)
        self.func: Callable[..., Any] = func
        self.name: str = getattr(func, "__name__", type(func).__name__)
        self.kind = _kind(func)
        self._record = _RECORD[self.kind]

    @functools.cached_property
    def signature(self) -> inspect.Signature:
        """Its parameters."""
        return inspect.signature(self.func)

    @functools.cached_property
    def positional_names(self) -> tuple[str, ...] | None:
        """The names of its parameters where all may be given by position, else None."""
        parameters = self.signature.parameters.values()
        by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        if any(parameter.kind not in by_position for parameter in parameters):
            return None
        return tuple(parameter.name for parameter in parameters)

    @functools.cached_property
    def native_interface(self) -> NativeInterface:
        """What it takes and returns."""
        return NativeInterface.from_callable(self.func)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the function: as a recorded step inside a run, plainly outside."""
        scope = current_scope.get()
        if scope is None:
            return self.func(*args, **kwargs)
        return self._record(self, scope, args, kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<trace {self.name}>"


Traced = TraceFunction[..., Any]


def _record_function(function: Traced, scope: Scope, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    step = scope.controller.begin_trace(scope, function, args, kwargs)
    if step.replayed:
        return step.value
    try:
        with _within(step.scope):
            value = function.func(*args, **kwargs)
    except BaseException as error:
        step.fail(error)
        raise
    step.succeed(value)
    step.wait_durable()
    return value


async def _record_coroutine(function: Traced, scope: Scope, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    step = scope.controller.begin_trace(scope, function, args, kwargs)
    if step.replayed:
        return step.value
    try:
        with _within(step.scope):
            value = await function.func(*args, **kwargs)
    except BaseException as error:  # a cancellation too is how the step ended
        step.fail(error)
        raise
    step.succeed(value)
    await step.durable()
    return value


def _record_generator(
    function: Traced, scope: Scope, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Iterator[Any]:
    step = scope.controller.begin_trace(scope, function, args, kwargs)
    if step.replayed:
        yield from step.value
        return
    items: list[Any] = []
    generator = function.func(*args, **kwargs)
    try:
        while True:
            with _within(step.scope):  # around each item, so that the consumer's code is not inside the trace
                item = next(generator, _END)
            if item is _END:
                break
            items.append(item)
            yield item
    except BaseException as error:  # GeneratorExit: the consumer left early
        with _within(step.scope):
            generator.close()
        step.fail(error)
        raise
    step.succeed(items)
    step.wait_durable()


async def _record_async_generator(
    function: Traced, scope: Scope, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> AsyncIterator[Any]:
    step = scope.controller.begin_trace(scope, function, args, kwargs)
    if step.replayed:
        for item in step.value:
            yield item
        return
    items: list[Any] = []
    generator = function.func(*args, **kwargs)
    try:
        while True:
            with _within(step.scope):
                item = await anext(generator, _END)
            if item is _END:
                break
            items.append(item)
            yield item
    except BaseException as error:
        with _within(step.scope):
            await generator.aclose()
        step.fail(error)
        raise
    step.succeed(items)
    await step.durable()


_RECORD: dict[Kind, Callable[[Traced, Scope, tuple[Any, ...], Mapping[str, Any]], Any]] = {
    "function": _record_function,
    "coroutine": _record_coroutine,
    "generator": _record_generator,
    "async_generator": _record_async_generator,
}


def _kind(func: Callable[..., Any]) -> Kind:
    if inspect.iscoroutinefunction(func):
        return "coroutine"
    if inspect.isasyncgenfunction(func):
        return "async_generator"
    return "generator" if inspect.isgeneratorfunction(func) else "function"


@contextmanager
def _within(scope: Scope) -> Iterator[None]:
    token = current_scope.set(scope)
    try:
        yield
    finally:
        with suppress(ValueError):  # a forgotten coroutine is closed by the garbage collector, in another context
            current_scope.reset(token)

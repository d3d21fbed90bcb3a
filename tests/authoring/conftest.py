"""A controller that runs everything at once, for what is declared in `flyte_nb.authoring`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from flyte_nb.authoring.condition import Answer, Question
from flyte_nb.authoring.context import Scope, current_scope
from flyte_nb.models import ActionID, CheckpointPaths, GroupData, RawDataPath, TaskContext


@dataclass
class FakeStep:
    scope: Scope
    replayed: bool = False
    value: Any = None
    error: BaseException | None = None
    is_durable: bool = False

    def succeed(self, value: Any) -> None:
        self.value = value

    def fail(self, error: BaseException) -> None:
        self.error = error

    async def durable(self) -> None:
        self.is_durable = True

    def wait_durable(self) -> None:
        self.is_durable = True


@dataclass
class FakeController:
    """Calls tasks as plain functions in a scope of their own and keeps what it was asked."""

    folder: Path
    calls: list[tuple[str, str | None, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    steps: list[tuple[str, str | None, tuple[Any, ...], FakeStep]] = field(default_factory=list)
    recorded: dict[tuple[str, tuple[Any, ...]], Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)

    async def submit(self, scope: Scope, task: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        self.calls.append((task.name, scope.group, args, dict(kwargs)))
        token = current_scope.set(Scope(self, None, custom_context=scope.custom_context))
        try:
            result = task.forward(*args, **kwargs)
            return await result if inspect.iscoroutine(result) else result
        finally:
            current_scope.reset(token)

    def submit_sync(self, scope: Scope, task: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        self.calls.append((task.name, scope.group, args, dict(kwargs)))
        return task.forward(*args, **kwargs)

    def begin_trace(self, scope: Scope, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> FakeStep:
        step = FakeStep(scope.derive(trace=function.name))
        if (function.name, args) in self.recorded:
            step.replayed, step.value = True, self.recorded[function.name, args]
        self.steps.append((function.name, scope.trace, args, step))
        return step

    async def wait_for_condition(self, scope: Scope, question: Question) -> Answer:
        return self.wait_for_condition_sync(scope, question)

    def wait_for_condition_sync(self, scope: Scope, question: Question) -> Answer:
        self.questions.append(question)
        return self.answers[question.name]

    def task_context(self, scope: Scope) -> TaskContext:
        return TaskContext(
            action=ActionID(name="a0", run_name="r"),
            version="",
            raw_data_path=RawDataPath(path=str(self.folder)),
            output_path=str(self.folder / "out"),
            run_base_dir=str(self.folder),
            report=None,
            group_data=GroupData(scope.group) if scope.group else None,
            custom_context=scope.custom_context,
            checkpoint_paths=CheckpointPaths(str(self.folder / "0"), str(self.folder / "1")),
            data=self.data,
            mode="local",
        )


@pytest.fixture
def controller(tmp_path: Path) -> FakeController:
    return FakeController(tmp_path)


@pytest.fixture
def inside_task(controller: FakeController) -> Iterator[FakeController]:
    """The test runs as if it were a task's body."""
    token = current_scope.set(Scope(controller, None))
    yield controller
    current_scope.reset(token)

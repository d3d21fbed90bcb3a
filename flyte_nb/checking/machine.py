"""Resources that a task asks for and this machine has not got: what admission would refuse when the task starts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.checking.problem import Problem
from flyte_nb.checking.program import function_of
from flyte_nb.engine.isolation import needs_of
from flyte_nb.errors import ResourceExhaustedError
from flyte_nb.executors.limits.admission import Admission
from flyte_nb.executors.limits.machine import this_machine
from flyte_nb.executors.placement import Needs

__all__ = ["find_lacking_resources"]


def find_lacking_resources(task: TaskTemplate[Any, Any]) -> Iterator[Problem]:
    """What a task asks for beyond what there is, each of cpu, memory and GPUs by itself."""
    needs = needs_of(task, "kernel")
    admission = Admission(this_machine())
    function = function_of(task)
    file, line = ("", 0) if function is None else (function.__code__.co_filename, function.__code__.co_firstlineno)
    for field in fields(Needs):
        one = replace(Needs(), **{field.name: getattr(needs, field.name)})
        try:
            admission.check(one, task.short_name)
        except ResourceExhaustedError as error:
            yield Problem("resources", str(error), file, line, task.name)

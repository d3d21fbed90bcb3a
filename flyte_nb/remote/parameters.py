"""Inputs of a task given as text, by `%flyte run` and `flyte-nb run`: validated by pydantic as their types say.

3, 0.1, yes, red, 2026-01-31     scalars, enums (value or name), dates, as they are written
[1, 2], {"lr": 0.1}, null        containers, dataclasses, models and None as JSON
data/table.csv                   a File or Dir by its path
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, Union, get_args, get_origin

from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.engine.isolation import ISOLATIONS
from flyte_nb.executors.placement import Isolation
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.launch import Runner, with_runcontext
from flyte_nb.remote.run import Run
from flyte_nb.remote.search import did_you_mean
from flyte_nb.types.names import describe_type
from flyte_nb.types.previews import short_text

__all__ = [
    "Given",
    "describe_parameters",
    "input_from_text",
    "isolation_named",
    "labels_of",
    "parameter_help",
    "parameter_named",
    "parameter_text",
    "task_help",
]

PLAIN = (int, float, str, bool, bytes)
"""Types whose text is never JSON."""
NOTHING = ("None", "null")
"""The texts of None."""
TRUTHS = frozenset({"true", "false", "yes", "no", "on", "off", "1", "0", "t", "f", "y", "n"})
"""The texts of a bool."""


@dataclass
class Given:
    """The inputs of a task and the options of its run, as words give them one after the other."""

    task: TaskTemplate[Any, Any]
    inputs: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    isolation: Isolation | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """Others of `flyte.with_runcontext`."""

    def take_option(self, option: str, rest: list[str]) -> None:
        """Takes `--name value`, `--name=value`, `--flag`, `--no-flag`, `--label KEY=VALUE` or `--isolation WHERE`.

        A parameter of the task's is meant where it has the name of an option.

        Args:
            option: the word with the dashes.
            rest: the words behind it; the value is taken away from them.

        Raises:
            CommandError: the task has no such parameter, or the value is not of its type.
        """
        name, is_joined, text = option.removeprefix("--").partition("=")
        types = self.task.native_interface.get_input_types()
        key = name.replace("-", "_")
        if name == "label" and name not in types:
            self.labels.update(labels_of([text if is_joined else self._next(option, rest)]))
            return
        if name == "isolation" and name not in types:
            self.isolation = isolation_named(text if is_joined else self._next(option, rest))
            return
        negated = key.removeprefix("no_")
        if types.get(key) is bool and not is_joined and (not rest or rest[0].lower() not in TRUTHS):
            self.give(key, True)
        elif key not in types and negated != key and types.get(negated) is bool and not is_joined:
            self.give(negated, False)
        else:
            key = parameter_named(self.task, name)
            self.give(key, input_from_text(self.task, key, text if is_joined else self._next(option, rest)))

    def give(self, name: str, value: Any) -> None:
        """Takes the value of a parameter.

        Raises:
            CommandError: it has one already, or there is no such parameter.
        """
        name = parameter_named(self.task, name)
        if name in self.inputs:
            raise CommandError(f"{self.task.name}: {name} is given twice")
        self.inputs[name] = value

    def check(self) -> None:
        """Checks that every required input is there.

        Raises:
            CommandError: one is missing.
        """
        missing = [name for name in self.task.native_interface.required_inputs() if name not in self.inputs]
        if missing:
            raise CommandError(f"{self.task.name} needs {', '.join(missing)}. {describe_parameters(self.task)}")

    def start(self) -> Run:
        """Runs the task.

        Raises:
            CommandError: the inputs do not fit.
            flyte_nb.errors.BaseRuntimeError: the task failed; `.run` is the run.
        """
        return self._begun(lambda runner: runner.run)

    def begin(self) -> Run:
        """Starts the task and returns at once.

        Raises:
            CommandError: the inputs do not fit.
        """
        return self._begun(lambda runner: runner.start)

    def _begun(self, way: Callable[[Runner], Callable[..., Run]]) -> Run:
        self.check()
        try:
            runner = with_runcontext(labels=self.labels, isolation=self.isolation, **self.options)
            return way(runner)(self.task, **self.inputs)
        except (TypeError, ValueError) as error:
            if hasattr(error, "run"):  # raised by the run, not by the check of its inputs
                raise
            raise CommandError(f"{self.task.name}: {error}") from None

    def _next(self, option: str, rest: list[str]) -> str:
        if not rest:
            raise CommandError(f"{option} needs a value. {describe_parameters(self.task)}")
        return rest.pop(0)


def parameter_named(task: TaskTemplate[Any, Any], option: str) -> str:
    """The parameter that an option `--learning-rate` means.

    Raises:
        CommandError: the task has no such parameter; the message names those it has.
    """
    wanted = option.replace("-", "_")
    names = list(task.native_interface.inputs)
    if wanted not in names:
        raise CommandError(
            f"{task.name} has no parameter {wanted!r}.{did_you_mean(wanted, names)} {describe_parameters(task)}"
        )
    return wanted


def input_from_text(task: TaskTemplate[Any, Any], name: str, text: str) -> Any:
    """The value that a text stands for.

    Args:
        task: the task.
        name: one of its parameters.
        text: what was given for it.

    Raises:
        CommandError: it is not of the parameter's type; the message names parameter, type and value.
    """
    declared = task.native_interface.get_input_types()[name]
    try:
        return _value(text, declared)
    except ValueError as error:
        raise CommandError(
            f"{task.name}: {name} must be {describe_type(declared)}, got {short_text(text)}: {_reason(error)}"
        ) from None


def describe_parameters(task: TaskTemplate[Any, Any]) -> str:
    """The task's parameters in a line: `It takes x: int, rate: float = 0.1.`"""
    inputs = task.native_interface.inputs
    if not inputs:
        return "It takes no inputs."
    return f"It takes {', '.join(parameter_text(task, name) for name in inputs)}."


def parameter_text(task: TaskTemplate[Any, Any], name: str) -> str:
    """A parameter as it is declared: `rate: float = 0.1`."""
    declared, default = task.native_interface.inputs[name]
    return f"{name}: {describe_type(declared)}{_default(default)}"


def parameter_help(task: TaskTemplate[Any, Any], name: str) -> str:
    """What the task's docstring says of a parameter; empty when nothing."""
    said = task.native_interface.docstring
    return " ".join(said.input_descriptions.get(name, "").split()) if said is not None else ""


def task_help(task: TaskTemplate[Any, Any]) -> str:
    """The task, what its docstring says of it, and its parameters, a line each."""
    said = task.native_interface.docstring
    declared = {name: parameter_text(task, name) for name in task.native_interface.inputs}
    width = max(map(len, declared.values()), default=0)
    lines = [f"  {text.ljust(width)}  {parameter_help(task, name)}".rstrip() for name, text in declared.items()]
    about = said.short_description if said is not None and said.short_description else ""
    return "\n".join([f"{task.name}{': ' * bool(about)}{about}", *(lines or ["  takes no inputs"])])


def isolation_named(text: str) -> Isolation:
    """The isolation of that name.

    Raises:
        CommandError: there is none.
    """
    for isolation in ISOLATIONS:
        if isolation == text:
            return isolation
    raise CommandError(f"isolation is {', '.join(ISOLATIONS)}; got {text!r}.{did_you_mean(text, ISOLATIONS)}")


def labels_of(texts: Sequence[str], what: str = "A label") -> dict[str, str]:
    """Labels, or what else it is, given as `key=value`.

    Raises:
        CommandError: one is not of that form.
    """
    labels = {}
    for text in texts:
        key, given, value = text.partition("=")
        if not given or not key:
            raise CommandError(f"{what} is given as KEY=VALUE, got {text!r}")
        labels[key] = value
    return labels


def _default(default: Any) -> str:
    return "" if default is inspect.Parameter.empty else f" = {short_text(default, 30)}"


def _value(text: str, declared: Any) -> Any:
    """The value of a text.

    Raises:
        ValueError: it does not fit the type.
    """
    import pydantic

    if declared is inspect.Parameter.empty:
        declared = Any
    if isinstance(declared, type) and issubclass(declared, enum.Enum) and text in declared.__members__:
        return declared[text]
    for kind in members_of(declared):
        by_path = getattr(get_origin(kind) or kind, "from_existing_remote", None)
        if by_path is not None and not text.startswith("{") and text not in NOTHING:
            return by_path(text)
    try:
        adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(declared)
    except pydantic.errors.PydanticUserError:
        raise ValueError("values of this type have no text; give a Python expression, as in name=expression") from None
    json_first = declared in (Any, object)
    try:
        return adapter.validate_json(text) if json_first else adapter.validate_strings(text)
    except pydantic.ValidationError as error:
        if json_first:
            return text
        if declared in PLAIN:
            raise
        return _from_json(adapter, text, error)


def members_of(declared: Any) -> tuple[Any, ...]:
    """The types of a union; of any other type itself."""
    return get_args(declared) if get_origin(declared) in (Union, UnionType) else (declared,)


def _from_json(adapter: Any, text: str, first: ValueError) -> Any:
    """The text read as JSON; where it is none, the error is that of the text itself."""
    import pydantic

    try:
        return adapter.validate_json("null" if text in NOTHING else text)
    except pydantic.ValidationError as error:
        looks_like_json = text[:1] in ("[", "{", '"')
        raise (error if looks_like_json else first) from None


def _reason(error: ValueError) -> str:
    """What pydantic found wrong first, with the place inside the value."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    found = errors(include_url=False)[0]
    place = ".".join(str(part) for part in found["loc"])
    return f"{found['msg']} (at {place})" if place else str(found["msg"])

"""The fields of a form: made of types and defaults, drawn by the page, read back as values (docs/explorer.md).

    Field.description()  ->  the page draws it  ->  an entry  ->  Field.check (at each key), Field.read (at the end)

What the page gives for a field is its *entry*:

    {}                      nothing: the default
    {"json": 3}             a value that JSON can say
    {"expression": "df"}    a Python expression over the notebook's names
    {"recorded": true}      the value that an earlier run was given
"""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, get_origin

from flyte_nb.types.names import describe_type
from flyte_nb.types.previews import short_text

__all__ = ["NOTHING", "Field", "FieldError", "Problem"]

NOTHING: Any = inspect.Parameter.empty
"""Stands for a default or a recorded value that there is not."""
LONGEST_JSON = 20_000
"""A recorded value or default of more characters is named, not spelled out."""
MOST_NAMES = 50
BY_PATH = ("file", "dir")
"""What Flyte's own types call themselves in their JSON schema, where a path is enough to make one."""
UNSUGGESTED = (bool, bytes, float, int, str, object, Any, NOTHING)
"""Types of which no variables are suggested: nobody keeps such values to hand them over."""
IPYTHONS = ("In", "Out")

Problem = dict[str, Any]
"""What is wrong with an entry: the `field`, the `path` inside its value, and a `message`."""


class FieldError(ValueError):
    """An entry cannot be read.

    Attributes:
        problems: all that is wrong with it.
    """

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(problem["message"] for problem in problems))
        self.problems = problems


@dataclass
class Field:
    """One input of a form.

    Attributes:
        name: of the parameter.
        type: its declared type.
        default: its default, or NOTHING.
        help: what it is, in words.
        recorded: what an earlier run was given for it, or NOTHING.
        shows_recorded: whether a recorded value may stand in the form; else it is only named.
        suggestions: texts that are often meant.
    """

    name: str
    type: Any
    default: Any = NOTHING
    help: str = ""
    recorded: Any = NOTHING
    shows_recorded: bool = field(default=True, kw_only=True)
    suggestions: Sequence[str] = field(default=(), kw_only=True)

    def description(self, namespace: Mapping[str, Any]) -> dict[str, Any]:
        """The field as the page draws it.

        Args:
            namespace: the notebook's names, of which those that fit are suggested.
        """
        return {
            "name": self.name,
            "type": describe_type(self.type),
            "help": self.help,
            "required": self.default is NOTHING,
            "default": "" if self.default is NOTHING else short_text(self.default),
            "recorded": "" if self.recorded is NOTHING else short_text(self.recorded) if self.shows_recorded else "…",
            "schema": self.schema,
            "suggestions": list(self.suggestions),
            "names": self._fitting_names(namespace),
            "entry": self._first_entry(),
        }

    def check(self, entry: Any, namespace: Mapping[str, Any]) -> list[Problem]:
        """What is wrong with an entry. An expression is only evaluated where that does nothing: a plain name is."""
        try:
            expression = self._expression(entry)
            if expression is None:
                self.read(entry, namespace)
            elif isinstance(expression, ast.Name):
                self._check_value(self._named(expression.id, namespace))
        except FieldError as error:
            return error.problems
        return []

    def read(self, entry: Any, namespace: Mapping[str, Any]) -> Any:
        """The value of an entry; NOTHING where the default is meant.

        Raises:
            FieldError: it has none.
        """
        if "expression" in entry:
            self._expression(entry)
            try:
                return eval(str(entry["expression"]).strip(), dict(namespace))
            except Exception as error:  # the user's own expression may raise anything
                raise self._error(f"{type(error).__name__}: {error}") from error
        if entry.get("recorded") and self.recorded is not NOTHING:
            return self.recorded
        if "json" in entry:
            return self._from_json(entry["json"])
        if self.default is NOTHING:
            raise self._error("A value is needed.")
        return NOTHING

    @cached_property
    def schema(self) -> dict[str, Any] | None:
        """The JSON schema of the type; None where JSON cannot say its values."""
        import pydantic

        if self._adapter is None:
            return None
        try:
            found = self._adapter.json_schema()
        except pydantic.errors.PydanticUserError:  # a type that can be checked but not described
            return None
        own = found.get("x-flyte-type")
        return found if own is None or own in BY_PATH else None

    @cached_property
    def _adapter(self) -> Any:
        import pydantic

        declared = Any if self.type is NOTHING else self.type
        try:
            return pydantic.TypeAdapter(declared)
        except (pydantic.errors.PydanticUserError, NameError):  # a name that the class's module did not keep
            return None

    def _from_json(self, value: Any) -> Any:
        import pydantic

        if self.schema is None:
            raise self._error("Values of this type are given as a Python expression.")
        try:
            return self._adapter.validate_json(json.dumps(value))
        except pydantic.ValidationError as error:
            problems = [self._problem(found["msg"], found["loc"]) for found in error.errors(include_url=False)]
            raise FieldError(problems) from None

    def _expression(self, entry: Any) -> ast.expr | None:
        """The expression of an entry; None where it is none."""
        if "expression" not in entry:
            return None
        text = str(entry["expression"]).strip()
        if not text:
            raise self._error("A value is needed.")
        try:
            return ast.parse(text, mode="eval").body
        except (SyntaxError, ValueError) as error:
            raise self._error(f"Not a Python expression: {getattr(error, 'msg', error)}.") from None

    def _named(self, name: str, namespace: Mapping[str, Any]) -> Any:
        found = namespace.get(name, NOTHING)
        if found is NOTHING:
            raise self._error(f"No variable is named {name}.")
        return found

    def _check_value(self, value: Any) -> None:
        import pydantic

        if self.schema is None:  # only Flyte's own machinery knows what else it takes: it says so when the run starts
            if isinstance(self.type, type) and self._adapter is None and not isinstance(value, self.type):
                raise self._error(f"It must be {describe_type(self.type)}, not {type(value).__name__}.")
            return
        try:
            self._adapter.validate_python(value)
        except pydantic.ValidationError as error:
            raise self._error(str(error.errors(include_url=False)[0]["msg"])) from None

    def _first_entry(self) -> dict[str, Any]:
        if self.recorded is not NOTHING:
            spelled = self._to_json(self.recorded) if self.shows_recorded else NOTHING
            return {"recorded": True} if spelled is NOTHING else {"json": spelled}
        if self.default is NOTHING:
            return {"expression": ""} if self.schema is None else {}
        spelled = self._to_json(self.default)
        return {} if spelled is NOTHING else {"json": spelled}

    def _to_json(self, value: Any) -> Any:
        """The value as JSON that reads back as it; NOTHING where there is none, or a long one."""
        if self.schema is None:
            return NOTHING
        try:
            spelled = self._adapter.dump_python(self._adapter.validate_python(value), mode="json", warnings="error")
            text = json.dumps(spelled, allow_nan=False)
            is_same = bool(self._adapter.validate_json(text) == value)
        except Exception:  # a class of the user's may raise anything when it is written, read or compared
            return NOTHING
        fits = len(text) <= LONGEST_JSON and (is_same or isinstance(value, str))
        return spelled if fits else NOTHING

    def _fitting_names(self, namespace: Mapping[str, Any]) -> list[str]:
        kind = get_origin(self.type) or self.type
        if not isinstance(kind, type) or kind in UNSUGGESTED:
            return []
        named = {name: value for name, value in namespace.items() if name[:1] != "_" and name not in IPYTHONS}
        try:
            return sorted(name for name, value in named.items() if isinstance(value, kind))[:MOST_NAMES]
        except TypeError:  # a protocol, which nothing is an instance of
            return []

    def _error(self, message: str) -> FieldError:
        return FieldError([self._problem(message, ())])

    def _problem(self, message: str, path: tuple[Any, ...]) -> Problem:
        return {"field": self.name, "path": list(path), "message": message}

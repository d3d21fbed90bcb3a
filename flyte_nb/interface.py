"""What a task takes and returns, read off its signature. Part of Flyte's `flyte.models`, where it is public.

def f(a: int, b: str = "x") -> tuple[int, str]     inputs  {"a": (int, inspect.Parameter.empty), "b": (str, "x")}
                                                   outputs {"o0": int, "o1": str}
"""

from __future__ import annotations

import enum
import inspect
import logging
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

__all__ = ["Docstring", "NativeInterface", "extract_return_annotation", "literal_to_enum"]

LITERAL_ENUM = "LiteralEnum"

logger = logging.getLogger("flyte")


class Docstring:
    """What a docstring says about a function; Google, NumPy and reST style.

    Args:
        docstring: the text.
        callable_: whose docstring to read when no text is given.

    Attributes:
        short_description: the first paragraph, or None.
        long_description: what follows it before the first section, or None.
        input_descriptions: what is said about each parameter.
    """

    _INPUT_HEADINGS = frozenset({"args", "arguments", "parameters", "params"})
    _HEADINGS = _INPUT_HEADINGS | {"returns", "yields", "raises", "example", "examples", "note", "notes", "attributes"}
    _INPUT = re.compile(r"\s*(?::param (?:\S+ )?)?(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")

    def __init__(self, docstring: str | None = None, callable_: Callable[..., Any] | None = None) -> None:
        self._text: str = (docstring if docstring is not None else getattr(callable_, "__doc__", None)) or ""
        description: list[str] = []
        inputs: dict[str, list[str]] = {}
        heading, indent = "", -1  # of the section, and of its entries
        for line in inspect.cleandoc(self._text).splitlines():
            depth = len(line) - len(line.lstrip())
            if depth == 0 and line.strip(" :").lower() in self._HEADINGS:
                heading, indent = line.strip(" :").lower(), -1
                continue
            if line.startswith(":"):
                heading, indent = ("params", 0) if line.startswith(":param ") else ("field", 0)
            if not heading:
                description.append(line)
            elif heading in self._INPUT_HEADINGS and line.strip(" -"):
                indent = depth if indent < 0 else indent
                entry = self._INPUT.match(line) if depth == indent else None
                if entry:
                    inputs[entry[1]] = [entry[2]]
                elif inputs:
                    next(reversed(inputs.values())).append(line.strip())
        short, _, long = "\n".join(description).strip().partition("\n\n")
        self.short_description: str | None = short or None
        self.long_description: str | None = long.strip() or None
        self.input_descriptions = {name: "\n".join(lines).strip() for name, lines in inputs.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        return Docstring, (self._text,)  # Flyte's own class, which a backend is sent, reads the same text in its way


class _HasDefault:
    """Stands for a default value that exists but is not known here."""


@dataclass(frozen=True)
class NativeInterface:
    """What a task takes and returns.

    Attributes:
        inputs: (type, default) by name; the default is `inspect.Parameter.empty` where there is none.
        outputs: type by name, `o0`, `o1` ... or the fields of a NamedTuple.
        docstring: what the function's docstring says, or None.
    """

    inputs: dict[str, tuple[Any, Any]]
    outputs: dict[str, Any]
    docstring: Docstring | None = None
    _remote_defaults: Mapping[str, Any] | None = field(default=None, repr=False)

    has_default: ClassVar[type[_HasDefault]] = _HasDefault

    @classmethod
    def from_types(
        cls,
        inputs: dict[str, tuple[Any, Any]],
        outputs: dict[str, Any],
        default_inputs: Mapping[str, Any] | None = None,
    ) -> NativeInterface:
        """An interface from types; an input with the default `has_default` needs one in `default_inputs`."""
        for name, (_, default) in inputs.items():
            if default is cls.has_default and name not in (default_inputs or {}):
                raise ValueError(f"Input {name} has a default value but no default input provided for remote task.")
        return cls(inputs, outputs, _remote_defaults=default_inputs)

    @classmethod
    def from_callable(cls, func: Callable[..., Any]) -> NativeInterface:
        """The interface of a function.

        Raises:
            ValueError: for `*args` and `**kwargs`.
            TypeError: for a return type that Flyte has no outputs for.
            NameError: when an annotation names something that does not exist.
        """
        name = getattr(func, "__name__", repr(func))
        signature = inspect.signature(func)
        hints = typing.get_type_hints(func, include_extras=True)
        inputs: dict[str, tuple[Any, Any]] = {}
        for parameter in signature.parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise ValueError(f"Function {name} cannot have variable positional or keyword arguments.")
            if parameter.annotation is parameter.empty:
                logger.warning(
                    "Function %s has parameter %s without type annotation. Data will be pickled.", name, parameter.name
                )
            annotation = hints.get(parameter.name, parameter.annotation)
            inputs[parameter.name] = (_without_literal(annotation), parameter.default)
        outputs = extract_return_annotation(hints.get("return", signature.return_annotation))
        return cls(inputs, outputs, Docstring(callable_=func) if func.__doc__ else None)

    def has_outputs(self) -> bool:
        """True when there is at least one output."""
        return bool(self.outputs)

    def required_inputs(self) -> list[str]:
        """Names of the inputs without a default."""
        return [name for name, (_, default) in self.inputs.items() if default is inspect.Parameter.empty]

    def num_required_inputs(self) -> int:
        """Number of the inputs without a default."""
        return len(self.required_inputs())

    def get_input_types(self) -> dict[str, Any]:
        """The type of each input."""
        return {name: annotation for name, (annotation, _) in self.inputs.items()}

    def convert_to_kwargs(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The values of a call by name. As in Flyte, unknown names pass as long as there are not too many values.

        Raises:
            ValueError: for more values than inputs.
        """
        if len(args) > len(self.inputs):
            raise ValueError(
                f"Too many positional arguments provided, expected inputs {self.inputs.keys()}, args {len(args)}"
            )
        kwargs.update(zip(self.inputs, args, strict=False))
        if len(kwargs) > len(self.inputs):
            raise ValueError(
                f"Too many keyword arguments provided, expected inputs {self.inputs.keys()}, args {kwargs.keys()}"
            )
        return kwargs

    @property
    def json_schema(self) -> dict[str, Any]:
        """JSON Schema of the inputs, as one object; `{}` stands for a type that JSON cannot express."""
        import pydantic

        def schema(annotation: Any) -> dict[str, Any]:
            try:
                return pydantic.TypeAdapter(annotation).json_schema()
            except pydantic.errors.PydanticUserError:
                return {}

        properties = {name: schema(annotation) for name, annotation in self.get_input_types().items()}
        return {"type": "object", "properties": properties, "required": self.required_inputs()}

    def __repr__(self) -> str:
        inputs = ", ".join(
            f"{name}: {_type_text(annotation)}" + _default_text(default)
            for name, (annotation, default) in self.inputs.items()
        )
        outputs = ", ".join(f"{name}: {_type_text(annotation)}" for name, annotation in self.outputs.items())
        if len(self.outputs) > 1:
            outputs = f"({outputs})"
        return f"({inputs})" + (f" -> {outputs}" if outputs else "") + ":"


def _type_text(annotation: Any) -> str:
    is_plain_class = isinstance(annotation, type) and not hasattr(annotation, "__origin__")
    return annotation.__name__ if is_plain_class else repr(annotation)


def _default_text(default: Any) -> str:
    if default is inspect.Parameter.empty:
        return ""
    return " = ..." if default is _HasDefault else f" = {default}"


def extract_return_annotation(return_annotation: Any) -> dict[str, Any]:
    """The outputs that a return annotation stands for: none, one, a tuple's members, or the fields of a NamedTuple.

    Raises:
        TypeError: for a tuple of one type, or of any length.
    """
    if isinstance(return_annotation, str):
        raise TypeError("String return annotations are not supported.")
    if return_annotation in (None, type(None), inspect.Signature.empty):
        return {}
    if isinstance(return_annotation, type) and return_annotation.__bases__ == (tuple,):
        return typing.get_type_hints(return_annotation, include_extras=True)  # a NamedTuple
    if typing.get_origin(return_annotation) is tuple:
        members = typing.get_args(return_annotation)
        if Ellipsis in members:
            raise TypeError("Variable length tuples are not supported as return types.")
    elif isinstance(return_annotation, tuple):
        members = return_annotation
    else:
        return {"o0": _without_literal(return_annotation)}
    if len(members) == 1:
        raise TypeError("Tuples should be used to indicate multiple return values, found only one return variable.")
    return {f"o{index}": _without_literal(member) for index, member in enumerate(members)}


def _without_literal(annotation: Any) -> Any:
    return literal_to_enum(annotation) if typing.get_origin(annotation) is Literal else annotation


def literal_to_enum(literal_type: Any) -> Any:
    """The Enum that stands for a `Literal` of strings in an interface; Any for other literals.

    Raises:
        TypeError: when the type is not a Literal.
    """
    if typing.get_origin(literal_type) is not Literal:
        raise TypeError(f"{literal_type} is not a Literal")
    values = typing.get_args(literal_type)
    if not all(isinstance(value, str) for value in values):
        logger.warning("Literal type %s contains non-string values, using Any instead of Enum", literal_type)
        return Any
    return enum.Enum(LITERAL_ENUM, {value.upper(): value for value in values})

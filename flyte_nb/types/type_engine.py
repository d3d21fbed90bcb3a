"""The public face of the type system under Flyte's names: `TypeEngine`, `TypeTransformer` and what goes with them.

Flyte's own is built on protobuf literals, which exist here only where a real backend is spoken to. What needs them is
kept by name and refuses with the way to go; a type of the user's own gets a transformer that writes plain trees:

    class PointTransformer(flyte.types.TypeTransformer[Point]):
        def encode(self, value, blobs): return [value.x, value.y]
        def decode(self, tree, blobs): return Point(*tree)

    flyte.types.TypeEngine.register(PointTransformer("point", Point))
"""

from __future__ import annotations

from typing import Any, Generic, NoReturn, Protocol, TypeVar, runtime_checkable

from flyte_nb.types.base import Blobs, Preview
from flyte_nb.types.previews import preview_of_value
from flyte_nb.types.registry import register, registered_types, transformer_for
from flyte_nb.types.scalars import expected_value_error

__all__ = [
    "FlytePickle",
    "Renderable",
    "TypeEngine",
    "TypeTransformer",
    "guess_interface",
    "literal_string_repr",
]

T = TypeVar("T")


@runtime_checkable
class Renderable(Protocol):
    """Something that shows a value as HTML; as metadata of an `Annotated` type it is recorded only."""

    def to_html(self, python_value: Any) -> str:
        """The value as HTML."""


class TypeTransformer(Generic[T]):
    """How values of a type of the user's own cross a task boundary.

    Override `encode` and `decode`; `decode(encode(value))` must share nothing mutable with `value`.

    Args:
        name: the type's name, for messages and tables.
        t: the type; its subclasses are served too.
        enable_type_assertions: whether a value that is not an instance of the type is refused before `encode`.
    """

    identity = False

    def __init__(self, name: str, t: type[T], enable_type_assertions: bool = True) -> None:
        self.type_name = name
        self._python_type = t
        self._type_assertions_enabled = enable_type_assertions

    @property
    def name(self) -> str:
        """The type's name."""
        return self.type_name

    @property
    def python_type(self) -> type[T]:
        """The type."""
        return self._python_type

    @property
    def type_assertions_enabled(self) -> bool:
        """Whether a value that is not an instance of the type is refused before `encode`."""
        return self._type_assertions_enabled

    def assert_type(self, t: type[T], v: T) -> None:
        """Refuses a value that is not an instance of the type.

        Raises:
            TypeTransformerFailedError: it is not.
        """
        if not isinstance(v, t):
            raise expected_value_error(t, v)

    def encode(self, value: Any, blobs: Blobs) -> Any:
        """The plain tree of a value: None, bool, int, float, str, bytes, lists and dicts with str keys."""
        raise NotImplementedError(f"{type(self).__name__} does not override encode")

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        """A fresh value."""
        raise NotImplementedError(f"{type(self).__name__} does not override decode")

    def preview(self, value: Any) -> Preview:
        """What the explorer shows of the value."""
        return preview_of_value(value)

    def to_html(self, python_val: T, expected_python_type: type[T]) -> str:
        """The value as HTML."""
        return str(python_val)


class TypeEngine:
    """The registry of transformers under Flyte's name."""

    @classmethod
    def register(cls, transformer: TypeTransformer[Any], additional_types: list[type] | None = None) -> None:
        """Makes a transformer serve its type, and others.

        Raises:
            ValueError: one of the types has a transformer already.
            NotImplementedError: the transformer speaks protobuf (`to_literal`) only.
        """
        for python_type in (transformer.python_type, *(additional_types or ())):
            cls.register_additional_type(transformer, python_type)

    @classmethod
    def register_additional_type(
        cls, transformer: TypeTransformer[Any], additional_type: type, override: bool = False
    ) -> None:
        """Makes a transformer serve one more type.

        Raises:
            ValueError: the type has a transformer already, and `override` is False.
            NotImplementedError: the transformer speaks protobuf (`to_literal`) only.
        """
        if type(transformer).encode is TypeTransformer.encode:
            raise NotImplementedError(
                f"{type(transformer).__name__} does not override encode and decode: flyte_nb passes values as plain "
                "trees, not as protobuf literals (to_literal, to_python_value)"
            )
        if additional_type in registered_types() and not override:
            raise ValueError(f"Transformer already registered for type {additional_type}")
        register(additional_type, _Checked(transformer) if transformer.type_assertions_enabled else transformer)

    @classmethod
    def get_transformer(cls, python_type: Any) -> Any:
        """The transformer that serves a type."""
        found = transformer_for(python_type)
        return found.transformer if isinstance(found, _Checked) else found

    @classmethod
    def get_available_transformers(cls) -> list[Any]:
        """The types that have a transformer of the user's own."""
        return list(registered_types())

    @classmethod
    def to_html(cls, python_val: Any, expected_python_type: Any) -> str:
        """A value as HTML, by the transformer of its type."""
        transformer = cls.get_transformer(expected_python_type)
        if isinstance(transformer, TypeTransformer):
            return transformer.to_html(python_val, expected_python_type)
        return str(python_val)

    @classmethod
    def to_literal_type(cls, python_type: Any) -> NoReturn:
        """Refused: literals are protobuf."""
        _refuse("TypeEngine.to_literal_type")

    @classmethod
    async def to_literal(cls, python_val: Any, python_type: Any, expected: Any) -> NoReturn:
        """Refused: literals are protobuf."""
        _refuse("TypeEngine.to_literal")

    @classmethod
    async def to_python_value(cls, lv: Any, expected_python_type: Any) -> NoReturn:
        """Refused: literals are protobuf."""
        _refuse("TypeEngine.to_python_value")

    @classmethod
    def guess_python_type(cls, flyte_type: Any) -> NoReturn:
        """Refused: literal types are protobuf."""
        _refuse("TypeEngine.guess_python_type")


class FlytePickle(Generic[T]):
    """Flyte's name for a value that crosses by pickle; as an annotation it says that this is meant."""

    @classmethod
    def python_type(cls) -> type:
        """As in Flyte: no type in particular."""
        return type(None)


def guess_interface(interface: Any, default_inputs: Any = None) -> NoReturn:
    """Refused: it reads a protobuf interface."""
    _refuse("guess_interface")


def literal_string_repr(lm: Any) -> NoReturn:
    """Refused: it reads protobuf literals."""
    _refuse("literal_string_repr")


class _Checked:
    """A user's transformer, asked only for instances of its type."""

    identity = False

    def __init__(self, transformer: TypeTransformer[Any]) -> None:
        self.transformer = transformer
        self.type_name = transformer.type_name
        self.decode = transformer.decode
        self.preview = transformer.preview

    def encode(self, value: Any, blobs: Blobs) -> Any:
        self.transformer.assert_type(self.transformer.python_type, value)
        return self.transformer.encode(value, blobs)


def _refuse(name: str) -> NoReturn:
    raise NotImplementedError(
        f"flyte.types.{name} works on Flyte's protobuf literals, which flyte_nb does not use: "
        "read a run's values with run.inputs() and run.outputs(), or use the official flyte SDK for literals"
    )

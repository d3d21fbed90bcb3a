"""Python types as Flyte's literal types, and back.

    int, list[str], Color | None ...  --literal_type-->  LiteralType  --python_type-->  int, list[str], str | None ...

A type that Flyte carries by pickle has Flyte's type for pickles. Back, a class is never made again: a dataclass is
the dict of its fields, an enum its text, a pickle `Any`.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from flyteidl2.core import interface_pb2, types_pb2
from pydantic import BaseModel, TypeAdapter, create_model
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticOmit, SchemaError

from flyte_nb.io.dataframe import DataFrame
from flyte_nb.io.dir import Dir
from flyte_nb.io.file import File
from flyte_nb.types.names import describe_type

__all__ = [
    "FRAME_FORMAT",
    "PICKLED",
    "inferred_type",
    "literal_type",
    "members_of",
    "python_type",
    "python_types",
    "structure_of",
    "tag_of",
    "typed_interface",
    "variants_of",
]

FRAME_FORMAT = "parquet"
PICKLE_FORMAT = "PythonPickle"
DATACLASS, MODEL = "Object-Dataclass-Transformer", "Pydantic Transformer"
"""What the official SDK calls its transformers; a client looks for the one that a type names."""
SIMPLE: dict[Any, int] = {
    type(None): types_pb2.NONE,
    bool: types_pb2.BOOLEAN,
    int: types_pb2.INTEGER,
    float: types_pb2.FLOAT,
    str: types_pb2.STRING,
    datetime: types_pb2.DATETIME,
    date: types_pb2.DATETIME,
    timedelta: types_pb2.DURATION,
}
PYTHON_OF_SIMPLE = {
    types_pb2.NONE: type(None),
    types_pb2.BOOLEAN: bool,
    types_pb2.INTEGER: int,
    types_pb2.FLOAT: float,
    types_pb2.STRING: str,
    types_pb2.DATETIME: datetime,
    types_pb2.DURATION: timedelta,
    types_pb2.STRUCT: dict,
}
TAGS: dict[Any, str] = {kind: "none" if kind is type(None) else kind.__name__ for kind in SIMPLE}
MSGPACK = {"cache-key-metadata": {"serialization-format": "msgpack"}}
INFERRED = (bool, int, float, str, datetime)

PICKLED = types_pb2.LiteralType(
    union_type=types_pb2.UnionType(
        variants=[
            types_pb2.LiteralType(
                blob=types_pb2.BlobType(format=PICKLE_FORMAT), structure=types_pb2.TypeStructure(tag="FlytePickle")
            ),
            types_pb2.LiteralType(simple=types_pb2.BINARY, structure=types_pb2.TypeStructure(tag="FlytePickle")),
        ]
    )
)
"""The type of what Flyte carries by pickle, without the name of the class."""


class Structure(typing.NamedTuple):
    """How values with fields cross: as the msgpack of what JSON can say."""

    tag: str
    schema: Mapping[str, Any]
    plain: Callable[[Any], Any]
    """What JSON can say of a value."""


def literal_type(declared: Any) -> types_pb2.LiteralType:
    """Flyte's type for a Python type."""
    if declared is None:
        declared = type(None)
    if isinstance(declared, typing.Hashable) and declared in SIMPLE:
        return types_pb2.LiteralType(simple=SIMPLE[declared])
    origin, arguments = get_origin(declared), get_args(declared)
    if origin is typing.Annotated:
        return literal_type(arguments[0])
    if origin is list and arguments:
        return types_pb2.LiteralType(collection_type=literal_type(arguments[0]))
    if origin is dict and arguments and arguments[0] is str:
        return types_pb2.LiteralType(map_value_type=literal_type(arguments[1]))
    if (origin or declared) is dict:
        return types_pb2.LiteralType(simple=types_pb2.STRUCT, annotation=by_msgpack())
    if variants := variants_of(declared):
        return types_pb2.LiteralType(union_type=types_pb2.UnionType(variants=[tagged_type(one) for one in variants]))
    if members := members_of(declared):
        return types_pb2.LiteralType(enum_type=types_pb2.EnumType(values=members))
    if (reference := reference_type(declared)) is not None:
        return reference
    if (structure := structure_of(declared)) is not None:
        return structured_type(structure)
    pickled = types_pb2.LiteralType()
    pickled.CopyFrom(PICKLED)
    pickled.metadata.update({"python_class_name": describe_type(declared)})
    return pickled


def typed_interface(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> interface_pb2.TypedInterface:
    """The interface of a task whose inputs and outputs have these Python types."""
    interface = interface_pb2.TypedInterface()
    for variables, declared in ((interface.inputs, inputs), (interface.outputs, outputs)):
        for name, one in declared.items():
            variables.variables.add(key=name, value=interface_pb2.Variable(type=literal_type(one)))
    return interface


def python_type(literal: types_pb2.LiteralType) -> Any:
    """The Python type whose values a literal of this type can become without any code of the user's."""
    match literal.WhichOneof("type"):
        case "simple":
            return PYTHON_OF_SIMPLE.get(literal.simple, Any)
        case "collection_type":
            return list[python_type(literal.collection_type)]  # type: ignore[misc]
        case "map_value_type":
            return dict[str, python_type(literal.map_value_type)]  # type: ignore[misc]
        case "union_type":
            variants = [python_type(one) for one in literal.union_type.variants]
            return Any if Any in variants else Union[tuple(variants)]  # noqa: UP007  # made at run time
        case "enum_type":
            return str
        case "blob" if literal.blob.format != PICKLE_FORMAT:
            return Dir if literal.blob.dimensionality == types_pb2.BlobType.MULTIPART else File
        case "structured_dataset_type":
            return DataFrame
        case _:
            return Any


def python_types(interface: interface_pb2.TypedInterface) -> tuple[dict[str, Any], dict[str, Any]]:
    """The Python types of an interface's inputs and outputs, see `python_type`."""
    inputs, outputs = (
        {one.key: python_type(one.value.type) for one in variables.variables}
        for variables in (interface.inputs, interface.outputs)
    )
    return inputs, outputs


def inferred_type(tree: Any) -> Any:
    """The Python type of a recorded value whose declared type is not known."""
    kind = type(tree)
    if tree is None or kind in INFERRED:
        return kind
    if kind is list and tree and type(tree[0]) in INFERRED and len(set(map(type, tree))) == 1:
        return list[type(tree[0])]  # type: ignore[misc]
    return Any


def variants_of(declared: Any) -> tuple[Any, ...]:
    """The members of a union; none of any other type."""
    return get_args(declared) if get_origin(declared) in (Union, types.UnionType) else ()


def members_of(declared: Any) -> list[str]:
    """The texts of a choice: an enum's names, a `Literal`'s values; none of any other type."""
    if get_origin(declared) is Literal:
        values = get_args(declared)
        return list(values) if all(type(value) is str for value in values) else []
    if isinstance(declared, type) and issubclass(declared, enum.Enum):
        by_value = declared.__name__ == "LiteralEnum"  # what Flyte makes of a Literal in a signature
        return [str(member.value) if by_value else member.name for member in declared]
    return []


def tag_of(declared: Any) -> str:
    """What the official SDK calls its transformer of a type; a union's value names it."""
    if isinstance(declared, typing.Hashable) and declared in TAGS:
        return TAGS[declared]
    origin = get_origin(declared) or declared
    if origin is list and get_args(declared):
        return "Typed List"
    if origin is dict:
        return "Typed Dict"
    if members_of(declared):
        return "DefaultEnumTransformer"
    for kind, tag in ((File, "File"), (Dir, "Dir"), (DataFrame, "DataFrame Transformer")):
        if isinstance(origin, type) and issubclass(origin, kind):
            return tag
    structure = structure_of(declared)
    return structure.tag if structure is not None else "FlytePickle"


@lru_cache(maxsize=1_000)
def structure_of(declared: Any) -> Structure | None:
    """How the values of a class with fields cross; None of any other type, and where JSON cannot say its fields."""
    origin = get_origin(declared) or declared
    if not isinstance(origin, type):
        return None
    try:
        if issubclass(origin, BaseModel):
            return Structure(MODEL, origin.model_json_schema(), lambda value: value.model_dump(mode="json"))
        if dataclasses.is_dataclass(origin):
            return _adapted(DATACLASS, declared)
        if is_typeddict(origin):
            return _wrapped(f"TypedDictWrapper_{origin.__name__}", get_type_hints(origin), dict)
        if issubclass(origin, tuple) and hasattr(origin, "_fields"):
            return _wrapped(
                f"NamedTupleWrapper_{origin.__name__}", get_type_hints(origin), lambda value: value._asdict()
            )
        arguments = get_args(declared)
        if origin is tuple and arguments and Ellipsis not in arguments:
            fields = {f"item_{place}": one for place, one in enumerate(arguments)}
            return _wrapped("TupleWrapper_tuple", fields, lambda value: dict(zip(fields, value, strict=True)))
    except (PydanticUserError, PydanticOmit, SchemaError, TypeError, ValueError, NameError):
        return None  # a field that JSON cannot say, or whose annotation names what is not here: by pickle
    return None


def _adapted(tag: str, declared: Any) -> Structure:
    adapter = TypeAdapter(declared)
    return Structure(tag, adapter.json_schema(), lambda value: adapter.dump_python(value, mode="json", warnings=False))


def _wrapped(name: str, fields: Mapping[str, Any], named: Callable[[Any], dict[str, Any]]) -> Structure:
    """As the official SDK carries tuples: as a model with their fields."""
    definitions: dict[str, Any] = {key: (one, ...) for key, one in fields.items()}
    model: Any = create_model(name, **definitions)
    adapter = TypeAdapter(model)
    return Structure(
        MODEL,
        adapter.json_schema(),
        lambda value: adapter.dump_python(model.model_construct(**named(value)), mode="json", warnings=False),
    )


def structured_type(structure: Structure) -> types_pb2.LiteralType:
    found = types_pb2.LiteralType(
        simple=types_pb2.STRUCT, annotation=by_msgpack(), structure=types_pb2.TypeStructure(tag=structure.tag)
    )
    found.metadata.update(structure.schema)
    return found


def reference_type(declared: Any) -> types_pb2.LiteralType | None:
    """The type of what crosses by its address."""
    if not isinstance(declared, type):
        return None
    if issubclass(declared, File):
        return types_pb2.LiteralType(blob=types_pb2.BlobType())
    if issubclass(declared, Dir):
        return types_pb2.LiteralType(blob=types_pb2.BlobType(dimensionality=types_pb2.BlobType.MULTIPART))
    if issubclass(declared, DataFrame):
        return types_pb2.LiteralType(structured_dataset_type=types_pb2.StructuredDatasetType())
    return None


def tagged_type(declared: Any) -> types_pb2.LiteralType:
    """A member of a union: its type, and whose it is."""
    found = literal_type(declared)
    found.structure.tag = tag_of(declared)
    return found


def by_msgpack() -> types_pb2.TypeAnnotation:
    annotation = types_pb2.TypeAnnotation()
    annotation.annotations.update(MSGPACK)
    return annotation

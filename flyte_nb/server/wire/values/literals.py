"""Recorded values as Flyte's literals, and literals as values that can be recorded.

    tree (as a store holds it)  --literal_of-->  Literal  --value_of-->  a plain value
                                                          --tree_of-->   tree

Nothing of a user's is executed here: a pickle stays a pickle, from either side.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args, get_origin

import msgspec
from flyteidl2.core import literals_pb2, types_pb2
from msgspec.msgpack import Ext

from flyte_nb.io.dataframe import DataFrame
from flyte_nb.io.dir import Dir
from flyte_nb.io.file import File
from flyte_nb.server.wire.values.pickles import plain_value, whole_pickle
from flyte_nb.server.wire.values.types import (
    FRAME_FORMAT,
    inferred_type,
    literal_type,
    members_of,
    structure_of,
    tag_of,
    variants_of,
)
from flyte_nb.types.anything import encode_anything
from flyte_nb.types.base import TAGGED, Blobs, TypeTransformerFailedError
from flyte_nb.types.names import describe_type
from flyte_nb.types.registry import transformer_for
from flyte_nb.types.trees import leaf_content, pickle_leaf

__all__ = ["LiteralError", "literal_of", "tree_of", "value_of"]

MSGPACK = "msgpack"
LARGEST_INTEGER = 1 << 63


class LiteralError(ValueError):
    """A literal says nothing that can be a value here."""


def literal_of(tree: Any, declared: Any, blobs: Blobs) -> literals_pb2.Literal:
    """A recorded value as a literal of the type that `literal_type` gives its declared type.

    Args:
        tree: the value, as `flyte_nb.types` encodes it.
        declared: its Python type.
        blobs: where its large parts are.
    """
    if (variants := variants_of(declared)) and literal_type(declared).WhichOneof("type") == "union_type":
        return _union(tree, declared, variants, blobs)
    origin, arguments = get_origin(declared), get_args(declared)
    if origin is list and arguments and type(tree) is list:
        items = [literal_of(item, arguments[0], blobs) for item in tree]
        return literals_pb2.Literal(collection=literals_pb2.LiteralCollection(literals=items))
    if origin is dict and arguments and arguments[0] is str and type(tree) is dict:
        named = {key: literal_of(item, arguments[1], blobs) for key, item in tree.items()}
        return literals_pb2.Literal(map=literals_pb2.LiteralMap(literals=named))
    if (origin or declared) is dict:
        return _packed(plain_value(tree, blobs))
    if (primitive := _primitive(tree, declared)) is not None:
        return literals_pb2.Literal(scalar=primitive)
    if isinstance(declared, type) and issubclass(declared, File | Dir | DataFrame) and type(tree) is Ext:
        return _reference(transformer_for(declared).decode(tree, blobs))
    if (structure := structure_of(declared)) is not None:
        try:
            return _packed(structure.plain(transformer_for(declared).decode(tree, blobs)))
        except (TypeTransformerFailedError, ValueError, AttributeError):  # recorded otherwise than it is declared now
            return _packed(plain_value(tree, blobs))
    binary = literals_pb2.Binary(value=whole_pickle(tree, blobs))
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(binary=binary))


def value_of(literal: literals_pb2.Literal) -> Any:
    """The plain value of a literal: a class's as the dict of its fields, a pickle as a leaf that no one has opened.

    Raises:
        LiteralError: it says nothing that can be a value here.
    """
    match literal.WhichOneof("value"):
        case "collection":
            return [value_of(one) for one in literal.collection.literals]
        case "map":
            return {key: value_of(one) for key, one in literal.map.literals.items()}
        case "scalar":
            return _scalar_value(literal)
        case other:
            raise LiteralError(f"{other or 'an empty literal'} cannot be read here: send the value itself")


def tree_of(literal: literals_pb2.Literal, declared: Any, blobs: Blobs) -> Any:
    """A literal as the tree by which a store records it.

    Args:
        literal: the literal.
        declared: its Python type, from `flyte_nb.server.wire.values.types.python_type`.
        blobs: where its large parts go.

    Raises:
        LiteralError: it says nothing that can be a value here, or another than its type does.
    """
    value = value_of(literal)
    if isinstance(value, Ext):
        return value
    try:
        return encode_anything(value, blobs) if declared in (Any, dict) else _encoded(value, declared, blobs)
    except (TypeError, ValueError) as error:
        raise LiteralError(str(error)) from error


def _encoded(value: Any, declared: Any, blobs: Blobs) -> Any:
    if declared is float and type(value) is int:
        value = float(value)
    return transformer_for(declared).encode(value, blobs)


def _primitive(tree: Any, declared: Any) -> literals_pb2.Scalar | None:
    kind = type(tree)
    if tree is None and declared in (None, type(None)):
        return literals_pb2.Scalar(none_type=literals_pb2.Void())
    if declared is bool and kind is bool:
        return _scalar(boolean=tree)
    if declared is int and kind is int:
        within = -LARGEST_INTEGER <= tree < LARGEST_INTEGER
        return _scalar(integer=tree) if within else _scalar(string_value=str(tree))
    if declared is int and kind is Ext:  # beyond 64 bits, which Flyte's integers have not
        return _scalar(string_value=str(plain_value(tree, None)))
    if declared is float and kind in (float, int):
        return _scalar(float_value=float(tree))
    if kind is str and (declared is str or members_of(declared)):
        return _scalar(string_value=tree.encode("utf-8", "replace").decode())
    if declared is str and kind is Ext:  # text that is no Unicode
        return _scalar(string_value=str(plain_value(tree, None)).encode("utf-8", "replace").decode())
    if declared is datetime and kind is datetime:
        return _scalar(datetime=tree)
    if declared is date and kind is str:
        return _scalar(datetime=datetime.combine(date.fromisoformat(tree), datetime.min.time(), UTC))
    if declared is timedelta and kind is str:
        return _scalar(duration=msgspec.convert(tree, timedelta))
    return None


def _scalar(**value: Any) -> literals_pb2.Scalar:
    return literals_pb2.Scalar(primitive=literals_pb2.Primitive(**value))


def _packed(plain: Any) -> literals_pb2.Literal:
    """What JSON can say, as the official SDK carries it."""
    binary = literals_pb2.Binary(value=msgspec.msgpack.encode(plain), tag=MSGPACK)
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(binary=binary))


def _reference(value: File[Any] | Dir[Any] | DataFrame) -> literals_pb2.Literal:
    if isinstance(value, DataFrame):
        kind = types_pb2.StructuredDatasetType(format=value.format or FRAME_FORMAT)
        dataset = literals_pb2.StructuredDataset(
            uri=str(value.uri or ""),
            metadata=literals_pb2.StructuredDatasetMetadata(structured_dataset_type=kind),
        )
        return literals_pb2.Literal(scalar=literals_pb2.Scalar(structured_dataset=dataset))
    parts = types_pb2.BlobType.MULTIPART if isinstance(value, Dir) else types_pb2.BlobType.SINGLE
    kind_of_blob = types_pb2.BlobType(format=value.format, dimensionality=parts)
    blob = literals_pb2.Blob(uri=value.path, metadata=literals_pb2.BlobMetadata(type=kind_of_blob))
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(blob=blob), hash=value.hash or "")


def _union(tree: Any, declared: Any, variants: tuple[Any, ...], blobs: Blobs) -> literals_pb2.Literal:
    """The value as one of the union's members, with the type of that member."""
    member, inner = _member(tree, variants)
    kind = literal_type(member)
    kind.structure.tag = tag_of(member)
    union = literals_pb2.Union(value=literal_of(inner, member, blobs), type=kind)
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(union=union))


def _member(tree: Any, variants: tuple[Any, ...]) -> tuple[Any, Any]:
    """Which member of a union carries a tree, and its tree; see `flyte_nb.types.unions`."""
    if type(tree) is Ext and tree.code == TAGGED:
        tag, content = leaf_content(tree)
        if tag == "union":
            name, inner = content
            return next((one for one in variants if name in (describe_type(one), repr(one))), Any), inner
    kind = inferred_type(tree)
    if kind in variants:
        return kind, tree
    others = [one for one in variants if one is not type(None)]
    return (others[0] if len(others) == 1 else Any), tree


def _scalar_value(literal: literals_pb2.Literal) -> Any:
    scalar = literal.scalar
    match scalar.WhichOneof("value"):
        case "primitive":
            return _primitive_value(scalar.primitive)
        case "none_type":
            return None
        case "union":
            return value_of(scalar.union.value)
        case "binary" if scalar.binary.tag == MSGPACK:
            try:
                return msgspec.msgpack.decode(scalar.binary.value)
            except msgspec.DecodeError as error:
                raise LiteralError(f"a value that says it is msgpack is none: {error}") from error
        case "binary":
            preview = {"kind": "opaque", "text": f"<pickle of {len(scalar.binary.value):,} bytes>"}
            return pickle_leaf(scalar.binary.value, preview)
        case "generic":
            return _struct_value(scalar.generic)
        case "blob":
            kind = scalar.blob.metadata.type
            several = kind.dimensionality == types_pb2.BlobType.MULTIPART
            made: Any = Dir if several else File
            return made(path=scalar.blob.uri, format=kind.format, hash=literal.hash or None)
        case "structured_dataset":
            return DataFrame(
                uri=scalar.structured_dataset.uri,
                format=scalar.structured_dataset.metadata.structured_dataset_type.format or FRAME_FORMAT,
            )
        case other:
            raise LiteralError(f"{other or 'an empty scalar'} cannot be read here: send the value itself")


def _primitive_value(primitive: literals_pb2.Primitive) -> Any:
    match primitive.WhichOneof("value"):
        case "datetime":
            return primitive.datetime.ToDatetime(UTC)
        case "duration":
            return primitive.duration.ToTimedelta()
        case None:
            raise LiteralError("an empty primitive is no value")
        case name:
            return getattr(primitive, name)


def _struct_value(struct: Any) -> Any:
    """A protobuf Struct as plain data; its numbers are floats."""
    return {key: _struct_item(item) for key, item in struct.items()}


def _struct_item(item: Any) -> Any:
    if hasattr(item, "items"):
        return _struct_value(item)
    if isinstance(item, str | float | bool | None):
        return item
    return [_struct_item(one) for one in item]

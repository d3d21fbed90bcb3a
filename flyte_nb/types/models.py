"""Pydantic models: recorded as their JSON form, rebuilt and validated by the model itself.

Pydantic is never imported here: a type is one of its models only when the user has imported it. A model that JSON
cannot say (arbitrary types inside) crosses by pickle.
"""

from __future__ import annotations

import sys
from typing import Any

from msgspec.msgpack import Ext

from flyte_nb.types.base import Blobs, Preview, Resolve, Transformer, TypeTransformerFailedError
from flyte_nb.types.names import describe_type
from flyte_nb.types.pickles import pickled, unpickled
from flyte_nb.types.previews import preview_of_value

__all__ = ["PydanticTransformer", "pydantic_family"]


class PydanticTransformer:
    """A pydantic model; a plain dict is taken for one, and so is an instance of another model with such fields."""

    identity = False

    def __init__(self, model: Any) -> None:
        self.model = model
        self.type_name = describe_type(model)

    def encode(self, value: Any, blobs: Blobs) -> Any:
        pydantic = sys.modules["pydantic"]
        if isinstance(value, dict):
            value = self._validate(value, f"Failed to coerce dict into {self.model}")
        if not isinstance(value, pydantic.BaseModel):
            raise TypeTransformerFailedError(
                f"Expected an instance of {self.type_name} or a dict but got {type(value)}"
            )
        try:
            return value.model_dump(mode="json", round_trip=True, warnings=False)
        except ValueError:  # PydanticSerializationError is one
            return pickled(value, blobs)

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        if type(tree) is Ext:
            return unpickled(tree, blobs)
        return self._validate(tree, f"Cannot rebuild {self.type_name}")

    def preview(self, value: Any) -> Preview:
        return preview_of_value(value)

    def _validate(self, values: dict[str, Any], failure: str) -> Any:
        try:
            return self.model.model_validate(values, strict=False, context={"deserialize": True})
        except ValueError as error:  # pydantic.ValidationError is one
            raise TypeTransformerFailedError(f"{failure}: {error}") from error


def pydantic_family(python_type: Any, resolve: Resolve, lenient: bool) -> Transformer | None:
    """The transformer of a pydantic model, None when the type is not one."""
    pydantic = sys.modules.get("pydantic")
    if pydantic is None or not isinstance(python_type, type) or not issubclass(python_type, pydantic.BaseModel):
        return None
    return PydanticTransformer(python_type)

"""Recorded values as classes of the caller's own: `run.typed_outputs({"o0": Model})`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from flyte_nb.remote.calls import BlockingMethod, blocking_method
from flyte_nb.remote.outputs import ActionInputs, ActionOutputs
from flyte_nb.remote.source import source
from flyte_nb.types.names import describe_type
from flyte_nb.types.registry import transformer_for

__all__ = ["TypedValues"]

Deserializers = Mapping[Any, Callable[[Any], Any]]


class TypedValues:
    """What runs and actions have in common: their values, as types that the caller names."""

    inputs: BlockingMethod[[], ActionInputs]
    outputs: BlockingMethod[[], ActionOutputs]

    @blocking_method
    def typed_inputs(
        self: TypedValues, types: Mapping[str, Any], deserializers: Deserializers | None = None
    ) -> dict[str, Any]:
        """Some of its inputs, each as a type of the caller's; see `typed_outputs`."""
        return _typed(dict(self.inputs()), types, deserializers or {})

    @blocking_method
    def typed_outputs(
        self: TypedValues, types: Mapping[str, Any], deserializers: Deserializers | None = None
    ) -> dict[str, Any]:
        """Some of its outputs, each as a type of the caller's: of another version of a class, say, or of one that the
        task's own module had.

        Args:
            types: by the name of the output (`o0`, `o1`, ... too), the type.
            deserializers: by type, what makes an instance of the plain data of one.

        Returns:
            The values of the names that are outputs.

        Raises:
            TypeError: a value does not fit its type.
            flyte_nb.errors.BaseRuntimeError: it failed, or is not over.
        """
        outputs = self.outputs()
        numbered = {f"o{place}": value for place, value in enumerate(outputs)}
        return _typed({**numbered, **outputs.named_outputs}, types, deserializers or {})


def _typed(values: Mapping[str, Any], types: Mapping[str, Any], deserializers: Deserializers) -> dict[str, Any]:
    found = {}
    for name, declared in types.items():
        if name not in values:
            continue
        try:
            found[name] = _converted(values[name], declared, deserializers)
        except TypeError as error:
            raise TypeError(f"{name} cannot be had as {describe_type(declared)}: {error}") from None
    return found


def _converted(value: Any, declared: Any, deserializers: Deserializers) -> Any:
    make = deserializers.get(declared)
    if make is not None:
        return make(_fields_of(value))
    transformer = transformer_for(declared)
    try:
        tree = transformer.encode(value, source.blobs)
    except TypeError:  # an instance of another class, whose fields may be those of this one
        tree = transformer.encode(_fields_of(value), source.blobs)
    return transformer.decode(tree, source.blobs)


def _fields_of(value: Any) -> Any:
    """The value with dicts in place of the instances of data classes and models in it."""
    if type(value) in (list, tuple):
        return type(value)(_fields_of(item) for item in value)
    if type(value) is dict:
        return {key: _fields_of(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _fields_of(getattr(value, field.name)) for field in dataclasses.fields(value)}
    fields = getattr(type(value), "model_fields", None)
    return value if fields is None else {name: _fields_of(getattr(value, name)) for name in fields}

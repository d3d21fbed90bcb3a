"""What the tests of types share: a value store in memory, and signatures of single values."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from flyte_nb.models import NativeInterface
from flyte_nb.types.blobs import MemoryBlobs
from flyte_nb.types.signature import Signature

CrossesAs = Callable[[Any, Any], Any]


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture
def signature_of() -> Callable[[Callable[..., Any]], Signature]:
    """Compiles the signature of a function."""
    return lambda function: Signature.compile(NativeInterface.from_callable(function), f"env.{function.__name__}")


@pytest.fixture
def crossed(blobs: MemoryBlobs) -> CrossesAs:
    """`crossed(type, value)`: what a task with that input receives; checks that the record can be read too."""

    def cross(python_type: Any, value: Any) -> Any:
        signature = Signature.compile(NativeInterface({"x": (python_type, inspect.Parameter.empty)}, {}), "env.task")
        payload, arguments = signature.encode_inputs((value,), {}, blobs)
        recorded = signature.decode_inputs(payload, blobs)
        assert recorded.keys() == arguments.keys() and type(recorded["x"]) is type(arguments["x"])
        return arguments["x"]

    return cross

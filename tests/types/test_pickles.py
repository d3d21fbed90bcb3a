"""What crosses by pickle: large buffers apart and mapped by value, and one clear error for what cannot."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from msgspec.msgpack import Ext

from flyte_nb.errors import RuntimeUserError
from flyte_nb.types import classes
from flyte_nb.types.anything import encode_anything
from flyte_nb.types.base import BLOB, PICKLE
from flyte_nb.types.blobs import MemoryBlobs
from flyte_nb.types.classes import ValuePickler
from flyte_nb.types.pickles import LARGE_PICKLE_BYTES, RECEIVED_KEPT, _received, pickled, unpickled
from flyte_nb.types.registry import transformer_for
from flyte_nb.types.trees import leaf_content

Crossed = Callable[[Any, Any], Any]


@pytest.mark.parametrize("python_type", [np.ndarray, npt.NDArray[np.float64], Any])
def test_a_large_array_is_stored_once_and_its_copy_is_writable(python_type: Any, blobs: MemoryBlobs) -> None:
    array = np.zeros((300, 300))
    transformer = transformer_for(python_type)
    leaf = transformer.encode(array, blobs)
    assert isinstance(leaf, Ext) and leaf.code == BLOB
    stored = leaf_content(leaf)
    assert (stored.codec, stored.preview["shape"], len(blobs.stored)) == ("pickle5", [300, 300], 1)
    copy = transformer.decode(leaf, blobs)
    copy[0, 0] = 5
    assert array[0, 0] == 0 and transformer.decode(leaf, blobs)[0, 0] == 0
    assert transformer.encode(np.zeros((300, 300)), blobs) == leaf  # the same content, the same bytes


def test_a_small_array_travels_inline(blobs: MemoryBlobs) -> None:
    leaf = encode_anything(np.arange(3), blobs)
    assert leaf.code == PICKLE and not blobs.stored


def test_large_bytes_live_in_the_value_store(blobs: MemoryBlobs) -> None:
    content = bytes(range(256)) * 8_000
    transformer = transformer_for(bytes)
    leaf = transformer.encode(content, blobs)
    assert leaf_content(leaf).codec == "bytes" and transformer.decode(leaf, blobs) == content


def test_code_that_another_python_compiled_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(classes, "PYTHON", "3.9")
        other = ValuePickler.dumps(lambda x: x)
    with pytest.raises(RuntimeUserError, match=r"code that Python 3\.9 compiled, which Python 3\.\d+ cannot run"):
        pickle.loads(other)
    assert pickle.loads(ValuePickler.dumps(lambda x: x))(3) == 3


FRAMES = [
    pd.DataFrame({"a": range(20_000), "b": 1.5, "c": "x"}),
    pd.DataFrame({"a": [1], "b": ["x"]}),
    pl.DataFrame({"a": range(20_000), "b": "x"}),
    pa.table({"a": list(range(20_000))}),
]


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__module__)
def test_a_frame_crosses_with_its_declared_class(crossed: Crossed, frame: Any) -> None:
    received = crossed(type(frame), frame)
    assert type(received) is type(frame) and received.equals(frame) and received is not frame


def test_a_changed_frame_never_changes_the_callers(crossed: Crossed) -> None:
    frame = pd.DataFrame({"a": np.zeros(20_000)})
    received = crossed(pd.DataFrame, frame)
    received.loc[0, "a"] = 9.0
    assert frame.loc[0, "a"] == 0.0


def test_a_frame_of_another_class_is_refused(crossed: Crossed) -> None:
    with pytest.raises(TypeError, match=r"Expected value of type <class 'pandas.*DataFrame'> but got '3'"):
        crossed(pd.DataFrame, 3)


class Holder:
    def __init__(self, inner: Any) -> None:
        self.model = {"inner": inner}


def test_the_part_that_cannot_be_pickled_is_named(crossed: Crossed) -> None:
    with pytest.raises(TypeError, match=r"variable 'x'.*(?s:.*)its part `model\['inner'\]` \(a _thread\.lock\)"):
        crossed(Any, Holder(threading.Lock()))


def test_what_a_function_closes_over_is_searched_too(crossed: Crossed) -> None:
    lock = threading.Lock()
    with pytest.raises(TypeError, match=r"its part `lock` \(a _thread\.lock\).*create such an object inside the task"):
        crossed(Any, lambda: lock)


@pytest.mark.parametrize("make", [asyncio.Lock, asyncio.Event, asyncio.Queue])
def test_an_object_of_an_event_loop_is_refused_by_name(crossed: Crossed, make: Callable[[], Any]) -> None:
    with pytest.raises(TypeError, match=rf"inner.*{make.__name__} belongs to an event loop"):
        crossed(Any, Holder(make()))


class Stubborn:
    def __init__(self, at: str) -> None:
        self.at = at

    def __reduce__(self) -> Any:
        if self.at == "dump":
            raise RuntimeError("not like this")
        return int, ("no number",)


def test_whatever_a_class_raises_becomes_one_error(crossed: Crossed) -> None:
    with pytest.raises(TypeError, match="Stubborn cannot be passed between tasks: it cannot be pickled: not like this"):
        crossed(Any, Stubborn("dump"))
    with pytest.raises(TypeError, match=r"(?s)converting input 'x'.*The pickled value cannot be read here: ValueError"):
        crossed(Any, Stubborn("load"))


def test_a_generator_is_refused(crossed: Crossed) -> None:
    with pytest.raises(TypeError, match="generator cannot be passed between tasks"):
        crossed(Any, (item for item in [1]))


def test_a_function_crosses(crossed: Crossed) -> None:
    factor = 3
    assert crossed(Any, lambda x: x * factor)(2) == 6


def test_what_is_remembered_of_received_values_is_bounded(blobs: MemoryBlobs) -> None:
    for extra in range(RECEIVED_KEPT + 20):
        unpickled(pickled(np.zeros(LARGE_PICKLE_BYTES + extra, dtype=np.uint8), blobs), blobs)
    assert len(_received) == RECEIVED_KEPT


def test_a_value_with_the_pickle_of_another_has_its_own_preview(blobs: MemoryBlobs) -> None:
    for number in (1.0, 2.0):
        leaf = pickled(np.full(20_000, number), blobs)
        unpickled(leaf, blobs)
        assert leaf_content(leaf).preview["head"].startswith(f"{number:g}, ")

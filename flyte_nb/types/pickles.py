"""Values that cross by pickle: protocol 5, large buffers kept apart so that they are mapped and never copied.

    value --pickled--> Ext(PICKLE)          small: inline
                       Ext(BLOB, pickle5)   large: part 0 is the pickle, the following parts are its raw buffers

`unpickled` builds the value on the writable views that `Blobs.get` hands out: what the callee changes never reaches
what is stored.
"""

from __future__ import annotations

import asyncio
import io
import pickle
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec.msgpack import Ext

from flyte_nb.types.base import BLOB, TAGGED, Blob, Blobs, Preview, TypeTransformerFailedError
from flyte_nb.types.buffers import reduction_of
from flyte_nb.types.classes import ValuePickler
from flyte_nb.types.identities import identity_of_value
from flyte_nb.types.previews import preview_of_value
from flyte_nb.types.trees import blob_leaf, leaf_content, pickle_leaf, tagged

__all__ = ["PickleTransformer", "pickled", "unpickled"]

LARGE_PICKLE_BYTES = 64 * 1024
"""From this size a pickle lives in the value store."""

RECEIVED_KEPT = 100

_received: OrderedDict[bytes, Blob] = OrderedDict()
"""Large values received lately, by the pickle beside their buffers: one that is passed on is settled and previewed."""

SEARCH_LEVELS = 4
SEARCH_OBJECTS = 200

_LOOP_BOUND = (
    asyncio.AbstractEventLoop,
    asyncio.Future,
    asyncio.Lock,
    asyncio.Event,
    asyncio.Condition,
    asyncio.Semaphore,
    asyncio.Queue,
)


def pickled(value: Any, blobs: Blobs, preview: Preview | None = None) -> Ext:
    """The leaf of a pickled value.

    Raises:
        TypeTransformerFailedError: when the value, or something inside it, cannot be pickled; names that part.
    """
    try:
        pickle_of_it = _pickle(value)
        identity = identity_of_value(value) if pickle_of_it.holds_code else None
    except Exception as error:  # whatever a user's __reduce__ raises: the value cannot cross
        raise TypeTransformerFailedError(_unpicklable_message(value, error)) from error
    leaf = _leaf(value, pickle_of_it, blobs, preview)
    return leaf if identity is None else tagged("hashed", [identity, leaf])


class _Pickle(NamedTuple):
    """A pickle, its large buffers, and whether it holds code of the user's own."""

    head: bytes
    buffers: list[memoryview]
    holds_code: bool


def _pickle(value: Any) -> _Pickle:
    buffers: list[pickle.PickleBuffer] = []
    head, holds_code = _dump(value, buffers)
    raw = [buffer.raw() for buffer in buffers]
    if len(head) + sum(part.nbytes for part in raw) < LARGE_PICKLE_BYTES:
        return _Pickle(_dump(value, None)[0] if raw else head, [], holds_code)
    if head not in _received and type(value).__module__.startswith("pandas") and len(head) < LARGE_PICKLE_BYTES:
        head, raw = _settled(head, raw)
    return _Pickle(head, raw, holds_code)


def _leaf(value: Any, pickle_of_it: _Pickle, blobs: Blobs, preview: Preview | None) -> Ext:
    head, raw, _ = pickle_of_it
    if not raw and len(head) < LARGE_PICKLE_BYTES:
        return pickle_leaf(head, preview or preview_of_value(value))
    received = _received.get(head)
    digest = blobs.put([head, *raw])
    if received is not None and received.digest == digest:
        preview = preview or received.preview
    size_bytes = len(head) + sum(part.nbytes for part in raw)
    return blob_leaf(Blob(digest, size_bytes, "pickle5", preview or preview_of_value(value)))


def unpickled(leaf: Ext, blobs: Blobs) -> Any:
    """The value of a pickled leaf.

    Raises:
        TypeTransformerFailedError: when it cannot be read here, e.g. for a package that is not installed.
        KeyError: when the value store does not hold it.
    """
    content = leaf_content(leaf)
    if leaf.code == TAGGED:  # with its identity
        leaf = content[1][1]
        content = leaf_content(leaf)
    head, *buffers = blobs.get(content.digest) if leaf.code == BLOB else (content[0],)
    if leaf.code == BLOB and len(head) < LARGE_PICKLE_BYTES:
        _received[bytes(head)] = content
        if len(_received) > RECEIVED_KEPT:
            _received.popitem(last=False)
    try:
        return pickle.loads(head, buffers=buffers)
    except Exception as error:  # whatever a user's class raises while it is rebuilt
        raise TypeTransformerFailedError(f"The pickled value cannot be read here: {error!r}") from error


class PickleTransformer:
    """Any class that no other transformer knows; its values are not checked, as in Flyte."""

    identity = False

    def __init__(self, type_name: str) -> None:
        self.type_name = type_name

    def encode(self, value: Any, blobs: Blobs) -> Any:
        return None if value is None else pickled(value, blobs)

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        return unpickled(tree, blobs) if type(tree) is Ext else tree

    def preview(self, value: Any) -> Preview:
        return preview_of_value(value)


class _Pickler(ValuePickler):
    finds_twins = True

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, _LOOP_BOUND):
            raise pickle.PicklingError(f"{type(obj).__name__} belongs to an event loop")
        if (reduction := reduction_of(obj)) is not None:
            return reduction
        return super().reducer_override(obj)


def _dump(value: Any, buffers: list[pickle.PickleBuffer] | None) -> tuple[bytes, bool]:
    """The pickle of a value, and whether it holds code of the user's own."""
    out = io.BytesIO()
    pickler = _Pickler(out, protocol=5, buffer_callback=None if buffers is None else buffers.append)
    pickler.dump(value)
    return out.getvalue(), pickler.holds_code


def _settled(head: bytes, raw: list[memoryview]) -> tuple[bytes, list[memoryview]]:
    """The pickle as whoever receives the value will write it.

    A pickle says which strings and dtypes are the very same object; pandas makes other ones while it reads. So a frame
    that was received would have another digest than its original, and would be stored once more.
    """
    buffers: list[pickle.PickleBuffer] = []
    head, _ = _dump(pickle.loads(head, buffers=raw), buffers)
    return head, [buffer.raw() for buffer in buffers]


def _unpicklable_message(value: Any, error: BaseException) -> str:
    where, culprit = _offender(value)
    part = "it" if not where else f"its part `{where}` (a {_full_name(culprit)})"
    return (
        f"{_full_name(value)} cannot be passed between tasks: {part} cannot be pickled: {error}. "
        "Pass plain data instead and create such an object inside the task that uses it."
    )


def _offender(value: Any) -> tuple[str, Any]:
    """The innermost part of a value that cannot be pickled by itself, and the path to it."""
    path, seen = "", 0
    for _ in range(SEARCH_LEVELS):
        if isinstance(value, _LOOP_BOUND):
            break
        for step, part in _parts(value):
            seen += 1
            if seen > SEARCH_OBJECTS:
                return path, value
            if not _picklable(part):
                path, value = path + step, part
                break
        else:
            break
    return path.removeprefix("."), value


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((f"[{key!r}]", item) for key, item in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((f"[{at}]", item) for at, item in enumerate(value))
    elif hasattr(value, "__closure__") and hasattr(value, "__code__"):
        cells = value.__closure__ or ()
        yield from ((f".{n}", c.cell_contents) for n, c in zip(value.__code__.co_freevars, cells, strict=False))
        used = value.__code__.co_names
        yield from ((f".{name}", value.__globals__[name]) for name in used if name in value.__globals__)
    else:
        yield from ((f".{name}", item) for name, item in getattr(value, "__dict__", {}).items())


def _picklable(value: Any) -> bool:
    try:
        _dump(value, [])
    except Exception:  # whatever a user's __reduce__ raises: this part cannot be pickled
        return False
    return True


def _full_name(value: Any) -> str:
    kind = type(value)
    return (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )

"""Exceptions that cross from one process to another, with their causes, notes and a traceback.

    exception -> its class and content, pickled | text        what cannot be pickled, or not be rebuilt, is told as text
                 causes, contexts, members of groups          each an exception of its own
                 frames: file, line, columns, function        a real traceback is rebuilt from them

An exception told as text becomes one of a class of the same name, under the nearest built-in base.
"""

from __future__ import annotations

import builtins
import io
import pickle
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from flyte_nb.errors import error_message
from flyte_nb.executors.traceback_frames import Frame, frames_of, traceback_of
from flyte_nb.types.classes import ValuePickler

__all__ = ["pack_error", "unpack_error"]

LIMIT_BYTES = 16 * 1024 * 1024
"""An exception that holds more (a frame in its arguments) is told as text."""
LINKS = 100
"""So many exceptions of one chain or group cross."""


class Link(msgspec.Struct, array_like=True):
    """One exception of a chain or group; others are named by their numbers."""

    pickled: bytes
    """Empty of one that is told as text."""
    module: str
    name: str
    base: str
    """Name of the nearest built-in class."""
    message: str
    frames: list[Frame]
    notes: list[str]
    cause: int | None = None
    context: int | None = None
    is_context_hidden: bool = False
    members: list[int] = []
    """Of a group that is told as text."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Link]).decode


def pack_error(error: BaseException) -> bytes:
    """An exception as bytes; never raises."""
    return _encode(_Packer(error).links)


def unpack_error(packed: bytes) -> BaseException:
    """The exception that was packed, or one that says the same; never raises for what `pack_error` made."""
    return _Unpacker(_decode(packed)).error(0)


# ---------------------------------------------------------------- there


class _Packer:
    """Numbers the exceptions that hang together, and describes each."""

    def __init__(self, error: BaseException) -> None:
        self.links: list[Link] = []
        self._known: list[BaseException] = []
        self._numbers: dict[int, int] = {}
        self.number(error)
        for known in self._known:  # it grows while it is walked
            self.links.append(self._describe(known))

    def number(self, error: BaseException | None) -> int | None:
        """The number of an exception; None for one too many."""
        if error is None:
            return None
        number = self._numbers.get(id(error))
        if number is None:
            if len(self._known) == LINKS:
                return None
            number = self._numbers[id(error)] = len(self._known)
            self._known.append(error)
        return number

    def _describe(self, error: BaseException) -> Link:
        kind = type(error)
        link = Link(
            pickled=self._pickle(error),
            module=kind.__module__,
            name=kind.__qualname__,
            base=_builtin_base(kind).__name__,
            message=error_message(error),
            frames=frames_of(error.__traceback__),
            notes=_notes(error),
            cause=self.number(error.__cause__),
            context=self.number(error.__context__),
            is_context_hidden=error.__suppress_context__,
        )
        if not link.pickled and isinstance(error, BaseExceptionGroup):
            numbers = map(self.number, error.exceptions)
            link.members = [number for number in numbers if number is not None]
            link.message = error.message
        return link

    def _pickle(self, error: BaseException) -> bytes:
        """The exception alone; empty when it could not be rebuilt, which is tried out here."""
        met = len(self._known)
        for content in (error, _Bare(error)):
            try:
                pickled = self._dump(content, error)
                if len(pickled) <= LIMIT_BYTES and _is_same(self._loaded(pickled), error):
                    return pickled
            except BaseException:  # whatever the class of the user's raises when it is taken apart or rebuilt
                pass
            for forgotten in self._known[met:]:
                del self._numbers[id(forgotten)]
            del self._known[met:]
        return b""

    def _dump(self, content: object, error: BaseException) -> bytes:
        out = io.BytesIO()
        _Pickler(out, self, error).dump(content)
        return out.getvalue()

    def _loaded(self, pickled: bytes) -> object:
        return _load(pickled, self._known.__getitem__)


class _Pickler(ValuePickler):
    """Pickles one exception; others inside it by their numbers."""

    def __init__(self, out: io.BytesIO, packer: _Packer, error: BaseException) -> None:
        super().__init__(out, protocol=5)
        self._packer = packer
        self._error = error

    def persistent_id(self, obj: object) -> int | None:
        if not isinstance(obj, BaseException) or obj is self._error:
            return None
        return self._packer.number(obj)


class _Bare:
    """Reduces an exception to class, arguments and attributes: its own way cannot rebuild it (`__init__` takes others).

    Attributes that cannot be pickled stay behind.
    """

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __reduce__(self) -> tuple[Any, ...]:
        error = self._error
        attributes = {name: value for name, value in vars(error).items() if _can_cross(value)}
        return _rebuilt, (type(error), error.args, attributes)


def _can_cross(value: object) -> bool:
    if isinstance(value, BaseException):  # as one of its own
        return True
    try:
        _load(ValuePickler.dumps(value), lambda _: None)
    except Exception:  # whatever a user's __reduce__ raises
        return False
    return True


def _rebuilt(kind: type[BaseException], args: tuple[Any, ...], attributes: dict[str, Any]) -> BaseException:
    error = _builtin_base(kind).__new__(kind, *args)
    error.args = args
    vars(error).update(attributes)
    return error


def _is_same(rebuilt: object, error: BaseException) -> bool:
    return (
        isinstance(rebuilt, BaseException)
        and type(rebuilt) is type(error)
        and error_message(rebuilt) == error_message(error)
    )


def _builtin_base(kind: type[BaseException]) -> type[BaseException]:
    return next(base for base in kind.__mro__ if base.__module__ == "builtins" and issubclass(base, BaseException))


def _notes(error: BaseException) -> list[str]:
    notes = getattr(error, "__notes__", None)
    return [note for note in notes if isinstance(note, str)] if isinstance(notes, list) else []


# ---------------------------------------------------------------- here


class _Unpacker:
    """Rebuilds exceptions, each once."""

    def __init__(self, links: list[Link]) -> None:
        self._links = links
        self._errors: dict[int, BaseException] = {}
        self._begun: set[int] = set()

    def error(self, number: int) -> BaseException:
        known = self._errors.get(number)
        if known is not None:
            return known
        link = self._links[number]
        if number in self._begun:  # it holds itself
            return _told(link, [])
        self._begun.add(number)
        error = self._errors[number] = self._rebuild(link)
        if link.notes and _notes(error) != link.notes:
            error.__notes__ = list(link.notes)
        error.__cause__ = None if link.cause is None else self.error(link.cause)
        error.__context__ = None if link.context is None else self.error(link.context)
        error.__suppress_context__ = link.is_context_hidden
        return error.with_traceback(traceback_of(link.frames))

    def _rebuild(self, link: Link) -> BaseException:
        if link.pickled:
            try:
                error = _load(link.pickled, self.error)
                if isinstance(error, BaseException):
                    return error
            except Exception:  # what it is made of cannot be read here: a module that only the worker has
                pass
        return _told(link, [self.error(member) for member in link.members])


def _load(pickled: bytes, error: Callable[[int], object]) -> object:
    return _Unpickler(pickled, error).load()


class _Unpickler(pickle.Unpickler):
    def __init__(self, pickled: bytes, error: Callable[[int], object]) -> None:
        super().__init__(io.BytesIO(pickled))
        self._error = error

    def persistent_load(self, number: int) -> object:
        return self._error(number)


def _told(link: Link, members: list[BaseException]) -> BaseException:
    """An exception of a class of that name, which says what the real one said."""
    base = getattr(builtins, link.base, Exception)
    if issubclass(base, BaseExceptionGroup):
        if members:
            return _told_class(link.module, link.name, base)(link.message, members)
        base = Exception
    try:
        return _told_class(link.module, link.name, base)(link.message)
    except TypeError:  # UnicodeDecodeError and the like
        return _told_class(link.module, link.name, Exception)(link.message)


@lru_cache(maxsize=100)
def _told_class(module: str, qualname: str, base: type[BaseException]) -> Callable[..., BaseException]:
    members: dict[str, Any] = {"__module__": module, "__qualname__": qualname}
    if not issubclass(base, BaseExceptionGroup):
        members["__str__"] = _message
    return type(qualname.rpartition(".")[2], (base,), members)


def _message(error: BaseException) -> str:
    return str(error.args[0])

"""Flyte's two call styles: a blocking call, and the same with `.aio`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from flyte_nb.remote.calls import (
    Blocking,
    BlockingIterator,
    blocking,
    blocking_classmethod,
    blocking_method,
    iterating_classmethod,
    iterating_method,
)


class Shelf:
    """A shelf of books."""

    default = "novel"

    def __init__(self, books: list[str]) -> None:
        self.books = books

    @blocking_method
    def find(self: Shelf, start: str, last: bool = False) -> str:
        """The first book that starts so."""
        found = [book for book in self.books if book.startswith(start)]
        return found[-1 if last else 0]

    @blocking_classmethod
    def with_default(cls: type[Shelf], *more: str) -> Shelf:
        """A shelf with the default on it."""
        return cls([cls.default, *more])

    @iterating_method
    def longer_than(self: Shelf, length: int) -> Iterator[str]:
        """Long books."""
        return (book for book in self.books if len(book) > length)

    @iterating_classmethod
    def kinds(cls: type[Shelf], count: int) -> Iterator[str]:
        """Kinds of shelves."""
        yield from [cls.__name__] * count


class LongShelf(Shelf):
    default = "encyclopedia"


@blocking
def thread_name(prefix: str = "") -> str:
    """Where it runs."""
    return prefix + threading.current_thread().name


def test_methods_block_by_default() -> None:
    shelf = Shelf(["atlas", "almanac"])
    assert shelf.find("al") == "almanac"
    assert shelf.find("a", last=True) == "almanac"
    assert list(shelf.longer_than(5)) == ["almanac"]


async def test_methods_can_be_awaited_and_iterated() -> None:
    shelf = Shelf(["atlas", "almanac"])
    assert await shelf.find.aio("a", last=True) == "almanac"
    assert [book async for book in shelf.longer_than.aio(1)] == ["atlas", "almanac"]


async def test_class_methods_belong_to_the_class_they_are_called_on() -> None:
    assert LongShelf.with_default("atlas").books == ["encyclopedia", "atlas"]
    assert type(await LongShelf.with_default.aio()) is LongShelf
    assert list(LongShelf.kinds(2)) == ["LongShelf", "LongShelf"]
    assert [kind async for kind in Shelf([]).kinds.aio(1)] == ["Shelf"]


async def test_awaiting_leaves_the_event_loop_free() -> None:
    here = threading.current_thread().name
    assert thread_name() == here
    assert await thread_name.aio("in ") != f"in {here}"
    go_on = threading.Event()
    waiting = asyncio.create_task(blocking(go_on.wait).aio(60))
    await asyncio.sleep(0)
    go_on.set()
    assert await waiting


async def test_a_coroutine_function_given_for_it_is_what_is_awaited() -> None:
    async def aio(x: int) -> str:
        return f"awaited {x}"

    call = Blocking(lambda x: f"blocked {x}", aio)
    assert (call(1), await call.aio(1)) == ("blocked 1", "awaited 1")


async def test_errors_are_raised_where_it_is_called() -> None:
    shelf = Shelf([])
    with pytest.raises(IndexError):
        shelf.find("a")
    with pytest.raises(IndexError):
        await shelf.find.aio("a")
    with pytest.raises(ZeroDivisionError):
        [item async for item in BlockingIterator(lambda: iter([1 // 0])).aio()]


def test_documentation_and_names_are_the_functions() -> None:
    assert (thread_name.__doc__, getattr(thread_name, "__name__", "")) == ("Where it runs.", "thread_name")
    assert vars(Shelf)["find"].__doc__ == "The first book that starts so."

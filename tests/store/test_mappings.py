"""A value that is passed on as it was mapped is known; after any write to it, it is not."""

from __future__ import annotations

import gc
import mmap
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from flyte_nb.store.home import Home
from flyte_nb.store.mappings import Mappings, address_of, is_untouched
from flyte_nb.store.value_files import Content
from flyte_nb.store.values import ValueStore
from flyte_nb.types.pickles import pickled, unpickled
from flyte_nb.types.trees import leaf_content

pytestmark = pytest.mark.skipif(not Path("/proc/self/pagemap").exists(), reason="the OS tells nothing of pages")

PAGE = mmap.PAGESIZE
PAGES = 600

Known = Callable[[Any], bool]


@pytest.fixture
def values(home: Home) -> ValueStore:
    return ValueStore(home.ensure())


@pytest.fixture
def known(values: ValueStore, monkeypatch: pytest.MonkeyPatch) -> Known:
    """Whether a value is stored under its digest without anybody digesting it."""
    digested: list[Content] = []
    digest = Content.digest

    def watched(content: Content) -> str:
        digested.append(content)
        return digest(content)

    monkeypatch.setattr(Content, "digest", watched)

    def known(value: Any) -> bool:
        digested.clear()
        leaf = pickled(value, values)
        was_known = not digested
        assert pickled(unpickled(leaf, values), values) == leaf
        return was_known

    return known


def received(value: Any, values: ValueStore) -> Any:
    return unpickled(pickled(value, values), values)


@pytest.fixture
def map_file(tmp_path: Path) -> Callable[[], mmap.mmap]:
    path = tmp_path / "file"
    path.write_bytes(bytes(PAGES * PAGE))

    def map_file() -> mmap.mmap:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)

    return map_file


@pytest.fixture
def memory(map_file: Callable[[], mmap.mmap]) -> mmap.mmap:
    return map_file()


def test_reading_leaves_a_mapping_untouched_and_writing_one_byte_does_not(memory: mmap.mmap) -> None:
    address = address_of(memoryview(memory))
    assert is_untouched(address, len(memory))
    assert sum(memory[:]) == 0
    assert is_untouched(address, len(memory))
    memory[PAGE * (PAGES - 1)] = 0  # the same value: still a write
    assert not is_untouched(address, len(memory))
    assert is_untouched(address, len(memory) - PAGE)


def test_memory_of_the_process_is_never_untouched() -> None:
    own = memoryview(bytearray(b"x" * PAGE * 4))
    assert not is_untouched(address_of(own), own.nbytes)


def test_where_the_os_tells_nothing_everything_counts_as_written_to(
    memory: mmap.mmap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flyte_nb.store.mappings.PAGEMAP", "/nowhere")
    assert not is_untouched(address_of(memoryview(memory)), len(memory))


def test_the_address_of_a_read_only_view_is_known() -> None:
    content = bytearray(100)
    assert address_of(memoryview(content).toreadonly()[7:]) == address_of(memoryview(content)) + 7


def test_the_parts_of_a_mapping_are_known_and_others_are_not(memory: mmap.mmap) -> None:
    mappings, view = Mappings(), memoryview(memory)
    bounds = [(128, 140), (PAGE, 5 * PAGE), (5 * PAGE, PAGES * PAGE)]
    mappings.add("digest", memory, bounds)
    head, small, large = (view[start:end] for start, end in bounds)
    assert mappings.digest_of([head, small, large]) == "digest"
    assert mappings.digest_of([memoryview(bytes(12)), small, large]) == "digest"  # equal, elsewhere
    assert mappings.digest_of([memoryview(b"another head"), small, large]) is None
    assert mappings.digest_of([head, large]) is None
    assert mappings.digest_of([head, small, large[:-1]]) is None
    assert mappings.digest_of([head, small, large[1:]]) is None
    assert mappings.digest_of([large]) is None
    assert mappings.digest_of([]) is None
    large[0] = 1
    assert mappings.digest_of([head, small, large]) is None


def test_a_mapping_is_forgotten_with_its_last_view(map_file: Callable[[], mmap.mmap]) -> None:
    mappings, memory = Mappings(), map_file()
    mappings.add("digest", memory, [(0, PAGES * PAGE)])
    address = address_of(memoryview(memory))
    del memory
    gc.collect()
    assert not mappings._by_largest_part
    own = mmap.mmap(-1, PAGES * PAGE)  # likely at the very same address
    assert address_of(memoryview(own)) != address or mappings.digest_of([memoryview(own)]) is None


ROWS = 200_000
NUMBERS = np.arange(float(ROWS))
VALUES = {
    "array": NUMBERS,
    "array by column": np.asfortranarray(NUMBERS.reshape(-1, 8)),
    "times": np.arange(ROWS).astype("datetime64[s]"),
    "pandas": pd.DataFrame({"a": NUMBERS, "b": 2 * NUMBERS}),
    "pandas mixed": pd.DataFrame(
        {"a": NUMBERS, "s": ["some text"] * ROWS, "t": pd.date_range("2020", periods=ROWS, freq="s")}
    ),
    "polars": pl.DataFrame({"a": NUMBERS, "s": ["some text"] * ROWS}),
    "pyarrow": pa.table({"a": NUMBERS, "s": ["some text"] * ROWS}),
    "model": {"weights": NUMBERS, "bias": [1.0, 2.0]},
}


@pytest.mark.parametrize("name", VALUES)
def test_a_received_value_is_passed_on_undigested(name: str, values: ValueStore, known: Known) -> None:
    value = VALUES[name]
    assert not known(value)
    assert not known(value)  # anybody may have written to it meanwhile
    assert known(received(value, values))
    assert known(received(received(value, values), values))


def test_reading_does_not_make_an_array_unknown(values: ValueStore, known: Known) -> None:
    array = received(NUMBERS, values)
    assert array.sum() == NUMBERS.sum()
    array.flags.writeable = False
    # the pickle now says that it is read-only: another value
    assert not known(array)
    array.flags.writeable = True
    assert known(array)


@pytest.mark.filterwarnings("ignore:Setting the shape")  # NumPy 2.5 wishes that nobody did
@pytest.mark.parametrize(
    "change",
    [
        lambda array: array.__setitem__(ROWS // 2, array[ROWS // 2]),
        lambda array: setattr(array, "shape", (2, -1)),
        lambda array: array.sort(),
    ],
    ids=["a write of the same number", "another shape in place", "a sort"],
)
def test_a_changed_array_is_digested_again(
    change: Callable[[np.ndarray], None], values: ValueStore, known: Known
) -> None:
    array = received(NUMBERS, values)
    change(array)
    assert not known(array)
    assert known(received(array, values))


@pytest.mark.parametrize(
    "view",
    [lambda array: array[:-1], lambda array: array[1:], lambda array: array[::2], lambda array: array.view("i8")],
    ids=["without the last", "without the first", "every second", "as integers"],
)
def test_a_view_of_a_received_array_is_another_value(
    view: Callable[[np.ndarray], np.ndarray], values: ValueStore, known: Known
) -> None:
    assert not known(view(received(NUMBERS, values)))


def test_a_frame_with_another_column_name_or_value_is_another_value(values: ValueStore, known: Known) -> None:
    frame = received(VALUES["pandas"], values)
    assert not known(frame.rename(columns={"a": "z"}))
    assert known(frame)
    frame.loc[3, "a"] = -1.0
    assert not known(frame)


def test_a_value_whose_file_was_deleted_is_written_again(values: ValueStore) -> None:
    digest = values.put([NUMBERS.data])
    parts = values.get(digest)
    values.path(digest).unlink()
    assert values.put(parts) == digest
    assert values.is_intact(digest)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/maps")
def test_the_memory_of_a_value_returns_with_its_last_view(values: ValueStore) -> None:
    array = received(NUMBERS, values)
    part = array[10:20]
    mapped = str(values.path(digest_of_stored(array, values)))
    del array
    assert mapped in Path("/proc/self/maps").read_text()
    del part
    gc.collect()
    assert mapped not in Path("/proc/self/maps").read_text()


def digest_of_stored(value: Any, values: ValueStore) -> str:
    return str(leaf_content(pickled(value, values)).digest)

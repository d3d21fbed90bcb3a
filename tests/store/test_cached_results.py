"""The files of cached results: whole, or known not to be."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.store.cached_results import (
    CachedCode,
    CachedInput,
    CachedResult,
    CodeItem,
    DamagedResultError,
    code_path,
    read_code,
    read_result,
    remove_results,
    stored_results,
    write_file,
)

texts = st.text(st.characters(), max_size=20)


def a_result(payload: bytes = b"payload", deep_digest: str = "d" * 32) -> CachedResult:
    one = CachedInput("x", "int", b"1" * 16, "3")
    return CachedResult("env.task", payload, "run", "a0", 1, 2, "", [one], [("o0", "int")], "v", deep_digest, "")


@given(st.binary(max_size=200), texts, texts)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, payload: bytes, name: str, text: str
) -> None:
    path = str(tmp_path_factory.getbasetemp() / "one" / "key")
    one = CachedInput(name, "Any", b"", text)
    result = CachedResult(name, payload, text, "a0", 1, 2, text, [one], [], name, "", text)
    write_file(path, result)
    found = read_result(path)
    assert found is not None and found.payload == payload
    if all(part.isascii() for part in (name, text)):
        assert found == result


def test_a_file_that_is_cut_or_flipped_anywhere_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "task" / "key"
    write_file(str(path), a_result())
    whole = path.read_bytes()
    for at in range(len(whole)):
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :]):
            path.write_bytes(damaged)
            with pytest.raises(DamagedResultError, match="is damaged"):
                read_result(str(path))


def test_readers_never_see_half_a_file(tmp_path: Path) -> None:
    path = str(tmp_path / "task" / "key")
    payloads = [bytes([at]) * 5_000 * at for at in range(1, 4)]
    write_file(path, a_result(payloads[0]))
    over = threading.Event()

    def write() -> None:
        for payload in payloads * 30:
            write_file(path, a_result(payload))
        over.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not over.is_set():
        found = read_result(path)
        assert found is not None and found.payload in payloads
    writer.join()
    assert [file.name for file in Path(path).parent.iterdir()] == ["key"]


def test_code_stays_as_long_as_a_result_is_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "task"
    for key, digest in (("one", "a"), ("two", "a"), ("three", "b")):
        write_file(str(folder / key), a_result(deep_digest=digest))
        write_file(code_path(str(folder), digest), CachedCode([CodeItem("f", "function", digest)]))
    remove_results(tmp_path, [folder / "one", folder / "three"])
    assert [path.name for path, _ in stored_results(tmp_path)] == ["two"]
    kept = read_code(str(folder), "a")
    assert kept is not None and kept.items == [CodeItem("f", "function", "a")]
    assert read_code(str(folder), "b") is None

"""The value store: content by digest, mapped, never changed."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flyte_nb.store.errors import StoreError
from flyte_nb.store.home import Home
from flyte_nb.store.values import ValueStore


@pytest.fixture
def values(home: Home) -> ValueStore:
    return ValueStore(home.ensure())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=300), max_size=5))
def test_parts_come_back_as_they_were(values: ValueStore, parts: list[bytes]) -> None:
    digest = values.put(parts)
    assert [bytes(part) for part in values.get(digest)] == parts
    assert values.is_intact(digest)


def test_where_the_parts_divide_counts(values: ValueStore) -> None:
    assert len({values.put(parts) for parts in ([b"ab"], [b"a", b"b"], [b"ab", b""], [b"", b"ab"], [])}) == 5


def test_writing_to_what_was_read_changes_nothing_stored(values: ValueStore) -> None:
    digest = values.put([b"head", memoryview(b"x" * 1000)])
    part = values.get(digest)[1]
    part[:] = b"y" * 1000
    assert bytes(values.get(digest)[1]) == b"x" * 1000


def test_parts_are_aligned_for_arrays(values: ValueStore) -> None:
    numpy = pytest.importorskip("numpy")
    digest = values.put([b"odd", memoryview(b"z" * 77), memoryview(b"w" * 640)])
    for part in values.get(digest):
        assert numpy.frombuffer(part, dtype=numpy.uint8).ctypes.data % 64 == 0


def test_typed_buffers_are_stored_as_their_bytes(values: ValueStore) -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(10.0)
    (part,) = values.get(values.put([memoryview(array)]))
    assert numpy.frombuffer(part).tolist() == array.tolist()


def test_stored_content_is_not_written_again(values: ValueStore) -> None:
    digest = values.put([b"content"])
    written = values.path(digest).stat()
    assert values.put([b"content"]) == digest
    assert values.path(digest).stat().st_mtime_ns == written.st_mtime_ns
    assert values.path(digest).stat().st_ino == written.st_ino


def test_a_file_that_a_power_cut_left_short_is_written_again(values: ValueStore) -> None:
    digest = values.put([b"content"])
    values.path(digest).unlink()
    values.path(digest).write_bytes(b"")
    with pytest.raises(StoreError, match="damaged"):
        values.get(digest)
    values.put([b"content"])
    assert bytes(values.get(digest)[0]) == b"content"


def test_damage_is_found(values: ValueStore) -> None:
    digest = values.put([b"content" * 100])
    data = bytearray(values.path(digest).read_bytes())
    data[-100] ^= 1
    values.path(digest).chmod(0o644)
    values.path(digest).write_bytes(data)
    assert not values.is_intact(digest)
    values.path(digest).write_bytes(data[:-1])
    with pytest.raises(StoreError, match="do not fit its head"):
        values.get(digest)


def test_stored_files_are_read_only_and_no_others_are_left(values: ValueStore) -> None:
    digest = values.put([b"content"])
    assert values.path(digest).stat().st_mode & 0o222 == 0
    assert list(values.path(digest).parent.iterdir()) == [values.path(digest)]


def test_an_unknown_digest_is_a_key_error(values: ValueStore) -> None:
    with pytest.raises(KeyError, match="abcd"):
        values.get("abcd")


def test_threads_may_store_the_same_content_at_once(values: ValueStore) -> None:
    content = b"same" * 100_000
    digests: list[str] = []
    threads = [threading.Thread(target=lambda: digests.append(values.put([content]))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(digests)) == 1
    assert bytes(values.get(digests[0])[0]) == content


def test_processes_may_store_the_same_content_at_once(
    values: ValueStore, start: Callable[..., subprocess.Popen[str]]
) -> None:
    program = """
from flyte_nb.store.values import ValueStore
values = ValueStore(home)
sys.stdin.readline()
print(*[values.put([b"%d" % k * 10_000]) for k in range(100)])
"""
    processes = [start(program) for _ in range(2)]
    answers = {process.communicate("go\n", timeout=30)[0] for process in processes}
    (digests,) = answers
    assert all(values.is_intact(digest) for digest in digests.split())


def test_sync_survives_values_that_were_deleted(values: ValueStore) -> None:
    values.path(values.put([b"gone"])).unlink()
    values.put([b"kept"])
    values.sync()
    values.sync()


def test_a_full_disk_is_one_clear_error_and_leaves_no_file(home: Home, answer: Callable[..., str]) -> None:
    program = """
import resource
from flyte_nb.store.errors import StoreError
from flyte_nb.store.values import ValueStore
home.ensure()
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    ValueStore(home).put([b"x" * 50_000])
except StoreError as error:
    print(error)
"""
    assert "cannot be written" in answer(program)
    assert [path for path in home.values.rglob("*") if path.is_file()] == []


def test_a_missing_home_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        ValueStore(Home(tmp_path / "nowhere")).put([b"x"])

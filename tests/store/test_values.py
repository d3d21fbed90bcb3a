"""The value store: content by digest, mapped, never changed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flyte_nb.store.errors import StoreError
from flyte_nb.store.home import Home
from flyte_nb.store.values import ABANDONED_SECONDS, MAP_BYTES, TWO_HANDED_BYTES, ValueStore, open_values


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


@pytest.mark.parametrize("size_bytes", [1000, 2 * MAP_BYTES], ids=["read", "mapped"])
def test_writing_to_what_was_read_changes_nothing_stored(values: ValueStore, size_bytes: int) -> None:
    digest = values.put([b"head", memoryview(b"x" * size_bytes)])
    part = values.get(digest)[1]
    part[:] = b"y" * size_bytes
    assert bytes(values.get(digest)[1]) == b"x" * size_bytes


@pytest.mark.parametrize("size_bytes", [640, MAP_BYTES], ids=["read", "mapped"])
def test_parts_are_aligned_for_arrays(values: ValueStore, size_bytes: int) -> None:
    numpy = pytest.importorskip("numpy")
    digest = values.put([b"odd", memoryview(b"z" * 77), memoryview(b"w" * size_bytes)])
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
    answers = {process.communicate("go\n", timeout=60)[0] for process in processes}
    (digests,) = answers
    assert all(values.is_intact(digest) for digest in digests.split())


def test_sync_survives_values_that_were_deleted(values: ValueStore) -> None:
    values.path(values.put([b"gone"])).unlink()
    values.put([b"kept"])
    values.sync()
    values.sync()


@pytest.mark.parametrize("size_bytes", [50_000, 2 * TWO_HANDED_BYTES])
def test_a_full_disk_is_one_clear_error_and_leaves_no_file(
    home: Home, answer: Callable[..., str], size_bytes: int
) -> None:
    program = """
import resource
from flyte_nb.store.errors import StoreError
from flyte_nb.store.values import ValueStore
home.ensure()
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    ValueStore(home).put([b"x" * int(sys.argv[2])])
except StoreError as error:
    print(error)
"""
    assert answer(program, size_bytes).count("cannot be written") == 1
    assert [path for path in home.values.rglob("*") if path.is_file()] == []


def test_a_missing_home_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        ValueStore(Home(tmp_path / "nowhere")).put([b"x"])


def files_in(home: Home) -> list[Path]:
    return sorted(path for path in home.values.rglob("*") if path.is_file())


def test_a_large_value_has_the_same_digest_however_it_came_to_be_stored(values: ValueStore, home: Home) -> None:
    content = os.urandom(2 * TWO_HANDED_BYTES)
    digest = values.put([b"head", content])  # new: digested while it is written
    assert values.put([b"head", content]) == digest  # it looks familiar: digested first
    assert ValueStore(home).put([b"head", content]) == digest  # new to this one, and stored already
    assert values.is_intact(digest) and files_in(home) == [values.path(digest)]
    stored = values.path(digest).stat().st_ino
    altered = bytearray(content)
    altered[TWO_HANDED_BYTES + 1] ^= 1  # it looks familiar and is not
    assert values.put([b"head", altered]) != digest
    assert len(files_in(home)) == 2 and values.path(digest).stat().st_ino == stored


def test_what_a_worker_has_put_is_synced_by_the_kernel(values: ValueStore, home: Home) -> None:
    worker = open_values(str(home.path))
    digest = worker.put([b"content"])
    assert worker.take_fresh() == [digest]
    worker.put([b"content"])
    assert worker.take_fresh() == []
    values.note_stored([digest])
    assert values.take_fresh() == [digest]
    values.note_stored([digest])
    assert values.put([b"content"]) == digest and values.take_fresh() == []
    values.path(digest).unlink()
    assert values.put([b"content"]) == digest and values.take_fresh() == [digest]


def test_a_value_of_another_process_is_synced_before_it_is_named(values: ValueStore, home: Home) -> None:
    digest = ValueStore(home).put([b"content"])
    assert values.put([b"content"]) == digest
    assert values.take_fresh() == [digest]


def test_what_killed_writers_left_behind_is_swept_an_hour_later(values: ValueStore, home: Home) -> None:
    digest = values.put([b"content"])
    fresh, old = (home.values / "new" / name for name in ("fresh", "old"))
    for path in (fresh, old):
        path.write_bytes(b"half a val")
    long_ago = time.time() - ABANDONED_SECONDS - 60
    os.utime(old, (long_ago, long_ago))
    ValueStore(home)
    assert files_in(home) == sorted([fresh, values.path(digest)])


def test_a_killed_writer_leaves_no_half_value_under_a_digest(
    values: ValueStore, home: Home, start: Callable[..., subprocess.Popen[str]]
) -> None:
    program = """
from flyte_nb.store.values import ValueStore
values = ValueStore(home)
content = bytearray(16 << 20)
print("ready", flush=True)
for k in range(1000):
    content[:2] = k.to_bytes(2, "little")
    values.put([content])
"""
    writer = start(program)
    assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
    while len(files_in(home)) < 3:
        assert writer.poll() is None
    writer.send_signal(signal.SIGKILL)
    writer.wait(60)
    stored = [path for path in files_in(home) if path.parent.name != "new"]
    assert stored and all(values.is_intact(path.name) for path in stored)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/smaps")
def test_readers_in_other_processes_share_the_file_until_one_writes(
    values: ValueStore, answer: Callable[..., str]
) -> None:
    digest = values.put([os.urandom(4 * MAP_BYTES)])
    program = r"""
import re
from flyte_nb.store.values import ValueStore
def own_kilobytes():
    (maps,) = re.findall(sys.argv[2] + r"\n((?:[A-Z].*\n)+)", open("/proc/self/smaps").read())
    return int(re.search(r"Anonymous: +(\d+) kB", maps)[1]), int(re.search(r"Rss: +(\d+) kB", maps)[1])
(part,) = ValueStore(home).get(sys.argv[2])
total = sum(bytes(part))
print(*own_kilobytes())
part[0] ^= 1
print(*own_kilobytes())
"""
    own, resident, own_after, _ = map(int, answer(program, digest).split())
    page_kilobytes = os.sysconf("SC_PAGE_SIZE") // 1024
    assert (own, own_after) == (0, page_kilobytes)
    assert resident >= 4 * MAP_BYTES // 1024

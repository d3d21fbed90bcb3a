"""The output of one attempt: whole lines, in order, the rest of much in a file, and nothing once it is closed."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.executors import capture, log_files
from flyte_nb.executors.capture import BATCH_BYTES, LINE_LIMIT_CHARACTERS, LOG_LIMIT_BYTES, SHOWN_LIMIT_BYTES, Output
from flyte_nb.executors.log_files import CONTINUED, continued_in, lines_of_log_file

NOWHERE = Path("never-written")
MEGABYTE_LINE = "x" * 999_999 + "\n"


class SecretMask:
    """Masks one word."""

    active = True
    overlap = len("secret") - 1

    def mask(self, text: str) -> str:
        return text.replace("secret", "***")


class Kept:
    """An output, what it records and what it shows."""

    def __init__(self, rest: Path = NOWHERE, mask: SecretMask | None = None) -> None:
        self.recorded: list[tuple[str, str]] = []
        self.in_file: list[str] = []
        self.shown: list[str] = []
        self.output = Output(self.record, rest, mask)

    def record(self, stream: str, text: str, at_ns: int, in_file: bool) -> None:
        if in_file:
            self.in_file.append(text)
        else:
            self.recorded.append((stream, text))

    def write(self, text: str, stream: str = "stdout") -> None:
        self.output.write(stream, text, self.shown.append)


@pytest.fixture
def kept() -> Kept:
    return Kept()


def test_lines_are_recorded_in_batches_when_flushed(kept: Kept) -> None:
    kept.write("one\n")
    kept.write("two\nthr")
    assert kept.recorded == []
    kept.output.flush()
    assert kept.recorded == [("stdout", "one\ntwo")]
    kept.write("ee\n")
    kept.output.flush()
    assert kept.recorded == [("stdout", "one\ntwo"), ("stdout", "three")]


def test_a_full_batch_is_recorded_without_a_flush(kept: Kept) -> None:
    kept.write("x" * BATCH_BYTES + "\n")
    assert kept.recorded == [("stdout", "x" * BATCH_BYTES)]


def test_streams_keep_their_order(kept: Kept) -> None:
    kept.write("out 1\n")
    kept.write("err 1\n", "stderr")
    kept.write("out 2\n")
    kept.output.flush()
    assert kept.recorded == [("stdout", "out 1"), ("stderr", "err 1"), ("stdout", "out 2")]


def test_half_lines_of_two_streams_do_not_mix(kept: Kept) -> None:
    kept.write("out ")
    kept.write("err ", "stderr")
    kept.write("1\n")
    kept.write("1\n", "stderr")
    kept.output.flush()
    assert kept.recorded == [("stdout", "out 1"), ("stderr", "err 1")]


@pytest.mark.parametrize(
    ("written", "line"),
    [
        (["  0%\r", " 50%\r", "100%\n"], "100%"),
        (["\r  0%", "\r 50%", "\r100%\n"], "100%"),
        (["windows\r\n"], "windows"),
        (["done\r", "\n"], "done"),
    ],
)
def test_what_a_carriage_return_overwrote_is_not_recorded(kept: Kept, written: list[str], line: str) -> None:
    for text in written:
        kept.write(text)
    kept.output.flush()
    assert kept.recorded == [("stdout", line)]


def test_whole_lines_are_shown_and_overwriting_too(kept: Kept) -> None:
    kept.write("par")
    assert kept.shown == []
    kept.write("tial\nand ")
    kept.write(" 50%\r")
    assert kept.shown == ["partial\n", "and  50%\r"]


def test_closing_records_and_shows_the_unfinished_line(kept: Kept) -> None:
    kept.write("no newline")
    shown: list[tuple[str, str]] = []
    kept.output.close(show=lambda stream, text: shown.append((stream, text)))
    assert kept.recorded == [("stdout", "no newline")]
    assert shown == [("stdout", "no newline")]


def test_nothing_is_recorded_or_shown_once_it_is_closed(kept: Kept) -> None:
    kept.output.close()
    kept.write("too late\n")
    kept.output.display("{}")
    kept.output.flush()
    kept.output.close()
    assert kept.recorded == []
    assert kept.shown == []


def test_a_display_stands_between_the_lines_around_it(kept: Kept) -> None:
    kept.write("before\n")
    kept.output.display('{"text/plain": "x"}')
    kept.write("after\n")
    kept.output.flush()
    assert kept.recorded == [("stdout", "before"), ("display", '{"text/plain": "x"}'), ("stdout", "after")]


def flood(kept: Kept) -> int:
    """Writes more than is recorded; returns how many lines."""
    lines = LOG_LIMIT_BYTES // 1_000_000 + 3
    for _ in range(lines):
        kept.write(MEGABYTE_LINE)
    kept.output.flush()
    return lines


def test_beyond_the_limit_the_log_goes_on_in_a_file_that_one_entry_names(tmp_path: Path) -> None:
    rest = tmp_path / "logs" / "a0-1.log"
    kept = Kept(rest)
    lines = flood(kept)
    recorded = [text for stream, text in kept.recorded if stream == "stdout"]
    assert sum(map(len, recorded)) <= LOG_LIMIT_BYTES
    [named] = [text for stream, text in kept.recorded if stream == CONTINUED]
    assert named == continued_in(rest)
    in_file = list(lines_of_log_file(named))
    assert kept.in_file == in_file
    assert "\n".join([*recorded, *in_file, ""]) == MEGABYTE_LINE * lines == "".join(kept.shown)


def test_a_log_file_that_was_deleted_is_missed_in_one_line(tmp_path: Path) -> None:
    [line] = lines_of_log_file(continued_in(tmp_path / "gone.log"))
    assert line == f"... {tmp_path / 'gone.log'} cannot be read: No such file or directory"


def test_undecodable_text_stands_in_the_file_with_a_question_mark(tmp_path: Path) -> None:
    log_files.append_to_log_file(tmp_path / "log", "\udce4 undecodable")
    assert list(lines_of_log_file(continued_in(tmp_path / "log"))) == ["? undecodable"]


@pytest.mark.parametrize("cause", ["the folder is a file", "the disk is all but full"])
def test_where_the_file_cannot_be_written_one_notice_says_that_the_rest_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    if cause == "the folder is a file":
        (tmp_path / "logs").write_text("in the way")
    else:
        monkeypatch.setattr(log_files, "KEPT_FREE_BYTES", 10**18)
    kept = Kept(tmp_path / "logs" / "a0-1.log")
    lines = flood(kept)
    notices = [text for stream, text in kept.recorded if stream == "stderr"]
    assert len(notices) == 1
    assert notices[0].startswith("... and what comes after is lost: ")
    assert "".join(kept.shown) == MEGABYTE_LINE * lines


def test_a_notebook_shows_the_beginning_of_much_output(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "show_all", False)
    for _ in range(10):
        kept.write("x" * (SHOWN_LIMIT_BYTES // 2) + "\n")
    shown = "".join(kept.shown)
    assert shown.count("x") <= SHOWN_LIMIT_BYTES
    assert shown.count("%flyte logs") == 1


@given(st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.text("ab\n", max_size=8)), max_size=20))
def test_however_text_is_cut_each_stream_keeps_its_lines(writes: list[tuple[str, str]]) -> None:
    kept = Kept()
    for stream, text in writes:
        kept.write(text, stream)
    kept.output.close()
    for stream in ("stdout", "stderr"):
        whole = "".join(text for to, text in writes if to == stream)
        recorded = [line for to, text in kept.recorded if to == stream for line in text.split("\n")]
        assert recorded == (whole.removesuffix("\n").split("\n") if whole else [])


def cut_at(text: str, places: list[int]) -> list[str]:
    bounds = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(bounds)]


@given(st.lists(st.integers(0, 1000), max_size=8))
def test_a_secret_is_masked_however_its_writes_are_cut(places: list[int]) -> None:
    kept = Kept(mask=SecretMask())
    text = "one secret\n50%: secret\r100%: secret\nsecret"
    for piece in cut_at(text, places):
        kept.write(piece)
    kept.output.close(show=lambda stream, rest: kept.shown.append(rest))
    assert "\n".join(line for _, line in kept.recorded) == "one ***\n100%: ***\n***"
    assert "".join(kept.shown) == text.replace("secret", "***")


@given(st.integers(-10, 10))
def test_a_secret_is_masked_where_a_long_line_is_cut(offset: int) -> None:
    kept = Kept(mask=SecretMask())
    kept.write("x" * (LINE_LIMIT_CHARACTERS + offset) + "secret")
    kept.write("y" * LINE_LIMIT_CHARACTERS)
    kept.write("y" * LINE_LIMIT_CHARACTERS + "\n")
    kept.output.close()
    recorded = "".join(line for _, line in kept.recorded)
    assert "***" in recorded
    assert "sec" not in recorded
    assert "sec" not in "".join(kept.shown)


def test_a_secret_in_a_display_is_masked() -> None:
    kept = Kept(mask=SecretMask())
    kept.output.display('{"text/plain": "my secret"}')
    assert kept.recorded == [("display", '{"text/plain": "my ***"}')]


def test_patching_twice_is_patching_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    capture.install()
    patched: Callable[..., int] = stream.write
    capture.install()
    assert stream.write is patched
    assert stream.write("plain") == 5
    assert stream.getvalue() == "plain"


def test_a_process_without_streams_is_no_hindrance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    capture.install()

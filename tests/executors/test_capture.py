"""The output of one attempt: whole lines, in order, up to a limit, and nothing once it is closed."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.executors import capture
from flyte_nb.executors.capture import BATCH_BYTES, LOG_LIMIT_BYTES, SHOWN_LIMIT_BYTES, Output


class Kept:
    """An output, what it records and what it shows."""

    def __init__(self) -> None:
        self.recorded: list[tuple[str, str]] = []
        self.shown: list[str] = []
        self.output = Output(lambda stream, text, at_ns: self.recorded.append((stream, text)))

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


def test_beyond_the_limit_one_word_is_recorded_and_the_rest_is_dropped(kept: Kept) -> None:
    for _ in range(LOG_LIMIT_BYTES // 1_000_000 + 3):
        kept.write("x" * 999_999 + "\n")
    assert sum(len(text) for stream, text in kept.recorded if stream == "stdout") <= LOG_LIMIT_BYTES
    assert [text for stream, text in kept.recorded if stream == "stderr"] == [
        "... the log of this action is full (10 MB): the rest is dropped"
    ]
    assert len("".join(kept.shown)) == 1_000_000 * (LOG_LIMIT_BYTES // 1_000_000 + 3)


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

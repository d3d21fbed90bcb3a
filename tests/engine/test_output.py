"""Output: what tasks print is kept apart by action, recorded, and still shown."""

from __future__ import annotations

import asyncio
import logging
import sys

import pytest

import flyte_nb as flyte
from flyte_nb.remote.source import source

env = flyte.TaskEnvironment("out")


@env.task
async def says(i: int) -> int:
    for part in ("one ", "two ", "three"):
        print(f"{i}: {part}", end="")
        await asyncio.sleep(0)
    print()
    print(f"{i}: error", file=sys.stderr)
    return i


@env.task
def says_in_a_thread(i: int) -> int:
    for _ in range(20):
        print(f"thread {i}")
    return i


@env.task
async def fifty() -> int:
    await asyncio.gather(*[says(i) for i in range(25)], *[says_in_a_thread.aio(i) for i in range(25)])
    return 50


@env.task
async def progress() -> int:
    for percent in range(0, 101, 10):
        print(f"\r{percent:3}%", end="")
    print("\ndone", end="")
    return 1


handler = logging.StreamHandler()
logging.getLogger("mine").addHandler(handler)


@env.task
async def logs() -> int:
    flyte.logger.info("from flyte's logger")
    logging.getLogger("mine").warning("from mine")
    return 1


@env.task
async def floods(megabytes: int) -> int:
    for _ in range(megabytes):
        print("x" * 999_999)
    return megabytes


def test_fifty_tasks_that_print_at_once_do_not_mix(capsys: pytest.CaptureFixture[str]) -> None:
    run = flyte.run(fifty)
    for action in run.actions(task="says"):
        i = action.inputs()["i"]
        assert list(action.get_logs()) == [f"{i}: one {i}: two {i}: three", f"{i}: error"]
    for action in run.actions(task="says_in_a_thread"):
        assert list(action.get_logs()) == [f"thread {action.inputs()['i']}"] * 20
    shown = capsys.readouterr()
    assert {f"{i}: one {i}: two {i}: three" for i in range(25)} <= set(shown.out.splitlines())
    assert sorted(shown.err.splitlines()) == sorted(f"{i}: error" for i in range(25))


def test_streams_and_order_are_kept() -> None:
    run = flyte.run(says, 1)
    assert [(entry.stream, entry.text) for entry in run.logs()] == [
        ("stdout", "1: one 1: two 1: three"),
        ("stderr", "1: error"),
    ]


def test_a_progress_bar_is_recorded_as_it_looked_in_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    run = flyte.run(progress)
    assert list(run.get_logs()) == ["100%", "done"]
    assert capsys.readouterr().out.startswith("\r  0%\r 10%")


def test_logging_is_captured_from_a_handler_that_holds_the_stream() -> None:
    handler.setStream(sys.stderr)
    run = flyte.run(logs)
    text = str(run.logs())
    assert "from flyte's logger" in text
    assert "from mine" in text


def test_output_beyond_the_limit_is_read_on_from_a_file_of_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    run = flyte.run(floods, 12)
    recorded = str(run.logs())
    assert 9_000_000 < len(recorded) < 11_000_000
    assert "the log goes on in" in recorded
    assert len(capsys.readouterr().out) == 12_000_000
    assert [len(line) for line in run.get_logs()] == [999_999] * 12
    run.show_logs(max_lines=1)
    assert len(capsys.readouterr().out) == 1_000_000


def test_the_last_lines_of_much_output_are_shown_while_the_run_is_in_memory() -> None:
    run = flyte.run(floods, 12)
    live = source.live(run.name)
    assert live is not None
    action = live.root
    assert action.tail is not None
    assert len(action.tail[-1][2]) == 999_999
    assert action.line_count == 13


def test_output_outside_a_run_is_untouched(capsys: pytest.CaptureFixture[str]) -> None:
    flyte.run(says, 1)
    capsys.readouterr()
    print("plain")
    assert capsys.readouterr().out == "plain\n"


@env.task
async def talks_before_and_after() -> int:
    print("before")
    await says(1)
    print("after")
    return 1


def test_lines_of_several_actions_are_in_the_order_in_which_they_were_printed() -> None:
    run = flyte.run(talks_before_and_after)
    assert [entry.text for entry in run.logs()] == ["before", "1: one 1: two 1: three", "1: error", "after"]

"""`flyte.report`: plain text always, flushed to the engine, and a page that needs no scripts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest

from flyte_nb import report
from flyte_nb.authoring.context import Controller, Scope, current_scope
from flyte_nb.models import ActionID, RawDataPath, TaskContext


class OneReport:
    """The part of a controller that reports ask."""

    def __init__(self) -> None:
        self.report = report.Report("task")

    def task_context(self, scope: Scope) -> TaskContext:
        return TaskContext(
            action=ActionID(name="a0"),
            version="na",
            raw_data_path=RawDataPath(path="raw"),
            output_path="outputs",
            run_base_dir="run",
            report=self.report,
        )


@pytest.fixture
def running() -> Iterator[report.Report]:
    """The report of a running task."""
    controller = OneReport()
    token = current_scope.set(Scope(cast("Controller", controller), None))
    yield controller.report
    current_scope.reset(token)


def test_outside_a_task_a_report_goes_nowhere() -> None:
    report.log("x", do_flush=True)
    assert report.current_report().name == "dummy" and not report.current_report().has_content()


def test_content_goes_to_tabs(running: report.Report) -> None:
    report.log("<b>one</b>")
    report.log("two")
    report.get_tab("Other").log("three")
    assert running.tabs["main"].get_html() == "<b>one</b>\ntwo"
    report.replace("four")
    assert running.tabs["main"].get_html() == "four" and running.has_content()
    with pytest.raises(ValueError, match=r"Tab missing does not exist\."):
        report.get_tab("missing", create_if_missing=False)


def test_flushing_hands_the_page_to_the_engine(running: report.Report) -> None:
    flushed: list[str] = []
    running.on_flush = flushed.append
    report.log("<b>one</b>")
    assert flushed == []
    report.flush()
    report.log("two", do_flush=True)
    assert ["two" in page for page in flushed] == [False, True]
    assert all(type(page) is str and "<b>one</b>" in page for page in flushed)


async def test_both_forms_work_in_async_code_and_on_threads(running: report.Report) -> None:
    report.log("blocking")
    await report.log.aio("awaited", do_flush=True)
    await report.replace.aio("new")
    await report.flush.aio()
    await asyncio.to_thread(report.log, "thread")
    assert running.tabs["main"].content == ["new", "thread"]


def test_many_threads_lose_nothing(running: report.Report) -> None:
    threads = [threading.Thread(target=running.get_tab("main").log, args=("x",)) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(running.tabs["main"].content) == 50


def test_the_page_has_no_scripts_and_escapes_names() -> None:
    made = report.Report("a <b>")
    made.get_tab("<i>x</i>").log("<p>content $money</p>")
    page = made.get_final_report()
    assert "<script" not in page and "<p>content $money</p>" in page
    assert "&lt;i&gt;x&lt;/i&gt;" in page and "<i>x</i>" not in page and "<title>a &lt;b&gt;</title>" in page


def test_an_empty_main_tab_is_not_shown() -> None:
    made = report.Report("r")
    assert "flyte-panel-0" not in made.get_final_report()
    made.get_tab("only").log("x")
    assert ">only</label>" in made.get_final_report() and ">main</label>" not in made.get_final_report()


def test_a_timeline_adds_escaped_rows(running: report.Report) -> None:
    timeline = report.Timeline("steps")
    timeline.heading("<run>")
    timeline.row(label="call", meta="3 ms", detail=report.abbreviate("x" * 400), error="<boom>")
    shown = running.get_tab("steps").get_html()
    assert "&lt;run&gt;" in shown and "&lt;boom&gt;" in shown and "(+100)" in shown


@pytest.mark.parametrize(
    ("start", "end", "shown"),
    [("2024-01-01T00:00:00Z", "2024-01-01T00:00:01.5Z", "1500 ms"), (None, "x", ""), ("x", "y", "")],
)
def test_durations_are_shown_in_milliseconds(start: Any, end: Any, shown: str) -> None:
    assert report.duration_ms(start, end) == shown


def test_a_report_with_nothing_but_its_main_tab_shows_it_without_a_choice() -> None:
    alone = report.Report("alone")
    alone.tabs["main"].log("<p>here</p>")
    page = alone.get_final_report()
    assert "<input" not in page
    assert "#flyte-panel-0 { display: block; }" in page

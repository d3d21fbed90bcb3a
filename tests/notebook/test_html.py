from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from flyte_nb.notebook.views.document import run_document
from flyte_nb.notebook.views.html import run_html, runs_html
from flyte_nb.remote.plain import run_tree
from flyte_nb.store.events import ErrorRecord
from flyte_nb.store.rows import ActionRow, RunRow
from flyte_nb.types.trees import pack

START_NS = 1_790_000_000_000_000_000
MS = 1_000_000
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>'\"&"


def a_run(**changes: Any) -> RunRow:
    fields = {"name": "r1", "task": "quick.main", "phase": "failed", "started_ns": START_NS, "action_count": 3}
    return RunRow(**{**fields, "ended_ns": START_NS + 13_100 * MS, "environment": "quick", **changes})


def an_action(at: int, **changes: Any) -> ActionRow:
    fields: dict[str, Any] = {
        "phase": "succeeded",
        "started_ns": START_NS + at * MS,
        "ended_ns": START_NS + (at + 4) * MS,
        "inputs": pack([at]),
    }
    row = ActionRow("r1", f"a{at}", "a0" if at else "", "task", "quick.fit", 0, "", "queued", START_NS)
    for name, value in {**fields, **changes}.items():
        setattr(row, name, value)
    return row


class Stripped(HTMLParser):
    """What is left where styles and drawings are taken away: the text, cell by cell."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def parsed(html: str) -> Stripped:
    parser = Stripped()
    parser.feed(html)
    return parser


def test_it_reads_well_without_styles_and_bars() -> None:
    unlucky = ErrorRecord("ValueError", "user", "unlucky", "", "cell 3, line 7")
    actions = [an_action(0), an_action(1, attempt=2), an_action(2, phase="failed", error=unlucky)]
    rows = parsed(run_html(run_document(a_run(error=unlucky), actions, {0: ["x"]}))).rows
    assert rows[0] == ["Phase", "Task", "Inputs", "Duration", "Time", "Error"]
    assert rows[2] == ["✓ succeeded", "\xa0\xa0\xa0\xa0quick.fit (attempt 2)", "x=1", "4 ms", "", ""]
    assert rows[3][0] == "✗ failed" and rows[3][-1] == "ValueError: unlucky (cell 3, line 7)"


def test_nothing_that_a_task_says_becomes_markup() -> None:
    evil = ErrorRecord(EVIL, "user", EVIL, EVIL, EVIL)
    actions = [
        an_action(at, task=EVIL, inputs=pack([EVIL]), error=evil, phase=phase, group=EVIL, source=EVIL)
        for at, phase in enumerate(["failed", EVIL])
    ]
    document = run_document(
        a_run(name=EVIL, task=EVIL, phase=EVIL, error=evil, labels={EVIL: EVIL}, notebook=EVIL),
        actions,
        {0: [EVIL]},
        note=EVIL,
    )
    for html in (run_html(document), runs_html([document, document], document)):
        found = parsed(html)
        assert found.tags <= {
            "div",
            "span",
            "strong",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
            "svg",
            "rect",
            "ul",
            "li",
        }
        assert found.attributes <= {"style", "width", "height", "x", "fill"}
        assert "<script" not in html and "<img" not in html


def test_at_most_two_hundred_rows_are_drawn_what_failed_among_them() -> None:
    actions = [an_action(at) for at in range(600)]
    actions[590] = an_action(590, phase="failed", error=ErrorRecord("ValueError", "user", "unlucky"))
    html = run_html(run_document(a_run(), actions, {0: ["x"]}))
    assert len(parsed(html).rows) == 201
    assert "x=590" in html and "400 more actions" in html
    assert len(html) < 100_000


def test_colour_never_stands_alone() -> None:
    html = run_html(run_document(a_run(), [an_action(0, phase="timed_out")], {}))
    assert re.search(r'<span style="color:[^"]+">◷ timed out</span>', html)


def test_no_text_of_a_task_steers_the_terminal() -> None:
    evil = ErrorRecord("ValueError", "user", "\x1b[2J\x07gone\x9b1m")
    text = run_tree(
        a_run(error=evil), [an_action(0), an_action(1, error=evil, inputs=pack(["\x1b]0;title"]))], {0: ["x"]}
    )
    assert "gone" in text and all(line.isprintable() for line in text.splitlines())


def test_the_text_tree_shows_phases_durations_and_errors() -> None:
    unlucky = ErrorRecord("ValueError", "user", "unlucky", "", "cell 3, line 7")
    actions = [
        an_action(0, task="quick.main"),
        *(an_action(at) for at in range(1, 30)),
        an_action(30, phase="failed", error=unlucky),
        an_action(31, task="score", kind="trace", trace_inputs=[("v", "int")], spec=-1),
        an_action(32, parent="a31", source="cache:r0/a1"),
    ]
    text = run_tree(a_run(error=unlucky, action_count=33), actions, {0: ["x"]})
    lines = text.splitlines()
    assert lines[0] == ("✗ quick.main  r1 · failed · 13.1 s · 33 actions · ValueError: unlucky (cell 3, line 7)")
    assert lines[1] == "├─ ✗ quick.fit  x=30 · 4 ms · ValueError: unlucky (cell 3, line 7)"
    assert lines[-3:] == [
        "├─ … 10 more quick.fit: 10 succeeded",
        "└─ ✓ score  v=31 · 4 ms",
        "   └─ ✓ quick.fit  x=32 · 4 ms · cached from r0/a1",
    ]


def test_no_text_of_a_task_turns_the_writing_round_or_fills_the_page() -> None:
    evil = "\u202egpj.exe\u2066\x1b[31m" + "x" * 1_000_000
    actions = [an_action(0, task=evil, group=evil), an_action(1, error=ErrorRecord(evil, "user", evil, "", evil))]
    html = run_html(run_document(a_run(task=evil, labels={evil: evil}), actions, {0: ["x"]}, note=evil))
    assert "gpj.exe" in html and len(html) < 10_000
    assert not any(control in html for control in "\u202e\u2066\x1b")


def test_a_run_that_lived_when_it_was_saved_says_so() -> None:
    assert "it had not ended by then" in run_html(run_document(a_run(phase="running"), [an_action(0)], {}))
    assert "it had not ended by then" not in run_html(run_document(a_run(), [an_action(0)], {}))

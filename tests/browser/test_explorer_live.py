"""The explorer connected to a kernel, which the page plays itself: what is asked, and how answers are drawn."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser import documents
from tests.browser.conftest import DrawRun

pytestmark = pytest.mark.browser

# An anywidget model whose kernel end is `say(message)` and `asked`.
CONNECT = """async doc => {
  const {default: widget} = await import('/widget.js');
  const listeners = {};
  window.asked = [];
  const model = {
    get: () => doc,
    on: (name, listener) => (listeners[name] ??= new Set()).add(listener),
    off: (name, listener) => listeners[name]?.delete(listener),
    send: message => asked.push(message)
  };
  window.say = message => listeners['msg:custom'].forEach(listener => listener(message));
  document.body.replaceChildren();
  const el = document.body.appendChild(document.createElement('div'));
  window.close_ = widget.render({model, el});
}"""


@pytest.fixture
def live(draw_run: DrawRun) -> Page:
    page = draw_run(documents.failed_run())
    page.evaluate(CONNECT, documents.running_run())
    page.wait_for_selector(".fnb-row")
    return page


def say(page: Page, kind: str, **message: Any) -> None:
    page.evaluate("message => say(message)", {"kind": kind, **message})


def asked(page: Page, kind: str) -> list[dict[str, Any]]:
    return [message for message in page.evaluate("asked") if message["kind"] == kind]


def head(**changes: Any) -> dict[str, Any]:
    return {
        "phase": "running",
        "duration_ms": 2000.0,
        "live": True,
        "counts": {"running": 2, "succeeded": 2},
        "total": 4,
        "note": "",
        "error": None,
        "labels": {},
        **changes,
    }


def test_a_view_says_hello_and_shows_the_snapshot_that_answers(live: Page) -> None:
    assert asked(live, "hello") == [{"kind": "hello", "run": "rlive"}]
    expect(live.locator(".fnb-header")).to_contain_text("As last saved")
    expect(live.get_by_role("button", name="Abort")).to_have_count(0)
    say(live, "snapshot", doc={**documents.running_run(), "note": "blocked 0.4 s by squares.square (cell 3, line 7)"})
    expect(live.locator(".fnb-header")).not_to_contain_text("As last saved")
    expect(live.locator(".fnb-header")).to_contain_text("blocked 0.4 s")
    expect(live.get_by_role("button", name="Abort")).to_be_visible()


def test_deltas_add_rows_and_end_the_run(live: Page) -> None:
    say(live, "snapshot", doc=documents.running_run())
    late = documents.columns(
        [{"name": "a3", "task": 2, "queued": 600, "start": 610, "phase": "running", "label": "x=3"}]
    )
    say(live, "delta", head=head(), tasks=["squares.late"], groups=[], rows=[3], actions=late)
    expect(live.locator(".fnb-row").nth(3)).to_contain_text("late")
    rows = [
        {"name": "a0", "parent": -1, "phase": "failed", "start": 1.0, "end": 2400.0, "error": "ValueError: no"},
        {
            "name": "a3",
            "task": 2,
            "queued": 600,
            "start": 610,
            "end": 2300,
            "phase": "failed",
            "error": "ValueError: no",
        },
    ]
    error = {"code": "ValueError", "kind": "user", "message": "no", "place": "cell 1, line 2", "action": "a3"}
    ended = head(phase="failed", live=False, duration_ms=2400.0, counts={"failed": 2, "succeeded": 2}, error=error)
    say(live, "delta", head=ended, tasks=[], groups=[], rows=[0, 3], actions=documents.columns(rows))
    expect(live.locator(".fnb-header")).to_contain_text("ValueError: no")
    expect(live.locator(".fnb-time")).to_have_text("2.4 s")
    expect(live.locator(".fnb-row[aria-selected=true]")).to_contain_text("late")
    expect(live.get_by_role("button", name="Abort")).to_have_count(0)
    expect(live.locator("[aria-live]")).to_have_text("Run rlive failed")


def test_a_selected_action_is_asked_for_and_its_answer_drawn(live: Page) -> None:
    say(live, "snapshot", doc=documents.running_run())
    live.locator(".fnb-row", has_text="x=1").click()
    live.wait_for_function("asked.some(m => m.kind === 'detail' && m.action === 'a1')")
    expect(live.locator(".fnb-detail")).to_contain_text("Loading")
    answer = documents.detail("a1", "squares.square", inputs=[documents.scalar("x", "int", "1")])
    say(live, "detail", detail=answer)
    expect(live.locator(".fnb-detail")).to_contain_text("Inputs")


def test_a_question_without_an_answer_says_why_and_is_asked_again(live: Page) -> None:
    say(live, "unanswered", asked="hello", action="", why="backend.test does not answer.", again=True)
    expect(live.locator(".fnb-header")).to_contain_text("As last saved: backend.test does not answer.")
    expect(live.get_by_role("button", name="Abort")).to_have_count(0)
    live.wait_for_function("asked.filter(m => m.kind === 'hello').length === 2")
    say(live, "snapshot", doc=documents.running_run())
    expect(live.locator(".fnb-header .fnb-trouble")).to_be_hidden()

    live.locator(".fnb-row", has_text="x=1").click()
    live.wait_for_function("asked.some(m => m.kind === 'detail' && m.action === 'a1')")
    say(live, "unanswered", asked="detail", action="a1", why="backend.test <b>does</b> not answer.", again=False)
    detail = live.locator(".fnb-detail")
    expect(detail).to_contain_text("backend.test <b>does</b> not answer.")
    expect(detail).not_to_contain_text("Loading")
    before = len(asked(live, "detail"))
    detail.get_by_role("button", name="Try again").click()
    expect(detail.get_by_role("button", name="Trying again…")).to_be_disabled()
    assert len(asked(live, "detail")) == before + 1
    say(live, "detail", detail=documents.detail("a1", "squares.square", inputs=[documents.scalar("x", "int", "1")]))
    expect(detail).to_contain_text("Inputs")
    expect(detail.locator(".fnb-trouble")).to_be_hidden()


def test_the_output_of_a_running_action_grows_and_stays_at_its_end(live: Page) -> None:
    say(live, "snapshot", doc=documents.running_run())
    live.locator(".fnb-row", has_text="x=2").click()
    for n in (50, 120):
        logs = [[documents.STARTED_AT_MS + k, "stdout", f"line {k}"] for k in range(n)]
        say(live, "detail", detail=documents.detail("a2", "squares.square", phase="running", logs=logs))
        if n == 50:
            live.locator("[role=treegrid]").focus()
            live.keyboard.press("l")
            expect(live.locator(".fnb-log")).to_have_count(50)
            live.locator(".fnb-loglines").evaluate("lines => (lines.scrollTop = lines.scrollHeight)")
    expect(live.locator(".fnb-log")).to_have_count(120)
    expect(live.get_by_text("line 119", exact=True)).to_be_in_viewport()
    live.wait_for_function("asked.filter(m => m.kind === 'detail' && m.action === 'a2').length >= 2")


def test_abort_is_asked_first_and_sent_once(live: Page) -> None:
    say(live, "snapshot", doc=documents.running_run())
    live.get_by_role("button", name="Abort", exact=True).click()
    live.get_by_role("button", name="Keep it").click()
    assert asked(live, "abort") == []
    live.get_by_role("button", name="Abort", exact=True).click()
    expect(live.get_by_role("button", name="Yes, abort")).to_be_focused()
    live.keyboard.press("Enter")
    expect(live.get_by_role("button", name="Aborting…")).to_be_disabled()
    assert len(asked(live, "abort")) == 1


def test_what_is_asked_of_a_run_is_shown_as_it_is_answered(live: Page) -> None:
    say(live, "snapshot", doc=documents.running_run())
    live.get_by_role("button", name="Run again").click()
    expect(live.get_by_role("menuitem", name="Recover")).to_contain_text("The run is live")
    live.keyboard.press("ArrowDown")
    live.keyboard.press("Enter")
    assert asked(live, "recover") == []
    live.get_by_role("menuitem", name="Fork…").press("Enter")
    (plan,) = asked(live, "plan")
    say(live, "outcome", ask=plan["ask"], did="plan", refused="", plan="<b>plan</b> of the fork")
    expect(live.get_by_label("Plan of the fork")).to_have_text("<b>plan</b> of the fork")
    expect(live.get_by_role("button", name="Fork", exact=True)).to_be_focused()
    live.keyboard.press("Enter")
    (fork,) = asked(live, "fork")
    say(live, "outcome", ask="of another page", did="fork", refused="not this one")
    say(live, "outcome", ask=fork["ask"], did="fork", refused="<i>no</i> such task")
    expect(live.locator(".fnb-refused")).to_have_text("Refused: <i>no</i> such task")

    live.locator(".fnb-row", has_text="x=1").click()
    live.get_by_role("button", name="Do something to action").click()
    live.get_by_role("menuitem", name="Rerun this action alone").click()
    (rerun,) = asked(live, "rerun")
    begun = {**documents.failed_run(), "run": "rnew"}
    say(live, "outcome", ask=rerun["ask"], did="rerun", refused="", run="rnew", text="Started rnew.", doc=begun)
    assert rerun["action"] == "a1"
    expect(live.locator(".fnb-runshead")).to_contain_text("2 runs")
    expect(live.locator(".fnb-badge")).to_have_text("failed")
    live.get_by_role("button", name="Run again").click()
    expect(live.get_by_role("menuitem", name="Rerun")).to_have_attribute("aria-disabled", "true")
    expect(live.get_by_role("menuitem", name="Rerun")).to_contain_text("Not connected to a kernel.")


def test_unknown_messages_are_ignored(live: Page) -> None:
    say(live, "snapshot", doc=documents.running_run())
    say(live, "weather", sun=True)
    expect(live.locator(".fnb-row")).to_have_count(3)


def test_a_closed_view_leaves_nothing_behind(live: Page) -> None:
    say(live, "snapshot", doc=documents.running_run())
    live.evaluate("close_()")
    expect(live.locator(".fnb-root")).to_have_count(0)
    live.evaluate("say({kind: 'weather'})")

"""Actions in processes, in a plain page: what they wait for, where they ran and why, what a lost process left."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser import documents
from tests.browser.conftest import DrawRun

pytestmark = pytest.mark.browser

MESSAGE = (
    "frames.widen used more memory than its limit: 205 MiB of 200 MiB. Give it more.\n"
    'Its last output:\n100 columns\n  File "cell 6", line 7 in widen'
)


def waiting_run() -> documents.Document:
    """One action of each phase before the end, and one that was started with a worker of its own."""
    rows = [
        {"name": "a0", "parent": -1, "phase": "running", "start": 1.0},
        {"name": "q", "task": 1, "queued": 2.0, "phase": "queued", "label": "x=0"},
        {"name": "w", "task": 1, "queued": 2.0, "phase": "waiting_for_resources", "label": "x=1"},
        {"name": "i", "task": 1, "queued": 2.0, "init": 300.0, "phase": "initializing", "label": "x=2"},
        {"name": "b", "task": 2, "queued": 2.0, "init": 100.0, "phase": "initializing", "note": "image: + pandas==3.0"},
        {"name": "r", "task": 1, "queued": 2.0, "init": 200.0, "start": 500.0, "phase": "running", "label": "x=3"},
        {"name": "k", "task": 1, "queued": 2.0, "start": 3.0, "end": 900.0, "label": "x=4"},
    ]
    tasks = ["work.main", "work.step", "img.say"]
    note = 'Threads of work.step take turns on one core: flyte.init(isolation="process") gives each a process'
    return documents.document(rows, tasks, live=True, duration_ms=1000.0, note=note)


def lost_run() -> documents.Document:
    """An action whose process used too much memory, and one that runs in the kernel without its limit."""
    error = {"code": "OOMError", "kind": "user", "message": MESSAGE, "place": "declared in cell 6, line 4"}
    rows = [
        {"name": "a0", "parent": -1, "phase": "failed", "start": 1.0, "end": 900.0},
        {"name": "a1", "task": 1, "phase": "failed", "start": 10.0, "end": 400.0, "error": "OOMError: widen"},
        {"name": "a2", "task": 1, "start": 410.0, "end": 900.0},
    ]
    code = {"source": "", "place": "cell 6, line 4", "settings": {"resources": "memory=200Mi"}, "digest": ""}
    lost = documents.detail(
        "a1",
        "frames.widen",
        phase="failed",
        where="process (4711)",
        isolation="process",
        isolation_reason="it has a memory limit",
        error={**error, "traceback": f"flyte_nb.errors.OOMError: {MESSAGE}"},
        code=code,
    )
    reason = "flyte.init(isolation='kernel'); in the kernel these do not hold: a memory limit"
    unbounded = documents.detail("a2", "frames.widen", isolation_reason=reason, code=code)
    return documents.document(
        rows, ["frames.main", "frames.widen"], error={**error, "action": "a1"}, details={"a1": lost, "a2": unbounded}
    )


def row(page: Page, words: str) -> str:
    return page.locator(".fnb-row", has_text=words).inner_text()


def test_a_row_says_what_is_done_before_its_code_runs(draw_run: DrawRun) -> None:
    page = draw_run(waiting_run())
    assert "waiting for resources" in row(page, "x=1")
    assert "initializing" in row(page, "x=2")
    assert "image: + pandas==3.0" in row(page, "img.say")
    assert all(words not in row(page, "x=0") + row(page, "x=3") for words in ("waiting", "initializing"))
    expect(page.locator(".fnb-header")).to_contain_text("take turns on one core")


def test_the_bar_of_an_action_shows_queue_start_and_run_apart(draw_run: DrawRun) -> None:
    page = draw_run(waiting_run())
    parts = page.locator(".fnb-row", has_text="x=3").locator(".fnb-cell-track > i")
    queue, init, bar = [parts.nth(at).evaluate("i => [i.offsetLeft, i.offsetWidth]") for at in range(3)]
    assert queue[1] > 0 and init[1] > 0 and bar[1] > 0
    assert queue[0] + queue[1] <= init[0] + 1 and init[0] + init[1] <= bar[0] + 1
    kernel = page.locator(".fnb-row", has_text="x=4").locator(".fnb-init")
    assert kernel.evaluate("i => i.offsetWidth") == 0
    page.locator(".fnb-row", has_text="x=3").click()
    expect(page.locator(".fnb-timing")).to_contain_text("queued 198 ms")
    expect(page.locator(".fnb-timing")).to_contain_text("initializing 300 ms")


def test_the_last_output_of_a_lost_process_is_folded(draw_run: DrawRun) -> None:
    page = draw_run(lost_run())
    head, detail = page.locator(".fnb-header"), page.locator(".fnb-detail")
    expect(head).to_contain_text("Give it more.")
    assert "Its last output" not in head.inner_text()
    expect(detail).to_contain_text("in process (4711)")
    expect(detail.locator(".fnb-errorbox pre")).to_be_visible()
    expect(detail.locator(".fnb-traceback")).to_have_count(0)
    detail.get_by_role("tab", name="Summary").click()
    expect(detail.locator(".fnb-errorbox pre")).to_be_hidden()
    detail.locator("summary", has_text="3 more lines").click()
    expect(detail.locator(".fnb-errorbox pre")).to_contain_text('File "cell 6", line 7 in widen')


def test_the_task_says_where_it_runs_why_and_what_does_not_hold_there(draw_run: DrawRun) -> None:
    page = draw_run(lost_run())
    detail = page.locator(".fnb-detail")
    detail.get_by_role("tab", name="Task").click()
    expect(detail).to_contain_text("process: it has a memory limit")
    expect(detail.locator(".fnb-caveat")).to_have_count(0)
    page.locator(".fnb-row").nth(2).click()
    expect(detail).to_contain_text("kernel: flyte.init(isolation='kernel')")
    expect(detail.locator(".fnb-caveat")).to_have_text("in the kernel these do not hold: a memory limit")
    detail.get_by_role("tab", name="Summary").click()
    expect(detail.locator(".fnb-caveat")).to_be_visible()


@pytest.mark.parametrize("width", [400, 1100])
def test_a_row_with_much_to_say_keeps_to_its_line(draw_run: DrawRun, width: int) -> None:
    page = draw_run(waiting_run(), width=width)
    names = page.locator(".fnb-cell-name")
    assert names.evaluate_all("cells => cells.every(cell => cell.scrollHeight <= 27)")

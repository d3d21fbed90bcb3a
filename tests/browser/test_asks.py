"""Questions that a run waits to have answered, in its explorer; the page plays the kernel."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser import documents
from tests.browser.conftest import DrawRun
from tests.browser.lab import PICTURES, READY_MS, Lab, open_notebook, run_cell, take
from tests.browser.test_explorer_live import CONNECT, asked, head, say
from tests.browser.test_side_panel import execute, runs_in

pytestmark = pytest.mark.browser

PUBLISH = {
    "action": "a1",
    "name": "publish",
    "prompt": "Publish **churn-v7** <b>now</b>?",
    "description": "AUC 0.91 on the holdout, 0.89 in production.",
    "type": "bool",
    "until": 602_000.0,
}
THRESHOLD = {
    "action": "a2",
    "name": "threshold",
    "prompt": "From which score on?",
    "description": "",
    "type": "float",
    "until": None,
}
REMARK = {
    "action": "a0",
    "name": "remark",
    "prompt": "What should the report say?",
    "description": "",
    "type": "str",
    "until": None,
}


@pytest.fixture
def live(draw_run: DrawRun) -> Page:
    page = draw_run(documents.failed_run())
    connect(page)
    return page


def connect(page: Page) -> None:
    document = {**documents.running_run(), "questions": [PUBLISH, THRESHOLD]}
    page.evaluate(CONNECT, document)
    page.wait_for_selector(".fnb-row")
    say(page, "snapshot", doc=document)


def renew(page: Page, *questions: dict[str, Any]) -> None:
    changed = head(questions=list(questions), counts={"running": 1, "paused": len(questions)})
    say(page, "delta", head=changed, tasks=[], groups=[], rows=[], actions=documents.columns([]))


def answers(page: Page) -> list[dict[str, Any]]:
    return asked(page, "answer")


def test_each_type_is_asked_with_its_own_widget_and_answered(live: Page) -> None:
    publish, threshold = live.get_by_role("form", name="publish"), live.get_by_role("form", name="threshold")
    expect(publish).to_contain_text("Publish **churn-v7** <b>now</b>?")
    expect(publish).to_contain_text("10 min 00 s left")
    expect(threshold).not_to_contain_text("left")
    threshold.get_by_role("textbox", name="From which score on?").fill("0.")
    renew(live, PUBLISH, THRESHOLD, REMARK)
    expect(live.get_by_role("form", name="remark")).to_be_visible()
    expect(threshold.get_by_role("textbox")).to_have_value("0.")
    publish.get_by_role("button", name="Reject").click()
    expect(publish).to_contain_text("Answering…")
    expect(publish.get_by_role("button", name="Approve")).to_be_disabled()
    threshold.get_by_role("textbox").fill("0.85")
    threshold.get_by_role("textbox").press("Enter")
    assert [(one["action"], one["value"]) for one in answers(live)] == [("a1", False), ("a2", "0.85")]
    renew(live, REMARK)
    expect(live.locator(".fnb-ask")).to_have_count(1)
    renew(live)
    expect(live.locator(".fnb-asks")).to_be_hidden()


def test_an_answer_that_is_refused_says_why_and_can_be_given_again(live: Page) -> None:
    threshold = live.get_by_role("form", name="threshold")
    threshold.get_by_role("textbox").fill("high")
    threshold.get_by_role("button", name="Answer").click()
    [first] = answers(live)
    refusal = "'high' is no answer: answer with a number"
    say(live, "outcome", ask=first["ask"], did="answer", refused=refusal)
    expect(threshold).to_contain_text(refusal)
    expect(threshold.get_by_role("textbox")).to_be_focused()
    threshold.get_by_role("textbox").fill("1")
    threshold.get_by_role("textbox").press("Enter")
    expect(threshold).not_to_contain_text(refusal)
    assert [one["value"] for one in answers(live)] == ["high", "1"]


def test_without_the_kernel_that_asks_the_way_to_answer_is_said(draw_run: DrawRun) -> None:
    page = draw_run({**documents.running_run(), "questions": [PUBLISH]})
    publish = page.get_by_role("form", name="publish")
    expect(publish).to_contain_text("answer with %flyte signal rlive a1 VALUE")
    expect(publish.get_by_role("button", name="Approve")).to_be_disabled()


@pytest.mark.parametrize("width", [400, 1100])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_questions_fit_the_page(draw_run: DrawRun, width: int, scheme: str) -> None:
    page = draw_run(documents.failed_run(), width=width, scheme=scheme)
    connect(page)
    renew(page, PUBLISH, THRESHOLD, {**REMARK, "name": "n" * 200})
    expect(page.locator(".fnb-ask")).to_have_count(3)
    overhang = "Math.max(...[...document.querySelectorAll('.fnb-ask *')].map(e => e.getBoundingClientRect().right))"
    assert page.evaluate(overhang) <= width
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/asks-{scheme}-{width}.png")


# ---------------------------------------------------------------- in JupyterLab

CELL = """
import flyte_nb as flyte
await flyte.report.replace.aio("<p>loss 0.5</p>", do_flush=True)
score = await (await flyte.new_condition.aio("threshold", prompt="From which score on?", data_type=float)).wait.aio()
await flyte.report.replace.aio("<p>loss 0.4</p>", do_flush=True)
publish = await flyte.new_condition.aio("publish", prompt="Publish the model with a score of 0.96?", timeout=600)
sure = await publish.wait.aio()
print(f"from {score}, {sure}")
"""


def test_a_cell_becomes_a_task_by_a_button_and_its_questions_are_answered_while_it_runs(page: Page, lab: Lab) -> None:
    name = lab.write("ask.ipynb", ["# loads nothing yet", CELL.strip()])
    open_notebook(page, lab, name)
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    cells.nth(1).locator(".jp-InputArea-editor").click()
    page.keyboard.press("Control+Home")
    button = page.locator(".jp-NotebookPanel-toolbar [data-jp-item-name=flyte-run-as-task] jp-button")
    button.click()
    expect(cells).to_have_count(3)
    expect(cells.nth(0)).to_contain_text("%load_ext flyte_nb")
    expect(cells.nth(2)).to_contain_text("%%flyte run")
    expect(button).to_have_attribute("aria-pressed", "true")
    take(page, "toolbar-button")
    button.click()
    expect(cells.nth(2)).not_to_contain_text("%%flyte run")
    button.click()
    expect(cells.nth(2).locator(".cm-line").nth(0)).to_have_text("%%flyte run")
    expect(cells.nth(2).locator(".cm-line").nth(1)).to_have_text("import flyte_nb as flyte")
    run_cell(page, 2)
    threshold = page.get_by_role("form", name="threshold")
    expect(page.get_by_role("tab", name="Report")).to_be_visible(timeout=READY_MS)
    page.get_by_role("tab", name="Report").click()
    report = page.frame_locator(".fnb-report")
    expect(report.locator("p")).to_have_text("loss 0.5")
    threshold.get_by_role("textbox").fill("high")
    threshold.get_by_role("button", name="Answer").click()
    expect(threshold).to_contain_text("'high' is no answer: answer with a number")
    threshold.get_by_role("textbox").fill("0.5")
    take(page, "ask-number")
    threshold.get_by_role("textbox").press("Enter")
    publish = page.get_by_role("form", name="publish")
    expect(publish).to_contain_text("left")
    expect(page.locator(".fnb-row", has_text="threshold")).to_contain_text("condition")
    expect(report.locator("p")).to_have_text("loss 0.4")
    take(page, "ask-approve")
    execute(page, "Show Flyte Runs")
    runs_in(page).filter(has_text="paused").or_(runs_in(page).filter(has_text="running")).first.click()
    tab = page.locator(".fnb-runtab")
    asked_there = tab.get_by_role("form", name="publish")
    expect(asked_there).to_contain_text("left")
    take(page, "ask-in-a-tab")
    asked_there.get_by_role("button", name="Approve").click()
    expect(tab.locator(".fnb-badge")).to_have_text("succeeded")
    expect(tab.locator(".fnb-asks")).to_be_hidden()
    page.get_by_role("tab", name="ask.ipynb").click()
    expect(page.locator(".jp-OutputArea-output", has_text="from 0.5, True")).to_be_visible()
    expect(page.locator(".jp-Notebook .fnb-badge")).to_have_text("succeeded")
    expect(page.locator(".jp-Notebook .fnb-asks")).to_be_hidden()
    take(page, "ask-done")

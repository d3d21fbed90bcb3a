"""Two runs side by side, as a page draws them."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser import documents
from tests.browser.conftest import DrawRun
from tests.browser.lab import READY_MS, Lab, open_notebook, run_cell, take

pytestmark = pytest.mark.browser

DRAW = """async doc => {
  const {drawComparison} = await import('/widget.js');
  document.body.replaceChildren();
  drawComparison(document.body.appendChild(document.createElement('div')), doc);
}"""


def side(action: str, phase: str = "succeeded", duration: float | None = 100.0, **more: Any) -> dict[str, Any]:
    facts = {"action": action, "phase": documents.PHASES.index(phase), "duration": duration}
    return {**facts, "label": "x=1", "error": None, **more}


def row(left: dict[str, Any] | None, right: dict[str, Any] | None, *differs: str, **more: Any) -> dict[str, Any]:
    pair = {"left": left, "right": right, "differs": list(differs)}
    return {"parent": 0, "task": "iris.fit", "group": "", "inputs": [], "outputs": [], **pair, **more}


def compared(**more: Any) -> dict[str, Any]:
    run = {
        "task": "iris.main",
        "phase": "succeeded",
        "started_at": documents.STARTED_AT_MS,
        "duration_ms": 1_000.0,
        "total": 4,
        "error": None,
    }
    failed = side("f2", "failed", 300.0, error="ValueError: <b>unlucky</b>")
    rows = [
        {**row(side("a0"), side("a0")), "parent": -1, "task": "iris.main"},
        row(side("f1"), side("f1")),
        row(side("f2"), failed, "outcome", "inputs", "duration", inputs=[["scale", "10", "<i>2</i>"]]),
        row(None, side("f3", label="x=9"), "missing"),
    ]
    return {
        "version": 1,
        "left": {**run, "run": "rleft"},
        "right": {**run, "run": "rright", "phase": "failed", "error": "ValueError: <b>unlucky</b>"},
        "differences": [["code of iris.fit", "5e1f", "81aa"]],
        "same": 2,
        "total": 4,
        "rows": rows,
        **more,
    }


@pytest.fixture
def page_of(draw_run: DrawRun) -> Page:
    return draw_run(documents.running_run())


def test_what_differs_is_shown_first_and_the_rest_on_demand(page_of: Page) -> None:
    page = page_of
    page.evaluate(DRAW, compared())
    rows = page.locator(".fnb-comparetable > tbody > tr")
    expect(rows).to_have_count(3)
    expect(page.locator(".fnb-given")).to_contain_text("code of iris.fit5e1f→ 81aa")
    expect(rows.nth(1)).to_contain_text("scale10→ <i>2</i>")
    expect(rows.nth(1)).to_contain_text("as long")
    expect(rows.nth(1)).to_contain_text("ValueError: <b>unlucky</b>")
    expect(rows.nth(2)).to_contain_text("not in this run")
    page.get_by_role("checkbox", name="Also what is the same").check()
    expect(rows).to_have_count(4)


def test_runs_that_are_the_same_show_every_action(page_of: Page) -> None:
    page = page_of
    rows = [{**row(side("a0"), side("a0")), "parent": -1}]
    page.evaluate(DRAW, compared(rows=rows, same=1, total=1, differences=[]))
    expect(page.locator(".fnb-comparedbar")).to_have_text("The only action is the same")
    expect(page.locator(".fnb-comparetable > tbody > tr")).to_have_count(1)
    page.evaluate(DRAW, {"version": 2, "rows": []})
    expect(page.locator(".fnb-fault")).to_contain_text("update flyte_nb")


TASKS = """
import flyte_nb as flyte
env = flyte.TaskEnvironment("pipe")

@env.task
async def load(n: int) -> list[str]:
    return [f"a row of the data {k}" for k in range(n)]

@env.task
async def join(rows: list[str]) -> str:
    return " ".join(rows)

@env.task
async def main(n: int) -> str:
    return await join(await load(n))
"""
CELLS = (
    "%load_ext flyte_nb",
    TASKS,
    "first = flyte.run(main, 2)",
    "flyte.run(main, 3);",
    "get_ipython().run_line_magic('flyte', f'compare {first.name}')",
)


def test_a_notebook_compares_its_runs_and_draws_the_graph_of_one(page: Page, lab: Lab) -> None:
    lab.write("compare.ipynb", CELLS)
    open_notebook(page, lab, "compare.ipynb")
    for cell in range(len(CELLS)):
        run_cell(page, cell)
    comparison = page.locator(".jp-Notebook .fnb-comparison")
    expect(comparison).to_be_visible(timeout=READY_MS)
    expect(comparison.locator(".fnb-comparetable > tbody > tr")).to_have_count(3)
    expect(comparison).to_contain_text("n2→ 3")
    run = page.locator(".jp-Notebook .fnb-explorer").first
    run.get_by_role("tab", name="Graph").click()
    expect(run.locator(".fnb-node")).to_have_count(3)
    expect(run.locator(".fnb-node").first).to_have_css("position", "absolute")
    run.locator(".fnb-node", has_text="join").click()
    expect(run.locator(".fnb-edge-data text")).to_have_text("o0 → rows")
    take(page, "comparison")

"""Runs of a real kernel in JupyterLab: several in one cell, failed, stopped, aborted while their cell blocks, large."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.lab import Lab, interrupt_kernel, open_notebook, run_cell, save, take

pytestmark = pytest.mark.browser

PREPARE = """
%load_ext flyte_nb
import asyncio
import flyte_nb as flyte
env = flyte.TaskEnvironment("work")

@env.task
def square(x: int) -> int:
    print(f"squaring {x}")
    if x == 7:
        raise ValueError("seven is unlucky")
    return x * x

@env.task
async def all_squares(n: int) -> int:
    return sum(await asyncio.gather(*[square.aio(x) for x in range(n)]))

@env.task
async def wait(x: int, seconds: float) -> int:
    await asyncio.sleep(seconds)
    return x

@env.task
async def wait_for_many(n: int) -> int:
    with flyte.group("waits"):
        return sum(await asyncio.gather(*[wait(x, 0.01 if x < n // 2 else 3600.0) for x in range(n)]))
"""
LOOP = """
for x in range(30):
    try:
        flyte.run(square, x)
    except flyte.errors.RuntimeUserError:
        pass
"""
SHOW = """
import numpy as np, pandas as pd, matplotlib.pyplot as plt, sys, time

@env.task
def show() -> tuple[pd.DataFrame, np.ndarray]:
    print("\\x1b[32mgreen\\x1b[0m and plain")
    for k in range(1, 4):
        print(f"\\r{k} of 3", end="", file=sys.stderr)
    print(file=sys.stderr)
    plt.plot([1, 4, 2])
    plt.show()
    return pd.DataFrame({"name": ["ada", "bob"], "score": [0.9, 0.4]}), np.arange(6.0).reshape(2, 3)

run = flyte.run(show)
"""


@pytest.fixture(autouse=True)
def page_without_errors(page: Page) -> Iterator[None]:
    """Fails the test on an uncaught error of the page."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield
    assert not errors, errors


def start(page: Page, lab: Lab, name: str, cell: str) -> Locator:
    """Opens a new notebook with the tasks in its first cell, runs that and `cell`; returns the explorer to be."""
    page.set_viewport_size({"width": 1280, "height": 1400})
    open_notebook(page, lab, lab.write(f"{name}.ipynb", [PREPARE.strip(), cell.strip()]))
    run_cell(page, 0)
    run_cell(page, 1)
    return page.locator(".jp-Notebook .fnb-root")


def pick_until_shown(view: Locator, text: str, phase: str) -> None:
    """Picks a run; again where the notebook, just opened, drew its outputs anew under the pick."""
    line, badge = view.locator(".fnb-runrow", has_text=text), view.locator(".fnb-badge", has_text=phase)
    for _ in range(5):
        line.click()
        try:
            expect(badge).to_be_visible(timeout=3_000)
        except AssertionError:
            continue
        return
    expect(badge).to_be_visible()


def test_the_runs_of_a_loop_are_lines_of_one_explorer(page: Page, lab: Lab) -> None:
    view = start(page, lab, "runs", LOOP)
    expect(view.locator(".fnb-runshead")).to_contain_text("30 runs")
    expect(view.locator(".fnb-runshead [title='29 succeeded']")).to_be_visible()
    expect(page.locator(".jp-Notebook .fnb-root")).to_have_count(1)
    expect(view.locator(".fnb-header")).to_contain_text("seven is unlucky")
    expect(view.locator(".fnb-runrow[aria-selected=true]")).to_contain_text("seven is unlucky")
    take(page, "runs")

    view.locator(".fnb-runrow", has_text="x=5").click()
    expect(view.locator(".fnb-badge")).to_have_text("succeeded")
    expect(view.locator(".fnb-runrow[aria-selected=true]")).to_contain_text("x=5")
    view.get_by_role("tab", name="Logs").click()
    expect(view.locator(".fnb-log")).to_contain_text("squaring 5")
    view.get_by_role("listbox").focus()
    page.keyboard.press("End")
    expect(view.locator(".fnb-runrow[aria-selected=true]")).to_contain_text("x=29")
    take(page, "runs-picked")

    saved = save(page, lab, "runs.ipynb")
    saved["metadata"]["kernelspec"] = {"name": "none", "display_name": "none"}
    (lab.root / "runs_reopened.ipynb").write_text(json.dumps(saved))
    open_notebook(page, lab, "runs_reopened.ipynb", kernel=False)
    page.keyboard.press("Escape")
    expect(view.locator(".fnb-header")).to_contain_text("seven is unlucky")
    pick_until_shown(view, "x=5", "succeeded")
    expect(view.locator(".fnb-row")).to_contain_text("square")


def test_a_failed_run_names_the_cell_and_opens_at_its_error(page: Page, lab: Lab) -> None:
    view = start(page, lab, "failed", "flyte.run(all_squares, 10)")
    expect(view.locator(".fnb-badge")).to_have_text("failed")
    expect(view.locator(".fnb-note-error")).to_contain_text("ValueError: seven is unlucky")
    expect(view.locator(".fnb-note-error")).to_contain_text("in square, cell 1, line 10")
    expect(view.locator(".fnb-row[aria-selected=true]")).to_contain_text("x=7")
    expect(view.locator(".fnb-detail [role=tab]").first).to_have_text("Error")
    expect(view.locator(".fnb-traceback")).to_contain_text("seven is unlucky")
    take(page, "failed")


def test_a_run_can_be_aborted_while_its_cell_blocks(page: Page, lab: Lab) -> None:
    view = start(page, lab, "aborted", "flyte.run(wait_for_many, 40)")
    expect(view.locator(".fnb-rate")).to_contain_text("20 of 40")
    expect(view.locator(".fnb-row", has_text="waits")).to_contain_text("wait \u00d740")
    take(page, "live-group")
    view.get_by_role("button", name="Abort", exact=True).click()
    view.get_by_role("button", name="Yes, abort").click()
    expect(view.locator(".fnb-badge")).to_have_text("aborted")
    expect(view.get_by_role("button", name="Abort", exact=True)).to_have_count(0)
    take(page, "aborted")


def test_a_run_that_is_stopped_with_its_cell_is_aborted(page: Page, lab: Lab) -> None:
    view = start(page, lab, "stopped", "flyte.run(wait_for_many, 4)")
    expect(view.locator(".fnb-rate")).to_contain_text("2 of 4")
    interrupt_kernel(page)
    expect(view.locator(".fnb-badge")).to_have_text("aborted")
    expect(view.locator(".fnb-row [title*=aborted]").first).to_be_visible()
    take(page, "stopped")


def test_output_figures_and_tables_of_a_task_are_shown(page: Page, lab: Lab) -> None:
    view = start(page, lab, "show", SHOW)
    expect(view.locator(".fnb-badge")).to_have_text("succeeded")
    view.get_by_role("tab", name="Logs").click()
    expect(view.locator(".fnb-ansi-green")).to_have_text("green")
    expect(view.locator(".fnb-stderr")).to_contain_text(["3 of 3"])
    picture = view.locator(".fnb-log img")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    take(page, "show-logs")
    view.get_by_role("tab", name="Outputs").click()
    expect(view.locator("table.fnb-frame:not(.fnb-matrix) tbody tr")).to_have_count(2)
    expect(view.locator("table.fnb-matrix tbody tr").last).to_have_text("345")
    take(page, "show-outputs")


def test_the_python_that_the_explorer_offers_gets_the_outputs(page: Page, lab: Lab) -> None:
    view = start(page, lab, "snippet", "flyte.run(all_squares, 7).phase; flyte.run(wait, 1, 0.0).phase")
    expect(view.locator(".fnb-runrow")).to_have_count(2)
    view.locator(".fnb-runrow", has_text="all_squares").click()
    expect(view.locator(".fnb-badge")).to_have_text("succeeded")
    code = view.locator(".fnb-snippet pre").inner_text()
    page.locator(".jp-Notebook .jp-Cell").last.locator(".cm-content").click()
    page.keyboard.insert_text(code)
    page.keyboard.press("Shift+Enter")
    expect(page.locator(".jp-OutputArea-executeResult").last).to_contain_text("91")

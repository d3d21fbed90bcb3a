"""The quickstart in a real JupyterLab: live while it runs, at hand afterwards, drawn when reopened without a kernel."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page, expect

from tests.browser.lab import PROJECT, Lab, open_notebook, run_cell, save, take

pytestmark = pytest.mark.browser

QUICKSTART = PROJECT / "notebooks" / "quickstart.ipynb"


def place(lab: Lab, name: str) -> str:
    (lab.root / name).write_text(QUICKSTART.read_text())
    return name


def run_all(page: Page) -> None:
    """Runs every cell from the first to the last."""
    cells = json.loads(QUICKSTART.read_text())["cells"]
    running = next(i for i, cell in enumerate(cells) if "%flyte run" in cell["source"][0])
    for index, cell in enumerate(cells):
        if cell["cell_type"] == "code":
            run_cell(page, index)
        if index == running:
            page.wait_for_selector(".fnb-root .fnb-row")
            take(page, "live")


def test_the_quickstart_runs_live_and_is_still_drawn_when_reopened(page: Page, lab: Lab) -> None:
    name = place(lab, "quickstart.ipynb")
    lab.use_theme("JupyterLab Light")
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_viewport_size({"width": 1280, "height": 1500})
    open_notebook(page, lab, name)
    run_all(page)
    explorer = page.locator(".jp-Notebook .fnb-root").first
    expect(explorer.locator(".fnb-badge")).to_have_text("succeeded")
    expect(page.locator(".jp-Notebook .fnb-root")).to_have_count(1)
    page.wait_for_selector("text=slowest_seconds")
    explorer.scroll_into_view_if_needed()
    take(page, "done")

    explorer.get_by_placeholder("Filter").fill("plot")
    explorer.locator(".fnb-row", has_text="plot").click()
    take(page, "plot")
    explorer.get_by_role("tab", name="Report").click()
    report = explorer.frame_locator("iframe")
    expect(report.get_by_text("Which model misses least?")).to_be_visible()
    explorer.scroll_into_view_if_needed()
    take(page, "report")

    saved = save(page, lab, name)
    bundles = [
        output["data"]
        for cell in saved["cells"]
        for output in cell.get("outputs", [])
        if "application/vnd.flyte.run+json" in output.get("data", {})
    ]
    assert len(bundles) == 1
    assert "application/vnd.jupyter.widget-view+json" not in bundles[0]
    assert len(json.dumps(bundles[0]["application/vnd.flyte.run+json"])) < 120_000

    lab.end_kernels()
    without_kernel = {
        **saved,
        "metadata": {**saved["metadata"], "kernelspec": {"name": "none", "display_name": "none"}},
    }
    (lab.root / "quickstart_reopened.ipynb").write_text(json.dumps(without_kernel))
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        lab.use_theme(theme)
        open_notebook(page, lab, "quickstart_reopened.ipynb", kernel=False)
        page.keyboard.press("Escape")
        reopened = page.locator(".jp-Notebook .fnb-root").first
        expect(reopened.locator(".fnb-badge")).to_have_text("succeeded")
        reopened.scroll_into_view_if_needed()
        take(page, f"reopened in {theme}")
    assert not errors, errors

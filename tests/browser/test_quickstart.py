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


def run_all(page: Page, short: str) -> None:
    """Runs every cell from the first to the last; `short` names the theme in the picture of the live run."""
    cells = json.loads(QUICKSTART.read_text())["cells"]
    running = next(i for i, cell in enumerate(cells) if "%flyte run" in cell["source"][0])
    for index, cell in enumerate(cells):
        if cell["cell_type"] == "code":
            run_cell(page, index)
        if index == running:
            page.wait_for_selector(".fnb-root .fnb-row", timeout=60_000)
            take(page, f"live-{short}")


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_the_quickstart_runs_live_and_is_still_drawn_when_reopened(page: Page, lab: Lab, theme: str) -> None:
    short = theme.rpartition(" ")[2].lower()
    name = place(lab, f"quickstart-{short}.ipynb")
    lab.use_theme(theme)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_viewport_size({"width": 1280, "height": 1500})
    open_notebook(page, lab, name)
    run_all(page, short)
    explorer = page.locator(".jp-Notebook .fnb-root").first
    expect(explorer.locator(".fnb-badge")).to_have_text("succeeded", timeout=60_000)
    expect(page.locator(".jp-Notebook .fnb-root")).to_have_count(1)
    page.wait_for_selector("text=slowest_seconds", timeout=60_000)
    explorer.scroll_into_view_if_needed()
    take(page, f"done-{short}")

    explorer.get_by_placeholder("Filter").fill("plot")
    explorer.locator(".fnb-row", has_text="plot").click()
    take(page, f"plot-{short}")
    explorer.get_by_role("tab", name="Report").click()
    take(page, f"report-{short}")
    report = explorer.frame_locator("iframe")
    expect(report.get_by_text("Which model misses least?")).to_be_visible(timeout=20_000)
    explorer.scroll_into_view_if_needed()
    take(page, f"report-{short}")

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
    (lab.root / f"reopened-{short}.ipynb").write_text(json.dumps(without_kernel))
    open_notebook(page, lab, f"reopened-{short}.ipynb", kernel=False)
    page.keyboard.press("Escape")
    reopened = page.locator(".jp-Notebook .fnb-root").first
    expect(reopened.locator(".fnb-badge")).to_have_text("succeeded", timeout=20_000)
    reopened.scroll_into_view_if_needed()
    take(page, f"reopened-{short}")
    assert not errors, errors

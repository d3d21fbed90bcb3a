"""Runs that go on from others: lineage and reuse in a plain page, and notebooks/recovery.ipynb in a real JupyterLab."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser import documents
from tests.browser.conftest import DrawRun
from tests.browser.lab import PROJECT, Lab, open_notebook, take

pytestmark = pytest.mark.browser


def forked_run(**head: object) -> documents.Document:
    """A root that ran again over one reused action and one that came from the cache."""
    rows = [
        {"name": "a0", "parent": -1, "start": 1.0, "end": 900.0},
        {"name": "a1", "task": 1, "phase": "recovered", "end": 2.0, "source": "recovered", "label": "x=1"},
        {"name": "a2", "task": 1, "start": 3.0, "end": 4.0, "source": "cache", "label": "x=2"},
    ]
    details = {
        "a1": documents.detail("a1", "flow.part", phase="recovered", source="night/a1"),
        "a2": documents.detail("a2", "flow.part", source="cache:older/a9"),
    }
    lineage = {"parent_run": "night", "lineage": "forks"}
    return documents.document(rows, ["flow.whole", "flow.part"], details=details, **{**lineage, **head})


def test_the_header_says_what_a_run_goes_on_from_and_how_much_it_reused(draw_run: DrawRun) -> None:
    header = draw_run(forked_run()).locator(".fnb-header")
    expect(header).to_contain_text("forks night")
    expect(header).to_contain_text("1 recovered")
    expect(header).to_contain_text("1 cached")


def test_a_run_that_a_task_started_is_of_that_run(draw_run: DrawRun) -> None:
    header = draw_run(forked_run(lineage="")).locator(".fnb-header")
    expect(header).to_contain_text("of night")
    expect(header).not_to_contain_text("forks")


def test_a_reused_action_names_where_its_result_is_from(draw_run: DrawRun) -> None:
    page = draw_run(forked_run())
    page.locator(".fnb-row", has_text="x=1").click()
    expect(page.locator(".fnb-detailhead .fnb-where")).to_have_text("recovered · from night/a1")
    page.locator(".fnb-row", has_text="x=2").click()
    expect(page.locator(".fnb-detailhead .fnb-where")).to_have_text("succeeded · from the cache: older/a9")


def test_a_fork_in_the_cell_of_its_run_is_not_drawn_as_started_by_it(draw_run: DrawRun) -> None:
    first = documents.document([{"name": "a0", "parent": -1, "start": 1.0, "end": 2.0}], ["flow.whole"], run="night")
    fork = forked_run(run="morning")
    page = draw_run({**fork, "runs": [first, {"run": "morning"}], "runs_omitted": 0})
    expect(page.locator(".fnb-runrow")).to_have_count(2)
    expect(page.locator(".fnb-runrow .fnb-inner")).to_have_count(0)


def test_the_saved_recovery_notebook_is_drawn_without_a_kernel(page: Page, lab: Lab) -> None:
    saved = (PROJECT / "notebooks" / "recovery.ipynb").read_text()
    (lab.root / "recovery.ipynb").write_text(saved.replace('"python3"', '"none"'))
    lab.use_theme("JupyterLab Dark")
    page.set_viewport_size({"width": 1280, "height": 1500})
    open_notebook(page, lab, "recovery.ipynb", kernel=False)
    page.keyboard.press("Escape")
    explorer = page.locator(".jp-Notebook .fnb-root").first
    explorer.scroll_into_view_if_needed()
    expect(explorer.locator(".fnb-header")).to_contain_text("recovers night")
    explorer.locator(".fnb-row[aria-level='2']", has_text="tides").click()
    expect(explorer.locator(".fnb-detailhead .fnb-where")).to_contain_text("recovered · from night/")
    take(page, "recovery")

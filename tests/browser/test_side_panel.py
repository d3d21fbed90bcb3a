"""The side panel of runs, the tabs it opens, and the status bar's item, in a real JupyterLab and Notebook 7."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from flyte_nb.store.events import Event, RunEnded, RunStarted, encode_event
from flyte_nb.store.home import Home
from flyte_nb.store.journal import Journal
from tests.browser.lab import READY_MS, Lab, open_notebook, run_cell, take

pytestmark = pytest.mark.browser

STARTED_NS = 1_790_000_000_000_000_000
SECOND_NS = 1_000_000_000
PANEL_TAB = ".lm-TabBar-tab[data-id=flyte-nb-runs]"

HOSTILE = "<img src=x onerror=alert(1)>"
DECLARE = """
import asyncio
import flyte_nb as flyte

env = flyte.TaskEnvironment("sidepanel")

@env.task
async def waits() -> None:
    print("waiting")
    await asyncio.sleep(600)
"""
START = """
first = flyte.with_runcontext(labels={'model': 'best'}).start(waits)
second = flyte.with_runcontext(labels={'model': 'other'}).start(waits)
"""


@pytest.fixture
def journal(lab: Lab) -> Iterator[Journal]:
    """What another process records in the store that the notebooks of the lab use."""
    journal = Journal.create(Home(lab.root / "flyte_nb_home"))
    yield journal
    journal.close()


@pytest.fixture
def settings(lab: Lab) -> Iterator[Path]:
    """The file of the reader's settings for the panel."""
    path = lab.root / "settings" / "flyte-nb" / "runs.jupyterlab-settings"
    path.parent.mkdir(parents=True, exist_ok=True)
    yield path
    path.unlink(missing_ok=True)


def record(journal: Journal, *events: Event) -> None:
    for event in events:
        journal.append(encode_event(event))
    journal.flush()


def begun(run: str, task: str, number: int = 0) -> Event:
    return RunStarted(run, STARTED_NS + number * SECOND_NS, task, {}, notebook="elsewhere.ipynb")


def ended(run: str, phase: str, number: int = 0) -> Event:
    return RunEnded(run, STARTED_NS + (number + 1) * SECOND_NS, phase)


def list_in(page: Page) -> Locator:
    return page.get_by_role("listbox", name="Runs of the store")


def runs_in(page: Page) -> Locator:
    return list_in(page).get_by_role("option")


def choose(page: Page, name: str, value: str) -> None:
    page.locator("#flyte-nb-runs").get_by_label(name, exact=True).select_option(value)


def test_runs_of_every_process_are_listed_live_and_one_opens_in_a_tab(page: Page, lab: Lab, journal: Journal) -> None:
    name = lab.write("panel.ipynb", [DECLARE, START])
    open_notebook(page, lab, name)
    page.locator(PANEL_TAB).click()
    page.get_by_role("searchbox", name="Search runs").fill("sidepanel")
    expect(page.locator("#flyte-nb-runs")).to_contain_text("No run matches.")

    page.locator(PANEL_TAB).click()  # runs that begin while it is hidden are there when it is shown again
    run_cell(page, 0)
    run_cell(page, 1)
    expect(page.locator(".fnb-status button")).to_have_accessible_name(re.compile(r"[1-9]\d* actions? running"))
    page.locator(PANEL_TAB).click()
    first, second = (runs_in(page).filter(has_text=f"model={name}") for name in ("best", "other"))
    expect(first).to_contain_text("running")
    expect(second).to_contain_text("running")
    record(journal, begun("panelother", "sidepanel.other"))
    other = runs_in(page).filter(has_text="panelother")
    expect(other).to_contain_text("running")
    record(journal, ended("panelother", "failed"))
    expect(other).to_contain_text("failed")

    list_in(page).press("ArrowDown")
    list_in(page).press("Enter")
    tab = page.locator(".fnb-runtab")
    expect(tab.locator(".fnb-badge")).to_have_text("running")
    expect(tab.locator(".fnb-detail")).to_contain_text("running")
    take(page, "panel-live")
    abort(tab)
    expect(tab.locator(".fnb-badge")).to_have_text("aborted")
    expect(second).to_contain_text("aborted")
    execute(page, "Abort Flyte Run…")
    dialog = page.locator(".jp-Dialog")
    dialog.locator("select").select_option(f"{first.get_attribute('data-run')} · sidepanel.waits")
    dialog.get_by_role("button", name="Abort").click()
    expect(first).to_contain_text("aborted")
    choose(page, "Phase", "Failed")
    expect(runs_in(page)).to_have_count(1)
    expect(other).to_be_visible()

    page.goto(f"{lab.url}/lab")
    expect(page.locator(".fnb-runtab .fnb-badge")).to_have_text("aborted")
    page.get_by_role("searchbox", name="Search runs").fill("panelother")
    expect(runs_in(page)).to_have_count(1)


def abort(tab: Locator) -> None:
    """Aborts the run that a tab shows, as a reader who is asked whether that is meant."""
    tab.get_by_role("button", name="Abort", exact=True).first.click()
    tab.locator(".fnb-desk").get_by_role("button", name="Yes, abort").click()


def test_another_projects_thousands_of_runs_are_scrolled_and_the_settings_hold(
    page: Page, lab: Lab, settings: Path
) -> None:
    settings.write_text(json.dumps({"openOnStart": True, "period": "day", "runView": "timeline", "showStatus": False}))
    archive = Journal.create(Home(lab.root / "archive" / ".flyte_nb"))
    names = [(f"p{number:04}", number) for number in range(2_000)]
    record(
        archive, *(begun(run, "shop.main", at) for run, at in names), *(ended(run, "failed", at) for run, at in names)
    )
    record(archive, begun("phostile", f"shop.{HOSTILE}", 3_000), ended("phostile", "failed", 3_000))
    archive.close()
    page.goto(f"{lab.url}/lab?reset")
    panel = page.locator("#flyte-nb-runs")
    expect(panel).to_be_visible()
    expect(page.locator(".fnb-status")).to_be_hidden()
    choose(page, "Store", "archive/.flyte_nb")
    expect(panel).to_contain_text("No run matches.")
    choose(page, "Time", "")
    expect(panel.get_by_role("status")).to_have_text("2,001 runs")
    expect(runs_in(page).first).to_contain_text(HOSTILE)
    expect(panel.locator("img")).to_have_count(0)

    walk_to_the_end(page, "p0000")
    assert runs_in(page).count() < 60
    oldest = runs_in(page).filter(has_text="p0000")
    expect(oldest).to_have_attribute("aria-setsize", "2001")
    expect(oldest).to_have_attribute("aria-posinset", "2001")
    take(page, "panel-thousands")
    execute(page, "Open Flyte Run…")
    page.locator(".jp-Dialog input").fill("p0007")
    page.locator(".jp-Dialog").get_by_role("button", name="Open").click()
    expect(page.locator(".fnb-runtab").get_by_role("tab", name="Timeline")).to_have_attribute("aria-selected", "true")
    expect(page.locator(".fnb-runtab .fnb-header")).to_contain_text("p0007")


def walk_to_the_end(page: Page, last: str) -> None:
    """Presses End, which reads the next runs, until the last is there."""
    oldest = runs_in(page).filter(has_text=last)
    while not oldest.count():
        list_in(page).press("End")  # focused each time: the launcher takes the focus when it comes
        page.evaluate("() => new Promise(requestAnimationFrame)")
    list_in(page).press("End")  # it may stand below the one on which the keyboard stands
    expect(oldest).to_have_attribute("aria-selected", "true")


def test_notebook_7_shows_the_panel_and_a_run_beneath_the_notebook(page: Page, lab: Lab, journal: Journal) -> None:
    record(journal, begun("panelclassic", "sidepanel.classic"), ended("panelclassic", "succeeded"))
    name = lab.write("classic_panel.ipynb", ["1"])
    page.goto(f"{lab.url}/notebooks/{name}")
    page.get_by_text("Python 3 (ipykernel)").wait_for(timeout=READY_MS)
    execute(page, "Show Flyte Runs")
    page.get_by_role("searchbox", name="Search runs").fill("panelclassic")
    runs_in(page).filter(has_text="panelclassic").click()
    badge = page.locator(".fnb-runtab .fnb-badge")
    expect(badge).to_have_text("succeeded")
    expect(badge).to_be_in_viewport()
    take(page, "panel-notebook-7")


def execute(page: Page, command: str) -> None:
    """Chooses a command of the palette."""
    page.get_by_role("menuitem", name="View").click()
    page.get_by_role("menuitem", name="Activate Command Palette").click()
    page.locator(".lm-CommandPalette-input").fill(command)
    page.locator(".lm-CommandPalette-item", has_text=command).first.click()

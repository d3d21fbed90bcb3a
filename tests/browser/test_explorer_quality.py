"""How the explorer holds up while it is live: it stays where it is, and can be heard as well as seen."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser import documents
from tests.browser.conftest import DrawRun
from tests.browser.lab import take
from tests.browser.test_explorer_live import CONNECT, head, say

pytestmark = pytest.mark.browser

OBSERVE_SHIFTS = """() => {
  window.shifts = [];
  const moved = entry => ({value: entry.value, what: entry.sources.map(source => source.node?.className ?? '')});
  new PerformanceObserver(list => shifts.push(...list.getEntries().map(moved))).observe({type: 'layout-shift'});
}"""
IMPERCEPTIBLE = 0.001
"""A hundredth of what browsers' makers call good: a count that gets another digit is allowed."""
ACTIONS = 60


def row(k: int, phase: str) -> dict[str, Any]:
    end = 100.0 * k + 50 if phase == "succeeded" else None
    return {
        "name": f"s{k}",
        "task": 1,
        "queued": 4.0,
        "start": 100.0 * k,
        "end": end,
        "label": f"x={k}",
        "phase": phase,
    }


def test_nothing_jumps_while_a_run_is_live(draw_run: DrawRun) -> None:
    page = draw_run(documents.running_run())
    page.evaluate(CONNECT, documents.running_run())
    rows = [{"name": "a0", "parent": -1, "phase": "running", "start": 1.0}, *(row(k, "running") for k in range(30))]
    run = documents.document(rows, ["squares.main", "squares.square"], run="rlive", live=True, duration_ms=2000.0)
    say(page, "snapshot", doc=run)
    expect(page.locator(".fnb-row").nth(1)).to_contain_text("\u00d730")
    page.evaluate(OBSERVE_SHIFTS)
    for k in range(30, ACTIONS):
        done, begun = k - 30, k
        changed = documents.columns([row(done, "succeeded"), row(begun, "running")])
        counts = {"running": 31, "succeeded": done + 1}
        news = head(duration_ms=2000.0 + 100 * k, total=begun + 2, counts=counts)
        say(page, "delta", head=news, tasks=[], groups=[], rows=[done + 1, begun + 1], actions=changed)
        page.evaluate("() => new Promise(requestAnimationFrame)")
    expect(page.locator(".fnb-row").nth(1)).to_contain_text("\u00d760")
    shifts = page.evaluate("shifts")
    assert sum(shift["value"] for shift in shifts) < IMPERCEPTIBLE, shifts


def test_a_screen_reader_hears_phases_names_and_places(draw_run: DrawRun) -> None:
    page = draw_run(documents.failed_run())
    tree = page.get_by_role("treegrid", name="Actions")
    expect(tree.get_by_role("row", level=1)).to_have_accessible_name(re.compile("^failed main"))
    failed = tree.get_by_role("row", name=re.compile("^failed fit depth=9"))
    expect(failed).to_have_attribute("aria-level", "2")
    expect(failed).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("tablist", name="View").get_by_role("tab", name="Tree")).to_have_attribute(
        "aria-selected", "true"
    )
    expect(page.get_by_role("region", name="Selected action").get_by_role("tabpanel")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="Run r7k2m9 failed")).to_have_count(1)
    without_name = "() => [...document.querySelectorAll('.fnb-root button')].filter(b => !b.innerText && !b.ariaLabel)"
    assert page.evaluate(f"({without_name})().length") == 0


@pytest.mark.parametrize(("scheme", "width"), [("light", 1100), ("dark", 1100), ("light", 400), ("dark", 400)])
def test_every_state_fits_its_width(draw_run: DrawRun, scheme: str, width: int) -> None:
    live = documents.running_run()
    empty = {**live, "actions": documents.columns([]), "phase": "queued", "counts": {}, "total": 0}
    page = draw_run(documents.failed_run(), documents.large_run(10_000), live, empty, width=width, scheme=scheme)
    page.set_viewport_size({"width": width, "height": 1900})
    page.locator(".fnb-root").nth(1).locator(".fnb-row").nth(1).click()
    expect(page.locator(".fnb-root").nth(3)).to_contain_text("Waiting for the first action")
    take(page, f"states-{scheme}-{width}")
    assert_within(page, width)


@pytest.mark.parametrize("width", [400, 1100])
def test_long_names_many_labels_and_groups_keep_to_their_places(draw_run: DrawRun, width: int) -> None:
    page = draw_run(documents.crowded_run(), width=width)
    header = page.locator(".fnb-header")
    first = header.locator(".fnb-chip").first
    expect(first).to_have_attribute("title", f"label note={'w' * 500}")
    assert first.evaluate("chip => chip.offsetWidth") < 300
    folded = header.evaluate("header => header.offsetHeight")
    assert folded < 200
    take(page, f"crowded-{width}")
    header.get_by_role("button", name="194 more labels").click()
    expect(header.locator(".fnb-chip")).to_have_count(200)
    assert header.evaluate("header => header.offsetHeight") < folded + 130
    page.locator(".fnb-row", has_text="long_name").first.click()
    expect(page.locator(".fnb-detailhead .fnb-where")).to_be_visible()
    page.get_by_role("tab", name="Graph").click()
    take(page, f"crowded-graph-{width}")
    assert_within(page, width)


def test_what_is_selected_is_seen_where_the_system_replaces_all_colours(draw_run: DrawRun) -> None:
    page = draw_run(documents.failed_run())
    page.emulate_media(forced_colors="active")
    outline = "row => getComputedStyle(row).outlineStyle"
    assert page.locator(".fnb-row[aria-selected=true]").evaluate(outline) == "solid"
    assert page.locator(".fnb-row[aria-selected=false]").first.evaluate(outline) == "none"
    take(page, "forced-colors")


def assert_within(page: Page, width: int) -> None:
    """Nothing of the page is to be scrolled to sideways."""
    assert page.evaluate("document.documentElement.scrollWidth") <= width

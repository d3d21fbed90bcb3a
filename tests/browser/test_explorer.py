"""The explorer alone, in a plain page: what it shows, what the keyboard does, and what it never does."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser import documents
from tests.browser.conftest import DrawRun
from tests.browser.hostile import hostile_run
from tests.browser.lab import take

pytestmark = pytest.mark.browser

THEMES = Path(sys.prefix) / "share" / "jupyter" / "lab" / "themes" / "@jupyterlab"


def selected(page: Page) -> Locator:
    return page.locator(".fnb-row[aria-selected=true] .fnb-cell-name")


def focus_tree(page: Page) -> None:
    page.locator("[role=treegrid]").focus()


def test_a_failed_run_says_what_failed_first_and_selects_it(draw_run: DrawRun) -> None:
    page = draw_run(documents.failed_run())
    head = page.locator(".fnb-header")
    expect(head).to_contain_text("failed")
    expect(head).to_contain_text("ValueError: depth 9: more leaves than rows")
    expect(head).to_contain_text("in fit, cell 3, line 5")
    expect(page.locator(".fnb-detail")).to_contain_text("attempt 3 of 3")
    expect(page.locator(".fnb-detail .fnb-errorbox")).to_contain_text("depth 9: more leaves than rows")


def test_every_part_of_an_action_has_its_tab_and_only_those(draw_run: DrawRun) -> None:
    page = draw_run(documents.failed_run())
    detail = page.locator(".fnb-detail")
    expect(detail.locator("[role=tab]")).to_have_text(["Error", "Summary", "Inputs", "Logs", "Task"])
    detail.get_by_role("tab", name="Inputs").click()
    expect(detail.locator("table.fnb-frame tbody tr")).to_have_count(3)
    expect(detail.locator("figcaption")).to_have_text(re.compile("120 rows . 4 columns · first 3 rows"))
    detail.get_by_role("tab", name="Error").click()
    expect(detail.locator(".fnb-traceback")).to_contain_text("cell 3, line 5")
    assert "\x1b" not in detail.inner_text()
    page.locator(".fnb-row", has_text="summarise").click()
    detail.get_by_role("tab", name="Outputs").click()
    assert detail.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 240


def test_logs_show_terminal_colours_and_can_be_searched(draw_run: DrawRun) -> None:
    page = draw_run(documents.failed_run())
    focus_tree(page)
    page.keyboard.press("l")
    lines = page.locator(".fnb-log")
    expect(lines).to_have_count(4)
    assert page.locator(".fnb-ansi-green").first.inner_text() == "epoch 1"
    page.get_by_placeholder("Search").fill("EPOCH")
    expect(lines).to_have_count(2)
    expect(page.locator(".fnb-logs mark")).to_have_count(2)


def test_a_report_is_shown_in_a_frame_without_rights(draw_run: DrawRun) -> None:
    page = draw_run(documents.failed_run())
    page.locator(".fnb-row", has_text="summarise").click()
    page.get_by_role("tab", name="Report").click()
    frame = page.locator("iframe")
    assert frame.get_attribute("sandbox") == ""
    expect(page.frame_locator("iframe").locator("h1")).to_have_text("Scores")


def test_a_tree_value_opens_by_levels(draw_run: DrawRun) -> None:
    page = draw_run(documents.failed_run())
    page.locator(".fnb-row", has_text="depth=3").click()
    page.get_by_role("tab", name="Outputs").click()
    page.locator("summary", has_text="weights").click()
    expect(page.locator(".fnb-branches").first).to_contain_text("and 5 more")


def test_the_keyboard_walks_opens_and_finds_errors(draw_run: DrawRun) -> None:
    page = draw_run(documents.failed_run())
    focus_tree(page)
    page.keyboard.press("Home")
    expect(selected(page)).to_contain_text("main")
    page.keyboard.press("ArrowDown")
    expect(selected(page)).to_contain_text("split")
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    expect(selected(page)).to_contain_text("fold=0")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".fnb-row")).to_have_count(8)
    page.keyboard.press("ArrowRight")
    expect(page.locator(".fnb-row")).to_have_count(10)
    page.keyboard.press("e")
    expect(selected(page)).to_contain_text("depth=9")
    page.keyboard.press("Enter")
    expect(page.locator(".fnb-detail [aria-selected=true]")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".fnb-detail [aria-selected=true]")).to_have_text("Summary")
    page.keyboard.press("Escape")
    expect(page.locator("[role=treegrid]")).to_be_focused()


def test_the_filter_takes_text_and_phases_and_escape_clears_it(draw_run: DrawRun) -> None:
    page = draw_run(documents.failed_run())
    focus_tree(page)
    page.keyboard.press("/")
    page.keyboard.type("depth=6")
    expect(page.locator(".fnb-row")).to_have_count(2)
    page.keyboard.press("Escape")
    expect(page.locator(".fnb-row")).to_have_count(10)
    page.get_by_role("button", name="2 failed").click()
    expect(page.locator(".fnb-row")).to_have_count(2)
    page.keyboard.press("/")
    page.keyboard.type("nothing like this")
    expect(page.locator(".fnb-empty")).to_contain_text("No action matches")


def test_ten_thousand_actions_fold_and_lay_out_only_what_is_seen(draw_run: DrawRun) -> None:
    page = draw_run(documents.large_run(10_000))
    rows = page.locator(".fnb-row")
    expect(rows).to_have_count(2)
    expect(rows.nth(1)).to_contain_text("9,999")
    rows.nth(1).click()
    expect(page.locator("[role=treegrid]")).to_have_attribute("aria-rowcount", "10001")
    assert page.locator(".fnb-root *").count() < 1000
    expect(page.locator(".fnb-row[aria-rowindex='3']")).to_contain_text("ValueError: unlucky 57")
    take(page, "fanout")
    focus_tree(page)
    page.keyboard.press("End")
    expect(page.locator(".fnb-row[aria-selected=true]")).to_have_attribute("aria-rowindex", "10001")
    page.get_by_role("tab", name="Timeline").click()
    expect(page.locator(".fnb-timelinepane canvas")).to_be_visible()
    take(page, "fanout-timeline")
    assert page.locator(".fnb-root *").count() < 1000


def test_what_a_task_says_stays_text(draw_run: DrawRun) -> None:
    page = draw_run(hostile_run())
    for action in page.locator(".fnb-row:not(:has(.fnb-layers))").all():
        action.click()
        tabs = page.locator(".fnb-detail [role=tab]")
        expect(tabs).to_have_count(7)
        for tab in range(7):
            tabs.nth(tab).click()
            page.wait_for_function(
                "k => document.querySelectorAll('.fnb-detail [role=tab]')[k].ariaSelected === 'true'", arg=tab
            )
            for summary in page.locator(".fnb-detail details:not([open]) > summary").all():
                summary.click()
            assert page.locator(".fnb-root script, .fnb-root img[onerror], .fnb-root b[onclick]").count() == 0
    page.locator(".fnb-row:has(.fnb-layers)").click()
    expect(page.locator(".fnb-detailhead")).to_contain_text("<script>")
    page.get_by_role("tab", name="Timeline").click()
    page.locator(".fnb-timelinepane canvas").hover(position={"x": 300, "y": 40})
    expect(page.locator(".fnb-tip")).to_contain_text("<script>")
    page.get_by_role("tab", name="Graph").click()
    expect(page.locator(".fnb-node", has_text="<script>").first).to_be_visible()
    assert page.evaluate("window.hacked") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_without_a_jupyter_theme(draw_run: DrawRun, scheme: str) -> None:
    page = draw_run(documents.failed_run(), scheme=scheme)
    contrast = page.evaluate(CONTRAST)
    assert min(contrast.values()) >= 4.5, contrast


@pytest.mark.parametrize(("theme", "least"), [("light", 4.5), ("dark", 4.5), ("dark-high-contrast", 7.0)])
def test_text_is_readable_in_every_theme_of_jupyterlab(draw_run: DrawRun, theme: str, least: float) -> None:
    page = draw_run(documents.failed_run())
    page.add_style_tag(path=THEMES / f"theme-{theme}-extension" / "index.css")
    take(page, f"theme-{theme}")
    contrast = page.evaluate(CONTRAST)
    assert min(contrast.values()) >= least, contrast


# WCAG contrast of text against the explorer's background.
CONTRAST = """() => {
  const isMixed = text => text.startsWith('color(');  // its parts go from 0 to 1
  const parts = text => text.match(/[\\d.]+/g).map((part, k) => part * (isMixed(text) && k < 3 ? 255 : 1));
  const root = document.querySelector('.fnb-root');
  const ground = parts(getComputedStyle(root).backgroundColor);
  const light = ([r, g, b, alpha = 1]) => [r, g, b]
    .map((c, k) => (alpha * c + (1 - alpha) * ground[k]) / 255)
    .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
  const back = light(ground);
  const of = selector => {
    const text = light(parts(getComputedStyle(root.querySelector(selector)).color));
    return (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05);
  };
  const selectors = ['.fnb-title', '.fnb-facts', '.fnb-name', '.fnb-label', '.fnb-cell-time', '.fnb-error'];
  return Object.fromEntries(selectors.map(s => [s, of(s)]));
}"""


def test_below_640_pixels_the_detail_opens_under_the_tree(draw_run: DrawRun) -> None:
    page = draw_run(documents.failed_run(), width=500)
    detail = page.locator(".fnb-detail")
    expect(detail).to_be_hidden()
    page.locator(".fnb-row", has_text="split").click()
    expect(detail).to_be_visible()
    tree, below = page.locator("[role=treegrid]").bounding_box(), detail.bounding_box()
    assert tree and below and below["y"] >= tree["y"] + tree["height"]
    page.keyboard.press("Escape")
    expect(detail).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_run_is_as_tall_as_its_content_and_at_most_420_pixels_inside(draw_run: DrawRun) -> None:
    page = draw_run(documents.running_run(), documents.large_run(1000))
    small, large = page.locator(".fnb-body").all()
    large.locator(".fnb-row").nth(1).click()
    expect(page.locator(".fnb-body").nth(1)).to_have_css("height", "420px")
    box = small.bounding_box()
    assert box and box["height"] < 250


def test_a_newer_document_of_the_run_keeps_selection_scroll_and_open_rows(draw_run: DrawRun) -> None:
    page = draw_run(documents.large_run(1000))
    page.locator(".fnb-row").nth(1).click()
    page.locator(".fnb-row[aria-rowindex='9']").click()
    page.locator("[role=treegrid]").evaluate("tree => (tree.scrollTop = 100)")
    before = selected(page).inner_text()
    page.evaluate("doc => views[0].update(doc)", documents.large_run(1200))
    expect(page.locator("[role=treegrid]")).to_have_attribute("aria-rowcount", "1201")
    expect(selected(page)).to_have_text(before.replace("\n", ""))
    assert page.locator("[role=treegrid]").evaluate("tree => tree.scrollTop") == 100


def test_a_document_that_cannot_be_read_says_so(draw_run: DrawRun) -> None:
    page = draw_run(documents.failed_run())
    page.evaluate("""async () => {
      const {drawRun} = await import('/widget.js');
      for (const doc of [{version: 2, actions: {name: []}}, null]) {
        drawRun(document.body.appendChild(document.createElement('div')), doc);
      }
    }""")
    assert "update flyte_nb" in page.locator(".fnb-fault").nth(0).inner_text()
    assert "not a run document" in page.locator(".fnb-fault").nth(1).inner_text()

"""Whatever tasks call themselves, print, return and raise: nothing of it executes, and the layout holds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from flyte_nb.notebook.views.html import run_html
from tests.browser.conftest import DrawRun
from tests.browser.hostile import GROW, TEXTS, hostile_run
from tests.browser.lab import Lab, open_notebook, run_cell, take

pytestmark = pytest.mark.browser

BROKEN_LAYOUT = """() => {
  const root = document.querySelector('.fnb-root');
  const box = root.getBoundingClientRect();
  const found = [];
  if (box.right > innerWidth) found.push(`the explorer is ${box.width} wide`);
  if (box.height > 900) found.push(`the explorer is ${box.height} high`);
  const rows = [...root.querySelectorAll('.fnb-row')].filter(row => row.offsetParent !== null);
  for (const {offsetHeight: height} of rows) if (height !== 26) found.push(`a row is ${height} high`);
  for (const part of root.querySelectorAll('.fnb-header, .fnb-toolbar, .fnb-body, .fnb-detail')) {
    const {className, scrollWidth, clientWidth} = part;
    if (scrollWidth > clientWidth + 1) found.push(`${className}: ${scrollWidth} in ${clientWidth}`);
  }
  return found;
}"""
SHOW = """
import json
from pathlib import Path
from IPython.display import display
for bundle in json.loads(Path("hostile.json").read_text()):
    display(bundle, raw=True)
"""


@pytest.mark.parametrize("kind", TEXTS)
def test_no_text_executes_or_breaks_the_layout(draw_run: DrawRun, kind: str) -> None:
    page = draw_run(hostile_run(TEXTS[kind]), width=900)
    page.set_viewport_size({"width": 900, "height": 1000})
    if kind == "long":
        page.evaluate(GROW, hostile_run(TEXTS[kind]))
    page.locator(".fnb-row").last.click()
    tabs = page.locator(".fnb-detail [role=tab]")
    expect(tabs).to_have_count(7)
    for tab in tabs.all():
        tab.click()
        expect(tab).to_have_attribute("aria-selected", "true")
        for summary in page.locator(".fnb-detail details:not([open]) > summary").all():
            summary.click()
        assert page.evaluate(BROKEN_LAYOUT) == [], tab.inner_text()
    take(page, f"hostile-{kind}")
    for view in ("Timeline", "Graph", "Tree"):
        page.get_by_role("tab", name=view, exact=True).click()
        expect(page.get_by_role("tab", name=view, exact=True)).to_have_attribute("aria-selected", "true")
        assert page.evaluate(BROKEN_LAYOUT) == [], view
    assert page.locator(".fnb-root :is(script, img[onerror])").count() == 0
    assert page.evaluate("window.hacked") is None


def test_nothing_executes_in_a_notebook_whichever_form_it_draws(page: Page, lab: Lab) -> None:
    bundles: list[dict[str, Any]] = []
    for text in (TEXTS["markup"], TEXTS["terminal"], TEXTS["backwards"]):
        document = hostile_run(text)
        bundles += [
            {"application/vnd.flyte.run+json": document},
            {"text/html": run_html(document)},
            {"text/plain": text},
        ]
    (lab.root / "hostile.json").write_text(json.dumps(bundles))
    open_notebook(page, lab, lab.write("hostile.ipynb", [SHOW.strip()]))
    run_cell(page, 0)
    expect(page.locator(".jp-OutputArea-output .fnb-root")).to_have_count(3)
    expect(page.locator(".jp-OutputArea-output table > tbody")).to_have_count(3)
    assert page.locator(".jp-OutputArea-output :is(script, img)").count() == 0
    assert page.evaluate("window.hacked") is None
    take(page, "hostile-notebook")

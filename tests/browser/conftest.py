"""A Chromium and a JupyterLab for the browser tests, one of each, started when the first test asks.

Needs Debian's chromium and the built front end (`npm run build:prod` in labextension/).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.lab import LABEXTENSION, READY_MS, Lab, running_lab

CHROMIUM = "/usr/bin/chromium"
WIDGET = LABEXTENSION.parent / "static" / "widget.js"
ADDRESS = "http://explorer.test"
BLANK = (
    "<!doctype html><meta charset=utf-8><title>explorer</title>"
    "<style>body { margin: 16px; font-size: 13px } .case { margin-bottom: 16px }</style>"
)

DrawRun = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests run last: the sync API of playwright keeps a loop running, which asynchronous tests would meet."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=READY_MS)  # what is expected comes from kernels and stores, which a busy machine delays
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running_lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page as wide as a laptop's; close to it everything of the page is gone."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(READY_MS)
    yield context.new_page()
    context.close()


@pytest.fixture
def draw_run(browser: Browser) -> Iterator[DrawRun]:
    """Draws run documents into a plain page without Jupyter: `draw_run(doc, ..., width=, scheme=)`.

    The page holds what was mounted as `views`, and fails the test on an uncaught error.
    """
    contexts = []
    errors: list[str] = []

    def draw(*docs: dict[str, Any], width: int = 1100, scheme: str = "light") -> Page:
        context = browser.new_context(viewport={"width": width, "height": 700}, color_scheme=scheme)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.route(f"{ADDRESS}/", lambda route: route.fulfill(body=BLANK, content_type="text/html"))
        page.route(f"{ADDRESS}/widget.js", lambda route: route.fulfill(path=WIDGET, content_type="text/javascript"))
        page.goto(f"{ADDRESS}/")
        page.evaluate(DRAW, list(docs))
        page.wait_for_selector(".fnb-root .fnb-row")
        return page

    yield draw
    for context in contexts:
        context.close()
    assert not errors, errors


DRAW = """async docs => {
  const {drawRun} = await import('/widget.js');
  window.views = docs.map(doc => {
    const el = document.body.appendChild(document.createElement('div'));
    el.className = 'case';
    return drawRun(el, doc);
  });
}"""

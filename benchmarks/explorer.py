"""Measures the run explorer: the page in a real Chromium without a GPU, the kernel that feeds it. Prints JSON.

    python benchmarks/explorer.py [--seconds 10] [--kernel-seconds 30]

Needs Debian's chromium and the built front end. A page gets the document of a live run and, from then on, a thousand
changes a second, while real wheel events scroll its tree and scroll and zoom its timeline. The frames are those that
the page's own `requestAnimationFrame` sees; beside them stands the processor time of the page's main thread, which a
busy machine does not stretch.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from explorer_kernel import kernel_figures
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

HERE = Path(__file__).resolve().parent
WIDGET = HERE.parent / "flyte_nb" / "notebook" / "static" / "widget.js"
PAGE_SCRIPT = HERE / "explorer_page.js"
CHROMIUM = "/usr/bin/chromium"
ADDRESS = "http://explorer.test"
BLANK = "<!doctype html><meta charset=utf-8><body style='margin:16px;font-size:13px'>"
CHANGES_PER_SECOND = 1000
WHEEL_PIXELS = 240
WHEELS_ONE_WAY = 20
"""So many turns of the wheel, then back again."""


def main() -> None:
    """Measures everything."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each view is scrolled")
    parser.add_argument("--kernel-seconds", type=float, default=30.0, help="how long a kernel is watched")
    arguments = parser.parse_args()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        pages = {f"page_{n}": page_figures(chromium, n, arguments.seconds) for n in (10_000, 100_000)}
        chromium.close()
    widget = WIDGET.read_bytes()
    bundle = {"widget_kb": round(len(widget) / 1000, 1), "widget_gz_kb": round(len(gzip.compress(widget)) / 1000, 1)}
    kernel = kernel_figures(arguments.kernel_seconds) if arguments.kernel_seconds > 0 else None
    print(json.dumps({**pages, "bundle": bundle, "kernel": kernel}, indent=1))


def page_figures(browser: Browser, actions: int, seconds: float) -> dict[str, Any]:
    """First paint, frames while scrolling, and memory of a page that shows a live run."""
    with blank_page(browser) as page:
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.evaluate("actions => { window.bench = new Bench(actions) }", actions)
        first_paint_ms = page.evaluate("bench.firstPaint()")
        lines = page.evaluate("bench.open()")
        if lines != actions + 1:  # the root and the fan-out's own line, and the actions but the root
            raise SystemExit(f"{actions:,} actions were drawn as {lines:,} lines")
        views = {
            "tree_scroll": frames(page, session, ".fnb-treepane .fnb-scroller", seconds),
            "timeline_scroll": frames(page, session, ".fnb-timelinepane .fnb-scroller", seconds, view="Timeline"),
            "timeline_zoom": frames(page, session, ".fnb-timelinepane .fnb-scroller", seconds, key="Control"),
            "tree_again": frames(page, session, ".fnb-treepane .fnb-scroller", seconds, view="Tree"),
        }
        peak_mb = round(metrics(session)["JSHeapUsedSize"] / 1e6, 1)
        session.send("HeapProfiler.collectGarbage")
        heap_mb = round(metrics(session)["JSHeapUsedSize"] / 1e6, 1)
    return {"first_paint_ms": round(first_paint_ms), **views, "heap_mb": heap_mb, "heap_mb_before_collection": peak_mb}


@contextmanager
def blank_page(browser: Browser) -> Iterator[Page]:
    """A page with the widget's module and the page's side of this benchmark."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.on("pageerror", lambda error: print(f"the page failed: {error}", flush=True))
    script = "text/javascript"
    page.route(f"{ADDRESS}/", lambda route: route.fulfill(body=BLANK, content_type="text/html"))
    page.route(f"{ADDRESS}/widget.js", lambda route: route.fulfill(path=WIDGET, content_type=script))
    page.route(f"{ADDRESS}/page.js", lambda route: route.fulfill(path=PAGE_SCRIPT, content_type=script))
    page.goto(f"{ADDRESS}/")
    page.add_script_tag(url="/page.js", type="module")
    page.wait_for_function("() => window.Bench !== undefined")
    yield page
    context.close()


def frames(
    page: Page, session: CDPSession, target: str, seconds: float, *, view: str = "", key: str = ""
) -> dict[str, Any]:
    """Turns the wheel over one view while changes arrive, and says how its frames came.

    Args:
        page: the page.
        session: its DevTools.
        target: what the pointer stands over.
        seconds: for how long.
        view: the view to switch to before.
        key: held down while the wheel turns.
    """
    if view:
        page.get_by_role("tab", name=view, exact=True).click()
    pane = page.locator(target)
    pane.wait_for()
    box = pane.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] / 2)
    page.wait_for_timeout(300)
    page.evaluate("changes => bench.start(changes)", CHANGES_PER_SECOND)
    before, began = metrics(session), time.monotonic()
    if key:
        page.keyboard.down(key)
    wheels = 0
    while time.monotonic() - began < seconds:
        forth = wheels % (2 * WHEELS_ONE_WAY) < WHEELS_ONE_WAY
        page.mouse.wheel(0, WHEEL_PIXELS / (4 if key else 1) * (-1 if forth == bool(key) else 1))
        wheels += 1
    if key:
        page.keyboard.up(key)
    lasted, after = time.monotonic() - began, metrics(session)
    seen = page.evaluate("bench.stop()")
    intervals = sorted(seen["intervals"])
    return {
        "p50_ms": round(intervals[len(intervals) // 2], 1),
        "p95_ms": round(intervals[int(len(intervals) * 0.95)], 1),
        "worst_ms": round(intervals[-1], 1),
        "long_tasks": len(seen["longTasks"]),
        "cpu_ms_per_frame": round(1000 * (after["TaskDuration"] - before["TaskDuration"]) / len(intervals), 1),
        "wheels_per_second": round(wheels / lasted),
        "changes_shown": seen["shown"],
        "changes_not_shown": seen["missed"],
    }


def metrics(session: CDPSession) -> dict[str, float]:
    """The page's own counters, by name."""
    return {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}


if __name__ == "__main__":
    main()

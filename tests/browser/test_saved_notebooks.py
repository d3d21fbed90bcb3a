"""What a notebook shows of runs once their kernel or their page is gone: reopened, untrusted, exported."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import Page, expect

from tests.browser.lab import MIME, Lab, display_of, open_notebook, run_cell, save, take

pytestmark = pytest.mark.browser

PREPARE = """
%load_ext flyte_nb
import asyncio, os
from pathlib import Path
import flyte_nb as flyte
env = flyte.TaskEnvironment("work")
Path("kernel.pid").write_text(str(os.getpid()))

@env.task
async def square(x: int) -> int:
    print(f"squaring {x}")
    while x >= 4 and not Path("gate").exists():
        await asyncio.sleep(0.02)
    return x * x

@env.task
async def all_squares(n: int) -> list[int]:
    return list(await asyncio.gather(*[square(x) for x in range(n)]))
"""
RUN = "flyte.run(all_squares, 6); Path('over').touch()"
STRIP = """() => {
  document.querySelectorAll('style, script, svg, link').forEach(one => one.remove());
  document.querySelectorAll('*').forEach(one => ['style', 'class'].forEach(name => one.removeAttribute(name)));
}"""
"""Takes away what GitHub takes away."""


def reopen_untrusted(page: Page, lab: Lab, saved: dict[str, Any], name: str) -> None:
    """Opens what was saved as another file of a machine that has no such kernel."""
    notebook = {**saved, "metadata": {"kernelspec": {"name": "none", "display_name": "none", "language": "python"}}}
    (lab.root / name).write_text(json.dumps(notebook))
    open_notebook(page, lab, name, kernel=False)
    page.keyboard.press("Escape")


def test_a_run_whose_kernel_was_killed_stays_drawn_where_its_notebook_goes(page: Page, lab: Lab) -> None:
    open_notebook(page, lab, lab.write("killed.ipynb", [PREPARE.strip(), RUN]))
    run_cell(page, 0)
    run_cell(page, 1)
    view = page.locator(".jp-Notebook .fnb-root")
    expect(view.locator(".fnb-rate")).to_contain_text("4 of 6")
    expect(view.get_by_role("button", name="Abort")).to_be_visible()
    while display_of(save(page, lab, "killed.ipynb"))[MIME]["phase"] != "running":
        page.wait_for_timeout(50)
    os.kill(int((lab.root / "kernel.pid").read_text()), signal.SIGKILL)
    page.locator(".jp-Dialog button.jp-mod-accept").click()
    expect(view.locator(".fnb-header")).to_contain_text("not connected")
    expect(view.get_by_role("button", name="Abort")).to_have_count(0)
    saved = save(page, lab, "killed.ipynb")

    open_notebook(page, lab, "killed.ipynb")  # its new kernel does not know the run: its record tells the end
    expect(view.locator(".fnb-badge")).to_have_text("aborted")
    view.locator(".fnb-row", has_text="x=5").click()
    view.get_by_role("tab", name="Logs").click()
    expect(view.locator(".fnb-log")).to_contain_text("squaring 5")
    take(page, "saved-record")

    reopen_untrusted(page, lab, saved, "killed_elsewhere.ipynb")
    expect(view.locator(".fnb-header")).to_contain_text("As last saved")
    expect(view.locator(".fnb-row")).to_have_count(7)
    expect(view.locator(".fnb-row", has_text="x=5").locator(".fnb-sr")).to_have_text("running")
    assert page.locator(".jp-OutputArea-output.jp-mod-trusted").count() == 0
    take(page, "saved-killed")

    exported, _ = HTMLExporter().from_filename(str(lab.root / "killed_elsewhere.ipynb"))
    lines = exported_lines(page, exported)
    assert lines[0] == ["Phase", "Task", "Inputs", "Duration", "Time", "Error"]
    assert [line[:3] for line in lines[1:3]] == [
        ["◐ running", "work.all_squares", "n=6"],
        ["✓ succeeded", "work.square", "x=0"],
    ]
    assert lines[-1][:3] == ["◐ running", "work.square", "x=5"]


def exported_lines(page: Page, html: str) -> list[list[str]]:
    """The cells of the run's table in an exported page, when nothing is left of it but text."""
    page.route("http://exported.test/", lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto("http://exported.test/")
    expect(page.get_by_role("table")).to_be_visible()
    take(page, "saved-exported")
    page.evaluate(STRIP)
    take(page, "saved-stripped")
    rows = page.get_by_role("row").all()
    return [[text.strip() for text in row.locator("th, td").all_inner_texts()] for row in rows]


def test_a_tab_that_was_closed_finds_its_run_again(page: Page, lab: Lab) -> None:
    name = lab.write("closed.ipynb", [PREPARE.strip(), RUN])
    open_notebook(page, lab, name)
    run_cell(page, 0)
    run_cell(page, 1)
    view = page.locator(".jp-Notebook .fnb-root")
    expect(view.locator(".fnb-rate")).to_contain_text("4 of 6")
    save(page, lab, name)
    page.goto("about:blank")

    open_notebook(page, lab, name, kernel=False)
    expect(view.get_by_role("button", name="Abort")).to_be_visible()
    expect(view.locator(".fnb-rate")).to_contain_text("4 of 6")
    page.goto("about:blank")
    (lab.root / "gate").touch()
    while not (lab.root / "over").exists():
        page.wait_for_timeout(50)

    assert display_of(json.loads((lab.root / name).read_text()))[MIME]["live"]
    open_notebook(page, lab, name)
    expect(view.locator(".fnb-badge")).to_have_text("succeeded")
    view.locator(".fnb-row", has_text="x=5").click()
    view.get_by_role("tab", name="Logs").click()
    expect(view.locator(".fnb-log")).to_contain_text("squaring 5")
    take(page, "saved-reconnected")
    while (saved := display_of(save(page, lab, name)))[MIME]["live"]:  # until the output is that of the ended run
        page.wait_for_timeout(50)
    assert saved[MIME]["phase"] == "succeeded" and "As last saved" not in "".join(saved["text/html"])
    expect(view.locator(".fnb-row[aria-selected=true]")).to_contain_text("x=5")


@pytest.fixture(autouse=True)
def shut_gate(lab: Lab) -> None:
    """Runs wait for the gate."""
    for name in ("gate", "over"):
        Path(lab.root / name).unlink(missing_ok=True)

"""The MIME renderer inside JupyterLab, with documents and comms that cells of the notebook make up."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page, expect

from tests.browser import documents
from tests.browser.lab import Lab, open_notebook, restart_kernel, run_cell, save

pytestmark = pytest.mark.browser

MIME = "application/vnd.flyte.run+json"

PREPARE = """
import copy, json, threading
from IPython import get_ipython
from IPython.display import display
from comm import create_comm, get_comm_manager
from tests.browser import documents

MIME = "application/vnd.flyte.run+json"
doc = documents.running_run()
received, comms = [], []

def serve(comm, opened):
    comms.append(comm)
    comm.on_msg(lambda message: answer(comm, message["content"]["data"]))

def answer(comm, message):
    received.append(message)
    if message["kind"] == "hello":
        comm.send({"kind": "snapshot", "doc": doc})
    if message["kind"] == "detail":
        detail = documents.detail(message["action"], "squares.square", note="from the kernel")
        comm.send({"kind": "detail", "detail": detail})

get_comm_manager().register_target("flyte_nb.run", serve)
"""
DISPLAY = "shown = display({MIME: doc, 'text/plain': 'run rlive'}, raw=True, display_id=True)"
KERNEL_OPENS = """
comm = create_comm("flyte_nb.run", data={"run": "rlive"})
serve(comm, None)
"""
RENEW = "shown.update({MIME: documents.running_run(), 'text/plain': 'run rlive'}, raw=True); print('renewed')"
FINISH = """
doc = documents.running_run()
doc.update(live=False, phase="succeeded")
shown.update({MIME: doc, "text/plain": "run rlive"}, raw=True)
"""
WITH_WIDGET = """
import ipywidgets
slider = ipywidgets.IntSlider()
display({**slider._repr_mimebundle_(), MIME: documents.failed_run()}, raw=True)
"""


def test_a_live_run_is_served_by_its_kernel_and_keeps_its_place_when_renewed(page: Page, lab: Lab) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    name = lab.write("live.ipynb", [PREPARE, DISPLAY, RENEW, FINISH])
    open_notebook(page, lab, name)
    for cell in (0, 1):
        run_cell(page, cell)
    explorer = page.locator(".fnb-root")
    expect(explorer.get_by_role("button", name="Abort")).to_be_visible()
    explorer.locator(".fnb-row", has_text="x=1").click()
    expect(explorer.locator(".fnb-detail")).to_contain_text("from the kernel")
    run_cell(page, 2)
    expect(page.get_by_text("renewed", exact=True)).to_be_visible()
    expect(explorer.locator(".fnb-row[aria-selected=true]")).to_contain_text("x=1")
    run_cell(page, 3)
    expect(explorer.locator(".fnb-badge")).to_have_text("succeeded")
    expect(explorer.locator(".fnb-row[aria-selected=true]")).to_contain_text("x=1")
    expect(explorer.get_by_role("button", name="Abort")).to_have_count(0)
    assert not errors, errors


def test_a_comm_that_the_kernel_opens_serves_the_run(page: Page, lab: Lab) -> None:
    prepare = PREPARE.replace("get_comm_manager()", "# no target: ")
    say = 'comm.send({"kind": "snapshot", "doc": {**doc, "note": "said by the kernel"}})'
    name = lab.write("kernel_opens.ipynb", [prepare, KERNEL_OPENS + DISPLAY, say])
    open_notebook(page, lab, name)
    for cell in range(3):
        run_cell(page, cell)
    expect(page.locator(".fnb-header")).to_contain_text("said by the kernel")


def test_a_run_stands_before_a_widget_view_keeps_its_keys_and_is_drawn_without_a_kernel(page: Page, lab: Lab) -> None:
    name = lab.write("saved.ipynb", [PREPARE, WITH_WIDGET])
    open_notebook(page, lab, name)
    run_cell(page, 0)
    run_cell(page, 1)
    expect(page.locator(".fnb-title")).to_have_text("main")
    expect(page.locator(".widget-slider")).to_have_count(0)

    page.locator(".fnb-row", has_text="split").click()
    expect(page.locator("[role=treegrid]")).to_be_focused()
    before = page.locator(".jp-Notebook .jp-Cell").count()
    for key in ("a", "b", "x", "d", "d", "ArrowDown"):
        page.keyboard.press(key)
    expect(page.locator(".fnb-row[aria-selected=true]")).to_contain_text("depth=2")
    assert page.locator(".jp-Notebook .jp-Cell").count() == before
    page.keyboard.press("l")
    assert page.locator(".jp-Notebook").evaluate("node => node.classList.contains('jp-mod-commandMode')")

    notebook = save(page, lab, name)
    notebook["metadata"]["kernelspec"] = {"name": "no-such-kernel", "display_name": "none", "language": "python"}
    (lab.root / "reopened.ipynb").write_text(json.dumps(notebook))
    open_notebook(page, lab, "reopened.ipynb", kernel=False)
    expect(page.locator(".fnb-header")).to_contain_text("ValueError: depth 9")
    page.locator(".fnb-detail").get_by_role("tab", name="Inputs").click()
    expect(page.locator("table.fnb-frame tbody tr")).to_have_count(3)


def test_a_reloaded_page_opens_the_comm_itself_and_a_restart_leaves_the_run_drawn(page: Page, lab: Lab) -> None:
    name = lab.write("reloaded.ipynb", [PREPARE, DISPLAY])
    open_notebook(page, lab, name)
    run_cell(page, 0)
    run_cell(page, 1)
    expect(page.get_by_role("button", name="Abort")).to_be_visible()
    save(page, lab, name)
    open_notebook(page, lab, name)
    expect(page.get_by_role("button", name="Abort")).to_be_visible()

    restart_kernel(page)
    expect(page.locator(".fnb-header")).to_contain_text("not connected")
    expect(page.locator(".fnb-row")).to_have_count(3)
    expect(page.get_by_role("button", name="Abort")).to_have_count(0)


def test_notebook_7_draws_a_saved_run_that_it_does_not_trust(page: Page, lab: Lab) -> None:
    name = lab.write("classic.ipynb", ["1"])
    notebook = json.loads((lab.root / name).read_text())
    data = {MIME: documents.failed_run(), "text/plain": "run r7k2m9"}
    notebook["cells"][0]["outputs"] = [{"output_type": "display_data", "data": data, "metadata": {}}]
    (lab.root / name).write_text(json.dumps(notebook))
    page.goto(f"{lab.url}/notebooks/{name}")
    expect(page.locator(".fnb-header")).to_contain_text("ValueError: depth 9")
    expect(page.get_by_text("Not Trusted")).to_be_visible()

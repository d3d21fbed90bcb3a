"""A store is served by a button of the side panel, and a notebook that is connected to it shows a run there live."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import flyte_nb as flyte
from tests.browser.lab import Lab, open_notebook, run_cell, take
from tests.processes import one_session

pytestmark = pytest.mark.browser

env = flyte.TaskEnvironment("served")
RUN = """
day = flyte.remote.Task.get("served.day", auto_version="latest")
run = flyte.run(day, items=4, gate={gate!r})
"""


@env.task
async def sold(item: int) -> int:
    print(f"sold {item}")
    return 10 * item


@env.task
async def day(items: int, gate: str) -> int:
    first = await sold(1)
    while not Path(gate).exists():  # noqa: ASYNC110, ASYNC240  # another process opens it
        await asyncio.sleep(0.02)
    return first + sum([await sold(item) for item in range(2, items)])


def test_a_served_store_runs_a_task_that_its_cell_shows_live(page: Page, lab: Lab, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with one_session(lab.root / "shop" / ".flyte_nb"):
        flyte.deploy(env, version="v1")
    name = lab.write("served.ipynb", ["import flyte_nb as flyte", "", RUN.format(gate=str(gate))])
    open_notebook(page, lab, name)
    run_cell(page, 0)
    page.locator(".lm-TabBar-tab[data-id=flyte-nb-runs]").click()
    page.get_by_label("Store", exact=True).select_option("shop/.flyte_nb")
    serve = page.get_by_role("button", name="Serve this store to other programs…")
    serve.click()
    dialog = page.locator(".jp-Dialog")
    dialog.get_by_label("Run the tasks that they ask for, as you").check()
    take(page, "serving-asked")
    dialog.get_by_role("button", name="Serve", exact=True).click()
    expect(dialog).to_contain_text("It runs the tasks that clients ask for")
    line = dialog.locator("code").nth(1).inner_text()
    assert line.startswith('flyte.init(endpoint="http://127.0.0.1:') and "insecure=True" in line
    take(page, "serving-told")
    dialog.get_by_role("button", name="Close").click()

    page.locator(".jp-Notebook .jp-Cell").nth(1).locator(".jp-InputArea-editor").click()
    page.keyboard.insert_text(line)
    run_cell(page, 1)
    run_cell(page, 2)
    view = page.locator(".jp-Notebook .jp-Cell").nth(2).locator(".fnb-root")
    rows = view.locator(".fnb-row")
    expect(view.locator(".fnb-badge").first).to_have_text("running")
    expect(rows).to_have_count(2)
    take(page, "backend-live")
    gate.touch()
    expect(view.locator(".fnb-badge").first).to_have_text("succeeded")
    expect(rows).to_have_count(4)
    rows.nth(3).click()
    expect(view.locator(".fnb-detail")).to_contain_text("30")
    take(page, "backend-over")

    serve.click()
    dialog.get_by_role("button", name="Stop").click()
    expect(page.locator("body")).to_contain_text("is not served any more")
    serve.click()
    expect(dialog.get_by_role("button", name="Serve", exact=True)).to_be_visible()
    dialog.get_by_role("button", name="Cancel").click()

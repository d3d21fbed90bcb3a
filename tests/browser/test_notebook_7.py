"""A run of a real kernel in Notebook 7: drawn live, ended, saved."""

from __future__ import annotations

import pytest
from playwright.sync_api import ConsoleMessage, Page, expect

from tests.browser.lab import MIME, READY_MS, Lab, display_of, run_cell, save, take

pytestmark = pytest.mark.browser

PREPARE = """
%load_ext flyte_nb
import asyncio
from pathlib import Path
import flyte_nb as flyte
env = flyte.TaskEnvironment("classic")

@env.task
async def fit(depth: int) -> float:
    print(f"fitting {depth}")
    while depth >= 3 and not Path("classic_gate").exists():
        await asyncio.sleep(0.02)
    return 1 / (1 + depth)

@env.task
async def search(depths: list[int]) -> float:
    with flyte.group("depths"):
        return min(await asyncio.gather(*[fit(depth) for depth in depths]))
"""
RUN = "run = flyte.run(search, [1, 2, 3, 4])"


def test_a_run_is_drawn_live_in_notebook_7_ends_there_and_is_saved(page: Page, lab: Lab) -> None:
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type == "error" and "flyte" in f"{message.text} {message.location.get('url', '')}".lower():
            complaints.append(message.text)

    page.on("console", listen)
    page.on("pageerror", lambda error: complaints.append(str(error)) if "flyte" in str(error.stack) else None)
    name = lab.write("classic_live.ipynb", [PREPARE.strip(), RUN])
    page.goto(f"{lab.url}/notebooks/{name}")
    page.get_by_text("Python 3 (ipykernel)").wait_for(timeout=READY_MS)
    expect(page.locator(".jp-Notebook-ExecutionIndicator")).to_have_attribute("data-status", "idle", timeout=READY_MS)
    run_cell(page, 0)
    run_cell(page, 1)
    view = page.locator(".jp-Notebook .fnb-root")
    expect(view.locator(".fnb-rate")).to_contain_text("2 of 4", timeout=READY_MS)
    expect(view.get_by_role("button", name="Abort")).to_be_visible()
    view.locator(".fnb-row", has_text="depth=4").click()
    view.get_by_role("tab", name="Logs").click()
    expect(view.locator(".fnb-log")).to_contain_text("fitting 4")
    take(page, "notebook-7-live")

    (lab.root / "classic_gate").touch()
    expect(view.locator(".fnb-badge")).to_have_text("succeeded", timeout=READY_MS)
    view.get_by_role("tab", name="Outputs").click()
    expect(view.locator(".fnb-panel")).to_contain_text("0.2")
    take(page, "notebook-7-done")
    while (document := display_of(save(page, lab, name))[MIME])["live"]:  # until the last display is there
        page.wait_for_timeout(50)
    assert document["phase"] == "succeeded" and document["total"] == 5
    assert not complaints, complaints

"""The explorer's views in a plain page: sorting, the critical path, graph, heat strip and output, and their links."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser import documents
from tests.browser.conftest import DrawRun
from tests.browser.test_explorer_live import CONNECT, asked, head, say

pytestmark = pytest.mark.browser


def names(page: Page) -> Locator:
    return page.locator(".fnb-row .fnb-cell-name")


def selected(page: Page) -> Locator:
    return page.locator(".fnb-row[aria-selected=true] .fnb-cell-name")


def show(page: Page, view: str) -> None:
    page.get_by_role("tab", name=view, exact=True).click()


def test_a_click_on_a_head_sorts_the_siblings_and_the_third_gives_the_order_of_the_calls(draw_run: DrawRun) -> None:
    page = draw_run(documents.failed_run())
    as_called = names(page).all_text_contents()
    page.get_by_role("button", name="Sort by duration").click()
    expect(page.get_by_role("columnheader", name="duration")).to_have_attribute("aria-sort", "descending")
    expect(names(page)).to_have_text(
        [re.compile(words) for words in ("main", "depth=6", "depth=4", "summarise", "depth=3", "fold=1", "fold=0", "9")]
        + [re.compile("split"), re.compile("depth=2")]
    )
    page.get_by_role("button", name="Sorted descending by duration").click()
    expect(names(page).nth(1)).to_contain_text("depth=2")
    page.get_by_role("button", name="Sorted ascending by duration").click()
    expect(names(page)).to_have_text(as_called)
    page.get_by_role("button", name="Sort by phase").click()
    expect(names(page).nth(1)).to_contain_text("depth=9")


def test_tasks_and_the_critical_path_filter_every_view(draw_run: DrawRun) -> None:
    page = draw_run(documents.failed_run())
    page.get_by_role("button", name="Critical path").click()
    expect(names(page)).to_have_text([re.compile(words) for words in ("main", "split", "depth=9", "summarise")])
    page.get_by_role("combobox", name="Filter by task").select_option(label="fit")
    expect(names(page)).to_have_text([re.compile("main"), re.compile("depth=9")])
    show(page, "Timeline")
    timeline = page.get_by_role("img", name="Timeline of the run")
    expect(timeline).to_have_attribute("aria-label", re.compile("selected: fit.*failed.*on the critical path"))
    timeline.press("Escape")
    show(page, "Tree")
    expect(page.locator(".fnb-row")).to_have_count(10)


def test_a_live_run_has_no_critical_path(draw_run: DrawRun) -> None:
    page = draw_run(documents.running_run())
    expect(page.get_by_role("button", name="Critical path")).to_be_hidden()


def test_the_graph_has_a_node_for_each_task_and_edges_for_calls_and_data(draw_run: DrawRun) -> None:
    page = draw_run(documents.failed_run())
    show(page, "Graph")
    graph = page.get_by_role("listbox", name="Graph of the run")
    expect(graph.get_by_role("option")).to_have_count(5)
    fit = graph.get_by_role("option", name="fit, 5 actions, 4 succeeded, 1 failed")
    expect(fit).to_have_attribute("aria-selected", "true")
    expect(page.locator(".fnb-edge-call")).to_have_count(4)
    expect(page.locator(".fnb-edge-data")).to_have_count(2)
    expect(page.locator(".fnb-edge-data.fnb-marked text").first).to_have_text(re.compile("o0 → frame .5"))
    fit.click()
    expect(page.locator(".fnb-detailhead")).to_have_text(re.compile("fit.5"))
    graph.get_by_role("option", name="split").click()
    show(page, "Tree")
    expect(selected(page)).to_contain_text("split")


def test_the_keyboard_walks_and_zooms_the_graph(draw_run: DrawRun) -> None:
    page = draw_run(documents.failed_run())
    show(page, "Graph")
    graph = page.get_by_role("listbox", name="Graph of the run")
    marked = page.locator(".fnb-node[aria-selected=true]")
    graph.press("ArrowLeft")
    expect(marked).to_contain_text("split")
    graph.press("ArrowLeft")
    expect(marked).to_contain_text("main")
    graph.press("ArrowRight")
    expect(marked).not_to_contain_text("main")
    width = "() => document.querySelector('.fnb-graphcanvas').getBoundingClientRect().width"
    before = page.evaluate(width)
    graph.press("+")
    page.wait_for_function(f"before => ({width})() > 1.2 * before", arg=before)
    page.get_by_role("button", name="Show all").click()
    page.wait_for_function(f"before => ({width})() === before", arg=before)
    graph.press("Enter")
    expect(page.locator(".fnb-detail [role=tab][aria-selected=true]")).to_be_focused()


def test_the_graph_asks_the_kernel_for_data_only_while_it_is_shown(draw_run: DrawRun) -> None:
    page = draw_run(documents.failed_run())
    page.evaluate(CONNECT, documents.running_run())
    page.wait_for_selector(".fnb-row")
    say(page, "snapshot", doc=documents.running_run())
    assert asked(page, "graph") == []
    show(page, "Graph")
    page.wait_for_function("asked.some(message => message.kind === 'graph')")
    expect(page.locator(".fnb-legend")).to_contain_text("looking for data")
    say(page, "graph", flows=[["a1", "o0", "a2", "x", 1]], live=True)
    expect(page.locator(".fnb-edge-data text")).to_have_text("o0 → x")
    before = len(asked(page, "graph"))
    over = head(live=False, phase="succeeded", counts={"succeeded": 3}, total=3)
    say(page, "delta", head=over, tasks=[], groups=[], rows=[], actions=documents.columns([]))
    page.wait_for_function("n => asked.filter(message => message.kind === 'graph').length > n", arg=before)
    say(page, "graph", flows=[], live=False)
    expect(page.locator(".fnb-legend")).to_contain_text("no output became an input")


def test_the_heat_strip_has_a_cell_for_each_of_ten_thousand_actions(draw_run: DrawRun) -> None:
    page = draw_run(documents.large_run(10_000))
    page.locator(".fnb-row").nth(1).click()
    strip = page.get_by_role("slider", name="Actions of this fan-out")
    expect(strip).to_have_attribute("aria-valuemax", "9999")
    strip.focus()
    page.keyboard.press("End")
    expect(strip).to_have_attribute("aria-valuetext", re.compile("x=9998 · running"))
    page.keyboard.press("Home")
    for _ in range(57):
        page.keyboard.press("ArrowRight")
    expect(page.locator(".fnb-heatcaption")).to_have_text("square x=57 · failed · 220 ms · ValueError: unlucky 57")
    page.get_by_role("button", name="Duration", exact=True).click()
    strip.press("Enter")
    expect(selected(page)).to_contain_text("x=57")
    page.get_by_role("button", name="Show all square").click()
    expect(strip).to_be_visible()
    strip.click(position={"x": 6, "y": 5})
    expect(selected(page)).to_contain_text("x=0")
    assert page.locator(".fnb-root *").count() < 1000


def test_output_can_be_narrowed_to_a_stream_or_level_and_downloaded(draw_run: DrawRun) -> None:
    page = draw_run(documents.failed_run())
    page.get_by_role("tab", name="Logs").click()
    which = page.get_by_role("combobox", name="Which output")
    lines = page.locator(".fnb-log")
    which.select_option("stdout")
    expect(lines).to_have_count(3)
    which.select_option("warnings")
    expect(lines).to_have_text([re.compile("UserWarning: the tree is deeper")])
    which.select_option("errors")
    expect(page.locator(".fnb-loglines")).to_have_text("No line fits.")
    with page.expect_download() as downloaded:
        page.get_by_role("button", name="Download the output").click()
    text = downloaded.value.path().read_text()
    assert downloaded.value.suggested_filename == "a6fit.log"
    assert text.splitlines()[2] == "epoch 1 loss 0.412" and "\x1b" not in text


def test_output_that_grows_is_followed_at_its_end_and_announced_elsewhere(draw_run: DrawRun) -> None:
    page = draw_run(documents.failed_run())
    page.evaluate(CONNECT, documents.running_run())
    page.wait_for_selector(".fnb-row")
    say(page, "snapshot", doc=documents.running_run())
    page.locator(".fnb-row", has_text="x=2").click()

    def printed(n: int) -> None:
        logs = [[documents.STARTED_AT_MS + k, "stdout", f"line {k}"] for k in range(n)]
        say(page, "detail", detail=documents.detail("a2", "squares.square", phase="running", logs=logs))

    printed(50)
    page.get_by_role("tab", name="Logs").click()
    output, more = page.locator(".fnb-loglines"), page.get_by_role("button", name="New output")
    output.evaluate("lines => (lines.scrollTop = lines.scrollHeight)")
    printed(60)
    expect(page.get_by_text("line 59", exact=True)).to_be_in_viewport()
    expect(more).to_be_hidden()
    output.evaluate("lines => (lines.scrollTop = 0)")
    printed(70)
    expect(more).to_be_visible()
    more.click()
    expect(page.get_by_text("line 69", exact=True)).to_be_in_viewport()
    expect(more).to_be_hidden()


def test_each_value_has_the_python_that_fetches_it_and_long_text_is_folded(draw_run: DrawRun) -> None:
    page = draw_run(documents.failed_run())
    page.evaluate(
        "Object.defineProperty(navigator, 'clipboard',"
        " {value: {writeText: async text => void (window.copied = text)}, configurable: true})"
    )
    page.get_by_role("tab", name="Inputs").click()
    page.get_by_role("button", name="Copy the Python that fetches depth").click()
    assert page.evaluate("copied") == 'import flyte_nb\nflyte_nb.remote.Run.get("r7k2m9")["a6fit"].inputs()["depth"]'
    page.locator(".fnb-row", has_text="summarise").click()
    page.get_by_role("tab", name="Outputs").click()
    page.get_by_role("button", name="Copy the Python that fetches o2").click()
    assert page.evaluate("copied").endswith('["a9report"].outputs()[2]')
    text = page.locator(".fnb-value", has_text="o2").locator("pre")
    expect(text).not_to_contain_text("Depth 39 was tried.")
    page.get_by_role("button", name="Show 29 more lines").click()
    expect(text).to_contain_text("Depth 39 was tried.")


def test_links_of_a_task_are_shown_and_only_web_addresses_lead_anywhere(draw_run: DrawRun) -> None:
    page = draw_run(documents.failed_run())
    page.get_by_role("tab", name="Summary").click()
    links = page.locator(".fnb-tasklinks")
    expect(links.locator("a")).to_have_count(1)
    expect(links.locator("a")).to_have_attribute("href", "https://boards.example/r7k2m9/a6fit")
    expect(links.locator("a")).to_have_attribute("rel", "noopener noreferrer")
    expect(links).to_contain_text("shell: javascript:alert(1)")

"""Forms and the explorer's actions in the browser: drawn, checked as one types, sent, and shown in JupyterLab."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from flyte_nb.notebook.forms.environment import EnvironmentForm
from flyte_nb.notebook.forms.fields import Field
from flyte_nb.notebook.forms.forms import Form, Forms
from tests.browser.conftest import ADDRESS, BLANK, WIDGET
from tests.browser.lab import Lab, open_notebook, run_cell, save, take

pytestmark = pytest.mark.browser

DRAW = """async doc => {
  const {drawForm} = await import('/widget.js');
  const listeners = new Set();
  const answer = message => listeners.forEach(listener => listener(message));
  window.inserted = [];
  window.form = drawForm(document.body.appendChild(document.createElement('div')), doc, {
    insert: code => window.inserted.push(code)
  });
  window.form.attach({
    send: message => window.answer(message).then(answer),
    onMessage: listener => (listeners.add(listener), () => listeners.delete(listener))
  });
}"""
HOSTILE = "<img src=x onerror='document.title=1'>"


@dataclass
class Optimizer:
    """How it learns."""

    rate: float = 0.1
    kind: Literal["adam", "sgd"] = "adam"
    steps: list[int] = field(default_factory=list)


class TryForm(Form):
    """A form of many types, that keeps what it was given."""

    title = HOSTILE
    text = HOSTILE
    submit = "Run"
    by_hand = ""

    def __init__(self) -> None:
        super().__init__(
            [
                Field("depth", int, 3, HOSTILE),
                Field("frame", pd.DataFrame),
                Field("optimizer", Optimizer, Optimizer(), "of the model"),
                Field("either", int | str, HOSTILE),
                Field("rate", float | None, None),
                Field("tags", dict[str, str], {"team": "risk"}),
                Field("past", list[int], recorded=[1] * 20_000),
            ],
            {"df": pd.DataFrame()},
        )
        self.given: dict[str, Any] = {}

    def do(self, entries: Mapping[str, Any]) -> dict[str, Any]:
        self.given = self.read(entries)
        return {"text": "Started r7k2m9."}


DrawForm = Callable[..., Page]


@pytest.fixture
def draw_form(browser: Browser) -> Iterator[DrawForm]:
    """Draws a form into a plain page; the form itself answers what the page asks."""
    contexts = []
    errors: list[str] = []

    def draw(form: Form, width: int = 900, scheme: Literal["light", "dark"] = "light") -> Page:
        forms = Forms()
        forms.add(form)

        def answer(message: dict[str, Any]) -> dict[str, Any]:
            answers: queue.Queue[dict[str, Any]] = queue.Queue()
            forms.receive(message, answers.put)
            return answers.get(timeout=60)

        context = browser.new_context(viewport={"width": width, "height": 1200}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.expose_function("answer", answer)
        page.route(f"{ADDRESS}/", lambda route: route.fulfill(body=BLANK, content_type="text/html"))
        page.route(f"{ADDRESS}/widget.js", lambda route: route.fulfill(path=WIDGET, content_type="text/javascript"))
        page.goto(f"{ADDRESS}/")
        page.evaluate(DRAW, form.document())
        return page

    yield draw
    for context in contexts:
        context.close()
    assert not errors, errors


def problem_of(page: Page, control: Locator) -> Locator:
    """What describes a control as wrong."""
    expect(control).to_have_attribute("aria-invalid", "true")
    ids = (control.get_attribute("aria-describedby") or "").split()
    return page.locator(f"#{ids[-1]}")


def test_what_is_wrong_stands_at_its_field_and_what_is_right_is_given_on(draw_form: DrawForm) -> None:
    form = TryForm()
    page = draw_form(form)
    run = page.get_by_role("button", name="Run", exact=True)
    depth = page.get_by_role("textbox", name="depth")
    depth.fill("three")
    expect(problem_of(page, depth)).to_have_text("A whole number is needed.")
    frame = page.get_by_role("combobox", name="frame")
    expect(frame).not_to_have_attribute("aria-invalid", "true")
    run.click()
    expect(depth).to_be_focused()
    expect(problem_of(page, frame)).to_have_text("A value is needed.")

    depth.fill("4")
    frame.fill("dff")
    expect(problem_of(page, frame)).to_have_text("No variable is named dff.")
    frame.fill("df")
    expect(frame).not_to_have_attribute("aria-invalid", "true")
    rate = page.get_by_role("group", name="optimizer").get_by_role("textbox", name="rate")
    rate.fill("fast")
    expect(problem_of(page, rate)).to_have_text("A number is needed.")
    rate.fill("0.5")
    page.get_by_role("combobox", name="kind").select_option("sgd")
    steps = page.get_by_role("group", name="steps")
    steps.get_by_role("button", name="Add").click()
    expect(steps.get_by_role("textbox", name="item 1")).to_be_focused()
    page.keyboard.type("8")
    page.get_by_role("button", name="past: Give a Python expression instead").click()
    page.get_by_role("combobox", name="past").fill("[1, 2]")
    run.click()
    expect(page.get_by_role("status")).to_have_text("Started r7k2m9.")
    assert isinstance(form.given.pop("frame"), pd.DataFrame)
    assert form.given == {
        "depth": 4,
        "optimizer": Optimizer(0.5, "sgd", [8]),
        "either": HOSTILE,
        "rate": None,
        "tags": {"team": "risk"},
        "past": [1, 2],
    }
    assert page.title() == "explorer" and page.locator("img").count() == 0


def test_recorded_values_are_kept_and_lists_and_tables_are_edited_by_keyboard(draw_form: DrawForm) -> None:
    form = TryForm()
    page = draw_form(form, width=400, scheme="dark")
    page.get_by_role("combobox", name="frame").fill("df")
    page.get_by_role("group", name="tags").get_by_role("button", name="Remove").press("Enter")
    expect(page.get_by_role("group", name="tags").get_by_role("button", name="Add")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.type("owner")
    page.keyboard.press("Tab")
    page.keyboard.type("ada")
    page.get_by_role("combobox", name="either").select_option("integer")
    body = page.locator("[data-field=either]").get_by_role("textbox")
    body.fill("7")
    assert page.evaluate("document.documentElement.scrollWidth <= 400")
    body.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Started r7k2m9.")
    assert form.given["tags"] == {"owner": "ada"} and form.given["either"] == 7 and len(form.given["past"]) == 20_000


def test_the_code_of_an_environment_is_written_as_one_types_and_inserted(draw_form: DrawForm) -> None:
    page = draw_form(EnvironmentForm({"packages": ["polars"]}))
    code = page.get_by_label("Python code")
    expect(code).to_be_hidden()
    name = page.get_by_role("textbox", name="name", exact=True).first
    name.fill("Train")
    expect(problem_of(page, name)).to_contain_text("snake_case or kebab-case")
    name.fill("train")
    expect(code).to_contain_text('flyte.TaskEnvironment("train", image=')
    page.get_by_role("combobox", name="memory").fill("4 GB")
    expect(problem_of(page, page.get_by_role("combobox", name="memory"))).to_contain_text("Kubernetes quantity")
    page.get_by_role("combobox", name="memory").fill("4Gi")
    page.get_by_role("combobox", name="reusable").select_option("Reuse")
    expect(code).to_contain_text('flyte.Resources(memory="4Gi")')
    expect(code).to_contain_text("flyte.ReusePolicy(replicas=2)")
    page.get_by_role("button", name="Insert as a cell").click()
    expect(page.get_by_role("status")).to_have_text("Inserted below.")
    (inserted,) = page.evaluate("inserted")
    namespace: dict[str, Any] = {}
    exec(inserted, namespace)
    assert namespace["env"].resources.memory == "4Gi"


def test_a_form_without_its_kernel_says_so(draw_form: DrawForm) -> None:
    page = draw_form(TryForm())
    page.evaluate("form.attach(null)")
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_disabled()
    expect(page.get_by_role("status")).to_contain_text("run its cell again")


PREPARE = """
%load_ext flyte_nb
import asyncio, time
import flyte_nb as flyte
env = flyte.TaskEnvironment("work")

@env.task
async def square(x: int) -> int:
    print(f"squaring {x}")
    return x * x

@env.task
async def total(n: int = 3) -> int:
    return sum(await asyncio.gather(*[square(x) for x in range(n)]))
"""


BLOCK = """
while len(list(flyte.remote.Run.listall(task_name="work.total"))) < 3:  # others of this store are of other tests
    time.sleep(0.2)
print("three runs")
"""


def test_a_task_is_launched_from_a_form_and_repeated_from_its_explorer_while_a_cell_runs(page: Page, lab: Lab) -> None:
    page.set_viewport_size({"width": 1280, "height": 1400})
    name = lab.write("forms.ipynb", [PREPARE.strip(), "%flyte launch total", BLOCK.strip(), "%flyte env --form"])
    open_notebook(page, lab, name)
    run_cell(page, 0)
    run_cell(page, 1)
    form = page.get_by_role("form", name="work.total")
    run = form.get_by_role("button", name="Run", exact=True)
    explorer = page.locator(".fnb-explorer")
    expect(run).to_be_enabled()
    form.get_by_role("textbox", name="n").fill("4")
    run.click()
    expect(explorer.locator(".fnb-badge")).to_have_text("succeeded")
    expect(explorer.locator(".fnb-row")).to_have_count(5)
    take(page, "launched")

    run_cell(page, 2)
    expect(page.locator(".jp-Notebook .jp-Cell").nth(2).locator(".jp-InputPrompt")).to_contain_text("[*]")
    explorer.get_by_role("button", name="Run again").click()
    take(page, "menu")
    page.get_by_role("menuitem", name="Fork…").click()
    expect(explorer.locator(".fnb-plan")).to_contain_text("with work.total as it stands")
    take(page, "plan")
    explorer.get_by_role("button", name="Fork", exact=True).click()
    expect(page.locator(".fnb-runshead")).to_contain_text("2 runs")
    expect(explorer.locator(".fnb-header")).to_contain_text("forks")
    form.get_by_role("textbox", name="n").fill("two")
    expect(form.locator(".fnb-problem", has_text="A whole number is needed.")).to_be_visible()
    form.get_by_role("textbox", name="n").fill("2")
    run.click()
    expect(page.locator(".fnb-runshead")).to_contain_text("3 runs")
    expect(page.get_by_text("three runs", exact=True)).to_be_visible()
    take(page, "launched-while-busy")

    run_cell(page, 3)
    made = page.get_by_role("form", name="New task environment")
    made.get_by_role("textbox", name="name", exact=True).first.fill("train")
    expect(made.get_by_label("Python code")).to_contain_text("TaskEnvironment")
    made.get_by_role("button", name="Insert as a cell").click()
    expect(page.locator(".jp-Notebook .jp-Cell").nth(4).locator(".jp-InputArea-editor")).to_contain_text('"train"')
    take(page, "environment")

    save(page, lab, name)
    open_notebook(page, lab, name)
    expect(run).to_be_enabled()
    form.get_by_role("textbox", name="n").fill("1")
    run.click()
    launched, saved = explorer.first, explorer.last
    expect(launched.locator(".fnb-row")).to_have_count(2)
    expect(launched.locator(".fnb-badge")).to_have_text("succeeded")
    saved.get_by_role("button", name="Run again").click()
    page.get_by_role("menuitem", name="Rerun").click()
    expect(page.locator(".fnb-runshead").last).to_contain_text("4 runs")
    expect(saved.locator(".fnb-header")).to_contain_text("reruns")
    expect(saved.locator(".fnb-badge")).to_have_text("succeeded")
    take(page, "reopened")

"""What a reader does in the explorer, over its comm to a real kernel: also while a cell runs, with clear refusals."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.notebook.conftest import CELL_SECONDS, MIME, Kernel, Outputs


class Page:
    """A page that shows a run."""

    def __init__(self, kernel: Kernel, run: str) -> None:
        self.kernel = kernel
        self.comm = uuid4().hex
        kernel.send_comm("comm_open", self.comm, {"run": run})

    def ask(self, kind: str, action: str = "a0") -> dict[str, Any]:
        asked = uuid4().hex
        self.kernel.send_comm("comm_msg", self.comm, {"kind": kind, "ask": asked, "action": action})
        outcome = self.kernel.wait_for_comm("outcome")
        assert (outcome["ask"], outcome["did"]) == (asked, kind)
        return outcome


def drawn_runs(kernel: Kernel, display: str, count: int) -> list[str]:
    """The runs that a display lists when it has that many, and none of them is live."""
    for _ in range(1_000):
        message = kernel.client.get_iopub_msg(timeout=CELL_SECONDS)
        if message["msg_type"] != "update_display_data" or message["content"]["transient"]["display_id"] != display:
            continue
        document = message["content"]["data"][MIME]
        listed = [one["run"] for one in document.get("runs", [document])]
        if len(listed) == count and not document["live"]:
            return listed
    raise AssertionError(f"no {count} runs were drawn")


def run_of(outputs: Outputs) -> dict[str, Any]:
    return dict(outputs.shown[MIME])


def phase_of(kernel: Kernel, run: str) -> str:
    return kernel.ok(f"r = flyte.remote.Run.get({run!r})\nr.wait()\nprint(r.phase.value)").stdout.split()[-1]


@pytest.mark.parametrize(("kind", "lineage"), [("rerun", "reruns"), ("recover", "recovers"), ("fork", "forks")])
def test_a_run_is_repeated(kernel: Kernel, kind: str, lineage: str) -> None:
    outcome = Page(kernel, run_of(kernel.ok("r = flyte.run(main, n=2)"))["run"]).ask(kind)
    assert outcome["refused"] == "" and outcome["doc"]["lineage"] == lineage
    assert phase_of(kernel, outcome["run"]) == "succeeded"


def test_what_a_page_starts_is_a_further_run_of_the_cell_that_shows_it(kernel: Kernel) -> None:
    cell = kernel.ok("r = flyte.run(main, n=2)")
    display, first = cell.displays[0]["transient"]["display_id"], run_of(cell)["run"]
    comm = uuid4().hex
    kernel.send_comm("comm_open", comm, {"run": first})
    kernel.ok("other = flyte.run(main, n=1)")
    kernel.send_comm("comm_msg", comm, {"kind": "rerun", "ask": "1", "action": "a0"})
    first_again, second = drawn_runs(kernel, display, 2)
    assert first_again == first and phase_of(kernel, second) == "succeeded"


def test_a_page_that_came_too_late_for_the_last_display_is_told_what_its_notebook_saves(kernel: Kernel) -> None:
    first, second = (run_of(kernel.ok(f"r = flyte.run(main, n={n})"))["run"] for n in (1, 2))
    comm = Page(kernel, first).comm
    kernel.send_comm("comm_msg", comm, {"kind": "bundle", "runs": []})
    told = kernel.wait_for_comm("bundle")
    assert told["run"] == told["data"][MIME]["run"] == first and "succeeded" in told["data"]["text/html"]
    kernel.ok("%reload_ext flyte_nb")  # no display of the runs is known any more: the page says what its output lists
    comm = Page(kernel, first).comm
    kernel.send_comm("comm_msg", comm, {"kind": "bundle", "runs": [first, second]})
    listed = kernel.wait_for_comm("bundle")["data"][MIME]["runs"]
    assert [one["run"] for one in listed] == [first, second]


def test_one_action_runs_again_alone_and_opens_the_form_with_its_inputs(kernel: Kernel) -> None:
    document = run_of(kernel.ok("r = flyte.run(main, n=2)"))
    page, action = Page(kernel, document["run"]), document["actions"]["name"][2]
    outcome = page.ask("rerun", action)
    assert outcome["doc"]["task"] == "quick.fit"
    form = page.ask("launch", action)["form"]
    assert form["title"] == "quick.fit" and form["fields"][0]["entry"] == {"json": 1}

    asked = {"kind": "form", "form": form["form"], "ask": "1", "do": "submit", "entries": {"x": {"json": 5}}}
    kernel.send_comm("comm_msg", page.comm, asked)
    begun = kernel.wait_for_comm("form")
    assert begun["problems"] == [] and phase_of(kernel, begun["run"]) == "succeeded"


def test_a_fork_is_planned_before_it_runs(kernel: Kernel) -> None:
    run = run_of(kernel.ok("r = flyte.run(main, n=3)"))["run"]
    page = Page(kernel, run)
    assert "is reused" in page.ask("plan")["plan"]
    kernel.ok("@env.task\nasync def fit(x: int) -> int:\n    return x + 100")
    plan = page.ask("plan")["plan"]
    assert plan.startswith(f"Fork of {run} with quick.main as it stands") and "its code changed" in plan


def test_what_cannot_be_done_is_refused_with_the_reason(kernel: Kernel) -> None:
    live = kernel.ok("slow = flyte.with_runcontext().start(wait, seconds=60.0)\nprint(slow.name)").stdout.split()[-1]
    page = Page(kernel, live)
    assert "still" in page.ask("recover")["refused"]
    assert "nowhere" in page.ask("rerun", "nowhere")["refused"]
    kernel.ok("hidden = [wait]\ndel wait\nenv._tasks.pop('quick.wait')")
    assert "No task is named 'quick.wait'" in page.ask("plan")["refused"]
    kernel.ok("(wait,) = hidden")
    assert page.ask("abort")["text"] == "Aborted."
    assert phase_of(kernel, live) == "aborted"


def test_one_action_is_aborted_and_its_siblings_go_on(kernel: Kernel) -> None:
    kernel.ok(
        "@env.task\nasync def both() -> list[float]:\n"
        "    found = await asyncio.gather(wait(60.0), wait(0.01), return_exceptions=True)\n"
        "    return [one for one in found if isinstance(one, float)]"
    )
    run = kernel.ok("r = flyte.with_runcontext().start(both)\nprint(r.name)").stdout.split()[-1]
    found = kernel.ok("while len(list(r.actions())) < 3:\n    time.sleep(0.01)\nprint(list(r.actions())[1].name)")
    assert Page(kernel, run).ask("abort", found.stdout.split()[-1])["refused"] == ""
    assert phase_of(kernel, run) == "succeeded"
    assert kernel.ok("print(r.outputs()[0])").stdout == "[0.01]\n"

"""The launch form in a real kernel: made of the signature, checked as one types, runs the task under itself."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

import pytest

from tests.notebook.conftest import MIME, Kernel, Outputs

FORM_MIME = "application/vnd.flyte.form+json"
TARGET = "flyte_nb.form"
ANSWER_SECONDS = 60


class Page:
    """A page that draws a form."""

    def __init__(self, kernel: Kernel, document: dict[str, Any]) -> None:
        self.kernel = kernel
        self.form = document["form"]
        self.comm = uuid4().hex
        kernel.send_comm("comm_open", self.comm, {"form": self.form}, TARGET)

    def ask(self, what: str, **entries: Any) -> dict[str, Any]:
        asked = uuid4().hex
        message = {"kind": "form", "form": self.form, "ask": asked, "do": what, "entries": entries}
        self.kernel.send_comm("comm_msg", self.comm, message)
        answer = self.kernel.wait_for_comm("form")
        assert answer["ask"] == asked
        return answer


def form_of(outputs: Outputs) -> dict[str, Any]:
    (bundle,) = [one["data"] for one in outputs.of("display_data") if FORM_MIME in one["data"]]
    assert "%flyte run" in bundle["text/plain"] and "%flyte run" in bundle["text/html"]
    return dict(bundle[FORM_MIME])


@pytest.fixture(scope="module")
def documented(kernel: Kernel) -> Kernel:
    kernel.ok('''
import pandas as pd
df = pd.DataFrame({"x": [1, 2]})

@env.task
async def train(frame: pd.DataFrame, depth: int = 3, note: str = "<b>plain</b>") -> int:
    """Trains a <i>model</i>.

    Args:
        frame: what to learn from
        depth: <script>alert(1)</script>
    """
    print("trained", len(frame), depth)
    return len(frame) * depth
''')
    return kernel


def test_a_form_is_made_of_signature_docs_and_variables(documented: Kernel) -> None:
    document = form_of(documented.ok("%flyte launch train"))
    assert document["title"] == "quick.train" and document["text"] == "Trains a <i>model</i>."
    frame, depth, note = document["fields"]
    assert (frame["required"], frame["names"], frame["help"]) == (True, ["df"], "what to learn from")
    assert (depth["type"], depth["entry"], depth["help"]) == ("int", {"json": 3}, "<script>alert(1)</script>")
    assert note["entry"] == {"json": "<b>plain</b>"}


def test_entries_are_checked_by_the_kernel_and_the_run_is_drawn_under_the_form(documented: Kernel) -> None:
    shown = documented.ok("%flyte launch train")
    place = shown.of("display_data")[1]["transient"]["display_id"]
    page = Page(documented, form_of(shown))
    wrong = page.ask("check", frame={"expression": "dff"}, depth={"json": "three"})
    assert [problem["field"] for problem in wrong["problems"]] == ["frame", "depth"]
    refused = page.ask("submit", frame={"expression": "df["}, depth={"json": 2})
    assert refused["problems"][0]["field"] == "frame" and "run" not in refused

    answer = page.ask("submit", frame={"expression": "df.head(1)"}, depth={"json": 4})
    assert answer["problems"] == [] and answer["doc"]["run"] == answer["run"]
    drawn: dict[str, Any] = {}
    printed = ""
    deadline = time.monotonic() + ANSWER_SECONDS
    while drawn.get("phase") != "succeeded" and time.monotonic() < deadline:
        message = documented.client.get_iopub_msg(timeout=ANSWER_SECONDS)
        content = message["content"]
        if message["msg_type"] == "update_display_data" and content["transient"]["display_id"] == place:
            drawn = content["data"][MIME]
        printed += content["text"] if message["msg_type"] == "stream" else ""
    assert (drawn["run"], drawn["phase"]) == (answer["run"], "succeeded")
    assert "trained 1 4" in printed


def test_what_the_engine_refuses_stands_in_the_form(documented: Kernel) -> None:
    page = Page(documented, form_of(documented.ok("%flyte launch train")))
    refused = page.ask("submit", frame={"expression": "'not a frame'"})
    assert refused["problems"][0]["field"] == "" and "frame" in refused["problems"][0]["message"]


def test_recorded_inputs_stand_in_the_form_and_those_without_text_are_given_again(documented: Kernel) -> None:
    run = documented.ok("r = flyte.run(train, df, depth=7)\nprint(r.name)").stdout.split()[-1]
    document = form_of(documented.ok(f"%flyte launch --from {run}"))
    assert [field["entry"] for field in document["fields"][:2]] == [{"recorded": True}, {"json": 7}]
    answer = Page(documented, document).ask("submit", frame={"recorded": True}, depth={"json": 1})
    done = documented.ok(f"r = flyte.remote.Run.get({answer['run']!r})\nr.wait()\nprint(r.outputs()[0])")
    assert done.stdout.splitlines()[-1] == "2"


def test_a_notebook_that_saves_no_data_saves_none_in_a_form(documented: Kernel) -> None:
    documented.ok("r = flyte.run(train, df, note='confidential')\n%flyte config save_previews=no")
    hidden = form_of(documented.ok("%flyte launch --from last"))
    documented.ok("%flyte config save_previews=yes")
    assert "confidential" not in str(hidden)
    assert [field["entry"] for field in hidden["fields"]] == [{"recorded": True}] * 3


def test_tab_completes_tasks_and_runs(documented: Kernel) -> None:
    assert "train" in documented.complete("%flyte launch tra")
    assert "--from" in documented.complete("%flyte launch train --fr")


def test_a_form_of_an_earlier_kernel_is_closed_at_once(kernel: Kernel) -> None:
    kernel.send_comm("comm_open", uuid4().hex, {"form": "unknown"}, TARGET)
    assert kernel.wait_for_comm("close") == {}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%flyte launch", "TASK missing: %flyte launch TASK"),
        ("%flyte launch trian", "No task is named 'trian'"),
        ("%flyte launch --from nowhere", "nowhere"),
        ("%flyte launch --from last/nowhere", "nowhere"),
    ],
)
def test_a_line_that_cannot_be_done_says_why(documented: Kernel, line: str, message: str) -> None:
    documented.ok("r = flyte.run(main, n=1)")
    assert message in documented.run(line).stderr


def test_an_environment_is_written_into_the_next_cell(kernel: Kernel) -> None:
    reply = kernel.client.execute("%flyte env train --package polars --cpu 2", reply=True)
    (payload,) = reply["content"]["payload"]
    assert payload["source"] == "set_next_input"
    kernel.ok(payload["text"] + "\nassert env.name == 'train' and env.resources.cpu == 2")

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flyte_nb as flyte
from flyte_nb.engine.session import end_session, session
from flyte_nb.notebook.views.bundle import bundle_of_run
from flyte_nb.notebook.views.details import RunReader
from flyte_nb.notebook.views.document import COLUMNS, MIME, LiveDocument, run_document
from flyte_nb.remote.plain import PHASES
from flyte_nb.store.events import ErrorRecord
from flyte_nb.store.rows import ActionRow, RunRow
from flyte_nb.types.trees import pack

START_NS = 1_790_000_000_000_000_000
MS = 1_000_000
FAILED = PHASES.index("failed")
env = flyte.TaskEnvironment("doc")


@env.task
async def square(x: int) -> int:
    print("squaring", x)
    if x == 3:
        raise ValueError("<three>")
    return x * x


@env.task
async def squares(n: int) -> list[int]:
    found = await asyncio.gather(*[square(x) for x in range(n)], return_exceptions=True)
    return [one for one in found if isinstance(one, int)]


def run_row(**changes: Any) -> RunRow:
    fields = {"name": "r1", "task": "doc.squares", "phase": "succeeded", "started_ns": START_NS}
    return RunRow(**{**fields, "ended_ns": START_NS + 5 * MS, "environment": "doc", **changes})


def action(at: int, parent: int = 0, phase: str = "succeeded", took_ms: int = 1, **changes: Any) -> ActionRow:
    queued = START_NS + at * MS
    row = ActionRow(
        "r1", f"a{at}", f"a{parent}" if at else "", "task", "doc.square", 0, "", phase, queued, inputs=pack([at])
    )
    row.started_ns, row.ended_ns = queued, queued + took_ms * MS
    for name, value in changes.items():
        setattr(row, name, value)
    return row


def size(document: Any) -> int:
    return len(json.dumps(document))


@st.composite
def trees(draw: Callable[..., Any]) -> list[ActionRow]:
    """Actions of any shape and phase, parents before their children."""
    rows = [action(0)]
    for at in range(1, draw(st.integers(1, 120))):
        parent, phase = draw(st.integers(0, at - 1)), draw(st.sampled_from(PHASES))
        rows.append(action(at, parent, phase, draw(st.integers(0, 50))))
    return rows


@given(trees(), st.integers(500, 20_000))
def test_a_bounded_document_is_a_whole_tree(actions: list[ActionRow], limit: int) -> None:
    document = run_document(run_row(), actions, {0: ["x"]}, limit_bytes=limit)
    columns = document["actions"]
    count = len(columns["name"])
    assert {len(columns[name]) for name in COLUMNS} == {count} and set(columns) == set(COLUMNS)
    assert columns["name"][0] == "a0" and columns["parent"][0] == -1
    assert all(0 <= parent < row for row, parent in enumerate(columns["parent"]) if row)
    parents = {row.name: row.parent for row in actions}
    named = [columns["name"][parent] if parent >= 0 else "" for parent in columns["parent"]]
    assert named == [parents[name] for name in columns["name"]]
    assert document["omitted"] == len(actions) - count and document["total"] == len(actions)
    assert sum(document["counts"].values()) == len(actions)


def test_ten_thousand_actions_are_saved_within_a_hundred_kilobytes() -> None:
    actions = [action(0), *(action(at, took_ms=at % 97) for at in range(1, 10_000))]
    document = run_document(run_row(), actions, {0: ["x"]})
    assert size(document) <= 100_000
    assert document["omitted"] > 9_000


def test_what_failed_runs_or_was_slow_is_kept_and_the_first_rows() -> None:
    actions = [action(0), *(action(at) for at in range(1, 5_000))]
    actions[4_000] = action(4_000, phase="failed", error=ErrorRecord("ValueError", "user", "unlucky\nvery"))
    actions[4_100] = action(4_100, phase="running", ended_ns=None)
    actions[4_200] = action(4_200, took_ms=10_000)
    columns = run_document(run_row(), actions, {0: ["x"]}, limit_bytes=20_000)["actions"]
    assert {"a0", "a1", "a2", "a4000", "a4100", "a4200"} <= set(columns["name"])
    row = columns["name"].index("a4000")
    assert columns["error"][row] == "ValueError: unlucky" and columns["phase"][row] == FAILED
    assert columns["label"][row] == "x=4000"


def test_the_parents_of_kept_rows_are_kept() -> None:
    actions = [action(0), *(action(at) for at in range(1, 3_000))]
    actions += [action(3_000, parent=2_999, phase="failed")]
    columns = run_document(run_row(), actions, {}, limit_rows=3)["actions"]
    assert columns["name"] == ["a0", "a2999", "a3000"] and columns["parent"] == [-1, 0, 1]


def test_details_are_saved_while_there_is_room_the_urgent_first() -> None:
    actions = [action(0), *(action(at) for at in range(1, 9)), action(9, phase="failed")]
    document = run_document(
        run_row(), actions, {}, details=lambda one: {"action": one.name, "pad": "x" * 1_000}, limit_bytes=5_000
    )
    assert list(document["details"])[:2] == ["a0", "a9"]
    assert len(document["details"]) < 5 and size(document) <= 5_000


def test_the_runs_error_names_the_action_in_which_it_arose() -> None:
    error = ErrorRecord("ValueError", "user", "unlucky", "", "cell 3, line 7")
    actions = [
        action(0, phase="failed", error=error),
        action(1, phase="failed", error=ErrorRecord("KeyError", "user", "handled")),
        action(2, phase="failed", error=error),
        action(3, parent=2, phase="failed", error=error),
    ]
    document = run_document(run_row(phase="failed", error=error), actions, {})
    assert document["error"] == {
        "code": "ValueError",
        "kind": "user",
        "message": "unlucky",
        "place": "cell 3, line 7",
        "action": "a3",
    }


def apply(document: dict[str, Any], delta: dict[str, Any]) -> None:
    """What the page does with a delta."""
    document.update(delta["head"])
    document["tasks"] += delta["tasks"]
    document["groups"] += delta["groups"]
    for at, row in enumerate(delta["rows"]):
        for name, column in delta["actions"].items():
            values = document["actions"][name]
            assert row <= len(values), "a row beyond the end"
            if row == len(values):
                values.append(column[at])
            else:
                values[row] = column[at]


def test_deltas_on_a_snapshot_give_the_document_of_the_end() -> None:
    active = session()
    seen: list[dict[str, Any]] = []

    class Page:
        live: LiveDocument

        def started(self, run: Any) -> None:
            self.live = LiveDocument(run)
            seen.append(self.live.snapshot())

        def changed(self, run: Any) -> None:
            delta = self.live.delta(run.take_changed())
            if delta is not None:
                apply(seen[0], json.loads(json.dumps(delta)))

        def ended(self, run: Any) -> None:
            seen.append(self.live.snapshot())
            assert self.live.delta(set()) is None

    from flyte_nb.engine import watcher

    page = Page()
    watcher.observers.append(page)
    try:
        flyte.run(squares, n=40)
    finally:
        watcher.observers.remove(page)
    followed, end = seen
    assert active.live_runs() == []
    assert followed == end
    assert end["live"] is False and end["counts"] == {"succeeded": 40, "failed": 1}


def test_a_run_reads_the_same_from_memory_and_from_the_store(flyte_nb_home: Path) -> None:
    name = flyte.run(squares, n=6).name
    live = RunReader(name).document()
    live_detail = RunReader(name).detail("a0")
    end_session()
    stored = RunReader(name).document()
    for detail in [*stored["details"].values(), *live["details"].values(), live_detail]:
        detail["where"] = ""  # not recorded where nothing but the kernel can execute
    assert stored == live
    assert {**RunReader(name).detail("a0"), "where": ""} == live_detail


def test_a_detail_shows_values_logs_error_and_code() -> None:
    name = flyte.run(squares, n=4).name
    reader = RunReader(name)
    failed = next(row.name for row in reader.actions if row.phase == "failed")
    detail = reader.detail(failed)
    assert detail["inputs"] == [{"name": "x", "type": "int", "preview": {"kind": "scalar", "text": "3"}, "digest": ""}]
    assert detail["outputs"] is None
    assert detail["error"]["message"] == "<three>" and "raise ValueError" in detail["error"]["traceback"]
    assert [line[1:] for line in detail["logs"]] == [["stdout", "squaring 3"]]
    assert detail["attempts"][0]["error"].startswith("ValueError: <three>")
    assert "async def square" in detail["code"]["source"]
    assert detail["snippet"] == f'flyte_nb.remote.Run.get("{name}")["{failed}"].outputs()'
    root = reader.detail("a0")
    assert root["outputs"][0]["preview"]["text"] == "[0, 1, 4]" and root["outputs"][0]["type"] == "list[int]"


def test_a_detail_of_an_unknown_action_is_a_key_error() -> None:
    name = flyte.run(squares, n=1).name
    with pytest.raises(KeyError):
        RunReader(name).detail("zzz")


def test_errors_that_are_not_unicode_are_recorded_and_can_be_sent(flyte_nb_home: Path) -> None:
    @env.task
    async def fail() -> None:
        raise ValueError("a\ud800b")

    with pytest.raises(RuntimeError) as caught:
        flyte.run(fail)
    assert str(caught.value) == "a\ud800b"
    name = caught.value.run.name
    end_session()
    bundle = bundle_of_run(name)
    assert json.loads(json.dumps(bundle, ensure_ascii=False).encode())[MIME]["error"]["message"] == "a?b"

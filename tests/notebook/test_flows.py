"""Which outputs became which inputs, as the graph shows it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import flyte_nb as flyte
from flyte_nb.engine.session import end_session
from flyte_nb.notebook.views.bundle import bundle_of_run
from flyte_nb.notebook.views.details import RunReader
from flyte_nb.notebook.views.document import MIME
from flyte_nb.notebook.views.flows import flow_rows

env = flyte.TaskEnvironment("flows")


@env.task
async def load(n: int) -> list[str]:
    return [f"a row of the data set {k}" for k in range(n)]


@env.task
async def count(rows: list[str]) -> int:
    return len(rows)


@env.task
async def shorten(row: str) -> str:
    return row[::-1]


@env.task
async def join(parts: list[str], k: int = 0) -> str:
    return " ".join(parts)


@env.task
async def plus_one(x: int) -> int:
    return x + 1


@env.task
async def pipeline() -> str:
    rows = await load(3)
    await count(rows)
    parts = await asyncio.gather(*[shorten(row) for row in rows])
    return await join(list(parts))


@env.task
async def fan_out(n: int) -> str:
    rows = await load(n)
    return await join(await asyncio.gather(*[shorten(row) for row in rows]))


@env.task
async def coincidences() -> int:
    await plus_one(0)  # 1, and so is an input below
    await asyncio.gather(*[plus_one(x) for x in range(5)])
    return await count([str(x) for x in range(3)])


@env.task
async def refine(text: str) -> str:
    return text + ", refined once more"


@env.task
async def loop() -> str:
    text = "a first draft of the text"
    for _ in range(3):
        text = await refine(text)
    return text


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_NB_HOME", str(tmp_path))


def edges(run: str) -> set[tuple[str, str, str, str, int]]:
    reader = RunReader(run)
    tasks = {action.name: action.task.removeprefix("flows.") for action in reader.actions}
    return {(tasks[a], out, tasks[b], into, n) for a, out, b, into, n in flow_rows(reader.flows())}


def test_an_output_whole_by_member_and_collected_became_an_input() -> None:
    run = flyte.run(pipeline)
    expected = {
        ("load", "o0", "count", "rows", 1),
        ("load", "o0", "shorten", "row", 3),
        ("shorten", "o0", "join", "parts", 3),
    }
    assert edges(run.name) == expected
    end_session()
    assert edges(run.name) == expected, "the same of a recorded run"


def test_numbers_that_are_equal_by_chance_make_no_edge() -> None:
    assert edges(flyte.run(coincidences).name) == set()


def test_a_task_that_goes_on_with_its_own_output_has_an_edge_to_itself() -> None:
    assert edges(flyte.run(loop).name) == {("refine", "o0", "refine", "text", 2)}


def test_a_saved_document_carries_the_flows_between_the_actions_that_it_shows() -> None:
    run = flyte.run(pipeline)
    document = bundle_of_run(run.name)[MIME]
    names = document["actions"]["name"]
    assert {(row[1], row[3], row[4]) for row in document["flows"]} == {
        ("o0", "rows", 1),
        ("o0", "row", 3),
        ("o0", "parts", 3),
    }
    assert all(row[0] in names and row[2] in names for row in document["flows"])
    assert bundle_of_run(run.name, limit_bytes=400)[MIME]["flows"] == []


def test_values_of_hundreds_of_actions_are_compared_within_their_node() -> None:
    run = flyte.run(fan_out, 300)
    assert edges(run.name) == {("shorten", "o0", "join", "parts", 300), ("load", "o0", "shorten", "row", 300)}

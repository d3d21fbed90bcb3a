"""The store's questions and answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest
from msgspec.msgpack import Ext

from flyte_nb.store.events import ActionEnded, ActionStarted, ErrorRecord, RunEnded, RunStarted, TaskDeclared
from flyte_nb.store.home import Home
from flyte_nb.store.journal import Journal
from flyte_nb.store.queries import Store
from flyte_nb.store.rows import RunRow
from flyte_nb.store.value_rows import VALUE_JSON_BYTES, value_rows
from flyte_nb.store.values import ValueStore
from flyte_nb.types.base import BLOB, Blob
from flyte_nb.types.trees import blob_leaf, pack, tagged

Record = Callable[..., None]
SECOND_NS = 10**9


@pytest.fixture
def store(home: Home, journal: Journal, record: Record) -> Store:
    for number, (task, phase, notebook) in enumerate(
        [("shop.main", "succeeded", "a.ipynb"), ("shop.fit", "failed", "a.ipynb"), ("bank.main", "running", "b.ipynb")]
    ):
        at_ns = (100 + number) * SECOND_NS
        record(journal, RunStarted(f"run{number}", at_ns, task, {"n": str(number), "team's": "red"}, notebook=notebook))
        if phase != "running":
            record(
                journal,
                RunEnded(f"run{number}", at_ns + 5, phase, None if number == 0 else ErrorRecord("E", "user", "no")),
            )
    return Store(home)


def names(runs: list[RunRow]) -> list[str]:
    return [run.name for run in runs]


def test_runs_come_newest_first_and_can_be_chosen(store: Store) -> None:
    assert names(store.runs()) == ["run2", "run1", "run0"]
    assert names(store.runs(limit=1)) == ["run2"]
    assert names(store.runs(phase="failed")) == ["run1"]
    assert names(store.runs(phase=("failed", "running"))) == ["run2", "run1"]
    assert names(store.runs(task="main")) == ["run2", "run0"]
    assert names(store.runs(task="shop.main")) == ["run0"]
    assert names(store.runs(labels={"n": "1", "team's": "red"})) == ["run1"]
    assert names(store.runs(labels={"absent": "1"})) == []
    assert names(store.runs(notebook="b.ipynb")) == ["run2"]
    assert names(store.runs(since=datetime.fromtimestamp(101, UTC))) == ["run2", "run1"]
    assert names(store.runs(until=datetime.fromtimestamp(101, UTC), task="main")) == ["run0"]


def test_a_run_that_is_not_there_names_near_ones(store: Store) -> None:
    assert store.run("run1").error == ErrorRecord("E", "user", "no")
    with pytest.raises(KeyError, match="did you mean run"):
        store.run("rum1")
    with pytest.raises(KeyError, match="there are 3, such as"):
        store.run("xyz")
    with pytest.raises(KeyError, match="there are none yet"):
        Store(Home(store.home.path.with_name("empty"))).run("run1")


def test_an_action_is_found_by_the_beginning_of_its_name(home: Home, journal: Journal, record: Record) -> None:
    record(journal, "r", count=12)
    store = Store(home)
    assert store.action("r", "a1").name == "a1"
    assert store.action("r", "a11").name == "a11"
    assert store.action("r", "a2").task == "shop.main"
    record(journal, ActionStarted("r", "b77", "a0", "task", "shop.main", 0, 0, 1, b"\x90"))
    assert store.action("r", "b7").name == "b77"
    with pytest.raises(KeyError, match="12 actions of run r start with 'a'"):
        store.action("r", "a")
    with pytest.raises(KeyError, match="No action of run r is named 'c'"):
        store.action("r", "c")
    with pytest.raises(KeyError, match="No run is named"):
        store.action("q", "a0")


def test_rows_are_as_they_were_recorded(home: Home, journal: Journal, record: Record) -> None:
    declared = TaskDeclared(
        "r", "m.f", 0, "own", "deep", "def f(): ...", [("x", "int")], [("o0", "str")], {"retries": 3, "image": None},
        b"\x00types", "f", "cell 1, line 2",
    )  # fmt: skip
    options = {"queue": "q", "overwrite": True}
    record(
        journal, RunStarted("r", 5, "m.f", {}, {"note": "n"}, "a.ipynb", "cell1", "parent", options, "env"), declared
    )
    record(journal, ActionStarted("r", "t1", "a0", "trace", "score", -1, 4, 6, pack([1]), "g", "pos", [("y", "float")]))
    store = Store(home)
    run, (task,), (action,) = store.run("r"), store.tasks("r"), store.actions("r")
    assert (run.annotations, run.notebook, run.cell, run.parent_run) == ({"note": "n"}, "a.ipynb", "cell1", "parent")
    assert (run.options, run.environment, run.ended_ns, run.error) == (options, "env", None, None)
    assert (task.inputs, task.outputs, task.types) == ([("x", "int")], [("o0", "str")], b"\x00types")
    assert (task.settings, task.short_name, task.place) == ({"retries": 3, "image": None}, "f", "cell 1, line 2")
    assert (action.kind, action.spec, action.group, action.trace_inputs) == ("trace", -1, "g", [("y", "float")])
    assert (action.parent, action.outputs, action.where) == ("a0", None, "")


def test_labels_are_set_and_taken_away(store: Store) -> None:
    store.label("run0", {"n": None, "best": "yes"})
    assert store.run("run0").labels == {"team's": "red", "best": "yes"}
    with pytest.raises(KeyError, match="No run is named"):
        store.label("nope", {"a": "b"})


def test_values_have_names_types_and_previews(home: Home, journal: Journal, record: Record) -> None:
    declared = [("x", "int"), ("kind", "str"), ("data", "ndarray")]
    blob = Blob("d" * 64, 1_000_000, "pickle5", {"kind": "array", "text": "array 1000"})
    record(
        journal,
        RunStarted("r", 1, "m.f"),
        TaskDeclared("r", "m.f", 0, "", "", "", declared, [("o0", "list[int]")], {}),
        ActionStarted("r", "a0", "", "task", "m.f", 0, 0, 1, pack([5, "rbf", blob_leaf(blob)])),
        ActionEnded("r", "a0", 1, "succeeded", 1, 2, pack([[1, 2]])),
    )
    frame = Store(home).sql('SELECT direction, name, type, value, text, digest, size_bytes FROM "values" ORDER BY ALL')
    rows = frame.astype(object).where(frame.notna(), None).to_numpy().tolist()
    assert rows == [
        ["input", "data", "ndarray", None, "array 1000", "d" * 64, 1_000_000],
        ["input", "kind", "str", '"rbf"', "rbf", None, 4],
        ["input", "x", "int", "5", "5", None, 1],
        ["output", "o0", "list[int]", "[1,2]", "[1, 2]", None, 3],
    ]


def test_what_json_cannot_say_has_no_value() -> None:
    pickled = Ext(2, msgspec.msgpack.encode([b"pickle", {"kind": "opaque", "text": "<thing>"}]))
    trees = [tagged("tuple", [1, 2]), pickled, [pickled], "x" * (VALUE_JSON_BYTES + 1), Ext(BLOB, b"broken"), 2**80]
    values = [row[-1] for row in value_rows("r", "a0", "input", pack(trees))]
    assert values == ["[1,2]", None, None, None, None, str(2**80)]
    assert list(value_rows("r", "a0", "input", b"\xc1 not msgpack")) == []


def test_integrity_finds_values_that_are_gone(home: Home, journal: Journal, record: Record) -> None:
    values = ValueStore(home)
    digest = values.put([b"x" * 1000])
    record(journal, "r")
    leaf = blob_leaf(Blob(digest, 1000, "pickle5", {"kind": "opaque", "text": "x"}))
    record(journal, ActionStarted("r", "a9", "a0", "task", "m.f", 0, 0, 1, pack([leaf])))
    store = Store(home)
    assert store.integrity() == []
    values.path(digest).unlink()
    assert store.integrity() == [f"the value {digest} is missing or damaged"]

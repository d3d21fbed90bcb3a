"""A user's SQL: one SELECT, nothing else, nothing outside."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy
import pandas
import polars
import pytest

from flyte_nb.store import sql as sql_module
from flyte_nb.store.errors import QueryError
from flyte_nb.store.home import Home
from flyte_nb.store.journal import Journal
from flyte_nb.store.queries import Store
from flyte_nb.store.schema import VIEW_NAMES
from flyte_nb.store.table import Table


@pytest.fixture
def store(home: Home, journal: Journal, record: Callable[..., None]) -> Store:
    record(journal, "first", "second", count=3)
    return Store(home)


def test_an_answer_is_a_pandas_frame(store: Store) -> None:
    frame = store.sql("SELECT run, started_at, duration_seconds, labels FROM runs ORDER BY run")
    assert isinstance(frame, pandas.DataFrame)
    assert frame["run"].tolist() == ["first", "second"]
    assert frame["duration_seconds"].tolist() == [1.0, 1.0]
    assert frame["labels"][0] == {"team": "red"}
    assert frame["started_at"][0] == datetime.fromtimestamp(1_700_000_000, UTC)


def test_without_pandas_it_is_a_table_that_is_used_the_same_way(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_module, "has_pandas", lambda: False)
    table = store.sql('SELECT run, started_at AS "when" FROM runs ORDER BY run;')
    assert isinstance(table, Table)
    assert (table.columns, len(table), list(table)) == (["run", "when"], 2, ["run", "when"])
    assert table["run"] == ["first", "second"]
    assert table["when"][0] == datetime.fromtimestamp(1_700_000_000, UTC)
    assert store.sql("SELECT run FROM runs WHERE false").rows == []
    with pytest.raises(KeyError, match="no column 'x'; there are run, when"):
        table["x"]


def test_a_table_shows_text_as_text() -> None:
    table = Table(["<b>"], [("<script>alert(1)</script>",), (None,), ("x\ny",), *[("more",)] * 100])
    assert "<script>" not in table._repr_html_()
    assert "&lt;script&gt;" in table._repr_html_()
    assert "(43 more rows)" in repr(table)
    assert "x y" in repr(table)


def test_a_table_shows_a_time_in_utc_to_the_millisecond_and_keeps_all_of_it() -> None:
    at = datetime(2026, 11, 23, 5, 36, 5, 372_808, tzinfo=timezone(timedelta(hours=1)))
    table = Table(["at"], [(at,)])
    assert repr(table) == "at\n2026-11-23 04:36:05.372"
    assert table["at"] == [at]


@pytest.mark.parametrize(
    "frame",
    [
        pandas.DataFrame({"run": ["first"], "n": [7]}),
        polars.DataFrame({"run": ["first"], "n": [7]}),
        polars.LazyFrame({"run": ["first"], "n": [7]}),
        polars.DataFrame({"run": ["first"], "n": [7]}).to_arrow(),
        {"run": numpy.array(["first"]), "n": [7]},
        Table(["run", "n"], [("first", 7)]),
    ],
    ids=lambda frame: f"{type(frame).__module__.partition('.')[0]}.{type(frame).__name__}",
)
def test_frames_are_joined_by_name(store: Store, frame: object) -> None:
    assert store.sql("SELECT n FROM runs JOIN mine USING (run)", {"mine": frame, "unused": object()})["n"].tolist() == [
        7
    ]


def test_a_frame_never_hides_a_view(store: Store) -> None:
    assert len(store.sql("SELECT * FROM runs", {"runs": pandas.DataFrame({"x": [1]})})) == 2


def test_what_is_no_table_cannot_be_joined(store: Store) -> None:
    with pytest.raises(QueryError, match="'mine' is a int, not a table"):
        store.sql("SELECT * FROM mine", {"mine": 5})


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("SELECT 1; SELECT 2", "SELECT, SELECT"),
        ("DROP VIEW runs", "DROP"),
        ("INSERT INTO store.runs SELECT * FROM store.runs", "INSERT"),
        ("COPY runs TO '/tmp/stolen.csv'", "COPY"),
        ("ATTACH '/tmp/other.duckdb'", "ATTACH"),
        ("INSTALL httpfs", "LOAD"),
        ("SET threads = 1", "SET"),
        ("", "nothing"),
        ("-- only a comment", "nothing"),
    ],
)
def test_anything_but_one_select_is_refused(store: Store, query: str, kinds: str) -> None:
    with pytest.raises(QueryError, match=re.escape(f"takes exactly one SELECT; this is {kinds}.")):
        store.sql(query)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT * FROM nope", "Table with name nope does not exist"),
        ("SELEC 1", "syntax error"),
        ("SELECT nope FROM runs", "nope"),
        ("SELECT * FROM read_csv('/etc/passwd')", "disabled by configuration"),
        ("FROM '/etc/passwd'", "does not exist"),
        ("SELECT * FROM read_text('https://example.com')", "disabled by configuration"),
        ("WITH gone AS (DELETE FROM store.runs RETURNING *) FROM gone", "read-only"),
        ("SELECT 1 / (SELECT 'x'::INT)", "Conversion Error"),
    ],
)
def test_an_error_is_one_clear_line_and_harms_nothing(store: Store, query: str, message: str) -> None:
    with pytest.raises(QueryError, match=message) as caught:
        store.sql(query)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert len(store.runs()) == 2


def test_variables_of_the_caller_are_not_tables(store: Store) -> None:
    mine = pandas.DataFrame({"x": [1]})
    with pytest.raises(QueryError, match="mine"):
        store.sql("SELECT * FROM mine")
    assert len(mine) == 1


def test_times_are_in_utc_wherever_the_user_is(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    store.close()
    assert store.sql("SELECT max(started_at)::VARCHAR AS t FROM runs")["t"].tolist() == ["2023-11-14 22:13:20+00"]


def test_every_view_is_documented_with_its_columns(store: Store) -> None:
    text = (Path(__file__).parents[2] / "docs" / "store.md").read_text(encoding="utf-8")
    for view in VIEW_NAMES:
        section = text.partition(f"### {view}\n")[2].partition("###")[0]
        assert section, f"docs/store.md has no section {view}"
        for column in store.sql(f'SELECT * FROM "{view}"').columns:
            assert f"`{column}`" in section, f"docs/store.md: {view}.{column}"

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from flyte_nb.store.home import STORE_VERSION
from flyte_nb.store.migrations import MIGRATIONS, migrate


@pytest.fixture
def first(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database as the first release left it, with an action and a task in it."""
    with duckdb.connect(tmp_path / "runs.duckdb") as connection:
        MIGRATIONS[1](connection)
        connection.execute("INSERT INTO store.versions VALUES (1, current_timestamp)")
        connection.execute("INSERT INTO store.actions (run, action, phase, queued_ns) VALUES ('r1', 'a0', 'failed', 1)")
        connection.execute("INSERT INTO store.tasks (run, task, spec) VALUES ('r1', 'env.main', 0)")
        yield connection


def test_a_database_of_the_first_release_is_brought_up_to_date(first: duckdb.DuckDBPyConnection) -> None:
    assert migrate(first)
    assert first.execute("SELECT max(version) FROM store.versions").fetchone() == (STORE_VERSION,)
    assert first.execute("SELECT phase, initializing_at FROM actions").fetchall() == [("failed", None)]
    assert first.execute("SELECT isolation, isolation_reason FROM tasks").fetchall() == [("", "")]
    assert first.execute("SELECT count(*) FROM deployed_tasks").fetchall() == [(0,)]
    assert first.execute("SELECT count(*) FROM triggers").fetchall() == [(0,)]
    assert not migrate(first)

"""How the database came to be what it is: one function a version, applied in order, in one transaction.

A migration is never changed once it was released; the next version gets the next function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from flyte_nb.store.errors import StoreVersionError
from flyte_nb.store.home import STORE_VERSION
from flyte_nb.store.schema import VIEWS
from flyte_nb.store.transactions import transaction

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["MIGRATIONS", "migrate", "migration"]

Migration = Callable[["DuckDBPyConnection"], None]
MIGRATIONS: dict[int, Migration] = {}


def migration(version: int) -> Callable[[Migration], Migration]:
    """Registers the function that brings the database from the version before to this one."""

    def register(function: Migration) -> Migration:
        MIGRATIONS[version] = function
        return function

    return register


def migrate(connection: DuckDBPyConnection) -> bool:
    """Brings an open database to `STORE_VERSION`; returns whether there was anything to do.

    Raises:
        StoreVersionError: it was written by a newer release.
    """
    version = database_version(connection)
    if version > STORE_VERSION:
        raise StoreVersionError(
            f"The database has schema version {version}; this flyte_nb knows up to {STORE_VERSION}. Upgrade flyte_nb,"
            " or set FLYTE_NB_HOME to another folder."
        )
    if version == STORE_VERSION:
        return False
    with transaction(connection):  # one for all: a process killed half-way leaves the database as it was
        for following in range(version + 1, STORE_VERSION + 1):
            MIGRATIONS[following](connection)
            connection.execute("INSERT INTO store.versions VALUES (?, current_timestamp)", [following])
        for view in VIEWS:
            connection.execute(view)
    return True


def database_version(connection: DuckDBPyConnection) -> int:
    """The version of an open database; 0 for an empty one."""
    import duckdb

    try:
        row = connection.execute("SELECT max(version) FROM store.versions").fetchone()
    except duckdb.CatalogException:  # no such table; to look for it in the catalogue takes 20 times as long
        return 0
    return int(row[0]) if row else 0


@migration(1)
def first_tables(connection: DuckDBPyConnection) -> None:
    """Runs, actions, attempts, values, logs, reports, tasks, labels, and how far each journal was folded."""
    connection.execute(
        """
        CREATE SCHEMA store;
        CREATE TABLE store.versions (version INTEGER, applied_at TIMESTAMPTZ);
        CREATE TABLE store.segments (segment VARCHAR, folded_bytes BIGINT);
        CREATE TABLE store.damage (segment VARCHAR, start_bytes BIGINT, end_bytes BIGINT, reason VARCHAR);
        CREATE TABLE store.runs (
            run VARCHAR, journal VARCHAR, task VARCHAR, environment VARCHAR, phase VARCHAR,
            started_ns BIGINT, ended_ns BIGINT, notebook VARCHAR, cell VARCHAR, parent_run VARCHAR,
            annotations JSON, options JSON, error JSON, action_count BIGINT
        );
        CREATE TABLE store.labels (run VARCHAR, at_ns BIGINT, key VARCHAR, value VARCHAR);
        CREATE TABLE store.tasks (
            run VARCHAR, task VARCHAR, spec INTEGER, short_name VARCHAR, own_digest VARCHAR, deep_digest VARCHAR,
            place VARCHAR, source VARCHAR, inputs STRUCT(name VARCHAR, "type" VARCHAR)[],
            outputs STRUCT(name VARCHAR, "type" VARCHAR)[], settings JSON, types BLOB
        );
        CREATE TABLE store.actions (
            run VARCHAR, action VARCHAR, parent VARCHAR, kind VARCHAR, task VARCHAR, spec INTEGER, sequence BIGINT,
            group_name VARCHAR, position VARCHAR, queued_ns BIGINT, started_ns BIGINT, ended_ns BIGINT, attempt INTEGER,
            phase VARCHAR, error JSON, source VARCHAR, note VARCHAR, isolation VARCHAR, inputs BLOB, outputs BLOB,
            trace_inputs STRUCT(name VARCHAR, "type" VARCHAR)[], custom_context JSON
        );
        CREATE TABLE store.attempts (
            run VARCHAR, action VARCHAR, attempt INTEGER, phase VARCHAR, started_ns BIGINT, ended_ns BIGINT, error JSON
        );
        CREATE TABLE store.action_values (
            run VARCHAR, action VARCHAR, direction VARCHAR, position INTEGER, digest VARCHAR, size_bytes BIGINT,
            preview JSON, value JSON
        );
        CREATE TABLE store.logs (
            run VARCHAR, action VARCHAR, attempt INTEGER, at_ns BIGINT, stream VARCHAR, text VARCHAR
        );
        CREATE TABLE store.reports (run VARCHAR, action VARCHAR, attempt INTEGER, at_ns BIGINT, html VARCHAR);
        """
    )


@migration(2)
def isolation_and_code(connection: DuckDBPyConnection) -> None:
    """Where tasks run and why, when the process of an attempt began to start, and where the code of a run is kept."""
    connection.execute(
        """
        ALTER TABLE store.tasks ADD COLUMN isolation VARCHAR DEFAULT '';
        ALTER TABLE store.tasks ADD COLUMN isolation_reason VARCHAR DEFAULT '';
        ALTER TABLE store.actions ADD COLUMN initializing_ns BIGINT;
        ALTER TABLE store.runs ADD COLUMN code VARCHAR DEFAULT '';
        """
    )


@migration(3)
def deployments(connection: DuckDBPyConnection) -> None:
    """Deployed tasks, their triggers, and what became of those."""
    connection.execute(
        """
        CREATE TABLE store.deployed_tasks (
            task VARCHAR, version VARCHAR, deployed_ns BIGINT, environment VARCHAR, code VARCHAR, own_digest VARCHAR,
            deep_digest VARCHAR, inputs STRUCT(name VARCHAR, "type" VARCHAR)[],
            outputs STRUCT(name VARCHAR, "type" VARCHAR)[], defaults JSON, default_values BLOB, types BLOB,
            short_description VARCHAR, long_description VARCHAR, input_descriptions JSON, image VARCHAR, resources JSON,
            settings JSON, depends_on VARCHAR[], source VARCHAR, place VARCHAR, notebook VARCHAR, short_name VARCHAR,
            wire VARCHAR
        );
        CREATE TABLE store.triggers (
            task VARCHAR, name VARCHAR, version VARCHAR, deployed_ns BIGINT, is_active BOOLEAN, automation JSON,
            description VARCHAR, inputs BLOB, time_inputs VARCHAR[], settings JSON, wire VARCHAR
        );
        CREATE TABLE store.trigger_changes (
            task VARCHAR, name VARCHAR, at_ns BIGINT, change VARCHAR, due_ns BIGINT, started_run VARCHAR, error VARCHAR
        );
        """
    )

"""The views that people query with `%flyte sql`: documented in docs/store.md, stable from release to release.

The tables behind them are in the schema `store` and may change with any release. Columns `*_at` are TIMESTAMPTZ in
UTC, durations are seconds, labels are a MAP.
"""

from __future__ import annotations

__all__ = ["PHASES_OVER", "VIEWS", "VIEW_NAMES"]

PHASES_OVER = ("succeeded", "failed", "aborted", "timed_out", "recovered")
"""Phases after which nothing happens any more."""


def at(column: str, name: str) -> str:
    """A column of nanoseconds as a time."""
    return f"make_timestamptz({column} // 1000) AS {name}"


def seconds(start: str, end: str, name: str) -> str:
    """The seconds between two columns of nanoseconds."""
    return f"({end} - {start}) / 1e9 AS {name}"


ERROR = "error->>'code' AS error_code, error->>'message' AS error, error->>'place' AS error_place"

VIEW_QUERIES = {
    "runs": f"""
        SELECT run, task, environment, phase, {at("started_ns", "started_at")}, {at("ended_ns", "ended_at")},
            {seconds("started_ns", "ended_ns", "duration_seconds")},
            coalesce(labels, MAP {{}}::MAP(VARCHAR, VARCHAR)) AS labels, action_count AS actions, notebook, cell,
            parent_run, {ERROR}, error->>'traceback' AS traceback, annotations, options
        FROM store.runs LEFT JOIN store.current_labels USING (run)""",
    "actions": f"""
        SELECT run, action, parent, kind, task, group_name AS "group", sequence, phase, attempt AS attempts,
            {at("queued_ns", "queued_at")}, {at("initializing_ns", "initializing_at")},
            {at("started_ns", "started_at")}, {at("ended_ns", "ended_at")},
            {seconds("queued_ns", "started_ns", "waited_seconds")},
            {seconds("started_ns", "ended_ns", "duration_seconds")}, {ERROR}, error->>'traceback' AS traceback,
            source, note, isolation
        FROM store.actions""",
    "attempts": f"""
        SELECT run, action, attempt, phase, {at("started_ns", "started_at")}, {at("ended_ns", "ended_at")},
            {seconds("started_ns", "ended_ns", "duration_seconds")}, {ERROR}, error->>'traceback' AS traceback
        FROM store.all_attempts""",
    "events": f"""
        SELECT run, action, attempt, event, {at("at_ns", "happened_at")} FROM store.all_events""",
    "logs": f"""
        SELECT run, action, attempt, {at("at_ns", "logged_at")}, stream, text FROM store.logs""",
    "values": """
        SELECT run, action, task, direction, position, coalesce(declared.name, 'o' || position) AS name,
            declared."type" AS type, value, preview->>'text' AS text, digest, size_bytes, preview
        FROM store.declared_values""",
    "tasks": """
        SELECT run, task, short_name, spec, own_digest, deep_digest, place, source, inputs, outputs, settings,
            isolation, isolation_reason
        FROM store.tasks""",
    "deployed_tasks": f"""
        SELECT task, version, {at("deployed_ns", "deployed_at")}, environment, short_name, inputs, outputs, defaults,
            short_description, long_description, input_descriptions, image, resources, settings, depends_on, place,
            source, notebook, own_digest, deep_digest
        FROM store.known_deployed_tasks""",
    "triggers": f"""
        SELECT task, name, version, {at("deployed_ns", "deployed_at")}, is_active, automation, description, settings,
            {at("changed_ns", "changed_at")}, {at("fired_ns", "fired_at")}, fired_run, fired_error
        FROM store.known_triggers""",
    "reports": f"""
        SELECT run, action, attempt, {at("at_ns", "written_at")}, html FROM store.reports""",
}

VIEW_NAMES = tuple(VIEW_QUERIES)

HELPERS = {
    "current_labels": """
        SELECT run, map_from_entries(list({'k': key, 'v': value} ORDER BY key)) AS labels
        FROM (SELECT run, key, last(value ORDER BY at_ns) AS value FROM store.labels GROUP BY run, key)
        WHERE value IS NOT NULL GROUP BY run""",
    "known_deployed_tasks": """
        SELECT * FROM store.deployed_tasks
        QUALIFY row_number() OVER (PARTITION BY task, version ORDER BY deployed_ns, rowid) = 1""",
    "known_triggers": """
        WITH latest AS (
            SELECT * EXCLUDE (is_active), is_active AS was_active FROM store.triggers
            QUALIFY row_number() OVER (PARTITION BY task, name ORDER BY deployed_ns DESC, rowid DESC) = 1
        ), turns AS (
            SELECT task, name, last(change ORDER BY at_ns) AS turn, max(at_ns) AS turned_ns
            FROM store.trigger_changes JOIN latest USING (task, name)
            WHERE change <> 'fired' AND at_ns >= deployed_ns GROUP BY ALL
        ), firings AS (
            SELECT task, name, last(f ORDER BY at_ns) AS f FROM store.trigger_changes f
            JOIN latest l USING (task, name) WHERE change = 'fired' GROUP BY ALL
        )
        SELECT latest.* EXCLUDE (was_active), coalesce(turn = 'activated', was_active) AS is_active,
            coalesce(turned_ns, deployed_ns) AS changed_ns, f.at_ns AS fired_ns, f.due_ns AS fired_due_ns,
            coalesce(f.started_run, '') AS fired_run, coalesce(f.error, '') AS fired_error
        FROM latest LEFT JOIN turns USING (task, name) LEFT JOIN firings USING (task, name)
        WHERE coalesce(turn <> 'deleted', true)""",
    "declared_values": """
        SELECT run, action, task, direction, v.position, value, preview, digest, size_bytes,
            (CASE direction WHEN 'input' THEN coalesce(trace_inputs, inputs) ELSE outputs END)[v.position + 1]
            AS declared
        FROM store.action_values v
        LEFT JOIN (SELECT run, action, task, spec, trace_inputs FROM store.actions) USING (run, action)
        LEFT JOIN (SELECT run, spec, inputs, outputs FROM store.tasks) USING (run, spec)""",
    "all_attempts": """
        SELECT run, action, attempt, phase, started_ns, ended_ns, error FROM store.attempts
        UNION ALL
        SELECT run, action, attempt, phase, started_ns, ended_ns, error FROM store.actions
        WHERE started_ns IS NOT NULL""",
    "all_events": """
        SELECT run, action, 1 AS attempt, 'queued' AS event, queued_ns AS at_ns FROM store.actions
        UNION ALL
        SELECT run, action, attempt, 'initializing', initializing_ns FROM store.actions
        WHERE initializing_ns IS NOT NULL
        UNION ALL
        SELECT run, action, attempt, 'running', started_ns FROM store.all_attempts
        UNION ALL
        SELECT run, action, attempt, phase, ended_ns FROM store.all_attempts WHERE ended_ns IS NOT NULL""",
}

VIEWS = (
    *(f"CREATE OR REPLACE VIEW store.{name} AS {query}" for name, query in HELPERS.items()),
    *(f'CREATE OR REPLACE VIEW "{name}" AS {query}' for name, query in VIEW_QUERIES.items()),
)
"""The statements that (re)create every view."""

"""Cached results as commands show, explain and clear them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flyte_nb.authoring.cache import Cache, cache_from_request
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.engine.action import Action as LiveAction
from flyte_nb.engine.cache.caching import OVERRIDDEN, folder_name, why_unusable
from flyte_nb.engine.cache.code import code_items
from flyte_nb.engine.cache.differences import asked_call, code_of, differences, nearest, version_text
from flyte_nb.engine.secrets.masking import MASKED_NOTE
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.plain import PHASE_WORDS, duration_text
from flyte_nb.remote.search import did_you_mean, find_run
from flyte_nb.remote.source import source
from flyte_nb.remote.upkeep.images import age_of, size_text
from flyte_nb.store.cached_results import CachedInput, CachedResult, CodeItem, remove_results, stored_results
from flyte_nb.store.rows import ActionRow, TaskRow
from flyte_nb.types.signature import signature_of

__all__ = [
    "CACHE_COLUMNS",
    "NOTHING_CACHED",
    "cached_rows",
    "clear",
    "explain_action",
    "explain_call",
    "explain_run",
    "explain_task",
]

NOTHING_CACHED = "No results are cached: @env.task(cache='auto') stores them."
CACHE_COLUMNS = ("task", "inputs", "computed_by", "stored_at", "seconds", "size_bytes", "code")
SHOWN_VERSIONS = 10
SHOWN_ACTIONS = 20


def cached_rows() -> list[tuple[Any, ...]]:
    """Every cached result, newest first, as `CACHE_COLUMNS` say."""
    found = sorted(stored_results(cache_folder()), key=lambda one: -one[1].at_ns)
    return [
        (
            one.task,
            inputs_text(one),
            f"{one.run}/{one.action}",
            datetime.fromtimestamp(one.at_ns / 1e9, UTC),
            round(one.took_ns / 1e9, 3),
            path.stat().st_size if path.exists() else 0,
            version_text(one).removeprefix("digest "),
        )
        for path, one in found
    ]


def clear(task: str | None, everything: bool, older_than: str | None) -> str:
    """Removes cached results and says what was done.

    Args:
        task: only this task's, by its full name.
        everything: all, also what an earlier release has stored.
        older_than: only those stored so long ago: `7d`, `12h`, `30m`.

    Raises:
        CommandError: it does not say which, or nothing is cached of that task.
    """
    if everything and (task is not None or older_than is not None):
        raise CommandError("--all clears everything: leave TASK and --older-than out.")
    if not everything and task is None and older_than is None:
        raise CommandError("Say what to clear: a TASK, --older-than TIME, or --all.")
    folder = cache_folder()
    if task is not None:
        check_known(task)
    before_ns = time.time_ns() - age_of(older_than) // timedelta(microseconds=1) * 1000 if older_than else None
    paths = [
        path
        for path, one in stored_results(folder, folder_name(task) if task is not None else "*")
        if before_ns is None or one.at_ns < before_ns
    ]
    freed_bytes = remove_results(folder, paths, everything=everything)
    said = f"{counted(len(paths), 'cached result')} cleared, {size_text(freed_bytes)} freed."
    return f"{said} Large values stay as long as runs name them." if paths else said


def explain_action(run: str, action: str) -> str:
    """Why an action was answered from the cache, or why it executed.

    Args:
        run: a run's name, the beginning of it, or `last`.
        action: an action's name, or the beginning of it.

    Raises:
        CommandError: there is no such run or action.
    """
    name = find_run(run).name
    try:
        row = source.action(name, action)
    except KeyError as error:
        raise CommandError(str(error.args[0])) from None
    head = f"{row.task} ({name}/{row.name})"
    if row.source.startswith("cache:"):
        return explain_hit(head, row)
    if reason := why_not_cached(row, source.task(name, row.spec)):
        return f"{head} executed: {reason}"
    return explain_miss(head, row)


def explain_run(run: str) -> str:
    """The same of every action of a run whose task is cached, in short where there are several.

    Args:
        run: a run's name, the beginning of it, or `last`.

    Raises:
        CommandError: there is no such run.
    """
    name = find_run(run).name
    cached = {task.spec for task in source.tasks(name) if task.settings.get("cache")}
    actions = [row.name for row in source.actions(name) if row.kind == "task" and row.spec in cached]
    if not actions:
        return f"No task of run {name} is cached: @env.task(cache='auto') stores results."
    if len(actions) == 1:
        return explain_action(name, actions[0])
    lines = [in_a_line(explain_action(name, action)) for action in actions[:SHOWN_ACTIONS]]
    hidden = len(actions) - len(lines)
    return "\n".join([*lines, *([f"{counted(hidden, 'more action')}"] if hidden > 0 else [])])


def explain_call(task: TaskTemplate[Any, Any], inputs: Mapping[str, Any]) -> str:
    """Whether a call of a task as it stands would be answered from the cache, and why.

    Args:
        task: the task.
        inputs: by name.

    Raises:
        CommandError: the inputs do not fit, or the task is not cached.
    """
    cache = check_cached(task)
    try:
        payload, _ = signature_of(task).encode_inputs((), inputs, source.blobs)
    except (TypeError, ValueError) as error:
        raise CommandError(f"{task.name}: {error}") from None
    asked = asked_call(task, payload)
    stored = results_of(task.name)
    call = f"{task.name}({inputs_text(asked)})"
    if cache.behavior == "override":
        return f"{call} would execute: {OVERRIDDEN}."
    same = nearest(asked, stored)
    if same is not None and not differences(cache_folder(), asked, same):
        if unusable := why_unusable(same, cache):
            return f"{call} would execute: {unusable}."
        return f"{call} would be answered from the cache: by {place_of(same)}."
    code = code_items(task, asked.deep_digest) if asked.deep_digest else None
    return compared(call, "would execute", asked, stored, code)


def explain_task(name: str, task: TaskTemplate[Any, Any] | None) -> str:
    """What the cache holds of a task, and of which versions of its code.

    Args:
        name: its full name.
        task: as it stands now, where it is at hand.

    Raises:
        CommandError: it is not cached, or nothing is cached of such a task.
    """
    lines = [name]
    asked, code = None, None
    if task is None:
        check_known(name)
    else:
        cache = check_cached(task)
        asked = asked_call(task, None)
        code = code_items(task, asked.deep_digest) if asked.deep_digest else None
        lines[0] = f"{name}: {cache_text(cache, asked)}"
        if opaque := [item.name for item in code or () if item.kind == "opaque"]:
            lines.append(f"  a change of what these hold goes unnoticed: {', '.join(opaque)}")
    stored = sorted(results_of(name), key=lambda one: -one.at_ns)
    versions: dict[str, list[CachedResult]] = {}
    for one in stored:
        versions.setdefault(one.version, []).append(one)
    lines.append(f"  {counted(len(stored), 'cached result')} of {counted(len(versions), 'version')} of the code")
    lines += [
        f"  {version_line(of_version, asked or stored[0], code, is_present=asked is not None)}"
        for of_version in list(versions.values())[:SHOWN_VERSIONS]
    ]
    return "\n".join(lines)


def version_line(
    of_version: list[CachedResult], latest: CachedResult, code: list[CodeItem] | None, *, is_present: bool
) -> str:
    """The results of one version of a task's code, and what changed since."""
    newest = of_version[0]
    facts = f"{len(of_version)} of {version_text(newest)}, newest {newest.run}/{newest.action} {ago(newest)}"
    if newest.version == latest.version:
        return f"{facts}: the code as it stands" if is_present else facts
    changes = differences(cache_folder(), latest, newest, code)
    return f"{facts}; since then {'; '.join(one for one in changes if not one.startswith('input '))}"


def explain_hit(head: str, row: ActionRow | LiveAction) -> str:
    """Which result an action took, and what the two calls have in common."""
    run, _, action = row.source.removeprefix("cache:").partition("/")
    lines = [f"{head} was answered from the cache: {run}/{action} computed it"]
    stored = next((one for one in results_of(row.task) if (one.run, one.action) == (run, action)), None)
    if stored is None:
        lines[0] += "; that result was replaced or cleared since."
        return lines[0]
    lines[0] += f" {ago(stored)} in {duration_text(stored.took_ns / 1e6)}."
    items = code_of(cache_folder(), stored)
    lines.append(f"  equal: {inputs_text(stored) or 'no inputs'}")
    holds = f", {len(items)} things that it reaches" if items is not None else ""
    lines.append(f"  equal: {'code' if stored.deep_digest else 'version'}, {version_text(stored)}{holds}")
    if ignored := [one.name for one in stored.inputs if not one.digest]:
        lines.append(f"  does not count: {', '.join(ignored)}")
    return "\n".join(lines)


def explain_miss(head: str, row: ActionRow | LiveAction) -> str:
    """Why an action of a cached task executed: what it stored tells, or the nearest of what was stored before."""
    results = results_of(row.task)
    own = next((one for one in results if (one.run, one.action) == (row.run, row.name)), None)
    if own is None:
        return f"{head} executed, and its result was replaced or cleared since: what its key was is not known any more."
    if own.why:
        return f"{head} executed: {own.why}."
    return compared(head, "executed", own, [one for one in results if one.at_ns < own.at_ns])


def compared(
    head: str, executed: str, asked: CachedResult, stored: list[CachedResult], code: list[CodeItem] | None = None
) -> str:
    """What a call has that the nearest of the stored results has not."""
    closest = nearest(asked, stored)
    if closest is None:
        return f"{head} {executed}: no result of this task was stored before."
    differing = differences(cache_folder(), asked, closest, code)
    lines = [f"{head} {executed}. The nearest result is {place_of(closest)}; different:", *differing]
    return "\n  ".join(lines)


def why_not_cached(row: ActionRow | LiveAction, task: TaskRow | None) -> str:
    """Why an action's result was neither looked up nor stored; empty when it was."""
    if row.kind != "task" or task is None:
        return "only results of tasks are cached."
    if not task.settings.get("cache"):
        return "its cache is disabled; declare it with @env.task(cache='auto')."
    if row.phase == "recovered":
        return "no, it was recovered from an earlier run."
    if source.run(row.run).options.get("disable_run_cache"):
        return "the run was asked for with disable_run_cache."
    if row.phase != "succeeded":
        return f"it is {PHASE_WORDS.get(row.phase, row.phase)}; only results of succeeded actions are cached."
    return f"{row.note}." if MASKED_NOTE in row.note else ""


def results_of(task: str) -> list[CachedResult]:
    """The cached results of a task."""
    return [one for _, one in stored_results(cache_folder(), folder_name(task))]


def check_known(task: str) -> None:
    """Raises when nothing is cached of a task of that name.

    Raises:
        CommandError: nothing is; the message names near ones.
    """
    if not results_of(task):
        known = {one.task for _, one in stored_results(cache_folder())}
        near = did_you_mean(task, known) or (f" There are results of {', '.join(sorted(known)[:10])}." if known else "")
        raise CommandError(f"Nothing is cached of {task!r}.{near or f' {NOTHING_CACHED}'}")


def check_cached(task: TaskTemplate[Any, Any]) -> Cache:
    """The cache of a task.

    Raises:
        CommandError: it is disabled.
    """
    cache = cache_from_request(task.cache)
    if not cache.is_enabled():
        raise CommandError(f"The cache of {task.name} is disabled; declare it with @env.task(cache='auto').")
    return cache


def cache_text(cache: Cache, asked: CachedResult) -> str:
    """What a task says of its cache, in a line."""
    facts = [f"cache={cache.behavior!r}", f"version {version_text(asked)}" + (" of its code" * bool(asked.deep_digest))]
    facts += [f"salt {cache.salt!r}"] * bool(cache.salt)
    facts += [f"max_age {cache.max_age}"] * bool(cache.max_age)
    facts += ["serialize"] * cache.serialize
    facts += [f"ignores {', '.join(cache.get_ignored_inputs())}"] * bool(cache.get_ignored_inputs())
    return ", ".join(facts)


def inputs_text(result: CachedResult) -> str:
    """The inputs that count, in a few words: `x=3, y=4`."""
    counted: Iterable[CachedInput] = (one for one in result.inputs if one.digest)
    return ", ".join(f"{one.name}={one.text}" for one in counted)


def in_a_line(text: str) -> str:
    head, *rest = text.split("\n  ")
    return f"{head} {'; '.join(rest)}".rstrip()


def counted(count: int, what: str) -> str:
    """`1 cached result`, `2 cached results`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def place_of(result: CachedResult) -> str:
    """Which action computed a result, and when."""
    return f"{result.run}/{result.action}, stored {ago(result)}"


def ago(result: CachedResult) -> str:
    """How long ago a result was stored: `3 min 07 s ago`."""
    return f"{duration_text((time.time_ns() - result.at_ns) / 1e6)} ago"


def cache_folder() -> Path:
    return source.store.home.cache

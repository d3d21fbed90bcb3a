"""RunService: runs and actions listed, looked up, watched, created and aborted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any
from weakref import WeakValueDictionary

from connectrpc.request import RequestContext
from flyteidl2.common import identifier_pb2
from flyteidl2.workflow import run_definition_pb2, run_service_pb2
from flyteidl2.workflow.run_service_connect import RunService

from flyte_nb.engine.identity import ROOT
from flyte_nb.remote.aborting import abort_elsewhere
from flyte_nb.server.wire.executing.execution import Execution
from flyte_nb.server.wire.filters import constant, token_of, wanted_rows
from flyte_nb.server.wire.following import OVERLAP_NS, FollowedRun, State, state_of
from flyte_nb.server.wire.messages import TRACKED, Scope, listed_run
from flyte_nb.server.wire.records import Records
from flyte_nb.server.wire.services.places import subject
from flyte_nb.server.wire.signals import answer_condition
from flyte_nb.server.wire.tracking import Tracking
from flyte_nb.server.wire.trigger_messages import request_as_trigger
from flyte_nb.server.wire.uploads import Uploads
from flyte_nb.store.pages import ACTION_FIELDS, RUN_FIELDS, Condition, ListedAction, list_actions, list_root_actions

__all__ = ["Runs", "scope_of"]

Context = RequestContext[Any, Any]
MOST_TOLD = 500
"""Actions of which a watcher is told in one message: while it is written, nobody else is answered."""
MOST_WATCHED = 1_000
"""Runs of which a watcher of all runs is told at first: the newest."""
FIELDS = RUN_FIELDS | {"created_by": constant(subject())}
"""What runs can be filtered by; there is one user."""


def scope_of(identifier: Any) -> Scope:
    """Under what a client looks for what it names."""
    if isinstance(identifier, identifier_pb2.ProjectIdentifier):
        return Scope(identifier.organization, identifier.name, identifier.domain)
    return Scope(identifier.org, identifier.project, identifier.domain)


class Runs(RunService):
    """The runs of one store.

    Args:
        records: the store.
        tracking: records what clients publish.
        execution: runs what clients ask for.
        uploads: where clients have put the inputs of runs.
    """

    def __init__(self, records: Records, tracking: Tracking, execution: Execution, uploads: Uploads) -> None:
        self.records = records
        self.tracking = tracking
        self.execution = execution
        self.uploads = uploads
        self._followed: WeakValueDictionary[tuple[Scope, str, str], FollowedRun] = WeakValueDictionary()
        """Runs that are being watched, and under which filters."""

    async def create_run(
        self, request: run_service_pb2.CreateRunRequest, ctx: Context
    ) -> run_service_pb2.CreateRunResponse:
        """Runs a deployed task, or what a trigger would start, where the server was told to execute."""
        if request.WhichOneof("task") == "trigger_name":
            request = await self.records.ask(self._as_trigger, request)
        name = await self.execution.start(request)
        named = request.run_id if request.WhichOneof("id") == "run_id" else request.project_id
        row = await self.records.ask(self.records.listed, name)
        return run_service_pb2.CreateRunResponse(run=listed_run(scope_of(named), row))

    async def list_runs(
        self, request: run_service_pb2.ListRunsRequest, ctx: Context
    ) -> run_service_pb2.ListRunsResponse:
        """Runs under filters, in an order, a page at a time."""
        wanted = wanted_rows(request.request, FIELDS)
        scope, scoped = _scoped(request)
        if request.paused_actions_only:
            scoped.append(("run IN (SELECT run FROM store.actions WHERE phase = 'paused')", []))
        page = await self.records.ask(
            list_root_actions, self.records.home, [*wanted.conditions, *scoped], **wanted.page
        )
        runs = [listed_run(scope, row) for row in page.rows]
        return run_service_pb2.ListRunsResponse(runs=runs, token=token_of(page.cursor))

    async def get_run_details(
        self, request: run_service_pb2.GetRunDetailsRequest, ctx: Context
    ) -> run_service_pb2.GetRunDetailsResponse:
        """One run: its root action with attempts and errors."""
        return run_service_pb2.GetRunDetailsResponse(details=await self._run_details(request.run_id))

    async def watch_run_details(
        self, request: run_service_pb2.WatchRunDetailsRequest, ctx: Context
    ) -> AsyncIterator[run_service_pb2.WatchRunDetailsResponse]:
        """One run whenever it has changed, until it is over."""
        async with aclosing(self._watch_action(scope_of(request.run_id), request.run_id.name, ROOT)) as changes:
            async for _ in changes:
                yield run_service_pb2.WatchRunDetailsResponse(details=await self._run_details(request.run_id))

    async def get_action_details(
        self, request: run_service_pb2.GetActionDetailsRequest, ctx: Context
    ) -> run_service_pb2.GetActionDetailsResponse:
        """One action: its attempts, errors, and the types of its values."""
        action = request.action_id
        details = await self.records.details(scope_of(action.run), action.run.name, action.name)
        return run_service_pb2.GetActionDetailsResponse(details=details)

    async def watch_action_details(
        self, request: run_service_pb2.WatchActionDetailsRequest, ctx: Context
    ) -> AsyncIterator[run_service_pb2.WatchActionDetailsResponse]:
        """One action whenever it has changed, until it is over."""
        action = request.action_id
        async with aclosing(self._watch_action(scope_of(action.run), action.run.name, action.name)) as changes:
            async for details in changes:
                yield run_service_pb2.WatchActionDetailsResponse(details=details)

    async def list_actions(
        self, request: run_service_pb2.ListActionsRequest, ctx: Context
    ) -> run_service_pb2.ListActionsResponse:
        """The actions of a run under filters, in an order, a page at a time."""
        run = request.run_id
        wanted = wanted_rows(request.request, ACTION_FIELDS)
        page = await self.records.ask(list_actions, self.records.home, run.name, wanted.conditions, **wanted.page)
        if not page.rows:
            await self.records.ask(self.records.store.run, run.name)  # there is such a run
        actions = await self.records.ask(self._messages, scope_of(run), page.rows)
        return run_service_pb2.ListActionsResponse(actions=actions, token=token_of(page.cursor))

    async def watch_runs(
        self, request: run_service_pb2.WatchRunsRequest, ctx: Context
    ) -> AsyncIterator[run_service_pb2.WatchRunsResponse]:
        """The newest runs, then whichever has changed; without an end."""
        scope, scoped = _scoped(request)
        states: dict[str, State] = {}
        looked_at_ns = 0
        async with aclosing(self.records.changes()) as changes:
            async for _ in changes:
                since = ("(updated_ns >= ? OR ended_ns IS NULL)", [looked_at_ns - OVERLAP_NS])
                page = await self.records.ask(
                    list_root_actions,
                    self.records.home,
                    [*scoped, since],
                    order="updated_at",
                    descending=True,
                    limit=MOST_WATCHED,
                )
                changed = [row for row in reversed(page.rows) if states.get(row.run) != state_of(row)]
                states.update((row.run, state_of(row)) for row in changed)
                looked_at_ns = max([looked_at_ns, *(row.updated_ns for row in page.rows)])
                if changed:
                    yield run_service_pb2.WatchRunsResponse(runs=[listed_run(scope, row) for row in changed])

    async def watch_actions(
        self, request: run_service_pb2.WatchActionsRequest, ctx: Context
    ) -> AsyncIterator[run_service_pb2.WatchActionsResponse]:
        """All actions of a run, then whichever has changed, until the run is over."""
        run, scope = request.run_id, scope_of(request.run_id)
        filters = wanted_rows(_as_list(request), ACTION_FIELDS).conditions
        key = (scope, run.name, repr(filters))
        followed = self._followed.setdefault(key, FollowedRun(self.records, scope, run.name, filters))
        told = 0
        async with aclosing(self.records.changes()) as changes:
            async for revision in changes:
                await followed.look(revision)
                is_over = followed.is_over
                told, changed = followed.news(told)
                for start in range(0, len(changed), MOST_TOLD):
                    enriched = [
                        run_definition_pb2.EnrichedAction(action=action, meets_filter=True)
                        for action in changed[start : start + MOST_TOLD]
                    ]
                    yield run_service_pb2.WatchActionsResponse(enriched_actions=enriched)
                if is_over:
                    return

    async def abort_run(
        self, request: run_service_pb2.AbortRunRequest, ctx: Context
    ) -> run_service_pb2.AbortRunResponse:
        """Ends a run in the process in which it lives; what is over stays as it is."""
        await self._abort(request.run_id.name, ROOT, request.reason)
        return run_service_pb2.AbortRunResponse()

    async def abort_action(
        self, request: run_service_pb2.AbortActionRequest, ctx: Context
    ) -> run_service_pb2.AbortActionResponse:
        """Ends an action and all below it."""
        await self._abort(request.action_id.run.name, request.action_id.name, request.reason)
        return run_service_pb2.AbortActionResponse()

    async def get_action_data_u_r_is(
        self, request: run_service_pb2.GetActionDataURIsRequest, ctx: Context
    ) -> run_service_pb2.GetActionDataURIsResponse:
        """Empty addresses: values are in the store, and come with GetActionData."""
        action = request.action_id
        await self.records.ask(self.records.listed, action.run.name, action.name)
        return run_service_pb2.GetActionDataURIsResponse()

    async def signal_event(
        self, request: run_service_pb2.SignalEventRequest, ctx: Context
    ) -> run_service_pb2.SignalEventResponse:
        """Answers a condition in the process in which its run lives; returns when the answer is recorded."""
        await asyncio.to_thread(answer_condition, self.records.store, request)
        return run_service_pb2.SignalEventResponse()

    def _messages(self, scope: Scope, rows: list[ListedAction]) -> list[run_definition_pb2.Action]:
        return [self.records.message(scope, row) for row in rows]

    def _as_trigger(self, request: run_service_pb2.CreateRunRequest) -> run_service_pb2.CreateRunRequest:
        name = request.trigger_name
        row = self.records.deployments.trigger(name.task_name, name.name)
        return request_as_trigger(request, row, self.uploads.inputs(request), datetime.now(UTC))

    async def _abort(self, run: str, action: str, reason: str) -> None:
        reason = reason or "aborted by a client"
        row = await self.records.ask(self.records.store.run, run)
        if TRACKED not in row.options:
            # A thread of its own: a process that does not answer keeps nobody else waiting.
            await asyncio.to_thread(abort_elsewhere, self.records.store, run, action, reason)
        elif action != ROOT:
            raise ValueError(f"Run {run} is published by its client, which alone can end an action: abort the run")
        elif row.ended_ns is None:
            await self.records.ask(self.tracking.abort, run, reason)

    async def _run_details(self, run: identifier_pb2.RunIdentifier) -> run_definition_pb2.RunDetails:
        return await self.records.run_details(scope_of(run), run.name)

    async def _watch_action(
        self, scope: Scope, run: str, action: str
    ) -> AsyncGenerator[run_definition_pb2.ActionDetails, None]:
        last = None
        async with aclosing(self.records.changes()) as changes:
            async for _ in changes:
                details = await self.records.details(scope, run, action)
                if details != last:
                    last = details
                    yield details
                if details.status.HasField("end_time"):
                    return


def _scoped(request: Any) -> tuple[Scope, list[Condition]]:
    """Under what a client looks for runs, and which of them: all of the project's, or one task's."""
    kind = request.WhichOneof("scope_by" if "scope_by" in request.DESCRIPTOR.oneofs_by_name else "target")
    if kind == "task_id":
        wanted: list[Condition] = [("task = ?", [request.task_id.name])]
        if request.task_id.version:
            wanted.append(("version = ?", [request.task_id.version]))
        return scope_of(request.task_id), wanted
    if kind == "task_name":
        return scope_of(request.task_name), [("task = ?", [request.task_name.name])]
    if kind == "project_id":
        return scope_of(request.project_id), []
    if kind in ("org", None):
        return Scope(request.org, "", ""), []
    raise NotImplementedError(f"Runs cannot be listed by {kind} here: list those of a project or task")


def _as_list(request: run_service_pb2.WatchActionsRequest) -> Any:
    from_filters = run_service_pb2.ListActionsRequest()
    from_filters.request.filters.extend(request.filter)
    return from_filters.request

"""ActionsService: the processes of runs that are executed here ask for actions, and hear what becomes of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from connectrpc.request import RequestContext
from flyteidl2.actions import actions_service_pb2
from flyteidl2.actions.actions_service_connect import ActionsService
from flyteidl2.workflow import state_service_pb2

from flyte_nb.server.wire.executing.callers import Callers
from flyte_nb.server.wire.executing.submissions import Submissions
from flyte_nb.server.wire.executing.submitted import SubmittedAction

__all__ = ["Actions"]

Context = RequestContext[Any, Any]


class Actions(ActionsService):
    """Answers processes only, each about its own run.

    Args:
        submissions: the runs.
        callers: their processes.
    """

    def __init__(self, submissions: Submissions | None, callers: Callers[SubmittedAction]) -> None:
        self._submissions = submissions
        self._callers = callers

    async def enqueue(
        self, request: actions_service_pb2.EnqueueRequest, ctx: Context
    ) -> actions_service_pb2.EnqueueResponse:
        """Begins an action."""
        submissions, caller = self._asked()
        await submissions.enqueue(caller, request.action)
        return actions_service_pb2.EnqueueResponse()

    async def watch_for_updates(
        self, request: actions_service_pb2.WatchForUpdatesRequest, ctx: Context
    ) -> AsyncIterator[actions_service_pb2.WatchForUpdatesResponse]:
        """What has become of the children of an action, a sentinel, and then what becomes of them."""
        submissions, caller = self._asked()
        async with aclosing(submissions.updates(caller, request.parent_action_id.name)) as updates:
            async for update in updates:
                if update is None:
                    sentinel = state_service_pb2.ControlMessage(sentinel=True)
                    yield actions_service_pb2.WatchForUpdatesResponse(control_message=sentinel)
                else:
                    yield actions_service_pb2.WatchForUpdatesResponse(action_update=update)

    async def abort(self, request: actions_service_pb2.AbortRequest, ctx: Context) -> actions_service_pb2.AbortResponse:
        """Ends an action and all below it."""
        submissions, caller = self._asked()
        reason = request.reason or "the code that waited for it was cancelled"
        await submissions.abort(caller.run.name, request.action_id.name, reason)
        return actions_service_pb2.AbortResponse()

    def _asked(self) -> tuple[Submissions, SubmittedAction]:
        caller = self._callers.present()
        if self._submissions is None or caller is None:
            raise PermissionError(
                "Actions are begun by the processes of runs that this server executes: start a run with CreateRun"
            )
        return self._submissions, caller

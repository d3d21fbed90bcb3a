"""TrackedRunService: runs that Flyte's own client runs itself and publishes here."""

from __future__ import annotations

from connectrpc.code import Code
from flyteidl2.workflow import run_service_pb2, tracked_run_service_pb2
from google.rpc import status_pb2

from flyte_nb.server.wire.faults import refused
from flyte_nb.server.wire.messages import listed_run
from flyte_nb.server.wire.services.runs import Context, Runs, scope_of

__all__ = ["TrackedRuns"]

NUMBERS = {Code.NOT_FOUND: 5, Code.ALREADY_EXISTS: 6, Code.PERMISSION_DENIED: 7, Code.INTERNAL: 13}
"""The numbers by which `google.rpc.Status` names codes."""
INVALID = 3


class TrackedRuns(Runs):
    """Published runs: read as all others, and written by who runs them."""

    async def create_run(
        self, request: tracked_run_service_pb2.CreateTrackedRunRequest, ctx: Context
    ) -> run_service_pb2.CreateRunResponse:
        """Begins a run."""
        await self.records.ask(self.tracking.create, request)
        row = await self.records.ask(self.records.listed, request.run_id.name)
        return run_service_pb2.CreateRunResponse(run=listed_run(scope_of(request.run_id), row))

    async def report_actions(
        self, request: tracked_run_service_pb2.ReportTrackedActionsRequest, ctx: Context
    ) -> tracked_run_service_pb2.ReportTrackedActionsResponse:
        """Records what became of actions; each has an answer of its own."""
        statuses = []
        for update in request.updates:
            try:
                await self.records.ask(self.tracking.report, update)
            except Exception as error:  # of this action: the others are recorded all the same
                answer = refused(error, "ReportActions")
                statuses.append(status_pb2.Status(code=NUMBERS.get(answer.code, INVALID), message=answer.message))
            else:
                statuses.append(status_pb2.Status())
        return tracked_run_service_pb2.ReportTrackedActionsResponse(statuses=statuses)

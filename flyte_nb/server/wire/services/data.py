"""DataProxyService: the values of actions, their logs, links to their reports, and where clients put files."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from typing import Any

from connectrpc.request import RequestContext
from flyteidl2.common import run_pb2
from flyteidl2.dataproxy import dataproxy_service_pb2
from flyteidl2.dataproxy.dataproxy_service_connect import DataProxyService
from flyteidl2.logs.dataplane import payload_pb2

from flyte_nb.engine.identity import ROOT
from flyte_nb.remote.logs import Logs
from flyte_nb.server.wire.links import Links
from flyte_nb.server.wire.messages import NOWHERE, bundle_uri, timestamp
from flyte_nb.server.wire.records import Records
from flyte_nb.server.wire.services.tasks import spec_of
from flyte_nb.server.wire.uploads import LARGEST_UPLOAD_BYTES, Uploads
from flyte_nb.store.rows import LogRow
from flyte_nb.store.schema import PHASES_OVER

__all__ = ["DataProxy"]

Context = RequestContext[Any, Any]
LINES_AT_ONCE = 1_000
LINK_LIFETIME = timedelta(hours=1)


class DataProxy(DataProxyService):
    """What actions received, returned and printed.

    Args:
        records: the store.
        links: makes the addresses under which files are fetched and put.
        uploads: where files go.
    """

    def __init__(self, records: Records, links: Links, uploads: Uploads) -> None:
        self.records = records
        self.links = links
        self.uploads = uploads

    async def get_action_data(
        self, request: dataproxy_service_pb2.GetActionDataRequest, ctx: Context
    ) -> dataproxy_service_pb2.GetActionDataResponse:
        """The inputs and outputs of an action as literals."""
        action = request.action_id
        inputs, outputs = await self.records.ask(self.records.data, action.run.name, action.name)
        return dataproxy_service_pb2.GetActionDataResponse(inputs=inputs, outputs=outputs)

    async def tail_logs(
        self, request: dataproxy_service_pb2.TailLogsRequest, ctx: Context
    ) -> AsyncIterator[dataproxy_service_pb2.TailLogsResponse]:
        """What an action prints, line by line, until it is over."""
        run, action = request.action_id.run.name, request.action_id.name
        sent = Sent()
        async with aclosing(self.records.changes()) as changes:
            async for _ in changes:
                listed = await self.records.ask(self.records.listed, run, action)
                entries = await self.records.ask(self.records.store.logs, run, action, after=sent.up_to_ns)
                new = [entry for entry in sent.news(entries) if entry.attempt == (request.attempt or listed.attempt)]
                for lines in await self.records.ask(packed_lines, new):
                    yield dataproxy_service_pb2.TailLogsResponse(
                        logs=[dataproxy_service_pb2.TailLogsResponse.Logs(lines=lines)]
                    )
                if listed.phase in PHASES_OVER:
                    return

    async def create_download_link(
        self, request: dataproxy_service_pb2.CreateDownloadLinkRequest, ctx: Context
    ) -> dataproxy_service_pb2.CreateDownloadLinkResponse:
        """A link to the report of an action, or to the code that Flyte's own client brought for a task, for an hour or
        as long as asked for, if that is less."""
        host = ctx.request_headers().get("host", "")
        asked = request.expires_in.ToTimedelta() if request.HasField("expires_in") else LINK_LIFETIME
        lifetime = min(asked, LINK_LIFETIME)
        if request.artifact_type == dataproxy_service_pb2.ARTIFACT_TYPE_REPORT:
            run, action = await self.records.ask(self._report, request)
            link = self.links.report(host, run, action, lifetime)
        elif request.artifact_type == dataproxy_service_pb2.ARTIFACT_TYPE_CODE_BUNDLE:
            link = self.links.code(host, await self._bundle(request), lifetime)
        else:
            raise ValueError("There are links to reports and code bundles: set artifact_type")
        urls = dataproxy_service_pb2.PreSignedURLs(signed_url=[link.url], expires_at=timestamp(link.expires_ns))
        return dataproxy_service_pb2.CreateDownloadLinkResponse(pre_signed_urls=urls)

    def _report(self, request: dataproxy_service_pb2.CreateDownloadLinkRequest) -> tuple[str, str]:
        """The run and action whose report is asked for."""
        action = request.action_attempt_id.action_id
        run, name = action.run.name, action.name or ROOT
        self.records.listed(run, name)
        if self.records.store.report(run, name) is None:
            raise KeyError(f"Action {name} of run {run} has written no report")
        return run, name

    async def _bundle(self, request: dataproxy_service_pb2.CreateDownloadLinkRequest) -> str:
        """The file, under the folder of uploads, that holds the code that is asked for."""
        if request.WhichOneof("source") == "task_id":
            task, version = request.task_id.name, request.task_id.version or None
            row = await self.records.ask(self.records.deployments.task, task, version)
            spec = await self.records.ask(spec_of, self.records, NOWHERE, row)
            what = f"Task {row.task}, version {row.version}"
        else:
            action = request.action_attempt_id.action_id
            run, name = action.run.name, action.name or ROOT
            spec = (await self.records.details(NOWHERE, run, name)).task
            what = f"Action {name} of run {run}"
        uri = bundle_uri(spec)
        if not uri:
            raise KeyError(f"{what} has no code bundle: what flyte_nb recorded of its code stays in the store")
        return str(self.uploads.named(uri).relative_to(self.uploads.folder))

    async def create_upload_location(
        self, request: dataproxy_service_pb2.CreateUploadLocationRequest, ctx: Context
    ) -> dataproxy_service_pb2.CreateUploadLocationResponse:
        """Where a file can be put, once, within an hour; its folder is named by its content or as asked for."""
        if request.content_length > LARGEST_UPLOAD_BYTES:
            raise ValueError(
                f"{request.content_length:,} bytes are more than a file may hold ({LARGEST_UPLOAD_BYTES:,})"
            )
        folder = request.filename_root or request.content_md5.hex() or secrets.token_hex(16)
        name = f"{folder}/{request.filename or 'data'}"
        path = self.uploads.path(name)
        most_bytes = request.content_length or LARGEST_UPLOAD_BYTES
        host = ctx.request_headers().get("host", "")
        link = self.links.upload(host, name, most_bytes, request.content_md5.hex(), LINK_LIFETIME)
        return dataproxy_service_pb2.CreateUploadLocationResponse(
            signed_url=link.url, native_url=self.uploads.uri(path), expires_at=timestamp(link.expires_ns)
        )

    async def upload_inputs(
        self, request: dataproxy_service_pb2.UploadInputsRequest, ctx: Context
    ) -> dataproxy_service_pb2.UploadInputsResponse:
        """Keeps the inputs of a run that is to be created, under their digest."""
        content = request.inputs.SerializeToString(deterministic=True)
        digest = hashlib.sha256(content).hexdigest()
        path = await self.records.ask(self.uploads.write, f"inputs/{digest}.pb", content)
        data = run_pb2.OffloadedInputData(uri=self.uploads.uri(path), inputs_hash=digest)
        return dataproxy_service_pb2.UploadInputsResponse(offloaded_input_data=data)


class Sent:
    """Which entries of a log have been sent: by time, and of those of the last moment how many."""

    def __init__(self) -> None:
        self._last_ns = 0
        self._at_last = 0

    @property
    def up_to_ns(self) -> int:
        """What was written later is to be asked for; the last moment's may not have been all there."""
        return self._last_ns - 1

    def news(self, entries: list[LogRow]) -> list[LogRow]:
        """Those of the entries that were not sent yet."""
        fresh = entries[self._at_last :]
        if fresh:
            last_ns = fresh[-1].at_ns
            self._at_last = sum(entry.at_ns == last_ns for entry in entries)
            self._last_ns = last_ns
        return fresh


def packed_lines(entries: list[LogRow]) -> list[list[payload_pb2.LogLine]]:
    """The lines of entries, a thousand at a time."""
    lines = [
        payload_pb2.LogLine(
            message=f"{line}\n".encode("utf-8", "replace").decode(),
            timestamp=timestamp(entry.at_ns),
            originator=payload_pb2.USER,
        )
        for entry in entries
        for line in Logs([entry]).lines()
    ]
    return [lines[start : start + LINES_AT_ONCE] for start in range(0, len(lines), LINES_AT_ONCE)]

"""The ASGI application: every call is checked, then goes to the service that its path names.

/flyteidl2.workflow.RunService/ListRuns    a service
/files/...                                 a signed address: a report to fetch, a file to put
/oauth/token                               an API key for the token in it
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.server import ConnectASGIApplication
from flyteidl2.auth.auth_service_connect import AuthMetadataServiceASGIApplication
from flyteidl2.auth.identity_connect import IdentityServiceASGIApplication
from flyteidl2.cluster.service_connect import ClusterServiceASGIApplication
from flyteidl2.dataproxy.dataproxy_service_connect import DataProxyServiceASGIApplication
from flyteidl2.project.project_service_connect import ProjectServiceASGIApplication
from flyteidl2.task.task_service_connect import TaskServiceASGIApplication
from flyteidl2.workflow.run_service_connect import RunServiceASGIApplication
from flyteidl2.workflow.tracked_run_service_connect import TrackedRunServiceASGIApplication

from flyte_nb.server.wire.access import LARGEST_MESSAGE_BYTES, Access, BoundedGzip, too_large
from flyte_nb.server.wire.data import DataProxy
from flyte_nb.server.wire.execution import Execution, Limits
from flyte_nb.server.wire.faults import Faults, refused
from flyte_nb.server.wire.files import Files
from flyte_nb.server.wire.links import FILES, Links
from flyte_nb.server.wire.places import TOKEN_PATH, Authentication, Clusters, Identities, Projects
from flyte_nb.server.wire.records import Records
from flyte_nb.server.wire.runs import Runs
from flyte_nb.server.wire.tasks import Tasks
from flyte_nb.server.wire.tracked import TrackedRuns
from flyte_nb.server.wire.tracking import Tracking
from flyte_nb.server.wire.uploads import Uploads

__all__ = ["Application"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
STATUS = {
    Code.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    Code.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    Code.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    Code.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,  # as Connect maps it
}
WITHOUT_TOKEN = "/flyteidl2.auth.AuthMetadataService"
TOKEN_LIFETIME_SECONDS = 3600
CLOSING = (b"connection", b"close")


class Application:
    """One store, served.

    Args:
        records: the store.
        access: who may call.
        scheme: `http` or `https`.
        limits: of runs that clients ask for; None executes nothing.
    """

    def __init__(self, records: Records, access: Access, scheme: str, limits: Limits | None = None) -> None:
        self.records = records
        self._access = access
        links = Links(scheme)
        uploads = Uploads(records.home)
        self._tracking = Tracking(records, uploads)
        self._execution = Execution(records, uploads, limits)
        self._files = Files(records, links, uploads)
        settings: dict[str, Any] = {
            "interceptors": [Faults()],
            "read_max_bytes": LARGEST_MESSAGE_BYTES,
            "compressions": [BoundedGzip()],
        }
        self._services = by_path(
            [
                RunServiceASGIApplication(Runs(records, self._tracking, self._execution), **settings),
                TrackedRunServiceASGIApplication(TrackedRuns(records, self._tracking, self._execution), **settings),
                DataProxyServiceASGIApplication(DataProxy(records, links, uploads), **settings),
                TaskServiceASGIApplication(Tasks(records), **settings),
                ClusterServiceASGIApplication(Clusters(), **settings),
                ProjectServiceASGIApplication(Projects(records.home), **settings),
                IdentityServiceASGIApplication(Identities(), **settings),
                AuthMetadataServiceASGIApplication(Authentication(scheme), **settings),
            ]
        )

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers one call."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            try:
                await self._answer(scope, receive, send)
            except (ConnectError, PermissionError) as error:
                await send_error(send, refused(error, scope["path"]))
        else:
            await send({"type": "websocket.close"})

    async def _live(self, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await self._execution.close()
        self._tracking.close()
        self.records.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        path = scope["path"]
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        self._access.check_place(headers)
        if path.startswith(FILES):
            await self._files.answer(scope, receive, send)
            return
        if path == TOKEN_PATH:
            token = self._access.token_for(headers.get("authorization", ""))
            await send_json(send, HTTPStatus.OK, {"access_token": token, "expires_in": TOKEN_LIFETIME_SECONDS})
            return
        service = "/" + path.split("/")[1]
        if service != WITHOUT_TOKEN:
            self._access.check_token(headers)
        if service not in self._services:
            raise ConnectError(
                Code.UNIMPLEMENTED, f"flyte_nb's server does not serve {path[:200]}: docs/server.md lists what it does"
            )
        if int(headers.get("content-length", "0")) > LARGEST_MESSAGE_BYTES:
            raise too_large()
        call = Bounded(receive, send)
        await self._services[service](scope, call.receive, call.send)


def by_path(services: Iterable[ConnectASGIApplication[Any]]) -> dict[str, ConnectASGIApplication[Any]]:
    return {service.path: service for service in services}


class Bounded:
    """What a client sends, as long as it is not too much; then the connection is closed on it.

    Args:
        receive: the next part of the call.
        send: a part of the answer.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._received_bytes = 0

    async def receive(self) -> Message:
        """The next part of the call.

        Raises:
            ConnectError: it is too much.
        """
        message = await self._receive()
        self._received_bytes += len(message.get("body", b""))
        if self._received_bytes > LARGEST_MESSAGE_BYTES:
            raise too_large()
        return message

    async def send(self, message: Message) -> None:
        """A part of the answer."""
        if message["type"] == "http.response.start" and self._received_bytes > LARGEST_MESSAGE_BYTES:
            message["headers"] = [*message["headers"], CLOSING]
        await self._send(message)


async def send_error(send: Send, error: ConnectError) -> None:
    """Answers with an error as Connect's clients read it."""
    status = STATUS.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR)
    content = {"code": error.code.value, "message": error.message}
    await send_json(send, status, content, CLOSING)  # what else the client was about to send is not read


async def send_json(send: Send, status: HTTPStatus, content: Any, *more: tuple[bytes, bytes]) -> None:
    """Answers with JSON."""
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), *more]
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})

"""The ASGI application: every call is checked, then goes to the service that its path names.

/flyteidl2.workflow.RunService/ListRuns    a service
/process/SECRET/...                        the same, for the process of a run that this server executes
/files/...                                 a signed address: a report or code to fetch, a file to put
/conditions/...                            a signed address: takes the answer to a condition
/oauth/token                               an API key for the token in it
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.server import ConnectASGIApplication
from flyteidl2.actions.actions_service_connect import ActionsServiceASGIApplication
from flyteidl2.app.app_service_connect import AppServiceASGIApplication
from flyteidl2.auth.auth_service_connect import AuthMetadataServiceASGIApplication
from flyteidl2.auth.identity_connect import IdentityServiceASGIApplication
from flyteidl2.cluster.service_connect import ClusterServiceASGIApplication
from flyteidl2.dataproxy.dataproxy_service_connect import DataProxyServiceASGIApplication
from flyteidl2.imagebuilder.service_connect import ImageServiceASGIApplication
from flyteidl2.project.project_service_connect import ProjectServiceASGIApplication
from flyteidl2.secret.secret_connect import SecretServiceASGIApplication
from flyteidl2.task.task_service_connect import TaskServiceASGIApplication
from flyteidl2.trigger.trigger_service_connect import TriggerServiceASGIApplication
from flyteidl2.workflow.run_service_connect import RunServiceASGIApplication
from flyteidl2.workflow.tracked_run_service_connect import TrackedRunServiceASGIApplication

from flyte_nb.server.wire.access import LARGEST_MESSAGE_BYTES, Access, too_large
from flyte_nb.server.wire.callbacks import Callbacks
from flyte_nb.server.wire.encodings import BoundedGzip, checked
from flyte_nb.server.wire.executing.callers import PROCESS
from flyte_nb.server.wire.executing.execution import Execution
from flyte_nb.server.wire.executing.firing import Firing
from flyte_nb.server.wire.executing.limits import Limits
from flyte_nb.server.wire.faults import Faults, refused
from flyte_nb.server.wire.files import Files
from flyte_nb.server.wire.links import FILES, Links
from flyte_nb.server.wire.records import Records
from flyte_nb.server.wire.services.actions import Actions
from flyte_nb.server.wire.services.apps import Apps
from flyte_nb.server.wire.services.data import DataProxy
from flyte_nb.server.wire.services.images import Images
from flyte_nb.server.wire.services.places import TOKEN_PATH, Authentication, Clusters, Identities, Projects
from flyte_nb.server.wire.services.runs import Runs
from flyte_nb.server.wire.services.secrets import Secrets
from flyte_nb.server.wire.services.tasks import Tasks
from flyte_nb.server.wire.services.tracked import TrackedRuns
from flyte_nb.server.wire.services.triggers import Triggers
from flyte_nb.server.wire.tracking import Tracking
from flyte_nb.server.wire.uploads import Uploads
from flyte_nb.store.callbacks import CALLBACKS

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
INSTEAD = {
    "/flyteidl2.settings.SettingsService": "settings are a cluster's. Queue, labels and variables are given with each "
    "run, flyte.with_runcontext(...); its limits are options of flyte-nb serve",
    "/flyteidl2.artifact.ArtifactService": "it keeps no artifacts. Values are found as the outputs of runs, "
    "Run.get(NAME).outputs()",
}
"""What to do instead of calling services that are not served; docs/server.md lists those that are."""
TOKEN_LIFETIME_SECONDS = 3600
CLOSING = (b"connection", b"close")
GRPC = "application/grpc"


class Application:
    """One store, served.

    Args:
        records: the store.
        access: who may call.
        scheme: `http` or `https`.
        limits: of runs that clients ask for; None executes nothing.
        fires: whether triggers of deployed tasks start runs.
    """

    def __init__(
        self, records: Records, access: Access, scheme: str, limits: Limits | None = None, fires: bool = False
    ) -> None:
        self.records = records
        self._access = access
        self._links = links = Links(scheme)
        uploads = Uploads(records.home)
        self._tracking = Tracking(records, uploads)
        self._execution = Execution(records, uploads, limits)
        self._files = Files(records, links, uploads)
        self._callbacks = Callbacks(records)
        self._firing = Firing(records, self._execution) if fires else None
        self._services = by_path(
            [
                answering(RunServiceASGIApplication, Runs(records, self._tracking, self._execution, uploads)),
                answering(
                    TrackedRunServiceASGIApplication, TrackedRuns(records, self._tracking, self._execution, uploads)
                ),
                answering(ActionsServiceASGIApplication, Actions(self._execution.submissions, self._execution.callers)),
                answering(DataProxyServiceASGIApplication, DataProxy(records, links, uploads)),
                answering(TaskServiceASGIApplication, Tasks(records, uploads)),
                answering(TriggerServiceASGIApplication, Triggers(records, uploads)),
                answering(SecretServiceASGIApplication, Secrets(records)),
                answering(ImageServiceASGIApplication, Images()),
                answering(AppServiceASGIApplication, Apps()),
                answering(ClusterServiceASGIApplication, Clusters()),
                answering(ProjectServiceASGIApplication, Projects(records.home)),
                answering(IdentityServiceASGIApplication, Identities()),
                answering(AuthMetadataServiceASGIApplication, Authentication(scheme)),
            ]
        )

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers one call."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            try:
                await self._answer(scope, receive, send)
            # What is refused before a service is asked; NotImplementedError is `unimplemented` (see faults.py).
            except (ConnectError, PermissionError, NotImplementedError) as error:
                await send_error(send, refused(error, scope["path"]))
        else:
            await send({"type": "websocket.close"})

    def listen_at(self, address: str) -> None:
        """The server listens: processes of runs are told to call it there, over plain HTTP."""
        self._execution.callers.server = address
        self._links.plain_host = urlsplit(address).netloc

    async def for_processes(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers one call of a process of a run, or of a signed address."""
        if scope["path"].startswith((PROCESS, FILES)):
            await self(scope, receive, send)
        else:
            await send_error(send, ConnectError(Code.PERMISSION_DENIED, "Only processes of runs are answered here"))

    async def end(self) -> None:
        """Ends all runs that are executed and all that watch: the server is about to end."""
        await self._execution.close()
        await self.records.stop_watching()

    async def _live(self, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "lifespan.shutdown":
            if self._firing is not None:
                self._firing.start()
            await send({"type": "lifespan.startup.complete"})
        if self._firing is not None:
            await self._firing.stop()
        self._tracking.close()
        self.records.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        path = scope["path"]
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if path.startswith(CALLBACKS):  # from anywhere: the address shows that its caller was told it
            await self._callbacks.answer(scope, receive, send)
            return
        self._access.check_place(headers)
        if path.startswith(FILES):
            await self._files.answer(scope, receive, send)
            return
        if path == TOKEN_PATH:
            token = self._access.token_for(headers.get("authorization", ""))
            await send_json(send, HTTPStatus.OK, {"access_token": token, "expires_in": TOKEN_LIFETIME_SECONDS})
            return
        is_of_process = path.startswith(PROCESS)
        if is_of_process:
            path = self._execution.callers.enter(path)
            scope = {**scope, "path": path, "raw_path": path.encode()}
        service = "/" + path.split("/")[1]
        if service != WITHOUT_TOKEN and not is_of_process:
            self._access.check_token(headers)
        if service not in self._services:
            instead = INSTEAD.get(service, "docs/server.md lists what it does")
            # The answer, not a gap: of the protocol, what a store has no use for is told as `unimplemented`.
            raise NotImplementedError(f"flyte_nb's server does not serve {path[:200]}: {instead}")
        if headers.get("content-type", "").startswith(GRPC):
            # Likewise: Connect is the one way in, which Flyte's SDK takes.
            raise NotImplementedError("gRPC is not served: call by Connect, as Flyte's SDK does")
        if int(headers.get("content-length", "0")) > LARGEST_MESSAGE_BYTES:
            raise too_large()
        call = Bounded(receive, send)
        await self._services[service](scope, call.receive, call.send)


def answering(kind: type[ConnectASGIApplication[Any]], service: object) -> ConnectASGIApplication[Any]:
    """A service, behind what reads and bounds its messages and words its errors.

    Args:
        kind: the application that was generated for the service.
        service: answers.
    """
    options: dict[str, Any] = {
        "interceptors": [Faults()],
        "read_max_bytes": LARGEST_MESSAGE_BYTES,
        "compressions": [BoundedGzip()],
    }
    return checked(kind)(service, **options)


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

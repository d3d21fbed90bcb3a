"""AppService: there are no apps, and none can be made."""

from __future__ import annotations

from typing import Any

from connectrpc.request import RequestContext
from flyteidl2.app import app_payload_pb2
from flyteidl2.app.app_service_connect import AppService

__all__ = ["Apps"]

Context = RequestContext[Any, Any]


class Apps(AppService):
    """No apps: they need a cluster."""

    async def list(self, request: app_payload_pb2.ListRequest, ctx: Context) -> app_payload_pb2.ListResponse:
        """None."""
        return app_payload_pb2.ListResponse()

    async def get(self, request: app_payload_pb2.GetRequest, ctx: Context) -> app_payload_pb2.GetResponse:
        """There is none.

        Raises:
            KeyError: always.
        """
        raise missing_app(request.app_id.name)

    async def delete(self, request: app_payload_pb2.DeleteRequest, ctx: Context) -> app_payload_pb2.DeleteResponse:
        """There is none.

        Raises:
            KeyError: always.
        """
        raise missing_app(request.app_id.name)

    async def create(self, request: app_payload_pb2.CreateRequest, ctx: Context) -> app_payload_pb2.CreateResponse:
        """Refused."""
        raise NotImplementedError(  # the answer, `unimplemented`: docs/compatibility.md refuses apps
            f"The app {request.app.metadata.id.name!r} cannot be served here: apps need a cluster. Serve it with Flyte "
            "on your machine, flyte.with_servecontext(mode='local').serve(app), or by a Flyte backend"
        )


def missing_app(name: str) -> KeyError:
    return KeyError(f"There is no app {name!r}: this server has none, they need a cluster")

"""ImageService: there is nothing to build, as tasks run in processes with the server's own Python."""

from __future__ import annotations

from typing import Any

from connectrpc.request import RequestContext
from flyteidl2.imagebuilder import definition_pb2, payload_pb2
from flyteidl2.imagebuilder.service_connect import ImageService

__all__ = ["Images"]

Context = RequestContext[Any, Any]


class Images(ImageService):
    """Whatever image a client asks for counts as built: so the client builds none, which would take Docker."""

    async def get_image(self, request: payload_pb2.GetImageRequest, ctx: Context) -> payload_pb2.GetImageResponse:
        """The image under the name by which it was asked for."""
        image = definition_pb2.Image(id=request.id, fqin=request.id.name)
        return payload_pb2.GetImageResponse(image=image)

"""The services that tell a client where it is: cluster, project, user, and how to show its token."""

from __future__ import annotations

import getpass
import os
import re
from typing import Any

from connectrpc.request import RequestContext
from flyteidl2.auth import auth_service_pb2, identity_pb2
from flyteidl2.auth.auth_service_connect import AuthMetadataService
from flyteidl2.auth.identity_connect import IdentityService
from flyteidl2.cluster import payload_pb2
from flyteidl2.cluster.service_connect import ClusterService
from flyteidl2.project import project_service_pb2
from flyteidl2.project.project_service_connect import ProjectService

from flyte_nb.server.stores import title
from flyte_nb.store.home import Home

__all__ = ["TOKEN_PATH", "Authentication", "Clusters", "Identities", "Projects", "subject"]

Context = RequestContext[Any, Any]
DOMAIN = "development"
STATE = re.compile(r"eq\(state, *(\d{1,9})\)")
"""The filter that Flyte's client sends."""
TOKEN_PATH = "/oauth/token"
"""Where a client gives an API key for the token in it."""


def subject() -> str:
    """The one user, of whom all things of the store are: who started the server."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container, say, that gives its user no name
        return str(os.getuid())


class Clusters(ClusterService):
    """There is one cluster: this server."""

    async def select_cluster(
        self, request: payload_pb2.SelectClusterRequest, ctx: Context
    ) -> payload_pb2.SelectClusterResponse:
        """No other address: the one that was called."""
        return payload_pb2.SelectClusterResponse()


class Projects(ProjectService):
    """There is one project: that of the store.

    Args:
        home: the store.
    """

    def __init__(self, home: Home) -> None:
        domain = project_service_pb2.Domain(id=DOMAIN, name=DOMAIN)
        name = title(home)
        self._project = project_service_pb2.Project(
            id=name, name=name, domains=[domain], description=f"The store {home.path}"
        )

    async def get_project(
        self, request: project_service_pb2.GetProjectRequest, ctx: Context
    ) -> project_service_pb2.GetProjectResponse:
        """The project of that name; there is one.

        Raises:
            KeyError: it is none.
        """
        if request.id != self._project.id:
            raise KeyError(f"This server has no project {request.id!r}: it serves {self._project.id!r}")
        return project_service_pb2.GetProjectResponse(project=self._project)

    async def list_projects(
        self, request: project_service_pb2.ListProjectsRequest, ctx: Context
    ) -> project_service_pb2.ListProjectsResponse:
        """The one project, which is active.

        Raises:
            ValueError: a filter that there is not.
        """
        state = STATE.fullmatch(request.filters)
        if state is None and request.filters:
            raise ValueError(f"Projects cannot be filtered by {request.filters[:200]!r}, only by eq(state, NUMBER)")
        if state is not None and int(state[1]) != project_service_pb2.PROJECT_STATE_ACTIVE:
            return project_service_pb2.ListProjectsResponse()
        projects = project_service_pb2.Projects(projects=[self._project])
        return project_service_pb2.ListProjectsResponse(projects=projects)

    async def create_project(
        self, request: project_service_pb2.CreateProjectRequest, ctx: Context
    ) -> project_service_pb2.CreateProjectResponse:
        """Refused."""
        raise NotImplementedError("A server serves one store, which is one project: serve another store beside it")

    async def update_project(
        self, request: project_service_pb2.UpdateProjectRequest, ctx: Context
    ) -> project_service_pb2.UpdateProjectResponse:
        """Refused."""
        raise NotImplementedError("The project is that of the store: it cannot be changed from here")


class Identities(IdentityService):
    """There is one user: who started the server."""

    async def user_info(self, request: identity_pb2.UserInfoRequest, ctx: Context) -> identity_pb2.UserInfoResponse:
        """Who started the server."""
        name = subject()
        return identity_pb2.UserInfoResponse(subject=name, name=name, preferred_username=name)


class Authentication(AuthMetadataService):
    """How a client shows its token; answered without one.

    Args:
        scheme: `http` or `https`.
    """

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme

    async def get_o_auth2_metadata(
        self, request: auth_service_pb2.GetOAuth2MetadataRequest, ctx: Context
    ) -> auth_service_pb2.GetOAuth2MetadataResponse:
        """Where an API key is exchanged for a token: here."""
        server = f"{self._scheme}://{ctx.request_headers().get('host', '')}"
        return auth_service_pb2.GetOAuth2MetadataResponse(
            issuer=server,
            token_endpoint=f"{server}{TOKEN_PATH}",
            token_endpoint_auth_methods_supported=["client_secret_basic"],
            grant_types_supported=["client_credentials"],
        )

    async def get_public_client_config(
        self, request: auth_service_pb2.GetPublicClientConfigRequest, ctx: Context
    ) -> auth_service_pb2.GetPublicClientConfigResponse:
        """The header that carries the token."""
        return auth_service_pb2.GetPublicClientConfigResponse(authorization_metadata_key="authorization")

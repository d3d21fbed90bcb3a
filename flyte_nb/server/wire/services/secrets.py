"""SecretService: secrets of the store are created, changed, listed and deleted; no call tells a value."""

from __future__ import annotations

from itertools import islice
from typing import Any

from connectrpc.request import RequestContext
from flyteidl2.secret import definition_pb2, payload_pb2
from flyteidl2.secret.secret_connect import SecretService

from flyte_nb.server.wire.messages import timestamp
from flyte_nb.server.wire.records import Records
from flyte_nb.store.secrets import SecretRow, StoredSecrets

__all__ = ["Secrets"]

Context = RequestContext[Any, Any]
LARGEST_PAGE = 1_000


class Secrets(SecretService):
    """The secrets of one store. Whatever project, domain and organization a client names, they are the store's.

    Args:
        records: the store.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self._stored = StoredSecrets(records.home)

    async def create_secret(
        self, request: payload_pb2.CreateSecretRequest, ctx: Context
    ) -> payload_pb2.CreateSecretResponse:
        """Adds a secret; one of that name must not be there yet."""
        await self._records.ask(self._stored.create, request.id.name, _value_of(request.secret_spec))
        return payload_pb2.CreateSecretResponse()

    async def update_secret(
        self, request: payload_pb2.UpdateSecretRequest, ctx: Context
    ) -> payload_pb2.UpdateSecretResponse:
        """Gives a secret another value."""
        await self._records.ask(self._stored.update, request.id.name, _value_of(request.secret_spec))
        return payload_pb2.UpdateSecretResponse()

    async def get_secret(self, request: payload_pb2.GetSecretRequest, ctx: Context) -> payload_pb2.GetSecretResponse:
        """That there is a secret, and since when."""
        row = await self._records.ask(self._stored.find, request.id.name)
        return payload_pb2.GetSecretResponse(secret=_message(request.id, row))

    async def list_secrets(
        self, request: payload_pb2.ListSecretsRequest, ctx: Context
    ) -> payload_pb2.ListSecretsResponse:
        """All secrets by name, a page at a time; the token of a page is the last name of the one before."""
        rows = await self._records.ask(self._stored.rows)
        left = [row for row in rows if row.name > request.token]
        page = list(islice(left, min(request.limit or LARGEST_PAGE, LARGEST_PAGE)))
        scope = definition_pb2.SecretIdentifier(
            organization=request.organization, project=request.project, domain=request.domain
        )
        return payload_pb2.ListSecretsResponse(
            secrets=[_message(scope, row) for row in page], token=page[-1].name if len(page) < len(left) else ""
        )

    async def delete_secret(
        self, request: payload_pb2.DeleteSecretRequest, ctx: Context
    ) -> payload_pb2.DeleteSecretResponse:
        """Deletes a secret."""
        await self._records.ask(self._stored.delete, request.id.name)
        return payload_pb2.DeleteSecretResponse()


def _value_of(spec: definition_pb2.SecretSpec) -> str | bytes:
    if spec.type != definition_pb2.SECRET_TYPE_GENERIC:
        raise NotImplementedError(  # the answer, `unimplemented`: nothing here could use one
            "Secrets to pull images with are not kept: tasks run in processes of this machine, which pull no images"
        )
    is_binary = spec.WhichOneof("value") == "binary_value"
    return bytes(spec.binary_value) if is_binary else str(spec.string_value)


def _message(scope: definition_pb2.SecretIdentifier, row: SecretRow) -> definition_pb2.Secret:
    status = definition_pb2.SecretStatus(overall_status=definition_pb2.FULLY_PRESENT)
    return definition_pb2.Secret(
        id=definition_pb2.SecretIdentifier(
            name=row.name, organization=scope.organization, project=scope.project, domain=scope.domain
        ),
        secret_metadata=definition_pb2.SecretMetadata(
            created_time=timestamp(row.created_ns), secret_status=status, type=definition_pb2.SECRET_TYPE_GENERIC
        ),
    )

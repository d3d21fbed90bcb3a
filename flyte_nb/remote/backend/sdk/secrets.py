"""The secrets of a backend, for the kernel: names, never values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flyte.remote import Secret
from flyte.syncify import syncify

from flyte_nb.store.secrets import SecretRow

__all__ = ["CALLS"]

PAGE = 100


@syncify
async def create_secret(name: str, value: str | bytes, kind: str, cluster_pool: str | None) -> None:
    """Adds a secret."""
    await Secret.create.aio(name, value, type=kind, cluster_pool=cluster_pool)


@syncify
async def secret(name: str, cluster_pool: str | None) -> SecretRow:
    """One secret."""
    return _row_of(await Secret.get.aio(name, cluster_pool=cluster_pool))


@syncify
async def secrets(cluster_pool: str | None) -> list[SecretRow]:
    """All secrets, by name."""
    found = [_row_of(one) async for one in Secret.listall.aio(limit=PAGE, cluster_pool=cluster_pool)]
    return sorted(found, key=lambda row: row.name)


@syncify
async def delete_secret(name: str, cluster_pool: str | None) -> None:
    """Deletes a secret."""
    await Secret.delete.aio(name, cluster_pool=cluster_pool)


def _row_of(found: Secret) -> SecretRow:
    created_ns = found.pb2.secret_metadata.created_time.ToNanoseconds()
    return SecretRow(found.name, created_ns, is_image_pull=found.type == "image_pull")


CALLS: dict[str, Callable[..., Any]] = {
    "create_secret": create_secret,
    "delete_secret": delete_secret,
    "secret": secret,
    "secrets": secrets,
}

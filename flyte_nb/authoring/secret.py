"""Names of secrets a task needs; their values are looked up where it runs, never recorded."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Secret", "SecretRequest", "secrets_from_request"]

ENVIRONMENT_VARIABLE = r"^[A-Z_][A-Z0-9_]*$"
MOUNT_PATH = "/etc/flyte/secrets"


@dataclass
class Secret:
    """A secret by name.

    Args:
        key: its name in the secret store.
        group: its group there.
        mount: folder in which it appears as a file; only /etc/flyte/secrets is supported, as in Flyte.
        as_env_var: environment variable that holds it; without one and without `mount` it is `GROUP_KEY` in upper case.

    Raises:
        ValueError: for another folder, or a name that is not one of an environment variable.
    """

    key: str
    group: str | None = None
    mount: Path | None = None
    as_env_var: str | None = None

    def __post_init__(self) -> None:
        if not self.mount and not self.as_env_var:
            name = f"{self.group}_{self.key}" if self.group else self.key
            self.as_env_var = name.replace("-", "_").upper()
        if self.mount and str(self.mount) != MOUNT_PATH:
            raise ValueError(f"Only {MOUNT_PATH} is supported as secret mount path today.")
        if self.as_env_var is not None and not re.match(ENVIRONMENT_VARIABLE, self.as_env_var):
            raise ValueError(f"Invalid environment variable name: {self.as_env_var}, must match {ENVIRONMENT_VARIABLE}")

    def stable_hash(self) -> str:
        """A digest that is the same in every process."""
        parts = (self.key, self.group or "", str(self.mount) if self.mount else "", self.as_env_var or "")
        return hashlib.sha256("|".join(parts).encode()).hexdigest()

    def __hash__(self) -> int:
        return int(self.stable_hash()[:16], 16)


SecretRequest = str | Secret | list[str | Secret]


def secrets_from_request(secrets: SecretRequest | None) -> list[Secret]:
    """The secrets that a `secrets=` parameter asks for."""
    if secrets is None:
        return []
    requests = secrets if isinstance(secrets, list | tuple) else [secrets]
    return [Secret(request) if isinstance(request, str) else request for request in requests]

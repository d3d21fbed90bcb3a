"""The processes of runs that this server executes, as callers: each calls by an address of its own.

    http://127.0.0.1:8090/process/SECRET/flyteidl2.actions.ActionsService/Enqueue

Flyte's SDK shows no token over plain HTTP, and one token for all would not tell who calls. The secret is in the
process's environment; it holds as long as the process runs.
"""

from __future__ import annotations

import secrets
from contextvars import ContextVar
from typing import Generic, TypeVar

__all__ = ["PROCESS", "Callers"]

PROCESS = "/process/"
"""What the path of every call of such a process begins with."""

Action = TypeVar("Action")


class Callers(Generic[Action]):
    """Knows the processes, and which of them makes the present call."""

    def __init__(self) -> None:
        self.server = ""
        """Where this server listens to them, once it does."""
        self._actions: dict[str, Action] = {}
        self._present: ContextVar[Action | None] = ContextVar("caller", default=None)

    def admit(self, action: Action) -> str:
        """A new address for the process of an action."""
        secret = secrets.token_urlsafe(24)
        self._actions[secret] = action
        return f"{self.server}{PROCESS}{secret}"

    def dismiss(self, address: str) -> None:
        """Its process has ended."""
        self._actions.pop(address.rpartition("/")[2], None)

    def present(self) -> Action | None:
        """The action whose process makes the present call; None where a client does."""
        return self._present.get()

    def enter(self, path: str) -> str:
        """Notes who makes the present call; returns the path behind the address.

        Raises:
            PermissionError: the address is none, or of a process that has ended.
        """
        secret, _, rest = path.removeprefix(PROCESS).partition("/")
        if secret not in self._actions:
            raise PermissionError("This address is of no process that this server runs, or of one that has ended")
        self._present.set(self._actions[secret])
        return f"/{rest}"

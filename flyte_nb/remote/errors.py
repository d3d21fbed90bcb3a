"""The error of commands: what the magics and the command line print in one line."""

from __future__ import annotations

__all__ = ["CommandError"]


class CommandError(ValueError):
    """A command asks for what cannot be done; the message says what, and what to do instead."""

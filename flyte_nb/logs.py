"""The two loggers: `flyte.logger` for users' tasks, `flyte.system_logger` for flyte_nb itself."""

from __future__ import annotations

import logging
import sys

__all__ = ["logger", "system_logger"]


class _PresentStderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to whatever `sys.stderr` is when a record arrives: notebooks and tests replace it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self):  # type: ignore[no-untyped-def]
        return sys.stderr


def _user_logger() -> logging.Logger:
    made = logging.getLogger("flyte.user")
    if not made.handlers:
        handler = _PresentStderr()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
        made.addHandler(handler)
        made.setLevel(logging.INFO)
        made.propagate = False
    return made


system_logger = logging.getLogger("flyte")
"""What flyte_nb itself has to say; warnings and errors show unless the user sets another level."""
logger = _user_logger()
"""For tasks: `flyte.logger.info(...)` shows, and stands in the action's log."""

"""How the kernel logs, so that its workers log alike: the levels of its loggers, and what `basicConfig` has set up."""

from __future__ import annotations

import logging
import sys

import msgspec

__all__ = ["LogSettings", "apply_log_settings", "present_log_settings"]

ALWAYS = ("flyte", "flyte.user")
"""They have levels of their own from the start; the user may have taken them away."""


class LogSettings(msgspec.Struct, array_like=True, frozen=True):
    """What a worker needs to log as the kernel does.

    Attributes:
        levels: by name of the logger; the root's is empty.
        stream: where the root writes to, stdout or stderr; empty when nobody has set it up.
        format: of the root's lines.
        date_format: of their times.
    """

    levels: dict[str, int] = {}
    stream: str = ""
    format: str = logging.BASIC_FORMAT
    date_format: str | None = None


def present_log_settings() -> LogSettings:
    """How this process logs now. Handlers other than plain ones of the root stay here: a file has one writer."""
    root = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in ALWAYS} | {"": root.level}
    for name, known in list(root.manager.loggerDict.items()):
        if isinstance(known, logging.Logger) and known.level:
            levels[name] = known.level
    plain = next((handler for handler in root.handlers if type(handler) is logging.StreamHandler), None)
    if plain is None:
        return LogSettings(levels)
    formatter = plain.formatter or logging.Formatter()
    stream = "stdout" if plain.stream is sys.stdout else "stderr"
    return LogSettings(levels, stream, formatter._fmt or logging.BASIC_FORMAT, formatter.datefmt)


def apply_log_settings(settings: LogSettings) -> None:
    """Has this process log so."""
    for name, level in settings.levels.items():
        logging.getLogger(name).setLevel(level)
    if settings.stream:
        stream = sys.stdout if settings.stream == "stdout" else sys.stderr
        logging.basicConfig(format=settings.format, datefmt=settings.date_format, stream=stream)

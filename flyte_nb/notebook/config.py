"""`%flyte config`: what holds for the runs of this notebook, and how to change it."""

from __future__ import annotations

from flyte_nb.engine.isolation import ISOLATIONS, present_isolation, session_isolation
from flyte_nb.notebook.arguments import Argument, Command
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.parameters import isolation_named
from flyte_nb.remote.search import did_you_mean

__all__ = ["AUTO", "CONFIG", "SETTINGS"]

AUTO = "auto"
"""Each task decides."""
SETTINGS = {"isolation": (*ISOLATIONS, AUTO)}
"""Each setting with its values."""


def config(setting: list[str]) -> None:
    """Sets what is given, and prints how everything stands."""
    for given in setting:
        name, is_given, value = given.partition("=")
        if name not in SETTINGS or not is_given:
            known = did_you_mean(name, SETTINGS) if name not in SETTINGS else ""
            raise CommandError(f"A setting is given as isolation=process, got {given!r}.{known}")
        session_isolation(None if value == AUTO else isolation_named(value), f"%flyte config {given}")
    isolation, source = present_isolation()
    if isolation is None:
        print("isolation = auto: each task runs in the kernel, or in a process when it asks for what only that gives")
    else:
        print(f"isolation = {isolation}  ({source})")


CONFIG = Command(
    "config",
    "Shows or sets where the tasks of this notebook run.",
    config,
    (Argument("SETTING", "isolation=kernel, process, virtualenv, or auto: each task decides", "setting", False, True),),
    examples=("%flyte config", "%flyte config isolation=process"),
)

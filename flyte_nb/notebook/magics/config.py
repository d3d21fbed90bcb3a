"""`%flyte config`: what holds for the runs of this notebook, and how to change it."""

from __future__ import annotations

from flyte_nb.engine.isolation import ISOLATIONS, present_isolation, session_isolation
from flyte_nb.notebook.magics.arguments import Argument, Command
from flyte_nb.notebook.views.saving import saving
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.parameters import isolation_named
from flyte_nb.remote.search import did_you_mean

__all__ = ["AUTO", "CONFIG", "SETTINGS"]

AUTO = "auto"
"""Each task decides."""
LEAST_SAVED_KB = 10
SETTINGS: dict[str, tuple[str, ...]] = {
    "isolation": (*ISOLATIONS, AUTO),
    "saved_kb": ("100", "500", "2000"),
    "save_previews": ("yes", "no"),
}
"""Each setting with its values; of `saved_kb`, which takes any number, some to choose from."""


def config(setting: list[str]) -> None:
    """Sets what is given, and prints how everything stands."""
    for given in setting:
        name, is_given, value = given.partition("=")
        if name not in SETTINGS or not is_given:
            known = did_you_mean(name, SETTINGS) if name not in SETTINGS else ""
            raise CommandError(f"A setting is given as isolation=process, got {given!r}.{known}")
        if name == "isolation":
            session_isolation(None if value == AUTO else isolation_named(value), f"%flyte config {given}")
        elif name == "saved_kb":
            saving.limit_bytes = 1000 * kilobytes(given, value)
        else:
            saving.previews = yes_or_no(given, value)
    print("\n".join([isolation_line(), *saving_lines()]))


def kilobytes(given: str, value: str) -> int:
    """The number of `saved_kb`."""
    if not value.isdecimal() or int(value) < LEAST_SAVED_KB:
        raise CommandError(f"saved_kb takes a whole number of kB, {LEAST_SAVED_KB} or more; got {given!r}")
    return int(value)


def yes_or_no(given: str, value: str) -> bool:
    """What `save_previews` is set to."""
    meant = {"yes": True, "true": True, "no": False, "false": False}.get(value.lower())
    if meant is None:
        raise CommandError(f"save_previews is yes or no; got {given!r}")
    return meant


def isolation_line() -> str:
    """Where tasks run."""
    isolation, source = present_isolation()
    if isolation is None:
        return "isolation = auto: each task runs in the kernel, or in a process when it asks for what only that gives"
    return f"isolation = {isolation}  ({source})"


def saving_lines() -> list[str]:
    """What notebooks keep of runs."""
    kept = (
        "yes: inputs, outputs and logs are saved" if saving.previews else "no: inputs, outputs and logs are not saved"
    )
    return [
        f"saved_kb = {saving.limit_bytes // 1000}: so much a notebook keeps of the runs of a cell, about",
        f"save_previews = {kept} in notebooks",
    ]


CONFIG = Command(
    "config",
    "Shows or sets where the tasks of this notebook run, and what it keeps of their runs.",
    config,
    (
        Argument(
            "SETTING",
            "isolation=kernel, process, virtualenv, or auto; saved_kb=NUMBER; save_previews=yes or no",
            "setting",
            False,
            True,
        ),
    ),
    examples=("%flyte config", "%flyte config isolation=process", "%flyte config saved_kb=500 save_previews=no"),
)

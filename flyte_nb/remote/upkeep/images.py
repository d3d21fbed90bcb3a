"""The virtual environments of images as commands show and remove them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

from flyte_nb.executors.images.virtualenv import BuiltImage, Virtualenvs
from flyte_nb.remote.errors import CommandError

__all__ = ["NO_IMAGES", "prune_images", "size_text"]

NO_IMAGES = "No images are built yet: a task that runs with isolation='virtualenv' builds its own."

UNUSED_FOR = timedelta(days=30)
AGE = re.compile(r"(\d{1,6})(w|d|h|m)")
AGE_UNITS = {"w": timedelta(weeks=1), "d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}


def prune_images(virtualenvs: Virtualenvs, everything: bool, older_than: str | None) -> str:
    """Removes environments that are not used any more, and says what was done.

    Args:
        virtualenvs: of which.
        everything: however recently they were used.
        older_than: those that were not used for so long: `7d`, `12h`, `30m`; 30 days by default.

    Raises:
        CommandError: that is not a length of time, or both are given.
    """
    if everything and older_than is not None:
        raise CommandError("--all and --older-than exclude each other.")
    pruned = virtualenvs.prune(timedelta(0) if everything else age_of(older_than))
    said = f"{counted(pruned.removed)} removed, {size_text(pruned.freed_bytes)} freed."
    if pruned.removed:
        said += " Downloaded packages stay in uv's cache: `uv cache prune`."
    if pruned.kept:
        names = ", ".join(f"{one.name} ({one.digest[:8]})" for one in pruned.kept)
        said += f" {counted(pruned.kept)} kept, for a kernel that lives uses them: {names}."
    return said


def age_of(text: str | None) -> timedelta:
    """A length of time as it is written.

    Raises:
        CommandError: it is not one.
    """
    if text is None:
        return UNUSED_FOR
    matched = AGE.fullmatch(text.strip())
    if matched is None:
        raise CommandError(f"--older-than takes a length of time such as 7d, 12h or 30m, got {text!r}")
    return int(matched[1]) * AGE_UNITS[matched[2]]


def counted(images: Sequence[BuiltImage]) -> str:
    return f"{len(images)} image{'' if len(images) == 1 else 's'}"


def size_text(size_bytes: int) -> str:
    """A size as people read it: `320 kB`, `12.4 MB`, `3.1 GB`."""
    if size_bytes < 1_000_000:
        return f"{size_bytes / 1e3:.0f} kB"
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes < 1_000_000_000 else f"{size_bytes / 1e9:.1f} GB"

"""`%flyte images`: the virtual environments built from images, and how to be rid of them."""

from __future__ import annotations

from flyte_nb.executors.images.virtualenv import BuiltImage, Virtualenvs
from flyte_nb.notebook.magics.arguments import Argument, Command
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.upkeep.images import NO_IMAGES, prune_images, size_text
from flyte_nb.store.table import Table

__all__ = ["IMAGES"]

COLUMNS = ("image", "digest", "layers", "size_mb", "used_at", "environments", "in_use")


def images(what: str | None, all: bool, older_than: str | None) -> Table | None:
    """The images as a table, or `prune`."""
    if what not in (None, "prune"):
        raise CommandError(f"%flyte images lists, %flyte images prune removes; got {what!r}.")
    virtualenvs = Virtualenvs()
    if what == "prune":
        print(prune_images(virtualenvs, all, older_than))
        return None
    if all or older_than is not None:
        raise CommandError("--all and --older-than say what to remove: %flyte images prune ...")
    built = virtualenvs.built()
    if not built:
        print(NO_IMAGES)
        return None
    print(f"{size_text(virtualenvs.size_bytes())} in {virtualenvs.folder}, files that images share counted once.")
    return Table(COLUMNS, [cells(image) for image in built])


def cells(image: BuiltImage) -> tuple[object, ...]:
    return (
        image.name,
        image.digest,
        ", ".join(image.layers),
        round(image.size_bytes / 1e6, 1),
        image.used_at,
        ", ".join(image.used_by),
        image.is_in_use,
    )


IMAGES = Command(
    "images",
    "Lists the virtual environments built from images; `prune` removes those that are not used any more.",
    images,
    (
        Argument("WHAT", "`prune`, or nothing to list them", required=False),
        Argument("--all", "with prune: all that no living kernel uses", "flag", default=False),
        Argument("--older-than", "with prune: not used for so long, as 7d or 12h; 30d unless told"),
    ),
    examples=("%flyte images", "%flyte images prune --older-than 7d"),
)

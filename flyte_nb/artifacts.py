"""Outputs with a name and a version of their own. Declared here; a Flyte backend registers them.

return flyte.artifacts.new(file, flyte.artifacts.Metadata(name="weights", version="1"))
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, TypeVar, get_args

__all__ = [
    "KIND_KEY",
    "MAX_PARENTS",
    "Card",
    "CardFormat",
    "CardType",
    "Granularity",
    "Kind",
    "Metadata",
    "TimePartition",
    "metadata_of",
    "new",
]

T = TypeVar("T")

KIND_KEY = "flyte.io/kind"
MAX_PARENTS = 32

Kind = Literal["model", "data", "generic"]
CardType = Literal["model", "data", "generic"]
CardFormat = Literal["html", "md", "json", "yaml", "csv", "tsv", "png", "jpg", "jpeg"]
Granularity = Literal["hour", "day", "week", "month"]

_ATTRIBUTE = "__flyte_artifact__"


@dataclass(frozen=True)
class TimePartition:
    """A time that tells the versions of an artifact apart, no finer than `granularity`.

    Raises:
        ValueError: for a granularity that does not exist.
        TypeError: when the value is no date.
    """

    value: date | datetime
    granularity: Granularity = "day"

    def __post_init__(self) -> None:
        if self.granularity not in get_args(Granularity):
            raise ValueError(
                f"Unknown time partition granularity {self.granularity!r}; use one of {list(get_args(Granularity))}"
            )
        if not isinstance(self.value, date):
            raise TypeError(f"TimePartition value must be a date or datetime, got {type(self.value).__name__}")


@dataclass(frozen=True, kw_only=True)
class Card:
    """A page about an artifact."""

    uri: str
    format: CardFormat = "html"
    card_type: CardType = "generic"


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What is said about an artifact.

    Args:
        name: of the artifact.
        version: of it; made up by the backend unless given.
        description: of it.
        attrs: further words about it.
        card: a page about it.
        kind: what it is.
        partitions: values that tell its versions apart; a date, datetime or `TimePartition` at most once.
        parents: versions it was made from, at most 32.
        version_from_content: the version is a digest of the content.

    Raises:
        ValueError: for too many or empty parents, two time partitions, or a partition that is None.
    """

    name: str
    version: str | None = None
    description: str | None = None
    attrs: Mapping[str, str] | None = None
    card: Card | None = None
    kind: Kind | None = None
    partitions: Mapping[str, Any] | None = None
    parents: tuple[str, ...] | None = None
    version_from_content: bool = False

    def __post_init__(self) -> None:
        parents = self.parents or ()
        if len(parents) > MAX_PARENTS:
            raise ValueError(f"an artifact version may declare at most {MAX_PARENTS} parents, got {len(parents)}")
        if "" in parents:
            raise ValueError(f"parents[{parents.index('')}] is an empty version string")
        partitions = self.partitions or {}
        for key, value in partitions.items():
            if not key:
                raise ValueError("Partition keys must be non-empty strings")
            if value is None:
                raise ValueError(f"Partition {key!r} is None. A partition value must be a date or have a string form.")
        times = [key for key, value in partitions.items() if isinstance(value, date | TimePartition)]
        if len(times) > 1:
            raise ValueError(
                f"An artifact can carry at most one time partition; both {times[0]!r} and {times[1]!r} hold times. "
                "Make one of them a string."
            )

    @classmethod
    def create_model_metadata(
        cls,
        *,
        name: str,
        version: str | None = None,
        description: str | None = None,
        card: Card | None = None,
        framework: str | None = None,
        model_type: str | None = None,
        architecture: str | None = None,
        task: str | None = None,
        modality: tuple[str, ...] = ("text",),
        serial_format: str = "safetensors",
        attrs: Mapping[str, str] | None = None,
        partitions: Mapping[str, Any] | None = None,
    ) -> Metadata:
        """What is said about a model."""
        words = {
            KIND_KEY: "model",
            "framework": framework or "",
            "model_type": model_type or "",
            "architecture": architecture or "",
            "task": task or "",
            "modality": ",".join(modality),
            "serial_format": serial_format or "",
        }
        return cls(
            name=name,
            version=version,
            description=description,
            attrs={**(attrs or {}), **words},
            card=card,
            partitions=partitions,
        )


def new(obj: T, metadata: Metadata) -> T:
    """A copy of a File, Dir or DataFrame that says which artifact it is.

    Raises:
        TypeError: for a value that cannot carry this.
    """
    labelled = copy.copy(obj)
    try:
        object.__setattr__(labelled, _ATTRIBUTE, metadata)
    except AttributeError:
        raise TypeError(
            f"values of type {type(obj).__name__!r} cannot be artifacts; artifacts are offloaded assets: "
            "flyte.io.File, flyte.io.Dir, or flyte.io.DataFrame"
        ) from None
    return labelled


def metadata_of(obj: Any) -> Metadata | None:
    """What `new` said about a value, or None."""
    return getattr(obj, _ATTRIBUTE, None)

"""The journals of a home as a reader sees them: which segments there are, who owns them, whether the owner lives."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import msgspec

from flyte_nb.store.frames import frames_in
from flyte_nb.store.journal import SegmentHeader, lock_path
from flyte_nb.store.locks import is_locked
from flyte_nb.store.owner import Owner

__all__ = ["HEADER_START", "Segment", "find_owner", "is_abandoned", "list_segments"]

SEGMENT_NAME = re.compile(r"([0-9]{8}-[0-9]{6}-[0-9a-f]+)\.([0-9]{4,})")
HEADER_BYTES = 4096
"""More than a header ever takes."""
HEADER_START = b"{"
"""What a segment's header starts with, and an event never."""

decode_header = msgspec.json.Decoder(SegmentHeader).decode


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One file of a journal."""

    journal: str
    number: int
    path: Path
    size_bytes: int
    changed_ns: int
    """When it was last written."""

    @property
    def name(self) -> str:
        return self.path.name


def list_segments(folder: Path, but: Collection[Path] = ()) -> list[Segment]:
    """Every segment in the folder, in the order in which they were begun.

    Args:
        folder: where journals are.
        but: segments that are left out.
    """
    segments: list[Segment] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if name := SEGMENT_NAME.fullmatch(entry.name):
                stat = entry.stat()
                segments.append(Segment(name[1], int(name[2]), Path(entry.path), stat.st_size, stat.st_mtime_ns))
    return sorted(segment for segment in segments if segment.path not in but)


def is_abandoned(segment: Segment) -> bool:
    """Whether the owner of the segment's journal is known to have ended.

    Never so for another machine's: its locks and processes cannot be seen from here.
    """
    owner = find_owner(segment)
    if owner is None or not owner.is_here():
        return False
    return not is_locked(lock_path(segment.path.parent, segment.journal)) or owner.has_vanished()


known_owners: dict[str, Owner] = {}


def find_owner(segment: Segment) -> Owner | None:
    """Who writes the segment's journal; None when its header is damaged."""
    owner = known_owners.get(segment.journal)
    if owner is None:
        with segment.path.open("rb") as file:
            payloads, _ = next(frames_in(file.read(HEADER_BYTES)), ([b""], 0))
        if payloads[0].startswith(HEADER_START):
            owner = known_owners[segment.journal] = decode_header(payloads[0]).owner
    return owner

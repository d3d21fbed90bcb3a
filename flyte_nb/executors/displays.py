"""What a task displays, on its way to the cell and to the record of its action.

display(...) in a worker  --Display as JSON-->  kernel  --kept_of-->  the action's log
                                                       --show------>  the cell
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Display", "kept_of"]

KEPT_CHARS = {"text/plain": 10_000, "text/html": 50_000, "image/png": 270_000}
"""What is recorded of a display, and how much of each; 270,000 base64 characters are 200 kB of image."""


@dataclass(frozen=True)
class Display:
    """One message to whoever shows displays.

    Attributes:
        data: a MIME bundle.
        metadata: about its parts, by MIME type.
        display_id: names the display, so that it can be updated; empty without.
        update: replace what is displayed under that name.
    """

    data: dict[str, Any]
    metadata: dict[str, Any] = field(default_factory=dict)
    display_id: str = ""
    update: bool = False

    def to_json(self) -> str:
        """As it crosses; what JSON does not know stands as its text."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> Display:
        """The display that `to_json` wrote."""
        return cls(**json.loads(text))


show: Callable[[Display], None] | None = None
"""Shows a display of a worker's task in the cell that waits for it; set by the notebook room."""


def kept_of(data: Mapping[str, Any]) -> dict[str, str]:
    """The parts of a MIME bundle that are recorded; an image that is too large is left out, text is cut."""
    kept = {}
    for kind, limit in KEPT_CHARS.items():
        content = data.get(kind)
        if content is None:
            continue
        text = base64.b64encode(content).decode() if isinstance(content, bytes) else str(content)
        if len(text) <= limit:
            kept[kind] = text
        elif kind.startswith("text/"):
            kept[kind] = text[:limit] + " …"
    return kept

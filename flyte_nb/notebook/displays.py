"""`display()` and figures inside tasks: kept with the action that made them, and shown in the cell as ever."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from flyte_nb.authoring.context import current_scope
from flyte_nb.notebook.document import MIME

__all__ = ["record_displays", "stop_recording_displays"]

KEPT_CHARS = {"text/plain": 10_000, "text/html": 50_000, "image/png": 270_000}
"""What is recorded of a display, and how much of each; 270,000 base64 characters are 200 kB of image."""


def record_displays(shell: Any) -> None:
    """Wraps the shell's display publisher; once, however often it is called."""
    publisher = shell.display_pub
    if hasattr(publisher.publish, "_flyte_nb"):
        return
    original = publisher.publish

    def publish(data: Any, metadata: Any = None, **options: Any) -> Any:
        scope = current_scope.get()
        if scope is not None and not options.get("update") and MIME not in data:
            kept = kept_of(data)
            if kept:
                scope.attempt.output.display(json.dumps(kept))
        return original(data, metadata, **options)

    publish._flyte_nb = original  # type: ignore[attr-defined]
    publisher.publish = publish


def stop_recording_displays(shell: Any) -> None:
    """Puts the publisher's own method back."""
    original = getattr(shell.display_pub.publish, "_flyte_nb", None)
    if original is not None:
        shell.display_pub.publish = original


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

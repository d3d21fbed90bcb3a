"""`display()` and figures inside tasks: kept with the action that made them, and shown in the cell as ever."""

from __future__ import annotations

import json
from typing import Any

from flyte_nb.authoring.context import current_scope
from flyte_nb.executors import displays
from flyte_nb.executors.displays import Display, kept_of
from flyte_nb.notebook.views.document import MIME

__all__ = ["record_displays", "stop_recording_displays"]


def record_displays(shell: Any) -> None:
    """Wraps the shell's display publisher; once, however often it is called."""
    publisher = shell.display_pub
    if hasattr(publisher.publish, "_flyte_nb"):
        return
    original = publisher.publish

    def publish(data: Any, metadata: Any = None, **options: Any) -> Any:
        scope = current_scope.get()
        if scope is not None and MIME not in data:
            masker = scope.attempt.action.run_state.masker
            if masker.active:
                data = {kind: masker.mask(part) if isinstance(part, str) else part for kind, part in data.items()}
            kept = {} if options.get("update") else kept_of(data)
            if kept:
                scope.attempt.output.display(json.dumps(kept))
        return original(data, metadata, **options)

    def show(shown: Display) -> None:
        transient = {"display_id": shown.display_id} if shown.display_id else {}
        original(shown.data, shown.metadata, transient=transient, update=shown.update)

    publish._flyte_nb = original  # type: ignore[attr-defined]
    publisher.publish = publish
    displays.show = show


def stop_recording_displays(shell: Any) -> None:
    """Puts the publisher's own method back."""
    original = getattr(shell.display_pub.publish, "_flyte_nb", None)
    if original is not None:
        shell.display_pub.publish = original
        displays.show = None

"""The live view for front ends without our renderer (VS Code, Colab): an anywidget over the same view."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flyte_nb.notebook.views.document import Document

__all__ = ["WIDGET_VIEW", "is_ready", "make_widget"]

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
MODULE = Path(__file__).parent / "static" / "widget.js"

_widget_class: type[Any] | None = None
_loader: threading.Thread | None = None


def is_ready() -> bool:
    """Whether a widget can be made now.

    The first call starts to import what it takes, in a thread of its own: nobody should wait for it.
    Never true where the front end was not built.
    """
    global _loader
    if _loader is None and MODULE.exists():
        _loader = threading.Thread(target=_load, name="flyte-widget", daemon=True)
        _loader.start()
    return _widget_class is not None


def make_widget(document: Document, receive: Callable[[Document], None]) -> Any:
    """A widget that shows a run document; only when `is_ready()`.

    Args:
        document: what it shows first; assign to its `doc` to replace it, `send` messages to change it.
        receive: takes what the page sends, on whatever thread it arrives.
    """
    assert _widget_class is not None
    widget = _widget_class(doc=document)
    widget.on_msg(lambda _, message, __: receive(message))
    return widget


def _load() -> None:
    global _widget_class
    import anywidget
    import traitlets

    class RunWidget(anywidget.AnyWidget):
        _esm = MODULE
        doc = traitlets.Dict().tag(sync=True)

    _widget_class = RunWidget

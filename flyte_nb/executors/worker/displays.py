"""`display()` and `plt.show()` in a worker, which has no shell: what they show goes to the kernel as MIME bundles.

Nothing is imported before the task does it: IPython's `display` is replaced when IPython is imported, and figures are
shown by a backend of ours (`flyte_nb.executors.worker.figures`) that matplotlib loads by itself.
"""

from __future__ import annotations

import base64
import builtins
import io
import os
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from flyte_nb.authoring.context import current_scope
from flyte_nb.executors.displays import Display

__all__ = ["DisplayHandle", "display", "install", "show_figures"]

IPYTHONS_DISPLAY = "IPython.core.display_functions"
BACKEND = "MPLBACKEND"
INLINE_BACKEND = "module://matplotlib_inline.backend_inline"
"""What the kernel shows figures with; it needs a shell."""
OUR_BACKEND = "module://flyte_nb.executors.worker.figures"
SHOWING_BACKENDS = {OUR_BACKEND, INLINE_BACKEND, "inline"}
"""Those whose `show` displays; the kernel's is in place where matplotlib was imported before the task."""

METHODS = {
    "text/html": "_repr_html_",
    "text/markdown": "_repr_markdown_",
    "text/latex": "_repr_latex_",
    "image/svg+xml": "_repr_svg_",
    "image/png": "_repr_png_",
    "image/jpeg": "_repr_jpeg_",
    "application/json": "_repr_json_",
    "application/javascript": "_repr_javascript_",
}
"""How an object says what it looks like, as IPython asks it."""


def install() -> None:
    """Makes displays of this process's tasks reach the kernel; once."""
    builtins.display = display  # type: ignore[attr-defined]  # cells have it without an import
    if os.environ.get(BACKEND, INLINE_BACKEND) == INLINE_BACKEND:
        os.environ[BACKEND] = OUR_BACKEND
    if IPYTHONS_DISPLAY in sys.modules:
        _replace_display(sys.modules[IPYTHONS_DISPLAY])
    else:
        sys.meta_path.insert(0, _WhenImported(IPYTHONS_DISPLAY, _replace_display))


def show_figures() -> None:
    """Displays the figures that a task leaves open, as the kernel does at the end of a cell."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    numbers = getattr(pyplot, "get_fignums", None)  # missing while another thread imports it
    if pyplot is not None and numbers is not None and numbers() and pyplot.get_backend() in SHOWING_BACKENDS:
        pyplot.show()


class DisplayHandle:
    """A display that can be updated; see IPython's class of that name.

    Args:
        display_id: names the display.
    """

    def __init__(self, display_id: str | None = None) -> None:
        self.display_id = display_id or os.urandom(16).hex()

    def display(self, value: object, **options: Any) -> None:
        """Displays another object under the same name."""
        display(value, display_id=self.display_id, **options)

    def update(self, value: object, **options: Any) -> None:
        """Replaces what is displayed."""
        display(value, display_id=self.display_id, update=True, **options)


def display(
    *values: Any,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
    metadata: dict[str, Any] | None = None,
    display_id: str | bool | None = None,
    raw: bool = False,
    update: bool = False,
    **_: Any,
) -> DisplayHandle | None:
    """Shows objects in the cell that waits for the task, and keeps them with the task's action.

    Args:
        values: the objects; MIME bundles when `raw`.
        include: only these MIME types.
        exclude: not these MIME types.
        metadata: about the parts, by MIME type.
        display_id: a name to update the display by; True makes one.
        update: replace what is displayed under that name.

    Returns:
        A handle, where there is a name.
    """
    handle = None if not display_id else DisplayHandle(None if display_id is True else display_id)
    name = handle.display_id if handle is not None else ""
    if handle is not None and not values:  # a place that is filled later
        values, raw = ({},), True
    for value in values:
        data, described = (value, {}) if raw else bundle_of(value)
        shown = {
            kind: part
            for kind, part in data.items()
            if (include is None or kind in include) and (exclude is None or kind not in exclude)
        }
        if shown or raw:
            _send(Display(shown, {**described, **(metadata or {})}, name, update), value)
    return handle


def publish_display_data(
    data: dict[str, Any],
    metadata: dict[str, Any] | None = None,
    *,
    transient: dict[str, Any] | None = None,
    update: bool = False,
    **_: Any,
) -> None:
    """Shows a MIME bundle; IPython's function of that name."""
    _send(Display(data, metadata or {}, (transient or {}).get("display_id", ""), update), data.get("text/plain"))


def bundle_of(value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """An object as a MIME bundle and the metadata about it; empty for one that displays itself."""
    shows_itself = _method(value, "_ipython_display_")
    if shows_itself is not None:
        shows_itself()
        return {}, {}
    figures = sys.modules.get("matplotlib.figure")
    if figures is not None and isinstance(value, figures.Figure):
        return {"text/plain": repr(value), "image/png": png_of(value)}, {}
    data: dict[str, Any] = {"text/plain": repr(value)}
    metadata: dict[str, Any] = {}
    for kind, name in METHODS.items():
        ask = _method(value, name)
        _add(data, metadata, kind, ask() if ask is not None else None)
    whole = _method(value, "_repr_mimebundle_")
    if whole is not None:
        answer = whole(include=None, exclude=None)
        parts, described = answer if isinstance(answer, tuple) else (answer, {})
        metadata.update(described or {})
        for kind, content in (parts or {}).items():
            _add(data, metadata, kind, content)
    return data, metadata


def png_of(figure: Any) -> str:
    """A figure as the notebook shows it: PNG in base64."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=figure.dpi, bbox_inches="tight")
    return base64.b64encode(picture.getvalue()).decode()


def _add(data: dict[str, Any], metadata: dict[str, Any], kind: str, content: Any) -> None:
    """Adds what an object says it looks like: a part, or a part with metadata about it."""
    if isinstance(content, tuple) and len(content) == 2 and isinstance(content[1], dict):
        content, metadata[kind] = content
    if content is not None:
        data[kind] = base64.b64encode(content).decode() if isinstance(content, bytes) else content


def _method(value: Any, name: str) -> Callable[..., Any] | None:
    """A method by which an object shows itself; of an object, not of a class, nor of one that has every attribute."""
    if isinstance(value, type) or getattr(type(value), name, None) is None:
        return None
    method = getattr(value, name, None)
    return method if callable(method) else None


def _send(shown: Display, value: object) -> None:
    scope = current_scope.get()
    if scope is None:  # not in a task
        print(value)
    else:
        scope.attempt.output.display(shown.to_json())


def _replace_display(module: ModuleType) -> None:
    module.display = display  # type: ignore[attr-defined]
    module.publish_display_data = publish_display_data  # type: ignore[attr-defined]
    module.DisplayHandle = DisplayHandle  # type: ignore[attr-defined]


class _WhenImported(MetaPathFinder):
    """Changes a module as soon as it has been imported."""

    def __init__(self, name: str, change: Callable[[ModuleType], None]) -> None:
        self._name = name
        self._change = change

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != self._name:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_change(module: ModuleType) -> None:
            execute(module)
            self._change(module)

        spec.loader.exec_module = execute_and_change  # type: ignore[method-assign]
        return spec

"""What objects look like to a worker, which has no shell."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flyte_nb.executors.displays import Display, kept_of
from flyte_nb.executors.worker.displays import bundle_of, display

PROJECT = Path(__file__).resolve().parents[2]


class Rich:
    def __repr__(self) -> str:
        return "Rich()"

    def _repr_html_(self) -> str:
        return "<b>rich</b>"

    def _repr_png_(self) -> tuple[bytes, dict[str, Any]]:
        return b"png", {"width": 3}

    def _repr_latex_(self) -> None:
        return None


class Whole:
    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {"text/plain": "whole", "application/json": {"a": 1}}


class Anything:
    """Has every attribute that it is asked for, as mocks and proxies do."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **options: "made up"


def test_an_object_is_asked_as_ipython_asks_it() -> None:
    png = base64.b64encode(b"png").decode()
    expected = {"text/plain": "Rich()", "text/html": "<b>rich</b>", "image/png": png}
    assert bundle_of(Rich()) == (expected, {"image/png": {"width": 3}})
    assert bundle_of(Whole())[0] == {"text/plain": "whole", "application/json": {"a": 1}}


@pytest.mark.parametrize("value", [Rich, Anything(), "text", 3, None], ids=["class", "object", "text", "3", "None"])
def test_what_does_not_say_what_it_looks_like_is_shown_as_text(value: object) -> None:
    assert bundle_of(value) == ({"text/plain": repr(value)}, {})


def test_a_display_crosses_as_json_and_what_json_does_not_know_as_text() -> None:
    shown = Display({"text/plain": "a", "application/json": {"when": 1}}, {"image/png": {"width": 3}}, "d1", True)
    assert Display.from_json(shown.to_json()) == shown
    assert Display.from_json(Display({"x": object}).to_json()).data == {"x": str(object)}


def test_what_is_recorded_is_bounded() -> None:
    kept = kept_of({"text/html": "x" * 60_000, "image/png": "y" * 300_000, "application/json": {}})
    assert set(kept) == {"text/html"} and len(kept["text/html"]) == 50_002


def test_outside_a_task_a_display_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert display(Rich()) is None
    assert capsys.readouterr().out == "Rich()\n"
    handle = display(1, display_id="one")
    assert handle is not None and handle.display_id == "one"


PROGRAM = """
import sys
from flyte_nb.executors.worker import displays as worker_displays
worker_displays.install()
assert "IPython" not in sys.modules and "matplotlib" not in sys.modules
from flyte_nb.authoring.context import Scope, current_scope
class Output:
    display = staticmethod(print)
class Attempt:
    output = Output
current_scope.set(Scope(None, Attempt, None, {}))
import IPython.display
from IPython.display import HTML
IPython.display.display(HTML("<i>x</i>"))
IPython.display.update_display(2, display_id="d")
IPython.display.publish_display_data({"text/plain": "raw"}, transient={"display_id": "e"})
from matplotlib import pyplot
pyplot.figure(figsize=(1, 1))
pyplot.show()
assert not pyplot.get_fignums()
"""


def test_ipython_and_matplotlib_show_through_the_task_once_it_imports_them() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=PROJECT)
    assert done.returncode == 0, done.stderr
    html, update, raw, figure = [Display(**json.loads(line)) for line in done.stdout.splitlines()]
    assert html.data["text/html"] == "<i>x</i>" and not html.update
    assert (update.data, update.display_id, update.update) == ({"text/plain": "2"}, "d", True)
    assert (raw.data, raw.display_id) == ({"text/plain": "raw"}, "e")
    assert base64.b64decode(figure.data["image/png"]).startswith(b"\x89PNG")

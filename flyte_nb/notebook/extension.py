"""`%load_ext flyte_nb`: puts everything of this room into an IPython shell, and takes it out again.

show_runs(shell)   runs are drawn in their cells; done when flyte_nb is first used in a kernel
load(shell)        that, and the magics, Tab completion, and an event loop that can be entered again
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flyte_nb.engine import conditions, watcher
from flyte_nb.executors import capture
from flyte_nb.notebook import origin
from flyte_nb.notebook.actions import Actions
from flyte_nb.notebook.channels import COMM_TARGET
from flyte_nb.notebook.declared import show_declared, stop_showing_declared
from flyte_nb.notebook.displays import record_displays, stop_recording_displays
from flyte_nb.notebook.explorer import Explorers
from flyte_nb.notebook.following import Following
from flyte_nb.notebook.forms import forms
from flyte_nb.notebook.forms.commands import serve_forms, stop_serving_forms
from flyte_nb.notebook.forms.deployed import render_task
from flyte_nb.notebook.forms.forms import Forms
from flyte_nb.notebook.magics.completion import make_matcher
from flyte_nb.notebook.magics.magics import FlyteMagics, ask_help
from flyte_nb.notebook.recovery import offer_recovery
from flyte_nb.notebook.tracebacks import show_short_tracebacks, stop_short_tracebacks
from flyte_nb.notebook.views.bundle import bundle_of_run
from flyte_nb.remote import launch, origins, run, task_details
from flyte_nb.remote.progress import show_progress, stop_progress
from flyte_nb.remote.run import Run

__all__ = ["load", "show_runs", "unload"]


@dataclass
class Attached:
    """What was put into a shell."""

    shell: Any
    explorers: Explorers | None = None
    following: Following | None = None
    forms: Forms = field(default_factory=Forms)
    matcher: Any = None


_attached: Attached | None = None


def load(shell: Any) -> None:
    """Registers magics and completion, and draws runs; idempotent.

    Args:
        shell: the IPython shell.
    """
    import nest_asyncio2

    attached = _attach(shell)
    if attached.matcher is None:
        attached.matcher = make_matcher(lambda: shell.user_ns)
        shell.Completer.custom_matchers.append(attached.matcher)
        shell.register_magics(FlyteMagics)
        shell.input_transformers_cleanup.append(ask_help)
        offer_recovery()
        if origin.kernel_shell() is not None:
            nest_asyncio2.apply()


def unload(shell: Any) -> None:
    """Takes out what `load` put in, except the patch of asyncio, which others may rely on by now.

    Args:
        shell: the IPython shell.
    """
    global _attached
    attached, _attached = _attached, None
    if attached is None:
        return
    if attached.matcher is not None:
        shell.Completer.custom_matchers.remove(attached.matcher)
        shell.input_transformers_cleanup.remove(ask_help)
        for kind in ("line", "cell"):
            shell.magics_manager.magics[kind].pop("flyte", None)
    stop_short_tracebacks(shell)
    stop_showing_declared(shell)
    stop_recording_displays(shell)
    stop_progress()
    if attached.following is not None:
        launch.started_elsewhere.remove(attached.following.begin)
        attached.following.stop()
    if attached.explorers is not None:
        watcher.observers.remove(attached.explorers)
        conditions.console = conditions.Console()
        run.renderers.remove(render)
        task_details.renderers.remove(render_task)
        origins.origins.remove(origin.find_origin)
        shell.events.unregister("post_run_cell", attached.explorers.end_cell)
        shell.kernel.comm_manager.unregister_target(COMM_TARGET, attached.explorers.channels.accept)
        shell.kernel.comm_manager.unregister_target(forms.COMM_TARGET, attached.forms.accept)
        stop_serving_forms()
        capture.show_all = True


def show_runs(shell: Any) -> None:
    """Draws runs in the cells that start them, and keeps what tasks display; idempotent.

    Args:
        shell: the IPython shell.
    """
    _attach(shell)


def _attach(shell: Any) -> Attached:
    global _attached
    if _attached is None:
        _attached = Attached(shell)
        show_short_tracebacks(shell)
        show_declared(shell)
        if origin.kernel_shell() is None:
            show_progress()
        else:
            _attached.explorers = _attach_explorers(shell, _attached.forms)
            _attached.following = _attach_following(_attached.explorers)
    return _attached


def _attach_explorers(shell: Any, served: Forms) -> Explorers:
    explorers = Explorers(shell)
    explorers.channels.responder = Actions(shell.user_ns, explorers, served).respond
    serve_forms(shell, explorers, served)
    watcher.observers.append(explorers)
    conditions.console = None
    run.renderers.append(render)
    task_details.renderers.append(render_task)
    origins.origins.append(origin.find_origin)
    shell.events.register("post_run_cell", explorers.end_cell)
    shell.kernel.comm_manager.register_target(COMM_TARGET, explorers.channels.accept)
    shell.kernel.comm_manager.register_target(forms.COMM_TARGET, served.accept)
    record_displays(shell)
    capture.show_all = False
    shell.kernel.io_loop.add_callback(
        capture.install
    )  # between cells: what is patched in one, IPython undoes at its end
    return explorers


def _attach_following(explorers: Explorers) -> Following:
    following = Following(explorers)
    explorers.channels.served = following.want
    launch.started_elsewhere.append(following.begin)
    return following


def render(shown: Run) -> tuple[dict[str, Any], dict[str, Any]]:
    """The display bundle of a Run; one that its own cell shows already is only named."""
    if _attached is not None and _attached.explorers is not None and _attached.explorers.is_drawn_here(shown.name):
        return {"text/plain": repr(shown)}, {}
    return bundle_of_run(shown.name), {}

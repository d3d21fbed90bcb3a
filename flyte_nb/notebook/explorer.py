"""The run explorer in cells: one for every execution of a cell, whatever number of runs the cell starts.

first run of a cell   display(run document, HTML, text); if it lives on, a comm by which the page is told what changes
while runs are live   deltas ten times a second; the display itself every three seconds, for the saved notebook
further runs          listed in the same display, also those that a page starts beside one of them
the end               the display once more, without the widget view: it draws without a kernel
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar
from uuid import uuid4

from flyte_nb.authoring.context import current_scope
from flyte_nb.notebook.channels import Channel, Channels
from flyte_nb.notebook.origin import execution_id, is_watched
from flyte_nb.notebook.views.bundle import Bundle, bundle_of_runs
from flyte_nb.notebook.views.document import MIME, Document, LiveRun
from flyte_nb.notebook.widget import WIDGET_VIEW, is_ready, make_widget

__all__ = ["Explorer", "Explorers"]

RENEW_SECONDS = 3.0
"""How often the display of a live run is renewed; at first sooner, for notebooks that are saved then."""
FIRST_RENEW_SECONDS = 0.5
RENEW_SHARE = 0.02
"""The most of a core that renewing may take: the display of a large run is renewed less often."""
SWITCH_SECONDS = 0.5
"""A cell that starts run after run renews its display at most this often."""
OFFER_SECONDS = 0.08
"""Runs that are over sooner are drawn by their display alone, without a comm."""
WIDGET_SECONDS = 1.0
"""A widget costs 80 kB of messages, which nbclient saves with the notebook: only a run that lives longer gets one, and
only where somebody can see it."""

T = TypeVar("T")

_chosen: ContextVar[Explorer | None] = ContextVar("flyte_nb_explorer")
"""Where a run that no cell starts is shown; None for nowhere but in the page that asked for it."""


class Explorer:
    """The display of the runs that one execution of a cell starts. Callable from any thread.

    Args:
        shell: the kernel's shell.
        channels: the kernel's channels.
    """

    def __init__(self, shell: Any, channels: Channels) -> None:
        self.names: list[str] = []
        self.context = copy_context()
        """That of its cell: what is printed in it appears there."""
        self._shell = shell
        self._channels = channels
        self._live: dict[str, LiveRun] = {}
        self._failed: set[str] = set()
        self._outer: list[str] = []
        self._wanted = ""
        self._display_id = uuid4().hex
        self._lock = threading.RLock()
        self._drawn_at = 0.0
        self._draw_seconds = 0.0
        self._begun_at = time.monotonic()
        self._is_stale = False
        self._cell_over = False
        self._is_placed = False
        self._shown = ""
        self._offered = ""
        self._channel: Channel | None = None
        self._widget: Any = None
        self._wants_widget = is_watched()

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""
        return self._cell_over and not self._live

    def place(self) -> None:
        """Takes its place in the cell that runs now, for runs that begin later."""
        self._is_placed = self._cell_over = True
        self._shell.display_pub.publish({"text/plain": ""}, {}, transient={"display_id": self._display_id})

    def start(self, run: LiveRun, from_page: bool = False) -> None:
        """A run begins; the first one is displayed at once, and one that a page begins is the one to look at."""
        with self._lock:
            if run.lineage or run.parent_run not in self.names:
                self._outer.append(run.name)
                self._wanted = run.name if from_page else ""
            self.names.append(run.name)
            self._live[run.name] = run
            if len(self.names) == 1:
                self._draw(update=self._is_placed)
            else:
                self._draw_soon()

    def change(self, run: LiveRun) -> None:
        """A live run may have changed."""
        self._push(run)
        with self._lock:
            if run.closed:  # `end` follows, with the last word
                return
            if self._wants_widget and self._age(self._begun_at) > WIDGET_SECONDS and is_ready():
                self._wants_widget = False
                self._draw(with_widget=True)
            elif self._age(self._drawn_at) > (SWITCH_SECONDS if self._is_stale else self._renew_seconds()):
                self._draw()

    def end(self, run: LiveRun) -> None:
        """A run is over."""
        with self._lock:
            self._live.pop(run.name, None)
            if run.phase != "succeeded":
                self._failed.add(run.name)
            if self.is_over or len(self.names) == 1:
                self._draw()
            else:
                self._draw_soon()

    def end_cell(self) -> None:
        """The cell is over: what it shows now is saved, unless runs go on."""
        with self._lock:
            self._cell_over = True
            if self._is_stale and not self._live:
                self._draw()

    def bundle(self) -> Bundle:
        """What the notebook saves of the runs as they stand."""
        with self._lock:
            return bundle_of_runs(self.names, self._active(), details=not self._live)

    def _push(self, run: LiveRun) -> None:
        """Tells the pages what changed; a run that lives long enough is first offered to the page that shows it."""
        with self._lock:
            is_new = run.name == self._shown != self._offered and not run.closed
            if is_new and self._age(self._drawn_at) > OFFER_SECONDS:
                self._offered = run.name
                self._channels.offer(run.name)
        channel = self._channels.known(run.name)
        if channel is not None:
            channel.push(run)

    def _draw_soon(self) -> None:
        """Shows a change of the runs: now, or when the last drawing is old enough, or with the end of the cell."""
        self._is_stale = True
        if self._age(self._drawn_at) > SWITCH_SECONDS:
            self._draw()

    def _renew_seconds(self) -> float:
        """When a display is due for renewal, counted from the last."""
        due = min(RENEW_SECONDS, max(FIRST_RENEW_SECONDS, self._drawn_at - self._begun_at))
        return max(due, self._draw_seconds / RENEW_SHARE)

    def _age(self, moment: float) -> float:
        return time.monotonic() - moment

    def _draw(self, update: bool = True, with_widget: bool = False) -> None:
        """Shows the runs as they stand; with a widget from now on where one is asked for."""
        began = time.thread_time()
        active = self._active()
        bundle = self.bundle()
        if with_widget:
            self._make_widget(bundle[MIME], active)
        if self._live:
            self._keep_widget(bundle, active)
        else:
            self._drop_widget()
        transient = {"display_id": self._display_id}
        self._shell.display_pub.publish(bundle, {}, transient=transient, update=update)
        self._draw_seconds = time.thread_time() - began
        self._drawn_at = time.monotonic()
        self._is_stale = False
        self._shown = active

    def _active(self) -> str:
        """The run to look at: the one that a page has just begun, else the newest live one, else the first that failed,
        else the last; none begun by a task."""
        if self._wanted:
            return self._wanted
        live = [name for name in self._outer if name in self._live]
        failed = [name for name in self._outer if name in self._failed]
        return (live[-1:] or failed[:1] or self._outer[-1:])[0]

    def _make_widget(self, document: Document, active: str) -> None:
        """A widget over the saved document, which JupyterLab may save with it; the rest it is told as any page is."""

        def receive(message: Document) -> None:
            self._channels.of(self._active()).receive(message)

        self._channel = self._channels.of(active)
        self._widget = make_widget(document, receive)
        self._channel.add(self._widget.send)

    def _keep_widget(self, bundle: Bundle, active: str) -> None:
        """Puts the widget's view into the bundle; a widget that showed another run shows this one."""
        if self._widget is None:
            return
        channel = self._channels.of(active)
        if channel is not self._channel:
            if self._channel is not None:
                self._channel.remove(self._widget.send)
            channel.add(self._widget.send)
            self._channel = channel
            self._widget.doc = bundle[MIME]
        bundle[WIDGET_VIEW] = {"version_major": 2, "version_minor": 1, "model_id": self._widget.model_id}

    def _drop_widget(self) -> None:
        """A saved widget view does not draw without its kernel, so the last display carries none."""
        if self._widget is not None:
            if self._channel is not None:
                self._channel.remove(self._widget.send)
            self._widget.close()
            self._widget = None
            self._wants_widget = True


class Explorers:
    """Every explorer of the kernel; the observer of its runs (see `flyte_nb.engine.watcher.RunObserver`), and of those
    that it started at a backend (see `flyte_nb.notebook.following`).

    Args:
        shell: the kernel's shell.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self.channels = Channels()
        self._of_execution: dict[str, Explorer] = {}
        self._of_run: dict[str, Explorer] = {}
        self._showing: dict[str, Explorer] = {}
        """Where each run is shown, also when it is over."""

    def begin(self, explorer: Explorer | None, start: Callable[[], T]) -> T:
        """Starts a run that no cell starts: what it prints appears in the cell of the explorer.

        Args:
            explorer: shows it; None for nowhere but in the page that asked for it.
            start: starts it.
        """

        def start_there() -> T:
            _chosen.set(explorer)
            current_scope.set(None)  # the cell may stand in a task that started the earlier run: this one is not nested
            return start()

        context = explorer.context.copy() if explorer is not None else copy_context()
        return context.run(start_there)

    def make(self) -> Explorer:
        """An explorer that is displayed nowhere yet."""
        return Explorer(self._shell, self.channels)

    def of(self, run: str) -> Explorer | None:
        """The explorer that shows a run; None where this kernel displayed it in no cell."""
        return self._showing.get(run)

    def started(self, run: LiveRun) -> None:
        """A run begins; on the thread of its cell, or of the task that starts it."""
        try:
            explorer, from_page = _chosen.get(), True
        except LookupError:
            explorer, from_page = self._explorer_for(run), False
        if explorer is not None:
            self._of_run[run.name] = self._showing[run.name] = explorer
            explorer.start(run, from_page)

    def _explorer_for(self, run: LiveRun) -> Explorer:
        """That of the run whose task starts this one, else that of the cell."""
        explorer = self._of_run.get(run.parent_run) if not run.lineage else None
        if explorer is None:
            execution = execution_id()
            explorer = self._of_execution.get(execution)
            if explorer is None:
                explorer = self._of_execution[execution] = self.make()
        return explorer

    def changed(self, run: LiveRun) -> None:
        """A live run may have changed."""
        explorer = self._of_run.get(run.name)
        channel = self.channels.known(run.name)
        if explorer is not None:
            explorer.change(run)
        elif channel is not None:
            channel.push(run)

    def ended(self, run: LiveRun) -> None:
        """A run is over."""
        explorer = self._of_run.pop(run.name, None)
        if explorer is not None:
            explorer.end(run)

    def end_cell(self, _: Any = None) -> None:
        """A cell is over; called by IPython on the thread that executed it."""
        explorer = self._of_execution.pop(execution_id(), None)
        if explorer is not None:
            explorer.end_cell()

    def is_drawn_here(self, run: str) -> bool:
        """Whether the cell that runs now shows the run already."""
        explorer = self._of_execution.get(execution_id())
        return explorer is not None and run in explorer.names

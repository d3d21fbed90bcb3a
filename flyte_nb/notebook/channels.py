"""Between the pages that show a run and the run: what they ask, and what they are told (docs/explorer.md).

    page --hello, detail, ...--> Channel.receive       on the main thread, or on a subshell's while a cell blocks
    page <--snapshot, delta, detail-- Channel.send     from any thread

A page may ask the same twice, or never: the first it is told is a snapshot, deltas build on that. Every question gets
an answer, if only why there is none. What a backend has to answer is asked on a thread of its own.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from flyte_nb.engine.action import TERMINAL
from flyte_nb.notebook.views.details import RunReader
from flyte_nb.notebook.views.document import Document, LiveDocument, LiveRun, sendable
from flyte_nb.notebook.views.flows import flow_rows
from flyte_nb.remote.source import source

__all__ = ["COMM_TARGET", "Channel", "Channels", "Port", "Responder", "words_of"]

logger = logging.getLogger("flyte")

COMM_TARGET = "flyte_nb.run"
WHOLE_BYTES = 20_000_000
"""Bound of the document of a run from the store that a page asked for whole."""

Question = tuple[str, str]
"""What a page asks: `hello`, `detail` or `graph`, and of which action."""
Port = Callable[[Document], None]
"""Sends a message to one page."""
Responder = Callable[[str, Document, Port], None]
"""Takes what a page asks to be done about a run; answers through the port, on whatever thread, or never."""


class Channel:
    """Serves one run to every page that shows it. Callable from any thread.

    Args:
        run: name of the run, in memory, in the store or at the backend that is connected.
        responder: takes what is neither a greeting nor a question.

    Raises:
        KeyError: there is no such run; of one that may be at a backend the pages are told.
    """

    def __init__(self, run: str, responder: Responder) -> None:
        if not may_be_elsewhere(run):
            source.run(run)
        self.run = run
        self._responder = responder
        self._live: LiveDocument | None = None
        """What the pages have been told; None before a snapshot, and when the run is over."""
        self._ports: list[Port] = []
        self._has_newcomers = False
        self.was_left = False
        """Whether pages showed the run and none does any more."""
        self._selected = ""
        self._asked: dict[Question, bool] = {}
        """What is being answered beside, and whether it is to be answered anew."""
        self._lock = threading.RLock()

    def add(self, port: Port) -> None:
        """Serves one more page; the next it hears is a snapshot."""
        with self._lock:
            self._ports.append(port)
            self._has_newcomers = True
            self.was_left = False

    def remove(self, port: Port) -> None:
        """Stops serving a page."""
        with self._lock:
            if port in self._ports:
                self._ports.remove(port)
                self.was_left = not self._ports

    def receive(self, message: Document) -> None:
        """Answers a page, or hands on what it asks to be done; returns at once."""
        kind = str(message.get("kind"))
        if kind not in ("hello", "detail", "graph"):
            self._responder(self.run, message, self._send)
            return
        question = kind, str(message.get("action", ""))
        # The graph looks at every value of the run: other questions need not wait for that.
        if kind == "graph" or may_be_elsewhere(self.run):
            self._answer_beside(question)
        else:
            self._answer(question)

    def push(self, run: LiveRun) -> None:
        """Tells the pages what changed in the run since the last time."""
        with self._lock:
            if not self._ports or not run.order:
                return
            if self._has_newcomers or self._live is None:
                self._send_living(run)
                return
            changed = run.take_changed()
            delta = self._live.delta(changed)
            if delta is not None:
                self._send(delta)
            if run.closed:
                self._live = None
        if any(action.name == self._selected and action.phase in TERMINAL for action in changed):
            self._answer_beside(("detail", self._selected), anew=True)

    def _send(self, message: Document) -> None:
        with self._lock:
            for port in self._ports:
                port(sendable(message))

    def _answer_beside(self, question: Question, anew: bool = False) -> None:
        """Answers on a thread of its own. What is being answered is not asked twice at once: every page hears it; it is
        answered `anew` where what it is about has changed."""
        with self._lock:
            is_new = question not in self._asked
            self._asked[question] = not is_new and (anew or self._asked[question])
        if is_new:
            name = f"flyte-nb-{question[0]}"
            threading.Thread(target=self._answer_until_told, args=(question,), name=name, daemon=True).start()

    def _answer_until_told(self, question: Question) -> None:
        while True:
            self._answer(question)
            with self._lock:
                if not self._asked.pop(question):
                    return
                self._asked[question] = False

    def _answer(self, question: Question) -> None:
        kind, action = question
        try:
            if kind == "hello":
                self._send_snapshot()
            elif kind == "detail":
                self._send_detail(action)
            else:
                self._send_graph()
        # A StoreError (the store is in use, a value is damaged), a KeyError (the run is gone), a ConnectionError or the
        # like of a backend, whatever a value's class raises when it is read: the page shows each. Raised on, it would
        # end this thread, and the page would wait for ever.
        except Exception as error:
            logger.debug("run %s: %s is not answered", self.run, kind, exc_info=error)
            again = isinstance(error, ConnectionError)
            why = words_of(error)
            self._send({"kind": "unanswered", "asked": kind, "action": action, "why": why, "again": again})

    def _send_snapshot(self) -> None:
        """Sends the whole run as it stands."""
        recorded = RunReader(self.run).document(WHOLE_BYTES, details=False) if self._living() is None else None
        with self._lock:
            run = self._living()  # perhaps only since the record was read
            if run is not None:
                self._send_living(run)
            elif recorded is not None:
                self._has_newcomers = False
                self._send({"kind": "snapshot", "doc": recorded})
        if run is None and recorded is None:  # it ended meanwhile
            self._send_snapshot()

    def _living(self) -> LiveRun | None:
        """The run as memory has it; None where it is not there, or nothing of it is known yet."""
        run = source.live(self.run) or source.followed(self.run)
        return run if run is not None and run.order else None

    def _send_living(self, run: LiveRun) -> None:
        """Sends the whole run; what is pushed from now on builds on it."""
        with self._lock:
            self._has_newcomers = False
            live = LiveDocument(run)
            self._live = None if run.closed else live
            self._send({"kind": "snapshot", "doc": live.snapshot()})

    def _send_detail(self, action: str) -> None:
        detail = RunReader(self.run).detail(action)
        self._selected = action
        self._send({"kind": "detail", "detail": detail})

    def _send_graph(self) -> None:
        reader = RunReader(self.run)
        is_live = reader.row.phase not in TERMINAL
        self._send({"kind": "graph", "flows": flow_rows(reader.flows()), "live": is_live})


class Channels:
    """The channels of this kernel, by run, and the comms that pages open or are offered.

    Attributes:
        responder: takes what pages ask to be done; until one is set, nothing is.
        served: is told the run of every page that begins to show one.
    """

    def __init__(self) -> None:
        self.responder: Responder = ignore
        self.served: Callable[[str], None] = lambda run: None
        self._channels: dict[str, Channel] = {}
        self._lock = threading.Lock()

    def of(self, run: str) -> Channel:
        """The channel of a run; made when it is first asked for.

        Raises:
            KeyError: there is no such run.
        """
        with self._lock:
            channel = self._channels.get(run)
            if channel is None:
                channel = self._channels[run] = Channel(run, self._respond)
            return channel

    def known(self, run: str) -> Channel | None:
        """The channel of a run, if a page was ever served."""
        return self._channels.get(run)

    def offer(self, run: str) -> Channel:
        """Opens a comm to the page in which the run was just displayed."""
        import comm

        channel = self.of(run)
        self._serve(channel, comm.create_comm(target_name=COMM_TARGET, data={"run": run}))
        return channel

    def accept(self, opened: Any, message: dict[str, Any]) -> None:
        """Takes a comm that a page opened; one for an unknown run is closed at once."""
        run = str(message.get("content", {}).get("data", {}).get("run", ""))
        try:
            channel = self.of(run)
        except KeyError:
            opened.close()
            return
        self._serve(channel, opened)

    def _serve(self, channel: Channel, opened: Any) -> None:
        def port(message: Document) -> None:
            opened.send(data=message)

        # Else ipykernel (7.4) hands what the page sends to the loop that sent last: mostly that of the blocked cell.
        opened._reply_subshell_for = lambda _, subshell: subshell
        channel.add(port)
        opened.on_msg(lambda message: channel.receive(message["content"]["data"]))
        opened.on_close(lambda _: channel.remove(port))
        self.served(channel.run)

    def _respond(self, run: str, message: Document, port: Port) -> None:
        self.responder(run, message, port)


def may_be_elsewhere(run: str) -> bool:
    """Whether a backend is asked about a run: that takes its time, and it may be away."""
    return source.backend is not None and source.live(run) is None


def words_of(error: Exception) -> str:
    """What an error says to a reader."""
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error) or type(error).__name__


def ignore(run: str, message: Document, port: Port) -> None:
    """Does nothing of what a page asks."""

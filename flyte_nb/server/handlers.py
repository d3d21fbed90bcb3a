"""The addresses by which pages ask for stores and runs (docs/jupyterlab.md); every one asks who wants to know.

What a page asks wrongly is answered by one message, as JSON: `{"message": ...}`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado.web import HTTPError, authenticated

from flyte_nb.authoring.condition import Answer
from flyte_nb.engine.identity import ROOT
from flyte_nb.errors import ConditionNotFoundError
from flyte_nb.notebook.views.document import sendable
from flyte_nb.remote.plain import PHASES
from flyte_nb.server.reader import StoreReader
from flyte_nb.server.serving import ServedStores
from flyte_nb.server.stores import Stores, title
from flyte_nb.store.errors import StoreBusyError, StoreError
from flyte_nb.store.home import Home
from flyte_nb.store.listing import RunFilter

__all__ = ["ADDRESS", "HANDLERS", "SERVED", "SETTING"]

ADDRESS = "flyte-nb"
"""What all addresses start with, behind the server's base."""
SETTING = "flyte_nb_stores"
"""Under which the server's `Stores` are kept in its settings."""
SERVED = "flyte_nb_served_stores"
"""Under which its `ServedStores` are."""
PAGE_ROWS = 100
MOST_ROWS = 1_000
ABORTED_BY_HAND = "stopped in JupyterLab"
REFUSALS: tuple[tuple[type[Exception], HTTPStatus], ...] = (
    (LookupError, HTTPStatus.NOT_FOUND),
    (ConditionNotFoundError, HTTPStatus.CONFLICT),
    (StoreBusyError, HTTPStatus.SERVICE_UNAVAILABLE),
    (StoreError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (TimeoutError, HTTPStatus.GATEWAY_TIMEOUT),
    (ValueError, HTTPStatus.BAD_REQUEST),
)
"""How each error is answered; the first that fits."""


class StoreHandler(APIHandler):
    """Answers from a store, off the server's loop."""

    auth_resource = "flyte_nb"
    _track_activity = False  # a page that polls does not keep a server from being culled

    @property
    def stores(self) -> Stores:
        stores: Stores = self.settings[SETTING]
        return stores

    @property
    def home(self) -> Home:
        """The store that the address names; where it names none, that of the server's own project."""
        name = self.get_query_argument("store", "")
        return self.stores.named(name) if name else self.stores.of_notebook("")

    @property
    def reader(self) -> StoreReader:
        """Of that store."""
        return self.stores.reader(self.home)

    async def answer(self, find: Callable[[], Awaitable[Any]]) -> None:
        """Finishes with what is found, or with what is wrong."""
        try:
            found = await find()
        except tuple(error for error, _ in REFUSALS) as error:
            status = next(status for kind, status in REFUSALS if isinstance(error, kind))
            self.set_status(status)
            found = {"message": str(error.args[0] if error.args else error)}
        except HTTPError:  # what the server itself finds wrong with the request
            raise
        except Exception as error:  # a fault of ours: the log gets its traceback, the page one message
            self.log.exception("flyte_nb could not answer %s", self.request.path)
            self.set_status(HTTPStatus.INTERNAL_SERVER_ERROR)
            found = {"message": f"flyte_nb could not answer ({type(error).__name__}); the server's log says why."}
        self.finish(found if isinstance(found, bytes) else encoded(found))

    async def read(self, question: Callable[[StoreReader], Any]) -> None:
        """Finishes with what the store answers; it is asked and put into JSON on the store's thread."""

        async def find() -> bytes:
            reader = self.reader
            return await reader.ask(lambda: encoded(question(reader)))

        await self.answer(find)


class StoresHandler(StoreHandler):
    """`GET stores?notebook=PATH`: the store of that notebook's project; with `all=true` also all that there are."""

    @authenticated
    @authorized
    async def get(self) -> None:
        notebook = self.get_query_argument("notebook", "")
        wants_all = self.get_query_argument("all", "") == "true"
        await self.answer(lambda: asyncio.to_thread(self._find, notebook, wants_all))

    def _find(self, notebook: str, wants_all: bool) -> dict[str, Any]:
        homes = self.stores.found() if wants_all else []
        return {
            "store": self._described(self.stores.of_notebook(notebook)),
            "stores": [self._described(home) for home in homes],
        }

    def _described(self, home: Home) -> dict[str, str]:
        return {"store": self.stores.name(home), "title": title(home)}


class ActivityHandler(StoreHandler):
    """`GET activity?store=&known=REVISION`: whether anything has changed since, and what goes on."""

    @authenticated
    @authorized
    async def get(self) -> None:
        known = self.get_query_argument("known", "")
        await self.read(lambda reader: reader.activity(known))


class ChoicesHandler(StoreHandler):
    """`GET choices?store=`: tasks, notebooks and labels to filter by."""

    @authenticated
    @authorized
    async def get(self) -> None:
        await self.read(lambda reader: reader.choices())


class RunsHandler(StoreHandler):
    """`GET runs?store=&text=&phase=&task=&notebook=&label=&since=&until=&limit=&cursor=`: a page of runs."""

    @authenticated
    @authorized
    async def get(self) -> None:
        cursor = self.get_query_argument("cursor", "")

        def ask(reader: StoreReader) -> Any:
            limit = self._number("limit", PAGE_ROWS)
            if not 1 <= limit <= MOST_ROWS:
                raise ValueError(f"limit={limit} is not between 1 and {MOST_ROWS:,}")
            return reader.runs(self._wanted(), cursor, limit)

        await self.read(ask)

    def _wanted(self) -> RunFilter:
        phases = self.get_query_arguments("phase")
        if unknown := [phase for phase in phases if phase not in PHASES]:
            raise ValueError(f"{unknown[0]!r} is not a phase; there are {', '.join(PHASES)}")
        text, task, notebook, label = (
            self.get_query_argument(name, "") for name in ("text", "task", "notebook", "label")
        )
        return RunFilter(text, phases, task, notebook, label, self._nanoseconds("since"), self._nanoseconds("until"))

    def _nanoseconds(self, name: str) -> int | None:
        """A time given in milliseconds since the epoch."""
        return self._number(name, 0) * 1_000_000 if self.get_query_argument(name, "") else None

    def _number(self, name: str, default: int) -> int:
        text = self.get_query_argument(name, "")
        if not text:
            return default
        try:
            return int(text)
        except ValueError:
            raise ValueError(f"{name}={text} is not a whole number") from None


class RunHandler(StoreHandler):
    """`GET runs/RUN?store=`: the run's document."""

    @authenticated
    @authorized
    async def get(self, run: str) -> None:
        await self.read(lambda reader: reader.document(run))


class ActionHandler(StoreHandler):
    """`GET runs/RUN/actions/ACTION?store=`: the Detail of an action."""

    @authenticated
    @authorized
    async def get(self, run: str, action: str) -> None:
        await self.read(lambda reader: reader.detail(run, action))


class GraphHandler(StoreHandler):
    """`GET runs/RUN/graph?store=`: which outputs became which inputs."""

    @authenticated
    @authorized
    async def get(self, run: str) -> None:
        await self.read(lambda reader: reader.graph(run))


class AbortHandler(StoreHandler):
    """`POST runs/RUN/abort?store=`: ends the run, or with `{"action": ...}` as the body one action of it."""

    @authenticated
    @authorized
    async def post(self, run: str) -> None:
        async def find() -> Any:
            asked = self.get_json_body() or {}
            action = str(asked.get("action") or ROOT) if isinstance(asked, dict) else ROOT
            return await self.reader.abort(run, action, ABORTED_BY_HAND)

        await self.answer(find)


class AnswerHandler(StoreHandler):
    """`POST runs/RUN/answer?store=` with `{"action": ..., "value": ...}` as the body: answers a condition."""

    @authenticated
    @authorized
    async def post(self, run: str) -> None:
        async def find() -> Any:
            asked = self.get_json_body()
            if not isinstance(asked, dict) or not isinstance(asked.get("value"), Answer):
                raise ValueError('the body must be {"action": ..., "value": ...}, the value a bool, a number or a text')
            return await self.reader.signal(run, str(asked.get("action")), asked["value"])

        await self.answer(find)


class ServingHandler(StoreHandler):
    """`GET serving?store=`: whether `flyte-nb serve` serves the store; `POST` starts it, `DELETE` ends it."""

    @authenticated
    @authorized
    async def get(self) -> None:
        await self._do(lambda served, home: served.described(home))

    @authenticated
    @authorized
    async def post(self) -> None:
        asked = self.get_json_body() or {}
        execute = isinstance(asked, dict) and asked.get("execute") is True
        await self._do(lambda served, home: served.start(home, execute))

    @authenticated
    @authorized
    async def delete(self) -> None:
        await self._do(lambda served, home: served.stop(home))

    async def _do(self, ask: Callable[[ServedStores, Home], dict[str, Any]]) -> None:
        async def find() -> dict[str, Any]:
            home = self.home
            told = await asyncio.to_thread(ask, self.settings[SERVED], home)
            return told | {"project": title(home)}

        await self.answer(find)


def encoded(answer: dict[str, Any]) -> bytes:
    """An answer as JSON; what is no Unicode in it is replaced."""
    return msgspec.json.encode(sendable(answer))


HANDLERS = [
    ("stores", StoresHandler),
    ("activity", ActivityHandler),
    ("choices", ChoicesHandler),
    ("runs", RunsHandler),
    (r"runs/([^/]+)", RunHandler),
    (r"runs/([^/]+)/actions/([^/]+)", ActionHandler),
    (r"runs/([^/]+)/graph", GraphHandler),
    (r"runs/([^/]+)/abort", AbortHandler),
    (r"runs/([^/]+)/answer", AnswerHandler),
    ("serving", ServingHandler),
]

"""The Jupyter server extension: puts the addresses of `flyte_nb.server.handlers` into the server's."""

from __future__ import annotations

from pathlib import Path

from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join

from flyte_nb.server.handlers import ADDRESS, HANDLERS, SERVED, SETTING
from flyte_nb.server.serving import ServedStores
from flyte_nb.server.stores import Stores

__all__: list[str] = []


def _load_jupyter_server_extension(server: ServerApp) -> None:
    """Called by the Jupyter server when it starts."""
    application = server.web_app
    application.settings[SETTING] = Stores(Path(server.root_dir))
    application.settings[SERVED] = ServedStores()
    base = application.settings["base_url"]
    handlers = [(url_path_join(base, ADDRESS, path), handler) for path, handler in HANDLERS]
    application.add_handlers(".*$", handlers)  # type: ignore[no-untyped-call]

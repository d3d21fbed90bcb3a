"""`flyte-nb serve`: this project's store, for other machines and for Flyte 2's own SDK."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import click

from flyte_nb.cli.carrying import one_line_errors
from flyte_nb.remote.errors import CommandError
from flyte_nb.store.home import Home

__all__ = ["serve"]

TOKEN = "FLYTE_NB_TOKEN"
STDIN_BYTES = 4096
AT_LEAST_ONE = click.IntRange(1)
READABLE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(short_help="Serves the store by Flyte 2's protocol.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="To listen on; any that is free unless given.")
@click.option("--token-file", type=READABLE, help=f"Holds the token that callers must show; else {TOKEN} does.")
@click.option("--tls-cert", type=READABLE, help="Certificate, a PEM file.")
@click.option("--tls-key", type=READABLE, help="Key of the certificate, a PEM file.")
@click.option("--triggers/--no-triggers", default=True, show_default=True, help="Fire triggers of deployed tasks.")
@click.option("--url", default="", help="By which others reach the server, for callbacks of conditions.")
@click.option("--execute", is_flag=True, help="Run tasks when clients ask for it, as you.")
@click.option("--max-depth", default=20, show_default=True, type=AT_LEAST_ONE, help="Levels of actions of such a run.")
@click.option("--max-actions", default=10_000, show_default=True, type=AT_LEAST_ONE, help="Actions of such a run.")
@click.option("--max-seconds", default=3600.0, show_default=True, type=float, help="How long such a run may take.")
@click.option("--max-processes", type=AT_LEAST_ONE, help="Of Flyte's own tasks, at work at once; as many as CPUs.")
@click.option("--until-stdin-ends", is_flag=True, help="End when standard input does: with the program that starts it.")
def serve(
    host: str,
    port: int,
    token_file: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    triggers: bool,
    url: str,
    execute: bool,
    max_depth: int,
    max_actions: int,
    max_seconds: float,
    max_processes: int | None,
    until_stdin_ends: bool,
) -> None:
    """Serves the store of this project by Flyte 2's own protocol.

    Flyte's SDK and command line, and flyte_nb on other machines, list, watch and fetch its runs, as from a Flyte 2
    backend. Other machines need a token and TLS. Nothing is executed for them unless --execute
    says so; triggers of tasks that were deployed here start their runs here.
    """
    if until_stdin_ends:
        threading.Thread(target=_end_with_stdin, name="flyte-stdin", daemon=True).start()
    with one_line_errors():
        token = token_file.read_text().strip() if token_file is not None else os.environ.get(TOKEN, "")
        if token_file is not None and not token:
            raise CommandError(f"{token_file} is empty: it should hold the token")
        serving = serving_module()
        most = max_processes or os.cpu_count() or 1
        limits = serving.Limits(max_depth, max_actions, max_seconds, most) if execute else None
        asked = serving.Serving(Home.find().ensure(), host, port, token, tls_cert, tls_key, limits, triggers, url)
        serving.serve(asked, lambda url: click.echo(f"Serving {asked.home.path} at {url} (Ctrl-C ends it)"))


def _end_with_stdin() -> None:
    while os.read(sys.stdin.fileno(), STDIN_BYTES):  # not sys.stdin's own buffer, which Python closes as it ends
        pass
    signal.raise_signal(signal.SIGTERM)


def serving_module() -> Any:
    """The server; loaded only here, for it needs what only the extra installs.

    Raises:
        CommandError: that is not installed.
    """
    try:
        return importlib.import_module("flyte_nb.server.wire.serving")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("flyte_nb"):
            raise
        raise CommandError(f'The server needs {error.name}: pip install "flyte_nb[server]"') from error

"""`flyte-nb publish`: shows a run of this project at a backend."""

from __future__ import annotations

from typing import Unpack

import click

from flyte_nb.cli.backends import Place, backend_options, connected
from flyte_nb.cli.carrying import one_line_errors
from flyte_nb.remote.upkeep.housekeeping import publish as publish_run

__all__ = ["publish"]

RUN_NAMES = "RUN is a run's name, the beginning of it, or `last`."


@click.command(short_help="Shows a run at a backend.", epilog=RUN_NAMES)
@click.argument("run")
@click.option("--name", help="Its name there; its own unless told.")
@backend_options
def publish(run: str, name: str | None, **place: Unpack[Place]) -> None:
    """Shows a RUN of this project at a Flyte 2 backend."""
    with one_line_errors(), connected(place):
        click.echo(publish_run(run, name))

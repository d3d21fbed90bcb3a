"""`flyte-nb publish`: shows a run of this project at a backend."""

from __future__ import annotations

from typing import Any

import click

from flyte_nb.cli.carrying import one_line_errors
from flyte_nb.errors import InitializationError
from flyte_nb.remote import setup
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.upkeep.housekeeping import publish as publish_run

__all__ = ["publish"]

RUN_NAMES = "RUN is a run's name, the beginning of it, or `last`."


@click.command(epilog=RUN_NAMES)
@click.argument("run")
@click.option("--name", help="Its name there; its own unless told.")
@click.option("-c", "--config", metavar="FILE", help="Flyte's configuration file; found where Flyte looks for it.")
@click.option("--endpoint", help="Address of the backend, in place of the configuration's.")
@click.option("--insecure", is_flag=True, help="It has no TLS.")
@click.option("-p", "--project", help="Where the run is shown.")
@click.option("-d", "--domain", help="Likewise.")
def publish(run: str, name: str | None, config: str | None, endpoint: str | None, insecure: bool, **place: Any) -> None:
    """Shows a RUN of this project at a Flyte 2 backend."""
    with one_line_errors():
        try:
            if endpoint is not None:
                setup.init(endpoint=endpoint, insecure=insecure, **place)
            else:
                setup.init_from_config(config, **place)
        except InitializationError as error:
            raise CommandError(str(error)) from None
        if not setup.is_control_plane_available():
            raise CommandError("Say at which backend: --endpoint URL, or -c FILE of a configuration that names one")
        try:
            click.echo(publish_run(run, name))
        finally:
            setup.init()

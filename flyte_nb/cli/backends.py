"""The backend at which a verb publishes: the options that name it, and being connected to it meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypedDict, TypeVar

import click

from flyte_nb.errors import InitializationError
from flyte_nb.remote import setup
from flyte_nb.remote.errors import CommandError

__all__ = ["Place", "backend_options", "connected"]

Verb = TypeVar("Verb", bound=Callable[..., Any])

_OPTIONS = (
    click.option("-c", "--config", metavar="FILE", help="Flyte's configuration file; found where Flyte looks for it."),
    click.option("--endpoint", help="Address of the backend, in place of the configuration's."),
    click.option("--insecure", is_flag=True, help="It has no TLS."),
    click.option("-p", "--project", help="Where the run is shown."),
    click.option("-d", "--domain", help="Likewise."),
)


class Place(TypedDict):
    """What the options say."""

    config: str | None
    endpoint: str | None
    insecure: bool
    project: str | None
    domain: str | None


def backend_options(verb: Verb) -> Verb:
    """Gives a verb the options `--config`, `--endpoint`, `--insecure`, `--project` and `--domain`: a `Place`."""
    for option in reversed(_OPTIONS):
        verb = option(verb)
    return verb


@contextmanager
def connected(place: Place) -> Iterator[None]:
    """The backend is connected inside.

    Raises:
        CommandError: none is named, it cannot be connected, or does not answer.
    """
    project, domain = place["project"], place["domain"]
    if place["endpoint"] is not None and not (project and domain):
        raise CommandError("--endpoint takes -p PROJECT and -d DOMAIN, too: where runs are shown there")
    try:
        if place["endpoint"] is not None:
            setup.init(endpoint=place["endpoint"], insecure=place["insecure"], project=project, domain=domain)
        else:
            setup.init_from_config(place["config"], project=project, domain=domain)
    except InitializationError as error:
        raise CommandError(str(error)) from None
    if not setup.is_control_plane_available():
        raise CommandError("Say at which backend: --endpoint URL, or -c FILE of a configuration that names one")
    try:
        yield
    except (ConnectionError, PermissionError) as error:
        raise CommandError(str(error)) from None
    finally:
        setup.init()

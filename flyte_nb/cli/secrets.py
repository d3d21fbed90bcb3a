"""`flyte-nb create secret`, `flyte-nb get secret` and `flyte-nb delete secret`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from flyte_nb.cli.carrying import one_line_errors
from flyte_nb.cli.output import as_time, echo_rows, output_option
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.secret import Secret

__all__ = ["create", "delete_secret", "get_secret"]

READABLE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def create() -> None:
    """Adds a secret or a trigger."""


@create.command("secret", short_help="Adds a secret to the store.")
@click.option("--value", help="The value, which then stands in your shell's history.")
@click.option("--from-file", type=READABLE, help="Holds the value.")
@click.argument("name")
def create_secret(value: str | None, from_file: Path | None, name: str) -> None:
    """Adds the secret NAME to the store: a file that only you may read.

    Its value is asked for, hidden, or read from standard input, unless an option gives it. A task asks for it by
    `secrets="NAME"`, and finds it in the environment variable NAME, in upper case and with _ for -.
    """
    if value is not None and from_file is not None:
        raise click.UsageError("Give one of --value and --from-file, not both")
    given = from_file.read_bytes() if from_file is not None else value
    with one_line_errors():
        try:
            Secret.create(name, _asked_for() if given is None else given)
        except ValueError as error:
            raise CommandError(str(error)) from None
    click.echo(f"Secret {name} is created.")


def _asked_for() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Value", hide_input=True))
    return sys.stdin.read().removesuffix("\n")


@click.command("secret", short_help="Shows the secrets of the store.")
@output_option
@click.argument("name", required=False)
def get_secret(output: str, name: str | None) -> None:
    """Shows the secrets of the store, or the one NAME; never their values."""
    with one_line_errors():
        found = list(Secret.listall()) if name is None else [Secret.get(name)]
    cells = [(one.name, one.type, as_time(one.row.created_ns)) for one in found]
    echo_rows(output, ("name", "type", "created"), cells, "No secrets are kept: flyte-nb create secret NAME")


@click.command("secret")
@click.argument("name")
def delete_secret(name: str) -> None:
    """Deletes the secret NAME."""
    with one_line_errors():
        Secret.delete(name)
    click.echo(f"Secret {name} is deleted.")

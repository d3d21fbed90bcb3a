"""`flyte-nb abort`, `prune`, `export` and `import`: ending, deleting and moving runs."""

from __future__ import annotations

from collections.abc import Sequence

import click

from flyte_nb.cli.carrying import one_line_errors
from flyte_nb.remote.upkeep import housekeeping

__all__ = ["HOUSEKEEPING"]

RUN_NAMES = "RUN is a run's name, the beginning of it, or `last`."


@click.command(short_help="Ends a run, or an action of it.", epilog=RUN_NAMES)
@click.argument("words", nargs=-1, required=True, metavar="[run|action] RUN [ACTION]")
@click.option("--reason", default="aborted by flyte-nb abort", help="Recorded and shown.")
def abort(words: Sequence[str], reason: str) -> None:
    """Ends a run, or one ACTION of it, in whichever notebook or program it lives."""
    named = words[1:] if len(words) > 1 and words[0] in ("run", "action") else words
    if len(named) > 2:
        raise click.UsageError(f"Give one RUN and at most one ACTION, got {' '.join(named)}")
    with one_line_errors():
        click.echo(housekeeping.abort(named[0], named[1] if len(named) == 2 else None, reason))


@click.command(short_help="Deletes old runs.")
@click.option("--older-than", metavar="TIME", help="Runs that ended so long ago, as 30d, 12h.")
@click.option("--keep", type=click.IntRange(min=0), help="Never the newest so many; all others with no other bound.")
@click.option("--max-size", metavar="SIZE", help="The oldest runs, until the store is not larger, as 500MB, 5GB.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
def prune(older_than: str | None, keep: int | None, max_size: str | None, dry_run: bool) -> None:
    """Deletes old runs with all that only they need, and what no run needs any more.

    Live runs and runs with the label `keep` stay.
    """
    with one_line_errors():
        click.echo(housekeeping.prune_runs(older_than, keep, max_size, dry_run))


@click.command(short_help="Writes a run into a file.", epilog=RUN_NAMES)
@click.argument("run")
@click.argument("file", type=click.Path())
@click.option("--without-files", is_flag=True, help="Leave out the run's folder: File outputs, checkpoints.")
def export(run: str, file: str, without_files: bool) -> None:
    """Writes a run into one FILE: actions, code, values, logs, reports and files."""
    with one_line_errors():
        click.echo(housekeeping.export(run, file, without_files))


@click.command("import", short_help="Reads a run from a file.")
@click.argument("file", type=click.Path())
def import_(file: str) -> None:
    """Makes a run of a FILE that `export` wrote, in this store."""
    with one_line_errors():
        click.echo(housekeeping.import_(file))


HOUSEKEEPING = (abort, prune, export, import_)
"""The commands of this module."""

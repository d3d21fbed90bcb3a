"""`%flyte abort`, `prune`, `export`, `import` and `publish`: ending, deleting, moving and publishing runs."""

from __future__ import annotations

from flyte_nb.notebook.magics.arguments import Argument, Command
from flyte_nb.remote.search import LAST
from flyte_nb.remote.upkeep import housekeeping

__all__ = ["ABORT", "EXPORT", "IMPORT", "PRUNE", "PUBLISH"]

REASON = "aborted by %flyte abort"
RUN = Argument("RUN", "name of a run, the beginning of it, or `last`", kind="run")


def abort(run: str, action: str | None, reason: str) -> None:
    print(housekeeping.abort(run, action, reason))


def prune(older_than: str | None, keep: int | None, max_size: str | None, dry_run: bool) -> None:
    print(housekeeping.prune_runs(older_than, keep, max_size, dry_run))


def export(run: str, file: str, without_files: bool) -> None:
    print(housekeeping.export(run, file, without_files))


def import_(file: str) -> None:
    print(housekeeping.import_(file))


def publish(run: str, name: str | None) -> None:
    print(housekeeping.publish(run, name))


ABORT = Command(
    "abort",
    "Ends a run, or one action of it, in whichever notebook or program it lives.",
    abort,
    (
        Argument("RUN", RUN.help, kind="run", required=False, default=LAST),
        Argument("ACTION", "only this action; the beginning of its name is enough", "action", required=False),
        Argument("--reason", "recorded and shown", default=REASON),
    ),
    examples=("%flyte abort", "%flyte abort r7k2m9 a3f9"),
)
PRUNE = Command(
    "prune",
    "Deletes old runs with all that only they need, and what no run needs any more; live runs and runs that"
    " `%flyte tag RUN keep=yes` names stay.",
    prune,
    (
        Argument("--older-than", "runs that ended so long ago, as 30d, 12h"),
        Argument("--keep", "never the newest so many; all others when nothing else is said", "number"),
        Argument("--max-size", "the oldest runs, until the store is not larger, as 500MB, 5GB"),
        Argument("--dry-run", "only say what would be deleted", "flag", default=False),
    ),
    examples=("%flyte prune --older-than 30d --dry-run", "%flyte prune --keep 100", "%flyte prune --max-size 5GB"),
)
EXPORT = Command(
    "export",
    "Writes a run into one file: actions, code, values, logs, reports and files.",
    export,
    (
        RUN,
        Argument("FILE", "the file to write"),
        Argument("--without-files", "leave out the run's folder: File outputs, checkpoints", "flag", default=False),
    ),
    examples=("%flyte export last nightly.zip",),
)
IMPORT = Command(
    "import",
    "Makes a run of a file that `%flyte export` wrote, in this store.",
    import_,
    (Argument("FILE", "the file"),),
    examples=("%flyte import nightly.zip",),
)
PUBLISH = Command(
    "publish",
    "Shows a run of this project at the backend that `flyte.init` connected; one that still runs, to its end.",
    publish,
    (RUN, Argument("--name", "its name there; its own unless told")),
    examples=("%flyte publish last",),
)

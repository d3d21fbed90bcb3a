"""What a run that repeats another may reuse: of that run, and of those that it recovered or forked in its turn."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from flyte_nb.engine.history import History, with_ancestors
from flyte_nb.errors import ActionNotFoundError
from flyte_nb.remote.source import source
from flyte_nb.store.rows import OutcomeRow, RunRow

__all__ = ["FORCED", "LINEAGE", "REUSING", "history_of"]

LINEAGE = "lineage"
"""Option of a run that repeats another: `reruns`, `recovers` or `forks`."""
REUSING = ("recovers", "forks")
"""Those that reuse what finished in the other."""
FORCED = "force_rerun_actions"
"""Option of such a run: the actions that it was to run again all the same."""


class Layer(NamedTuple):
    """One run of those that repeat one another."""

    row: RunRow
    outcomes: Sequence[OutcomeRow]

    @property
    def forced(self) -> Sequence[str]:
        return list(self.row.options.get(FORCED, ()))


def history_of(row: RunRow, code: str | None, forced: Collection[str]) -> History:
    """The finished actions that may be reused.

    Args:
        row: the run that is repeated.
        code: digest of the recorded code that runs; None for the code as it stands.
        forced: names of actions that run again all the same, and what contains them.

    Raises:
        ActionNotFoundError: there is no action of such a name.
        TypeError: the names are not a list of them.
    """
    if isinstance(forced, str):
        raise TypeError(f"{FORCED} is a list of names of actions, got {forced!r}: write [{forced!r}]")
    layers = list(_layers(row))
    again = _with_ancestors(layers, forced)
    if unknown := set(forced) - again:
        raise ActionNotFoundError(f"Run {row.name} has no action {min(unknown)}: {FORCED} names one")
    excluded = []
    for depth, layer in enumerate(layers):
        excluded.append(again)
        again = again | _with_ancestors(layers[depth + 1 :], layer.forced)
    history, home = None, source.store.home
    for layer, names in zip(reversed(layers), reversed(excluded), strict=True):
        name = layer.row.name
        files = layer.row.options.get("raw_data_path") or str(home.data / name)
        is_same_code = layer.row.code == code
        history = History(name, files, layer.outcomes, source.tasks(name), is_same_code, names, history)
    assert history is not None
    return history


def _layers(row: RunRow) -> Iterator[Layer]:
    """The run, the one that it recovered or forked, and so on."""
    while True:
        yield Layer(row, source.outcomes(row.name))
        if row.options.get(LINEAGE) not in REUSING:
            return
        try:
            row = source.run(row.parent_run)
        except KeyError:  # it was pruned
            return


def _with_ancestors(layers: Sequence[Layer], names: Collection[str]) -> set[str]:
    found: set[str] = set()
    if names:
        for layer in layers:
            found |= with_ancestors(layer.outcomes, {outcome.name for outcome in layer.outcomes} & set(names))
    return found

"""The magic `%flyte` and `%%flyte`, and `%flyte run?`, which shows the help of `run`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from flyte_nb.notebook.magics.commands import execute, overview
from flyte_nb.remote.errors import CommandError
from flyte_nb.store.errors import StoreError

__all__ = ["FlyteMagics", "ask_help"]

QUESTION = re.compile(r"\s*%%?flyte\s+(?P<words>[\w-]+(?:\s+[\w.]+)?)\s*\?{1,2}\s*")


@magics_class
class FlyteMagics(Magics):
    """`%flyte SUBCOMMAND ...`: runs tasks and finds runs again; `%flyte help` lists the subcommands."""

    @no_var_expand
    @line_cell_magic
    def flyte(self, line: str, cell: str | None = None) -> Any:
        """Runs tasks and finds runs again: `%flyte help`."""
        __tracebackhide__ = True
        assert self.shell is not None
        try:
            return execute(self.shell.user_ns, line, cell)
        except (CommandError, StoreError) as error:
            raise UsageError(str(error)) from None


FlyteMagics.flyte.__doc__ = f"Runs tasks and finds runs again.\n\n{overview()}"


def ask_help(lines: Sequence[str]) -> list[str]:
    """An input transformer: `%flyte run?` and `%flyte run fit?` ask for help, of which IPython knows `%flyte?` only."""
    asked = QUESTION.fullmatch("".join(lines))
    return [f"%flyte help {asked['words']}\n"] if asked is not None else list(lines)

"""The magic `%flyte` (and `%%flyte sql`)."""

from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from flyte_nb.notebook.magics.commands import execute
from flyte_nb.remote.errors import CommandError
from flyte_nb.store.errors import StoreError

__all__ = ["FlyteMagics"]


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

"""For tests of code that uses flyte_nb: a fresh store, whatever ran before."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from flyte_nb.engine.session import end_session
from flyte_nb.store.home import Home
from flyte_nb.store.queries import Store

__all__ = ["reset"]


def reset(path: str | os.PathLike[str]) -> None:
    """Ends this process's session, empties the store, and uses it from now on (FLYTE_NB_HOME).

    Args:
        path: the store's folder; it and all that is in it is deleted.

    Raises:
        ValueError: the folder holds something that is not a store.
    """
    end_session()
    home = Home(Path(path).resolve())
    if home.path.exists() and any(home.path.iterdir()) and not home.version.exists():
        raise ValueError(f"{home.path} is not a store of runs; nothing was deleted")
    if home.path.exists():
        Store(home).close()
        shutil.rmtree(home.path)
    os.environ["FLYTE_NB_HOME"] = str(home.path)

"""The process of one attempt of a task of Flyte's own: carries out its container's command, and ends with the server.

    python -m flyte_nb.server.wire.executing.contained LIFELINE a0 --inputs ...

LIFELINE is the reading end of a pipe of which the server alone holds the other: however the server ends, the pipe does.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading

from flyte_nb.executors.processes.offspring import MARK, kill_marked

__all__ = ["main"]

ENTRY = "flyte._bin.runtime"


def main() -> None:
    """Carries out the command on the command line."""
    lifeline, *command = sys.argv[1:]
    threading.Thread(target=end_with, args=(int(lifeline),), daemon=True).start()
    sys.argv = [ENTRY, *command]
    runpy.run_module(ENTRY, run_name="__main__", alter_sys=True)


def end_with(lifeline: int) -> None:
    """Kills this process, and those that it has started, when the pipe ends."""
    os.read(lifeline, 1)
    kill_marked(os.environ[MARK])
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()

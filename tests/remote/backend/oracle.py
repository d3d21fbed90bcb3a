"""Runs translated tasks with the official SDK's own local mode.

Reads pickles of (task, inputs) from standard input, one a line in hex; answers with the outputs, as text. In place of
the inputs there may be an expression over `task`.
"""

from __future__ import annotations

import io
import sys

import cloudpickle
import flyte

from flyte_nb.remote.backend.neutral import rebuilt


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr
    flyte.init()
    for line in sys.stdin:
        task, kwargs = rebuilt(bytes.fromhex(line))
        if isinstance(kwargs, str):
            print(repr(eval(kwargs, {"task": task, "flyte": flyte, "sys": sys})), file=answers, flush=True)
            continue
        shipped = io.BytesIO()
        cloudpickle.dump(task, shipped)  # as the SDK's bundle does: what a container loads, without flyte_nb
        assert b"flyte_nb." not in shipped.getvalue(), f"{task.name} refers to flyte_nb"
        try:
            is_changed_there = "imported_later" in vars(task.func)
            arrived = cloudpickle.loads(shipped.getvalue()) if is_changed_there else task
            answer = repr(flyte.with_runcontext(mode="local").run(arrived, **kwargs).outputs()[:])
        except Exception as error:  # whatever a task raises: that is the answer, which the test compares
            answer = f"{type(error).__name__}: {error}".replace("\n", " ")
        print(answer, file=answers, flush=True)


if __name__ == "__main__":
    main()

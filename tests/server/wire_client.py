"""Flyte's own SDK, told by a test what to evaluate: a question and an answer a line, JSON."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any


async def all_of(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]


def settled(value: Any) -> Any:
    """The value, awaited or read to its end."""
    if inspect.isawaitable(value):

        async def awaited() -> Any:
            return await value

        return asyncio.run(awaited())
    if isinstance(value, AsyncIterator):
        return asyncio.run(all_of(value))
    return list(value) if isinstance(value, Iterator) else value


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the SDK prints is no answer
    import flyte
    from flyte import remote

    options = json.loads(sys.argv[1])
    if token := options.pop("token", ""):
        options.update(auth_type="ExternalCommand", command=["echo", token])
    flyte.init(root_dir=Path.cwd(), **options)
    names: dict[str, Any] = {"flyte": flyte, "remote": remote, "asyncio": asyncio, "settled": settled}
    for line in sys.stdin:
        question = json.loads(line)
        try:
            if "statements" in question:
                exec(question["statements"], names)
                answer: dict[str, Any] = {"value": None}
            else:
                answer = {"value": settled(eval(question["expression"], names | question["names"]))}
        except BaseException as error:  # whatever the SDK raises is the answer
            answer = {"kind": type(error).__name__, "message": str(error)}
        print(json.dumps(answer, default=repr), file=answers, flush=True)


if __name__ == "__main__":
    main()

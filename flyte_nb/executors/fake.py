"""An executor that answers from a script and runs no code: for tests of what stands above an executor."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flyte_nb.executors.base import Call, Outcome

__all__ = ["Answer", "FakeExecutor"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one call comes to.

    Attributes:
        outcome: its value or error.
        after: the call waits for this event first; None answers at once.
    """

    outcome: Outcome
    after: asyncio.Event | None = None


class FakeExecutor:
    """Gives the answers of its script.

    Args:
        script: by task name, the answers to its calls, in order.

    Attributes:
        calls: every call it was given, in order.
    """

    name = "fake"

    def __init__(self, script: Mapping[str, Sequence[Answer]]) -> None:
        self.calls: list[Call] = []
        self._answers = {task: list(answers) for task, answers in script.items()}

    async def execute(self, call: Call) -> Outcome:
        """The next answer for the task; see `flyte_nb.executors.base.Executor`.

        Raises:
            LookupError: the script has no answer left for it.
        """
        self.calls.append(call)
        answers = self._answers.get(call.name)
        if not answers:
            raise LookupError(f"the script of the fake executor has no answer left for {call.name}")
        answer = answers.pop(0)
        if answer.after is not None:
            await answer.after.wait()
        return answer.outcome

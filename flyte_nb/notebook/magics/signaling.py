"""`%flyte signal`: answers a condition for which a task waits."""

from __future__ import annotations

from flyte_nb.notebook.magics.arguments import Argument, Command
from flyte_nb.remote.condition import answer, open_questions
from flyte_nb.remote.search import LAST

__all__ = ["SIGNAL"]


def signal(run: str, condition: str | None, value: str | None) -> None:
    if condition is None:
        print(open_questions(run))
    elif value is None:
        print(answer(run, None, condition))
    else:
        print(answer(run, condition, value))


SIGNAL = Command(
    "signal",
    "Answers a condition for which a task waits, in whichever notebook or program its run lives; with a run alone it"
    " lists the questions that are open.",
    signal,
    (
        Argument("RUN", "name of a run, the beginning of it, or `last`", kind="run", required=False, default=LAST),
        Argument("CONDITION", "its name, or its action's; may be left out where one waits", required=False),
        Argument("VALUE", "the answer: yes or no, a number, or text in quotes", required=False),
    ),
    examples=("%flyte signal last approve yes", "%flyte signal last 0.85", "%flyte signal r7k2m9"),
)

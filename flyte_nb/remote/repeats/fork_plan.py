"""What a fork would do, before it starts: `plan_fork(run, task)`, printed by `%flyte fork RUN TASK --dry-run`.

Fork of r7k2m9 with demo.main as it stands: 2 actions run again, 3 are reused
▸ demo.main  n=3 · code that it reaches changed: demo.score
├─ ↺ demo.load  n=3 · reused
├─ ▸ demo.score  x=0 · its code changed
└─ ≈ demo.plot  xs=[0] · reused if called with the same inputs
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.engine.forecast import Fate, Forecast, Foreseen
from flyte_nb.engine.session import session
from flyte_nb.remote.calls import Blocking
from flyte_nb.remote.plain import InputNames, action_label, printable
from flyte_nb.remote.repeats.lineage import tree_of
from flyte_nb.remote.repeats.rerun import name_of, prepare_fork
from flyte_nb.remote.run import Run
from flyte_nb.remote.search import tasks_in
from flyte_nb.remote.source import source
from flyte_nb.types.signature import signature_of

__all__ = ["ForkPlan", "plan_fork"]

ICONS: dict[Fate, str] = {"reused": "↺", "likely": "≈", "runs": "▸", "gone": "✗", "inside": " "}
WORDS: dict[Fate, str] = {"reused": "reused", "likely": "reused if called with the same inputs", "inside": ""}
ALIKE = 5
"""Siblings of one task with the same fate that are listed one by one; the others are counted."""
TREE_LINES = 200


class ForkPlan:
    """What a fork would reuse, and what it would run again and why.

    Attributes:
        run: the recorded run.
        task: full name of the task.
        actions: every action of the run, and of what it took over, with its fate; parents before their children.
    """

    def __init__(self, run: str, task: str, actions: Sequence[Foreseen], names: InputNames) -> None:
        self.run = run
        self.task = task
        self.actions = list(actions)
        self._names = names

    @property
    def reused(self) -> list[str]:
        """Names of the actions that are reused, if they are called with the same inputs; each with all inside it."""
        return [one.action.name for one in self.actions if one.fate in ("reused", "likely")]

    @property
    def reasons(self) -> dict[str, str]:
        """Why actions run again, by name."""
        return {one.action.name: one.reason for one in self.actions if one.fate == "runs"}

    @property
    def gone(self) -> list[str]:
        """Names of recorded tasks and traced functions that are no longer there."""
        return sorted({one.action.task for one in self.actions if one.fate == "gone" and one.reason})

    def __str__(self) -> str:
        lines = [self._headline(), *self._tree()]
        if len(lines) > TREE_LINES:
            lines[TREE_LINES:] = [f"… {len(lines) - TREE_LINES} more lines"]
        if self.gone:
            lines.append(f"No longer there: {', '.join(self.gone)}")
        return "\n".join(map(printable, lines))

    __repr__ = __str__

    def _headline(self) -> str:
        counts: dict[Fate, int] = defaultdict(int)
        for one in self.actions:
            counts[one.fate] += 1
        reused = counts["reused"] + counts["likely"]
        text = f"{_counted(counts['runs'])} run{'s' * (counts['runs'] == 1)} again, {reused:,} {_are(reused)} reused"
        if counts["likely"]:
            some = "" if counts["likely"] == reused else f"{counts['likely']:,} of them "
            text += f" ({some}if called with the same inputs)"
        if counts["inside"]:
            text += f", with {counts['inside']:,} more inside them"
        return f"Fork of {self.run} with {self.task} as it stands: {text}"

    def _tree(self) -> Iterator[str]:
        children: defaultdict[str, list[Foreseen]] = defaultdict(list)
        for one in self.actions:
            if one.fate != "inside":
                children[one.action.parent].append(one)
        for root in children[""]:
            yield self._line(root)
            yield from self._below(root.action.name, children, "")

    def _below(self, parent: str, children: Mapping[str, Sequence[Foreseen]], indent: str) -> Iterator[str]:
        alike: defaultdict[tuple[str, Fate, str], list[Foreseen]] = defaultdict(list)
        for one in children.get(parent, ()):
            alike[one.action.task, one.fate, one.reason].append(one)
        branches: list[Foreseen | str] = []
        for (task, fate, reason), several in alike.items():
            branches += several[:ALIKE]
            if len(several) > ALIKE:
                branches.append(f"… {len(several) - ALIKE:,} more {task}: {WORDS.get(fate, reason)}")
        for at, branch in enumerate(branches):
            is_last = at == len(branches) - 1
            text = branch if isinstance(branch, str) else self._line(branch)
            yield f"{indent}{'└─' if is_last else '├─'} {text}"
            if isinstance(branch, Foreseen):
                yield from self._below(branch.action.name, children, indent + ("   " if is_last else "│  "))

    def _line(self, one: Foreseen) -> str:
        facts = [action_label(one.action, self._names), WORDS.get(one.fate, one.reason)]
        return f"{ICONS[one.fate]} {one.action.task}  {' · '.join(filter(None, facts))}"


def _plan_fork(
    run: str | Run,
    task: TaskTemplate[Any, Any],
    force_rerun_actions: Sequence[str] | None = None,
    **inputs: Any,
) -> ForkPlan:
    """What `flyte.fork` would reuse of a run, and what it would run again and why. Nothing is started.

    Args:
        run: the earlier run, or its name.
        task: the task, with the code as it stands.
        force_rerun_actions: names of actions that run again all the same, and what contains them.
        inputs: replace recorded inputs.

    Raises:
        KeyError: there is no such run.
        ActionNotFoundError: there is no such action.
        TypeError, ValueError: the inputs do not fit the task's signature.
    """
    name, forced = name_of(run), force_rerun_actions or ()
    prepared = prepare_fork(name, task, forced)
    payload, _ = signature_of(task).encode_inputs((), prepared.inputs_with(inputs), session().values)
    others = tasks_in(getattr(getattr(task, "func", None), "__globals__", {}))
    actions, declared = tree_of(source.run(name))
    assert prepared.history is not None  # a fork has one
    forecast = Forecast(task, others, payload, prepared.history, actions, declared, forced)
    names = {row.spec: [parameter for parameter, _ in row.inputs] for row in declared}
    return ForkPlan(name, task.name, forecast.actions, names)


plan_fork: Blocking[..., ForkPlan] = Blocking(_plan_fork)


def _counted(number: int) -> str:
    return f"{number:,} action{'' if number == 1 else 's'}"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"

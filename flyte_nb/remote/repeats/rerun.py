"""Running again: `flyte.rerun` the recorded code, all or from where it stopped; `flyte.fork` the code as it stands.

    rerun(run)                   the recorded code and inputs; everything executes
    rerun(run, recover=True)     the same, and what finished is reused
    fork(run, task)              the code as it stands, and what finished is reused where its code is the same

Inputs that are given replace recorded ones. Reused actions are `recovered`, and name their source.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.engine.action import TERMINAL
from flyte_nb.engine.action import Action as LiveAction
from flyte_nb.engine.code.digests import own_digest
from flyte_nb.engine.code.run_code import RecordedCode
from flyte_nb.engine.history import History
from flyte_nb.engine.identity import ROOT
from flyte_nb.engine.options import MASKED_INPUTS, RunOptions
from flyte_nb.engine.secrets.masking import MASK, MASKED_NOTE
from flyte_nb.engine.session import Session, session
from flyte_nb.errors import ActionNotFoundError, RuntimeUserError
from flyte_nb.remote.calls import Blocking
from flyte_nb.remote.launch import Runner
from flyte_nb.remote.repeats.histories import FORCED, LINEAGE, history_of
from flyte_nb.remote.repeats.inherited import given_over, inherited, with_variables
from flyte_nb.remote.run import Run
from flyte_nb.remote.search import tasks_in
from flyte_nb.remote.source import source
from flyte_nb.store.rows import ActionRow, RunRow
from flyte_nb.types.signature import signature_of
from flyte_nb.types.trees import pack, unpack

__all__ = ["Repeated", "fork", "masked_inputs", "name_of", "prepare_fork", "prepare_rerun", "rerun"]

logger = logging.getLogger("flyte")


class Repeated(NamedTuple):
    """A run that is about to start, for an earlier one.

    Attributes:
        options: what it inherits of the earlier run, see `flyte_nb.remote.repeats.inherited`.
        task: what runs.
        inputs: the recorded ones.
        history: what may be reused.
        masked: names of inputs whose record lacks a secret's value.
    """

    options: RunOptions
    task: TaskTemplate[Any, Any]
    inputs: dict[str, Any]
    history: History | None
    masked: Collection[str] = ()

    def under(self, given: RunOptions | None) -> Repeated:
        """The same with the options of `with_runcontext`; what it inherits fills the gaps."""
        return self if given is None else self._replace(options=given_over(given, self.options))

    def inputs_with(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The recorded inputs, replaced by those that are given.

        Raises:
            RuntimeUserError: some have to be given.
        """
        if missing := [name for name in self.masked if name not in given]:
            raise RuntimeUserError(
                "InputsNotFound",
                f"The input{'s' * (len(missing) > 1)} {', '.join(missing)} of run {self.options.parent_run} held the "
                f"value of a secret, which is never kept: give {'them' if len(missing) > 1 else 'it'} again, "
                f"{missing[0]}=...",
            )
        return {**self.inputs, **given}

    def start(self, inputs: Mapping[str, Any]) -> Run:
        """Runs it; the inputs replace recorded ones."""
        __tracebackhide__ = True
        return self._runner().repeat(self.task, self.inputs_with(inputs), self.history)

    def begin(self, inputs: Mapping[str, Any]) -> Run:
        """The same, without waiting for its end."""
        return self._runner().begin_repeat(self.task, self.inputs_with(inputs), self.history)

    async def start_aio(self, inputs: Mapping[str, Any]) -> Run:
        """The same, awaited."""
        return await self._runner().repeat_aio(self.task, self.inputs_with(inputs), self.history)

    def _runner(self) -> Runner:
        return Runner(with_variables(self.options), "local")


def _rerun(
    run_name: str | Run,
    action_name: str = ROOT,
    recover: bool = False,
    force_rerun_actions: Sequence[str] | None = None,
    allow_missing_source_outputs: bool = False,
    _given: RunOptions | None = None,
    **inputs: Any,
) -> Run:
    """Runs the recorded code of a run again, also in a kernel where its cells were never run.

    Args:
        run_name: the run, or its name.
        action_name: starts with this action's task and inputs instead of the root's; not with `recover`.
        recover: what finished is reused: the run goes on where it stopped.
        force_rerun_actions: with `recover`, names of actions that run again all the same, and what contains them.
        allow_missing_source_outputs: accepted; a result that is no longer in the store is always executed anew.
        inputs: replace recorded inputs.

    Raises:
        KeyError: there is no such run.
        ActionNotFoundError: there is no such action.
        ValueError: `action_name` together with `recover`, or `force_rerun_actions` without; the run is to be recovered
            and is not over; or it is at a backend.
        flyte_nb.errors.RuntimeUserError: the code of the run, an input or an environment variable was not recorded; the
            message says why, and what to do.
        flyte_nb.errors.BaseRuntimeError: the new run failed.
    """
    __tracebackhide__ = True
    prepared = prepare_rerun(name_of(run_name), action_name, recover, force_rerun_actions or ())
    return prepared.under(_given).start(inputs)


async def _rerun_aio(
    run_name: str | Run,
    action_name: str = ROOT,
    recover: bool = False,
    force_rerun_actions: Sequence[str] | None = None,
    allow_missing_source_outputs: bool = False,
    _given: RunOptions | None = None,
    **inputs: Any,
) -> Run:
    prepared = prepare_rerun(name_of(run_name), action_name, recover, force_rerun_actions or ())
    return await prepared.under(_given).start_aio(inputs)


def _fork(
    run: str | Run,
    task: TaskTemplate[Any, Any],
    force_rerun_actions: Sequence[str] | None = None,
    **inputs: Any,
) -> Run:
    """Runs a task as it stands now, and reuses what finished in an earlier run of it wherever the code is the same.

    Args:
        run: the earlier run, or its name.
        task: the task, with the code as it stands.
        force_rerun_actions: names of actions that run again all the same, and what contains them.
        inputs: replace recorded inputs.

    Raises:
        KeyError: there is no such run.
        ValueError: the run is at a backend.
        ActionNotFoundError: there is no such action.
        flyte_nb.errors.BaseRuntimeError: the new run failed.
    """
    __tracebackhide__ = True
    return prepare_fork(name_of(run), task, force_rerun_actions or ()).start(inputs)


async def _fork_aio(
    run: str | Run,
    task: TaskTemplate[Any, Any],
    force_rerun_actions: Sequence[str] | None = None,
    **inputs: Any,
) -> Run:
    return await prepare_fork(name_of(run), task, force_rerun_actions or ()).start_aio(inputs)


class _RunnersRerun:
    """`with_runcontext(...).rerun(...)`: `rerun` with the runner's options, and recorded labels where it has none."""

    def __get__(self, runner: Runner | None, owner: type[Runner]) -> Blocking[..., Run]:
        if runner is None:
            return rerun
        return Blocking(partial(_rerun, _given=runner.options), partial(_rerun_aio, _given=runner.options))


rerun: Blocking[..., Run] = Blocking(_rerun, _rerun_aio)
Runner.rerun = _RunnersRerun()
fork: Blocking[..., Run] = Blocking(_fork, _fork_aio)


def prepare_rerun(name: str, action_name: str = ROOT, recover: bool = False, forced: Sequence[str] = ()) -> Repeated:
    """What `rerun` starts; see there."""
    if recover and action_name != ROOT:
        raise ValueError("action_name= starts with another task: it cannot be combined with recover=True")
    if forced and not recover:
        raise ValueError("force_rerun_actions= needs recover=True: else every action runs again")
    active, row = session(), source.run_here(name)
    if recover and row.phase not in TERMINAL:
        raise ValueError(f"Run {name} is still {row.phase}. Wait for its end, or abort it.")
    code = active.code.load(row.code, name)
    try:
        action = source.action(name, action_name)
    except KeyError as error:
        raise ActionNotFoundError(str(error.args[0])) from None
    task = code.task(action.task)
    recorded = signature_of(task).decode_inputs(action.inputs, active.values)
    if not recover:
        return Repeated(_options(row, "reruns"), task, recorded, None, masked_inputs(row, action))
    _tell_changes(name, code)
    history = history_of(row, row.code, forced)
    return Repeated(_options(row, "recovers", forced), task, recorded, history, masked_inputs(row, action))


def prepare_fork(name: str, task: TaskTemplate[Any, Any], forced: Sequence[str] = ()) -> Repeated:
    """What `fork` starts; see there."""
    if not isinstance(task, TaskTemplate):
        raise TypeError(f"fork runs a task as it stands: flyte.fork(run, task), got {task!r} for the task")
    active, row = session(), source.run_here(name)
    active.code.remember_sources(row.code)
    inputs = _recorded_inputs(active, name)
    taken = {key: value for key, value in inputs.items() if key in signature_of(task).input_names}
    masked = set(masked_inputs(row, source.action(name, ROOT))) & set(signature_of(task).input_names)
    return Repeated(_options(row, "forks", forced), task, taken, history_of(row, None, forced), sorted(masked))


def name_of(run: str | Run) -> str:
    """The run's name.

    Raises:
        TypeError: it is neither a run nor a name.
    """
    name = run.name if isinstance(run, Run) else run
    if not isinstance(name, str):
        raise TypeError(f"a run is given as it is or by its name, got {name!r}")
    return name


def _recorded_inputs(active: Session, run: str) -> dict[str, Any]:
    root = source.action(run, ROOT)
    signature = source.signature(run, root)
    return {} if signature is None else signature.decode_inputs(root.inputs, active.values)


def _tell_changes(run: str, code: RecordedCode) -> None:
    """Recovering runs the recorded code: says so where this process has another."""
    present = tasks_in(vars(sys.modules["__main__"]))
    recorded = code.own_digests
    changed = [name for name in sorted(recorded) if name in present and own_digest(present[name]) != recorded[name]]
    changed += [name for name in code.other_modules if name in sys.modules]
    if changed:
        logger.warning(
            "%s differ%s from the recorded code of run %s, which is what runs now. To run the code as it stands and "
            "reuse what did not change: flyte.fork, or %%flyte fork %s",
            ", ".join(changed),
            "s" if len(changed) == 1 else "",
            run,
            run,
        )


def _options(row: RunRow, lineage: str, forced: Sequence[str] = ()) -> RunOptions:
    options = inherited(row)
    itself = {LINEAGE: lineage, **({FORCED: list(forced)} if forced else {})}
    return replace(options, recorded={**options.recorded, **itself})


def masked_inputs(row: RunRow, action: ActionRow | LiveAction) -> list[str]:
    """Names of the inputs of an action whose record lacks a secret's value; a run in memory has it."""
    if not isinstance(action, ActionRow):
        return []
    if action.name == ROOT:
        return list(row.options.get(MASKED_INPUTS, ()))
    declared = source.task(row.name, action.spec)
    if declared is None or MASKED_NOTE not in action.note:
        return []
    trees = unpack(action.inputs)
    return [name for (name, _), tree in zip(declared.inputs, trees, strict=True) if MASK.encode() in pack([tree])]

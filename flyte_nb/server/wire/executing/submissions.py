"""Executes Flyte's own tasks: each attempt of each action in a process, which asks for the actions below it.

    CreateRun -> start -> _conduct a0 -> its process -> Enqueue -> enqueue -> _conduct the child -> ...
                                          ^-- WatchForUpdates: what became of its children

One conductor, an asyncio task, takes an action from its queue to its end; to cancel it is to abort the action. All of
this lives on the server's loop; what blocks (the journal, files) is asked of the store's threads.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Coroutine, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.actions import actions_service_pb2
from flyteidl2.task import task_definition_pb2
from flyteidl2.workflow import run_service_pb2, state_service_pb2
from google.protobuf.duration_pb2 import Duration

from flyte_nb.authoring.condition import Answer, parse_answer
from flyte_nb.engine.identity import ROOT
from flyte_nb.errors import BaseRuntimeError
from flyte_nb.server.wire.executing.callers import Callers
from flyte_nb.server.wire.executing.commands import check_executable
from flyte_nb.server.wire.executing.containers import Containers
from flyte_nb.server.wire.executing.limits import Limits
from flyte_nb.server.wire.executing.outcomes import outcome_of
from flyte_nb.server.wire.executing.queueing import ProcessQueue
from flyte_nb.server.wire.executing.reports import Report
from flyte_nb.server.wire.executing.submitted import Ending, SubmittedAction, SubmittedRun
from flyte_nb.server.wire.executing.submitted_record import SubmittedRecord
from flyte_nb.server.wire.records import Records
from flyte_nb.server.wire.uploads import Uploads
from flyte_nb.store.events import ErrorRecord
from flyte_nb.store.requests import ABORT, SIGNAL, Request

__all__ = ["Submissions"]

logger = logging.getLogger("flyte")

LOOK_SECONDS = 0.1
"""How often requests of other processes are looked for, while there are runs."""
MOST_RUNS = 1_000
ENDED_BY_SERVER = "the server that executed it was ended"


class Submissions:
    """The runs of Flyte's own tasks that are being executed.

    Args:
        records: the store.
        uploads: where clients and processes put values.
        callers: the processes that may call back.
        limits: of each run.
    """

    def __init__(self, records: Records, uploads: Uploads, callers: Callers[SubmittedAction], limits: Limits) -> None:
        self._ask = records.ask
        self._record = SubmittedRecord(records, uploads)
        self._callers = callers
        self._limits = limits
        self._queue = ProcessQueue(limits.processes)
        self._containers = Containers()
        self._names: set[str] = set()
        self._runs: dict[str, SubmittedRun] = {}
        self._desk: asyncio.Task[None] | None = None
        self._carrying_out: set[asyncio.Task[None]] = set()

    def has(self, run: str) -> bool:
        """Whether a run is being executed."""
        return run in self._names

    async def start(
        self, name: str, spec: task_definition_pb2.TaskSpec, request: run_service_pb2.CreateRunRequest
    ) -> None:
        """Starts a run; returns once it is recorded.

        Raises:
            ConnectError: there are too many, it starts itself, or it would pass what its family may take.
            FileNotFoundError: its inputs were not uploaded.
            ValueError: it cannot be executed here, or its inputs are not the task's.
        """
        check_executable(spec)
        if len(self._names) >= MOST_RUNS:
            raise ConnectError(Code.RESOURCE_EXHAUSTED, f"{MOST_RUNS:,} runs are being executed: try again later")
        self._names.add(name)
        try:
            root = await self._begin(name, spec, request)
        except BaseException:  # refused, or cancelled because the client has gone: raised again, the name is free
            self._forget(name)
            raise
        left = self._limits.seconds - (time.monotonic() - root.run.family.began)
        reason = f"it took longer than the {self._limits.seconds:g} seconds that this server gives a run"
        timer = asyncio.get_running_loop().call_later(left, root.stop, reason)
        conductor = self._conduct(root)
        conductor.add_done_callback(lambda _: timer.cancel())
        conductor.add_done_callback(lambda _: self._forget(name))
        if (caller := root.run.asked_by) is not None:  # it may wait for the run
            self._begin_to_wait(caller)
            conductor.add_done_callback(lambda _: self._stop_waiting(caller))
        if self._desk is None or self._desk.done():
            self._desk = asyncio.create_task(self._look_for_requests())

    async def _begin(
        self, name: str, spec: task_definition_pb2.TaskSpec, request: run_service_pb2.CreateRunRequest
    ) -> SubmittedAction:
        """Records a run with its root."""
        run, inputs = await self._ask(self._record.new_run, name, spec, request)
        itself = (spec.task_template.id.name, inputs.SerializeToString(deterministic=True))
        caller = run.asked_by = self._callers.present()
        if caller is not None:
            run.family, run.depth, run.ancestors = caller.run.family, caller.depth, caller.run.ancestors
        if itself in run.ancestors:
            raise ConnectError(
                Code.INVALID_ARGUMENT,
                f"The run of {itself[0]} starts itself, with the same inputs: does its module call flyte.run whenever "
                'it is imported? Put that under `if __name__ == "__main__":`',
            )
        run.ancestors += (itself,)
        root = SubmittedAction(run, ROOT, None, spec, str(run.base.joinpath("inputs.pb")))
        run.actions[ROOT] = root
        self._check_family(root)
        await self._ask(self._record.begin_run, root, spec, inputs)
        self._runs[name] = run
        return root

    def _forget(self, name: str) -> None:
        self._names.discard(name)
        self._runs.pop(name, None)

    async def enqueue(self, caller: SubmittedAction, asked: actions_service_pb2.Action) -> None:
        """Begins an action below one that runs; returns once it is recorded.

        Raises:
            ConnectError: its parent has ended, or the run takes more than it may.
            FileExistsError: it has begun already.
            FileNotFoundError: its inputs were not put where it says.
            KeyError: its parent is none of the caller's run.
            ValueError: it cannot be executed here.
        """
        run, name = caller.run, asked.action_id.name
        parent = run.actions.get(asked.parent_action_name)
        if parent is None or asked.action_id.run.name != run.name:
            raise KeyError(f"Run {run.name} has no action {asked.parent_action_name!r}: a process adds to its own run")
        async with run.lock:
            known = run.actions.get(name)
            if known is not None and not (asked.HasField("trace") and known.phase == "failed"):
                raise FileExistsError(f"Action {name} of run {run.name} has begun already")
            if parent.is_ending or parent.abort_reason:
                raise ConnectError(Code.ABORTED, f"Action {parent.name} of run {run.name} has ended")
            action = SubmittedAction(run, name, parent, inputs=asked.input_uri)
            self._check_family(action)
            if asked.HasField("trace"):
                action.attempt = known.attempt if known is not None else 0
                ending = await self._ask(self._record.trace, action, asked)
                run.actions[name] = action
                action.phase = ending.phase
                parent.tell(action.update(ending))
                return
            if asked.HasField("task"):
                action.spec = asked.task.spec
                action.cache_key = asked.task.cache_key.value
                check_executable(action.spec)
            await self._ask(self._record.begin, action, asked)
            run.actions[name] = action
            parent.children.append(action)
        self._begin_to_wait(parent)
        self._conduct(action)

    async def updates(
        self, caller: SubmittedAction, parent: str
    ) -> AsyncGenerator[state_service_pb2.ActionUpdate | None, None]:
        """What becomes of the children of an action; None once what there is by now was said. Ends with the action.

        Raises:
            KeyError: the caller's run has no such action.
        """
        action = caller.run.actions.get(parent)
        if action is None:
            raise KeyError(f"Run {caller.run.name} has no action {parent!r}")
        said, is_up_to_date = 0, False
        while not (is_up_to_date and action.is_ending):
            news = action.news
            for update in action.updates[said:]:
                said += 1
                yield update
            if not is_up_to_date:
                is_up_to_date = True
                yield None
            elif said == len(action.updates):
                await news.wait()

    async def abort(self, run: str, action: str, reason: str) -> None:
        """Ends an action and all below it; returns when that is recorded. What has ended stays as it is."""
        known = self._runs.get(run)
        if known is None or action not in known.actions:
            return
        below = list(known.actions[action].below())
        for one in below:
            one.stop(reason)
        await self._ended(below)

    def signal(self, run: str, action: str, answer: Answer) -> None:
        """Answers a condition; one that does not wait any more stays as it is.

        Raises:
            ValueError: the answer is not of its type.
        """
        known = self._runs.get(run)
        condition = known.actions.get(action) if known is not None else None
        if condition is not None and condition.answer is not None and not condition.answer.done():
            condition.answer.set_result(parse_answer(condition.data_type, answer))

    async def close(self) -> None:
        """Ends all runs, and records that."""
        roots = [run.actions[ROOT] for run in self._runs.values()]
        for root in roots:
            for one in root.below():
                one.stop(ENDED_BY_SERVER)
        await self._ended(roots)
        if self._desk is not None:
            await asyncio.wait([self._desk])
        await asyncio.to_thread(self._containers.close)
        await asyncio.to_thread(self._record.close)

    def _begin_to_wait(self, action: SubmittedAction) -> None:
        """Its process has asked for another action or run: it makes room for it."""
        action.waits_for += 1
        self._queue.admit()

    def _stop_waiting(self, action: SubmittedAction) -> None:
        action.waits_for -= 1
        self._queue.admit()

    def _check_family(self, action: SubmittedAction) -> None:
        """Aborts a run, and refuses the action, once it takes more than it may."""
        family = action.run.family
        family.actions += 1
        reason = ""
        if family.actions > self._limits.actions:
            reason = f"it has more than the {self._limits.actions:,} actions that this server gives a run"
        elif action.depth > self._limits.depth:
            reason = f"its actions are nested deeper than the {self._limits.depth} levels that this server gives a run"
        if not reason:
            return
        if action.parent is None:
            raise ConnectError(Code.RESOURCE_EXHAUSTED, f"The run cannot start: with those that led to it {reason}")
        self._carry_out(self.abort(action.run.name, ROOT, reason))
        raise ConnectError(Code.ABORTED, f"The run is aborted: {reason}")

    def _conduct(self, action: SubmittedAction) -> asyncio.Task[None]:
        action.conductor = asyncio.create_task(self._to_the_end(action), name=f"{action.run.name}/{action.name}")
        return action.conductor

    async def _to_the_end(self, action: SubmittedAction) -> None:
        try:
            if action.spec is not None:
                ending = await self._try(action, action.spec)
            else:
                ending = await self._wait_for_answer(action)
        except asyncio.CancelledError:
            ending = Ending("aborted", ErrorRecord("Aborted", "user", action.abort_reason or ENDED_BY_SERVER))
        except BaseRuntimeError as error:
            ending = Ending("failed", ErrorRecord(error.code, error.kind, str(error)))
        except Exception as error:  # a full disk, no process to be had: whatever it is, it ends this action only
            logger.exception("Action %s of run %s cannot be executed", action.name, action.run.name)
            ending = Ending("failed", ErrorRecord(type(error).__name__, "system", str(error)))
        async with action.run.lock:
            action.is_ending = True
            below = [one for one in action.below() if one is not action]
        reason = action.abort_reason or f"action {action.name}, which asked for it, has ended"
        for one in below:
            one.stop(reason)
        await self._ended(below)
        await self._end(action, ending)

    async def _end(self, action: SubmittedAction, ending: Ending) -> None:
        try:
            await self._ask(self._record.end, action, ending)
        finally:
            action.phase = ending.phase
            action.wake()
            if action.parent is not None:
                action.parent.tell(action.update(ending))
                self._stop_waiting(action.parent)

    async def _try(self, action: SubmittedAction, spec: task_definition_pb2.TaskSpec) -> Ending:
        """Takes a result that stands for the action's, or has it computed, within its deadline."""
        deadline = seconds_of(spec.task_template.metadata.timeouts.deadline)
        try:
            async with asyncio.timeout(deadline) as whole, self._record.cache.turn(action):
                if (known := await self._ask(self._record.reusable, action)) is not None:
                    return known
                ending = await self._attempts(action, spec)
                await self._ask(self._record.cache.keep, action, ending)
                return ending
        except TimeoutError:
            if not whole.expired():
                raise
            return timed_out("DeadlineExceededError", f"it was not done within its deadline, {deadline:g} seconds")

    async def _attempts(self, action: SubmittedAction, spec: task_definition_pb2.TaskSpec) -> Ending:
        """Attempts after attempts, until one succeeds or none may follow."""
        retries = spec.task_template.metadata.retries
        pause, longest = seconds_of(retries.backoff.base) or 0.0, seconds_of(retries.backoff.cap) or float("inf")
        while True:
            action.attempt += 1
            ending = await self._attempt(action, spec)
            if not ending.may_be_retried or action.attempt > retries.retries:
                return ending
            await self._ask(self._record.end_attempt, action, ending)
            await asyncio.sleep(pause)
            pause = min(pause * (retries.backoff.factor or 1), longest)

    async def _attempt(self, action: SubmittedAction, spec: task_definition_pb2.TaskSpec) -> Ending:
        metadata = spec.task_template.metadata
        queued, longest = seconds_of(metadata.timeouts.queued_timeout), seconds_of(metadata.timeout)
        try:
            async with asyncio.timeout(queued) as waiting:
                await self._queue.enter(action)
        except TimeoutError:
            if not waiting.expired():
                raise
            return timed_out("MaxQueuedTimeExceededError", f"it was queued for longer than {queued:g} seconds")
        address = self._callers.admit(action)
        try:
            command = await self._ask(self._record.start_attempt, action, spec, address)
            log = self._record.log(action, command.folder)
            report = Report(command.folder, partial(self._record.report, action))
            try:
                async with asyncio.timeout(longest) as running, report.followed(self._ask):
                    code = await self._containers.run(command, lambda stream, lines: self._ask(log, stream, lines))
            except TimeoutError:
                if not running.expired():
                    raise
                error = timed_out("MaxRuntimeExceededError", f"attempt {action.attempt} ran longer than {longest:g} s")
                return Ending(error.phase, error.error, may_be_retried=True)
            return await self._ask(outcome_of, command.folder, code, bool(action.types.outputs))
        finally:
            self._callers.dismiss(address)
            self._queue.leave(action)

    async def _wait_for_answer(self, action: SubmittedAction) -> Ending:
        """A condition, until it is answered."""
        action.answer = asyncio.get_running_loop().create_future()
        await self._ask(self._record.pause, action)
        try:
            async with asyncio.timeout(action.timeout_seconds):
                return Ending("succeeded", answer=await action.answer)
        except TimeoutError:
            return timed_out("ConditionTimedoutError", f"nobody answered within {action.timeout_seconds:g} seconds")

    async def _ended(self, actions: Iterable[SubmittedAction]) -> None:
        if conductors := [action.conductor for action in actions if action.conductor is not None]:
            await asyncio.wait(conductors)

    async def _look_for_requests(self) -> None:
        """Carries out what other processes ask of these runs: `flyte-nb abort run`, an explorer's buttons."""
        while self._runs:
            for request in await self._ask(self._record.requests):
                self._take(request)
            await asyncio.sleep(LOOK_SECONDS)

    def _take(self, request: Request) -> None:
        if request.kind == ABORT:
            self._carry_out(self.abort(request.run, request.action, request.reason))
        elif request.kind == SIGNAL and request.value is not None:
            with suppress(ValueError):  # of another type: it goes on waiting
                self.signal(request.run, request.action, request.value)

    def _carry_out(self, work: Coroutine[Any, Any, None]) -> None:
        """Lets something go on by itself."""
        task = asyncio.create_task(work)
        self._carrying_out.add(task)
        task.add_done_callback(self._carrying_out.discard)


def seconds_of(duration: Duration) -> float | None:
    """A bound in seconds; None for none."""
    return float(duration.ToTimedelta().total_seconds()) or None


def timed_out(code: str, message: str) -> Ending:
    return Ending("timed_out", ErrorRecord(code, "user", message[:1].upper() + message[1:]))

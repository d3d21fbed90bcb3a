"""What the server decides about the processes of actions: who may call, which may start, what each is told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from flyteidl2.actions import actions_service_pb2
from flyteidl2.common import identifier_pb2
from flyteidl2.core import tasks_pb2
from flyteidl2.task import run_pb2, task_definition_pb2

from flyte_nb.server.wire.executing.callers import Callers
from flyte_nb.server.wire.executing.child import adapted
from flyte_nb.server.wire.executing.commands import Command
from flyte_nb.server.wire.executing.queueing import ProcessQueue
from flyte_nb.server.wire.executing.submitted import Family, SubmittedAction, SubmittedRun
from flyte_nb.server.wire.services.actions import Actions
from tests.server.wire_tasks import Pair


async def test_only_the_processes_of_runs_begin_actions() -> None:
    callers = Callers[SubmittedAction]()
    callers.server = "http://here"
    action = action_of(new_run())
    address = callers.admit(action)
    assert callers.present() is None
    assert callers.enter(f"{address.removeprefix('http://here')}/service/Call") == "/service/Call"
    assert callers.present() is action
    callers.dismiss(address)
    with pytest.raises(PermissionError, match="of no process"):
        callers.enter(f"{address.removeprefix('http://here')}/service/Call")
    context: Any = None
    with pytest.raises(PermissionError, match="begun by the processes"):
        await Actions(None, callers).enqueue(actions_service_pb2.EnqueueRequest(), context)


def test_a_command_names_places_of_this_server(tmp_path: Path) -> None:
    container = tasks_pb2.Container(args=["a0", "--inputs", "{{.input}}", "--dest", "/etc", "{{.outputPrefix}}"])
    command = Command(
        action=action_of(new_run()).identifier,
        attempt=2,
        spec=task_definition_pb2.TaskSpec(task_template=tasks_pb2.TaskTemplate(container=container)),
        inputs="in.pb",
        base=tmp_path,
        raw="",
        began_ns=0,
        variables={"MINE": "1"},
        address="http://here",
    )
    assert command.arguments() == ["a0", "--inputs", "in.pb", "--dest", ".", str(tmp_path / "a0" / "2")]
    environment = command.environment()
    assert (environment["MINE"], environment["_U_EP_OVERRIDE"]) == ("1", "http://here")


def test_an_input_that_lacks_a_field_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="Pair takes left, right: right missing"):
        adapted({"left": 1}, Pair)


def action_of(run: SubmittedRun, parent: SubmittedAction | None = None) -> SubmittedAction:
    action = SubmittedAction(run, f"a{len(run.actions)}", parent)
    run.actions[action.name] = action
    return action


def new_run(most: int = 0) -> SubmittedRun:
    identifier = identifier_pb2.RunIdentifier(name="r")
    return SubmittedRun(identifier, run_pb2.RunSpec(max_action_concurrency=most), Path(), Family())


async def settled() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_parents_that_wait_make_room_and_the_deepest_go_first() -> None:
    queue, run = ProcessQueue(1), new_run()
    first, second = action_of(run), action_of(run)
    await queue.enter(first)
    other = asyncio.create_task(queue.enter(second))
    child = asyncio.create_task(queue.enter(action_of(run, first)))
    await settled()
    assert not other.done() and not child.done()
    first.waits_for = 1
    queue.admit()
    await settled()
    assert child.done() and not other.done()
    queue.leave(run.actions["a2"])
    await settled()
    assert other.done()


async def test_a_run_keeps_its_own_bound_and_who_gives_up_leaves_the_queue() -> None:
    queue, run = ProcessQueue(9), new_run(most=1)
    first, second, third = action_of(run), action_of(run), action_of(run)
    await queue.enter(first)
    waiting = [asyncio.create_task(queue.enter(one)) for one in (second, third)]
    await settled()
    assert not waiting[0].done()
    waiting[0].cancel()
    queue.leave(first)
    await settled()
    assert waiting[0].cancelled() and waiting[1].done()

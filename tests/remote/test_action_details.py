"""What Flyte's `Action` and `ActionDetails` tell beside values and logs, and how lists refuse what they cannot do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import flyte_nb as flyte
from flyte_nb.errors import RuntimeUserError
from flyte_nb.models import ActionPhase
from flyte_nb.remote import Action, ActionDetails, Run, Task, TimeFilter
from tests.remote import tasks

LONG_AGO = datetime(2020, 1, 1)  # without a zone: UTC


def test_the_phases_of_an_attempt_follow_one_another() -> None:
    details = flyte.run(tasks.speaks_twice).root.details()
    first, last = details.get_phase_transitions(1), details.get_phase_transitions()
    assert [one.phase.value for one in first] == ["queued", "running", "failed"]
    assert [one.phase.value for one in last] == ["queued", "running", "succeeded"]
    assert first[0].start_time == details.start_time and last[-1].end_time == details.end_time
    assert all(one.end_time == after.start_time for one, after in zip(first, [*first[1:], last[0]], strict=True))
    assert sum((one.duration for one in [*first, *last]), timedelta(0)) == details.runtime
    assert details.phase_durations[ActionPhase.QUEUED] == details.queued_time
    assert details.phase_durations[ActionPhase.RUNNING] == details.running_time
    assert (details.initializing_time, details.waiting_for_resources_time) == (None, None)
    assert not details.is_running and details.error_message == "" and details.logs_available(1)
    forked = flyte.with_runcontext(isolation="process").run(tasks.both, 1).root.details()
    assert [one.phase.value for one in forked.get_phase_transitions()][1:] == ["initializing", "running", "succeeded"]
    assert forked.initializing_time is not None and forked.runtime == sum(forked.phase_durations.values(), timedelta(0))
    with pytest.raises(ValueError, match="There is no attempt 3; attempts: 1, 2"):
        details.get_phase_transitions(3)
    with pytest.raises(ValueError, match="has no attempt 3; attempts: 1 to 2"):
        details.show_logs(attempt=3)


async def test_an_action_is_watched_until_it_is_over() -> None:
    with pytest.raises(RuntimeUserError) as failed:
        await flyte.run.aio(tasks.buys_what_is_sold_out)
    run: Run = failed.value.run  # type: ignore[attr-defined]
    sold_out = next(action for action in run.actions() if action.task_name == "shop.sold_out")
    assert [details.phase.value async for details in sold_out.watch()] == ["failed"]
    details = await ActionDetails.get.aio(run_name=run.name, name=sold_out.name)
    assert [one.phase.value async for one in details.watch_updates()] == ["failed"]
    assert (await sold_out.details.aio()).error_message == "no apple left" and not details.logs_available()


def test_actions_are_listed_by_time_and_in_either_order() -> None:
    run = flyte.run(tasks.basket, ["fig", "pear"])
    oldest = [action.name for action in Action.listall(run.name)]
    assert [action.name for action in Action.listall(run.name, sort_by=("created_at", "desc"))] == oldest[::-1]
    assert len(list(Action.listall(run.name, created_at=TimeFilter(after=run.start_time)))) == 3
    assert list(Action.listall(run.name, created_at=TimeFilter(before=LONG_AGO))) == []
    assert len(list(Action.listall(run.name, updated_at=TimeFilter(after=LONG_AGO)))) == 3
    assert [found.name for found in Run.listall(created_at=TimeFilter(after=LONG_AGO))] == [run.name]
    assert TimeFilter(before=datetime(2020, 1, 1, tzinfo=UTC)) == TimeFilter(before=LONG_AGO).in_utc()


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        (lambda: Run.listall(limit=-1), ValueError, "limit must be 0 or more, got -1"),
        (lambda: Task.listall(limit=-1, entrypoint=True), ValueError, "limit must be 0 or more, got -1"),
        (lambda: Run.listall(sort_by=("created_at", "up")), ValueError, r"sort_by takes \('created_at', 'asc' or"),
        (lambda: Task.listall(sort_by=("created_at", "up")), ValueError, r"sort_by takes \('created_at', 'asc' or"),
        (lambda: Run.listall(phase="failed"), TypeError, r"Run.listall\(\) got unexpected parameters: phase"),
        (lambda: Run.listall(project="p"), ValueError, "the store on this machine has no projects"),
        (lambda: Action.listall("nowhere"), KeyError, "No run is named 'nowhere'"),
        (lambda: flyte.run(tasks.both, 1).wait(wait_for="end"), ValueError, "'terminal' or 'running', got 'end'"),
        (lambda: flyte.deploy(tasks.env, version=3), TypeError, "version must be a text, got 3"),  # type: ignore[arg-type]
        (lambda: flyte.deploy(tasks.env, vrsion="1"), TypeError, r"deploy\(\) got an unexpected keyword"),
    ],
)
def test_what_lists_and_deployments_cannot_do_is_one_clear_error(
    asked: Callable[[], Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        asked()

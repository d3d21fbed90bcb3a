"""Tasks in processes do what tasks in the kernel do: they call, trace, print, report. Warm ones keep their state."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

import flyte_nb as flyte
from flyte_nb.remote import Run
from tests.engine import endless_tasks
from tests.engine import process_tasks as tasks
from tests.processes import flyte_nb_home, until

__all__ = ["flyte_nb_home"]


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path)


def result(task: Any, *args: Any) -> Any:
    return flyte.run(task, *args).outputs()[0]


def results(task: Any, *args: Any) -> tuple[Any, ...]:
    return tuple(flyte.run(task, *args).outputs())


def places(run: Run, task: str) -> set[str]:
    """Where the calls of a task ran, without process ids."""
    return {action.where.partition(" (")[0] for action in run.actions().where(task=task)}


# ---------------------------------------------------------------- where


def test_a_task_that_asks_for_variables_gets_a_process_of_its_own_each_time() -> None:
    first, second = result(tasks.pid_cold), result(tasks.pid_cold)
    assert len({first, second, os.getpid()}) == 3
    assert result(tasks.pid_cold_sync) not in (first, second, os.getpid())


def test_a_warm_worker_is_used_again() -> None:
    assert result(tasks.pid_only) == result(tasks.pid_only) != os.getpid()


def test_a_warm_worker_goes_where_the_kernel_has_gone(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here, pid = results(tasks.folder_only)
    monkeypatch.chdir(folder)
    assert (os.path.realpath(folder), pid) == results(tasks.folder_only)
    monkeypatch.undo()
    assert (here, pid) == results(tasks.folder_only)


def test_an_action_says_where_it_ran() -> None:
    run = flyte.run(tasks.calls_async, "warm")
    here, there = run.outputs()
    assert run.root.where == f"process ({here})"
    child = run.actions().where(task="pid_warm")[0]
    assert child.where.startswith("warm worker ")
    assert child.where.endswith(f"({there})")


def test_a_run_or_the_session_can_ask_for_processes_and_for_the_kernel() -> None:
    runner = flyte.with_runcontext(isolation="process")
    assert runner.run(tasks.pid_in_kernel).outputs()[0] != os.getpid()
    assert flyte.with_runcontext(isolation="kernel").run(tasks.pid_cold).outputs()[0] == os.getpid()


def test_a_task_taken_out_of_its_pool_runs_as_the_rest_of_its_settings_say(folder: str) -> None:
    run = flyte.run(tasks.overrides, folder)
    assert run.outputs()[0] == [3, True, True, 41, 41]
    assert places(run, "adds") == {"only worker 1", "cache"}
    assert places(run, "pid_only") == {"kernel"}
    assert places(run, "limit") == {"process"}


# ---------------------------------------------------------------- calls


@pytest.mark.parametrize("kind", ["kernel", "cold", "warm"])
@pytest.mark.parametrize("caller", [tasks.calls_async, tasks.calls_sync], ids=["async", "sync"])
def test_code_in_a_process_calls_tasks_anywhere(caller: Any, kind: str) -> None:
    here, there = results(caller, kind)
    assert here != os.getpid()
    assert (there == os.getpid()) == (kind == "kernel")


def test_sync_tasks_call_sync_tasks_across_processes() -> None:
    run = flyte.run(tasks.sums_of_sync_children, 3)
    assert run.outputs()[0] == 3 * 2 * (0 + 1 + 2)
    assert len(run.actions()) == 1 + 3 * 3


def test_a_fan_out_from_a_process_is_recorded_below_it() -> None:
    run = flyte.run(tasks.gathers, 20)
    assert run.outputs()[0] == list(range(1, 21))
    assert {action.parent_name for action in run.actions().where(task="adds")} == {"a0"}
    assert places(run, "adds") == {"only worker 1"}


@pytest.mark.parametrize("mapping", [tasks.maps, tasks.maps_sync], ids=["async", "sync"])
def test_a_map_in_a_process_keeps_the_order(mapping: Any) -> None:
    assert result(mapping, 8) == [2 * x for x in range(8)]


def test_a_call_in_a_process_uses_the_cache() -> None:
    run = flyte.run(tasks.calls_cached)
    first, second = run.outputs()
    assert first == second
    assert [action.where.partition(" (")[0] for action in run.actions().where(task="cached")] == ["process", "cache"]


@pytest.mark.parametrize(
    ("task", "depth"),
    [
        (tasks.descends, 50),
        (tasks.descends_sync, 50),
        (tasks.zigs, 50),
        (tasks.descends_greedily, 50),
        (tasks.descends_in_fresh_processes, 8),
    ],
    ids=lambda task: getattr(task, "name", None),
)
def test_recursion_through_one_place_and_all_cpus_ends(task: Any, depth: int) -> None:
    run = flyte.run(task, depth)
    assert run.outputs()[0] == depth
    assert len(run.actions()) == depth + 1


def test_a_tree_of_calls_in_one_worker_with_one_place_ends() -> None:
    assert result(tasks.fans, 3) == 27


def test_so_many_calls_run_at_once_as_the_policy_says_and_no_more() -> None:
    assert set(result(tasks.crowds, 16)) == {8}


def test_a_run_inside_a_task_of_a_process_is_a_run_of_its_own() -> None:
    run = flyte.run(tasks.runs_nested, 3)
    assert run.outputs()[0] == 4
    assert len(run.actions()) == 1
    nested = [other for other in Run.listall() if other.parent_run == run.name]
    assert [(other.phase.value, other.outputs()[0]) for other in nested] == [("succeeded", 4)]


def test_a_run_inside_a_sync_task_of_a_process_works() -> None:
    assert result(tasks.runs_nested_sync, 4) == 5


# ---------------------------------------------------------------- state


def test_a_model_is_loaded_once_in_a_warm_worker_and_each_time_in_a_fresh_one() -> None:
    warm = [results(tasks.predicts, x) for x in range(3)]
    assert [(value, loads) for value, loads, _ in warm] == [(42, 1), (43, 1), (44, 1)]
    assert len({pid for _, _, pid in warm}) == 1
    fresh = [results(tasks.predicts_cold, x) for x in range(2)]
    assert [loads for _, loads, _ in fresh] == [1, 1]
    assert tasks.loads == 0


# ---------------------------------------------------------------- what is recorded


def test_traces_of_every_kind_are_steps_of_their_action() -> None:
    run = flyte.run(tasks.traces)
    assert run.outputs()[0] == ["WHY", 9, [0, 1, 2], ["a", "b", "caught 'x'"]]
    steps = {action.task_name: action for action in run.actions().where(kind="trace")}
    assert {name: step.phase.value for name, step in steps.items()} == {
        "asks": "succeeded",
        "computes": "succeeded",
        "counts_to": "succeeded",
        "streams": "succeeded",
        "breaks": "failed",
    }
    assert steps["asks"].inputs()["question"] == "why"
    assert steps["asks"].outputs()[0] == "WHY"
    assert {step.parent_name for step in steps.values()} == {"a0"}


def test_traces_of_a_sync_task_are_recorded() -> None:
    run = flyte.run(tasks.traces_in_a_thread)
    assert run.outputs()[0] == 31
    assert [step.phase.value for step in run.actions().where(kind="trace")] == ["succeeded", "succeeded"]


def test_a_retry_reuses_finished_children(folder: str) -> None:
    run = flyte.run(tasks.traces_then_fails_once, folder)
    assert run.outputs()[0] == 4
    child = run.actions().where(task="adds")[0]
    assert child.attempt == 1
    assert [attempt.phase for attempt in run.root.attempts] == ["failed", "succeeded"]


def test_a_group_holds_the_calls_and_the_traces_made_in_it() -> None:
    run = flyte.run(tasks.groups)
    assert {action.group for action in run.actions() if action.parent_name} == {"outer"}


def test_the_context_is_what_it_is_in_the_kernel() -> None:
    told = flyte.with_runcontext(custom_context={"size": "large"})
    in_process = told.run(tasks.hands_down)
    in_kernel = flyte.with_runcontext(custom_context={"size": "large"}, isolation="kernel").run(tasks.hands_down)
    context, mine = in_process.outputs()
    assert context["run"] == in_process.name
    assert context["custom"] == {"size": "large", "colour": "blue"}
    same = dict.fromkeys(("run",))
    assert ({**context, **same}, mine) == ({**in_kernel.outputs()[0], **same}, in_kernel.outputs()[1])


def test_a_report_is_kept_with_its_action() -> None:
    run = flyte.run(tasks.reports)
    assert "<b>half</b>" in run.get_report()
    assert "<i>whole</i>" in run.get_report()


def test_a_checkpoint_is_there_in_the_next_attempt(folder: str) -> None:
    assert result(tasks.resumes, folder) == 7


def test_everything_that_is_printed_is_in_the_log_of_its_action() -> None:
    run = flyte.run(tasks.prints)
    lines = list(run.get_logs())
    for line in ("to stdout", "to stderr", "natively", "from a child"):
        assert lines.count(line) == 1
    assert [line for line in lines if line.endswith("to the log")]
    assert len(lines) == 5


def test_the_log_of_a_task_in_a_process_is_that_of_one_in_the_kernel() -> None:
    in_process = flyte.run(tasks.prints_and_logs)
    in_kernel = flyte.with_runcontext(isolation="kernel").run(tasks.prints_and_logs)
    assert log_of(in_process) == log_of(in_kernel)


def log_of(run: Run) -> dict[str, list[str]]:
    streams: dict[str, list[str]] = {}
    for entry in run.logs():
        lines = [line[9:] if line[2:3] == ":" else line for line in entry.text.split("\n")]
        streams.setdefault(entry.stream, []).extend(lines)
    return streams


def test_a_line_is_there_while_the_task_runs(folder: str) -> None:
    run = flyte.with_runcontext().start(tasks.prints_slowly, folder)
    until(lambda: list(run.get_logs()) == ["first"])
    Path(folder, "go").touch()
    run.wait()
    assert list(run.get_logs()) == ["first", "last"]


def test_a_display_is_kept_with_its_action() -> None:
    run = flyte.run(tasks.displays)
    assert [entry.stream for entry in run.logs()] == ["stdout", "display", "stdout"]


# ---------------------------------------------------------------- cancellation


def test_a_child_that_its_parent_cancels_is_aborted_with_its_process(folder: str) -> None:
    run = flyte.run(endless_tasks.cancels_a_child, folder)
    assert run.outputs()[0] == "cancelled"
    assert phases(run) == {"cancels_a_child": "succeeded", "waits": "aborted"}
    assert Path(folder, "began-ended").exists()


def test_a_timeout_in_the_code_ends_what_it_waits_for(folder: str) -> None:
    run = flyte.run(endless_tasks.times_out, folder)
    assert run.outputs()[0] == "timed out"
    assert phases(run) == {"times_out": "succeeded", "waits": "aborted"}


def test_a_failure_in_a_task_group_cancels_the_others(folder: str) -> None:
    run = flyte.run(endless_tasks.groups_tasks, folder)
    assert run.outputs()[0] == "['ValueError']"
    assert phases(run) == {"groups_tasks": "succeeded", "waits": "aborted", "fails_once_others_run": "failed"}


def test_a_child_that_nobody_waited_for_is_aborted_with_its_parents_end(folder: str) -> None:
    run = flyte.run(endless_tasks.leaves_a_child_running, folder)
    assert phases(run) == {"leaves_a_child_running": "succeeded", "waits": "aborted"}


def phases(run: Run) -> dict[str, str]:
    return {action.task_name.rpartition(".")[2]: action.phase.value for action in run.actions()}


# ---------------------------------------------------------------- errors


def test_an_error_in_a_process_is_what_it_is_in_the_kernel() -> None:
    with pytest.raises(flyte.errors.RuntimeUserError) as raised:
        flyte.run(tasks.fails_at_once)
    assert raised.value.code == "ValueError"
    assert isinstance(raised.value.__cause__, ValueError)
    info = raised.value.run.error_info
    assert info is not None
    assert "process_tasks.py" in info.place
    assert 'raise ValueError("unlucky")' in info.traceback


def test_an_output_of_another_type_is_an_error_that_says_so() -> None:
    with pytest.raises(flyte.errors.RuntimeUserError, match="int"):
        flyte.run(tasks.returns_something_else)


def test_threads_of_the_kernel_may_run_many_tasks_at_once() -> None:
    """Runs from many threads share the pools."""
    found: list[int] = []

    def go(x: int) -> None:
        found.append(result(tasks.adds, x))

    threads = [threading.Thread(target=go, args=(x,)) for x in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(1, 9))


def test_a_worker_does_not_repeat_what_declarations_say() -> None:
    """The kernel has warned already, when the module was imported there."""
    run = flyte.run(tasks.pid_cold)
    assert list(run.get_logs()) == []

"""A run that its watch stream keeps up to date."""

from __future__ import annotations

from flyte_nb.remote.backend.followed import FollowedRun
from flyte_nb.store.rows import ActionRow, RunRow


def told(name: str, parent: str = "", phase: str = "running") -> ActionRow:
    return ActionRow("r1", name, parent, "task", "shop.day", 0, "", phase, queued_ns=1)


def test_an_action_waits_for_its_parent_and_keeps_its_place_when_it_changes() -> None:
    run = FollowedRun(RunRow("r1", "shop.day", "queued", 1))
    run.take([told("b", parent="a"), told("a0")])
    assert [action.name for action in run.order] == ["a0"] and run.phase == "running"
    run.take([told("a", parent="a0")])
    assert [(action.name, action.index) for action in run.order] == [("a0", 0), ("a", 1), ("b", 2)]
    run.take_changed()
    run.take([told("a", parent="a0", phase="succeeded")])
    assert [(action.name, action.index) for action in run.take_changed()] == [("a", 1)]
    assert run.counts == {"running": 2, "succeeded": 1} and run.row.action_count == 3
    assert run.take_changed() == []


def test_what_ended_elsewhere_is_not_taken_back_by_an_earlier_word() -> None:
    run = FollowedRun(RunRow("r1", "shop.day", "aborted", 1))
    run.take([told("a0")])
    assert run.phase == "aborted"


def test_a_run_is_whole_when_every_action_is_over_and_has_its_parent() -> None:
    run = FollowedRun(RunRow("r1", "shop.day", "queued", 1))
    run.take([told("a0", phase="succeeded"), told("a", parent="a0")])
    assert not run.is_whole
    run.take([told("a", parent="a0", phase="failed"), told("c", parent="b", phase="succeeded")])
    assert not run.is_whole
    run.take([told("b", parent="a0", phase="succeeded")])
    assert run.is_whole

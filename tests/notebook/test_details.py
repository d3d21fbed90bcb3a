"""What the explorer shows of one action."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import flyte_nb as flyte
from flyte_nb.engine.session import end_session
from flyte_nb.notebook.views.details import RunReader

env = flyte.TaskEnvironment("detail")


class Dashboard:
    name: str = "dashboard"
    icon_uri: str | None = ""

    def get_link(
        self,
        run_name: str,
        project: str,
        domain: str,
        context: dict[str, str],
        parent_action_name: str,
        action_name: str,
        pod_name: str,
        **kwargs: Any,
    ) -> str:
        if self.name == "broken":
            raise LookupError("no board")
        return f"https://boards.example/{run_name}/{parent_action_name}/{action_name}"


class Broken(Dashboard):
    name = "broken"


@env.task(links=(Dashboard(), Broken()), retries=2)
async def train(depth: int, name: str = "tree") -> tuple[int, str]:
    return depth, name


attempts: list[int] = []


@env.task(retries=2)
async def flaky() -> int:
    attempts.append(1)
    if len(attempts) < 3:
        raise ConnectionError("hung up")
    return len(attempts)


@env.task
async def main() -> int:
    await asyncio.gather(train(1), train(2))
    return await flaky()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_NB_HOME", str(tmp_path))
    attempts.clear()


def test_the_links_of_a_task_lead_to_each_of_its_actions(caplog: pytest.LogCaptureFixture) -> None:
    run = flyte.run(main)
    assert caplog.text.count("The link broken has no address: LookupError: no board") == 1, "told once a run"
    end_session()
    reader = RunReader(run.name)
    shown = {action.name: reader.detail(action.name)["links"] for action in reader.actions if "train" in action.task}
    assert len(shown) == 2
    for action, links in shown.items():
        assert links == [("dashboard", f"https://boards.example/{run.name}/a0/{action}")]


def test_the_signature_of_a_task_is_told_in_a_line() -> None:
    reader = RunReader(flyte.run(train, 1).name)
    code = reader.detail("a0")["code"]
    assert code["signature"] == "train(depth: int, name: str) -> tuple[int, str]"
    assert "links" not in code["settings"]


def test_a_document_tells_when_earlier_attempts_ran_live_and_recorded() -> None:
    run = flyte.run(main)
    document = RunReader(run.name).document()
    end_session()
    recorded = RunReader(run.name).document()
    for columns in (document["actions"], recorded["actions"]):
        tries = dict(zip(columns["name"], columns["tries"], strict=True))
        retried = [tried for tried in tries.values() if tried is not None]
        assert len(retried) == 1 and len(retried[0]) == 2
        assert all(start <= end for start, end in retried[0])
    assert document["actions"]["tries"] == recorded["actions"]["tries"]

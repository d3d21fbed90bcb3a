"""Conditions in scripts: the console asks, and a webhook tells who else may answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

import flyte_nb as flyte
from flyte_nb.engine import conditions
from tests.engine import condition_tasks as tasks
from tests.engine.waiting import begin, signal
from tests.processes import flyte_nb_home, until

__all__ = ["flyte_nb_home"]


class Typist:
    """Somebody at the console."""

    def __init__(self, keys: int) -> None:
        self._keys = keys

    def type(self, text: str) -> None:
        os.write(self._keys, text.encode())

    def leave(self) -> None:
        os.close(self._keys)
        self._keys = -1

    @property
    def is_there(self) -> bool:
        return self._keys >= 0


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Iterator[Typist]:
    reading, writing = os.pipe()
    typist = Typist(writing)
    with os.fdopen(reading) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        monkeypatch.setattr(conditions, "console", conditions.Console())
        yield typist
        if typist.is_there:
            typist.leave()
        until(lambda: all(thread.name != "flyte-console" for thread in threading.enumerate()))


@pytest.mark.parametrize(
    ("task", "name", "prompt", "answers", "expected"),
    [
        (tasks.publish, "publish", "AUC 0.9\nPublish it? ", ["perhaps", "n"], False),
        (tasks.threshold_cold, "threshold", "From which score on? ", ["x", "0.5"], 0.5),
    ],
)
def test_the_console_is_asked_until_it_answers(
    console: Typist,
    capsys: pytest.CaptureFixture[str],
    task: Any,
    name: str,
    prompt: str,
    answers: list[str],
    expected: Any,
) -> None:
    console.type("".join(f"{answer}\n" for answer in answers))
    assert flyte.run(task).outputs()[0] == expected
    said = capsys.readouterr().out
    assert said.count(f"{name}: {prompt}") == 2
    assert f"{answers[0]!r} is no answer" in said


def test_questions_are_put_one_after_another_and_take_a_line_each(console: Typist) -> None:
    console.type("1\n1\n")
    assert tuple(flyte.run(tasks.twice).outputs()) == (True, 1.0)


def test_nobody_to_ask_is_an_error(console: Typist) -> None:
    console.leave()
    with pytest.raises(flyte.errors.RuntimeUserError, match="has nobody to ask: there is no console") as caught:
        flyte.run(tasks.publish)
    assert caught.value.code == "ConditionFailedError"


def test_the_console_does_not_ask_on_when_another_has_answered(
    console: Typist, capsys: pytest.CaptureFixture[str]
) -> None:
    run = begin(tasks.publish)
    console.type("n")
    signal(run, "publish", True)
    run.wait()
    assert run.outputs()[0] is True
    until(lambda: all(thread.name != "flyte-console" for thread in threading.enumerate()))
    assert "is no answer" not in capsys.readouterr().out


PROGRAM = """
import flyte_nb as flyte
env = flyte.TaskEnvironment("late")
@env.task
async def main() -> str:
    try:
        return str(await (await flyte.new_condition.aio("go", timeout=0.05)).wait.aio())
    except flyte.errors.ConditionTimedoutError as error:
        return str(error)
print(flyte.run(main).outputs()[0])
"""


def test_a_program_whose_question_nobody_answers_in_time_ends(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    words = [sys.executable, str(tmp_path / "program.py")]
    with subprocess.Popen(words, cwd=tmp_path, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        said = program.stdout.read()
        assert program.wait() == 0
    assert said.endswith("Condition 'go' was not signaled within 0.05 seconds.\n")


# ---------------------------------------------------------------- who is told


@pytest.fixture
def hook() -> Iterator[tuple[str, list[Any]]]:
    """An address that takes what is posted, and what it took."""
    taken: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook", taken
        server.shutdown()
        thread.join()


def test_a_webhook_is_told_where_an_answer_is_waited_for(hook: tuple[str, list[Any]], console: Typist) -> None:
    address, taken = hook
    console.leave()
    env = flyte.TaskEnvironment("told")

    @env.task
    async def publish() -> bool:
        webhook = flyte.ConditionWebhook(address, {"text": "publish?", "at": ["{callback_uri}"]})
        return await (await flyte.new_condition.aio("publish", webhook=webhook)).wait.aio()

    run = begin(publish)
    until(lambda: taken)
    assert taken == [{"text": "publish?", "at": [f"local://runs/{run.name}/conditions/publish/signal"]}]
    signal(run, "publish", True)
    run.wait()
    assert run.outputs()[0] is True

"""`%flyte rerun`, `recover` and `fork` in real kernels, and what a kernel offers after another was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import until

MIME = "application/vnd.flyte.run+json"
PIPELINE = """
import os, signal
from pathlib import Path

@flyte.trace
async def ask(question: str) -> str:
    print("asked", question)
    return question.upper()

@env.task
async def part(x: int) -> str:
    print("part", x)
    return await ask(f"q{x}")

@env.task
async def whole(n: int, mark: str = "") -> str:
    answers = [await part(x) for x in range(n)]
    if mark and not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return " ".join(answers)
"""


@pytest.fixture(scope="module")
def pipeline(kernel):
    kernel.ok(PIPELINE)
    return kernel


def phases(outputs) -> dict[str, int]:
    return dict(outputs.shown[MIME]["counts"])


def test_rerun_executes_everything_and_draws_the_run(pipeline) -> None:
    first = pipeline.ok("%flyte run whole --n 2").shown[MIME]
    again = pipeline.ok("%flyte rerun last")
    assert again.stdout == "part 0\nasked q0\npart 1\nasked q1\n"
    document = again.shown[MIME]
    assert (document["lineage"], document["parent_run"]) == ("reruns", first["run"])
    assert all(f"reruns {first['run']}" in again.shown[kind] for kind in ("text/html", "text/plain"))


def test_rerun_takes_inputs_and_begins_with_an_action(pipeline) -> None:
    pipeline.ok("k = 1\nr = %flyte run whole --n 2 --label team=risk")
    assert pipeline.ok("r = %flyte rerun last n=k\nprint(r.outputs()[0], r.labels)").stdout.endswith(
        "Q0 {'team': 'risk'}\n"
    )
    action = pipeline.ok("print(r.actions(task='part')[0].name)").stdout.strip()
    again = f"r = %flyte rerun last --action {action[:8]} --x 7 --label team=ml\nprint(r.outputs()[0], r.labels)"
    assert pipeline.ok(again).stdout.endswith("Q7 {'team': 'ml'}\n")


def test_recover_reuses_what_finished(pipeline) -> None:
    pipeline.ok("%flyte run whole --n 2")
    recovered = pipeline.ok("%flyte recover last --n 3")
    assert recovered.stdout == "part 2\nasked q2\n"
    assert phases(recovered) == {"succeeded": 3, "recovered": 2}
    assert recovered.shown[MIME]["lineage"] == "recovers"
    source = recovered.shown[MIME]["details"][recovered.shown[MIME]["actions"]["name"][1]]["source"]
    assert source.startswith(recovered.shown[MIME]["parent_run"] + "/")


def test_recover_runs_the_recorded_code_and_says_that_the_cell_is_another(pipeline) -> None:
    pipeline.ok("%flyte run whole --n 1")
    pipeline.ok(PIPELINE.replace("question.upper()", "question.title()"))
    recovered = pipeline.ok("r = %flyte recover last --n 2\nprint(r.outputs()[0])")
    assert recovered.stdout.endswith("Q0 Q1\n")
    assert recovered.stderr.startswith("quick.part differs from the recorded code of run ")
    assert "%flyte fork" in recovered.stderr
    pipeline.ok(PIPELINE)
    assert "differ" not in pipeline.ok("%flyte recover last --n 3").stderr


def test_a_dry_run_tells_what_a_fork_then_does(pipeline) -> None:
    pipeline.ok("%flyte run whole --n 2")
    pipeline.ok(PIPELINE.replace("question.upper()", "question.title() if question == 'q1' else question.upper()"))
    count = pipeline.ok("print(len(list(flyte.remote.Run.listall())))")
    plan = pipeline.ok("p = %flyte fork last --dry-run\nprint(p)").stdout
    assert "▸ quick.whole  n=2" in plan and "code that it reaches changed: quick.part" in plan
    assert plan.count("its code changed") == 4
    assert pipeline.ok("print(len(list(flyte.remote.Run.listall())))").stdout == count.stdout
    forked = pipeline.ok("%flyte fork last")
    assert phases(forked) == {"succeeded": 5} and forked.shown[MIME]["lineage"] == "forks"
    assert pipeline.ok("p = %flyte fork last whole --dry-run\nprint(p.reused)").stdout == "['a0']\n"
    pipeline.ok(PIPELINE)


def test_what_is_forced_runs_again(pipeline) -> None:
    pipeline.ok("r = %flyte run whole --n 2")
    action = pipeline.ok("print(r.actions(task='part')[0].name)").stdout.strip()
    assert pipeline.ok(f"%flyte recover last --force {action[:6]}").stdout == "part 0\n"


def test_a_rerun_in_the_cell_of_its_run_stands_beside_it(pipeline) -> None:
    outputs = pipeline.ok("r = flyte.run(whole, n=1)\nagain = flyte.rerun(r.name)\nprint(again.name)")
    assert outputs.shown[MIME]["run"] == outputs.stdout.split()[-1]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("rerun", "RUN missing: %flyte rerun RUN [--action ACTION]"),
        ("rerun nowhere", "No run is named 'nowhere'"),
        ("rerun last --action nowhere", "is named 'nowhere'"),
        ("rerun last --action", "--action needs a value"),
        ("rerun last --m 3", "quick.whole has no parameter 'm'"),
        ("rerun last n='x'", "Type conversion failed for variable 'n'"),
        ("recover last 3", "'3': inputs are given by name"),
        ("recover last --force nowhere", "is named 'nowhere'"),
        ("fork last holes", "No task is named 'holes'. Did you mean whole"),
        ("fork last whole --dry-run --n x", "n must be int, got 'x'"),
    ],
)
def test_bad_input_is_one_clear_message(pipeline, line: str, said: str) -> None:
    pipeline.ok("%flyte run whole --n 1")
    outputs = pipeline.run(f"%flyte {line}")
    assert outputs.stderr.startswith("UsageError: ") and said in outputs.stderr
    assert not outputs.of("error") and not outputs.displays


def test_a_run_that_goes_on_is_not_recovered(pipeline) -> None:
    pipeline.ok("live = flyte.with_runcontext().start(wait, seconds=60.0)")
    assert "is still running. Wait for its end, or abort it." in pipeline.run("%flyte recover last").stderr
    pipeline.ok("live.abort()")


def test_tab_completes_runs_options_tasks_and_inputs(pipeline) -> None:
    name = pipeline.ok("r = %flyte run whole --n 1\nprint(r.name)").stdout.split()[-1]
    assert pipeline.complete(f"%flyte rerun {name[:6]}") == [name]
    assert set(pipeline.complete("%flyte rerun last --")) == {"--action", "--label", "--n", "--mark"}
    assert pipeline.complete("%flyte rerun last --action a0") == ["a0"]
    assert set(pipeline.complete("%flyte recover last --f")) == {"--force"}
    assert "whole" in pipeline.complete("%flyte fork last wh")
    assert set(pipeline.complete("%flyte fork last whole --")) == {"--dry-run", "--force", "--label", "--n", "--mark"}
    assert "n=" in pipeline.complete("%flyte fork last n")


def kill_mid_run(killed, mark: Path) -> str:
    """Runs the pipeline in a kernel that is killed by it; returns the name of the run."""
    killed.ok(PIPELINE)
    killed.client.execute(f"flyte.with_runcontext(name='night').run(whole, n=3, mark={str(mark)!r})")
    until(lambda: mark.exists() and killed.manager.provisioner.process.poll() is not None)
    assert killed.manager.provisioner.process.returncode == -signal.SIGKILL
    return "night"


def line_printed(kernel, wanted: str) -> str:
    """The next line on stdout that says something, whichever cell it stands under."""
    while True:
        message = kernel.client.get_iopub_msg(timeout=60)
        if message["msg_type"] == "stream" and wanted in message["content"]["text"]:
            return str(message["content"]["text"]).strip()


def test_a_kernel_offers_the_runs_that_another_left_and_recovers_them_without_its_cells(
    start_kernel: Callable[[Path], object], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    killed = start_kernel(home)
    assert killed.ok("from flyte_nb.notebook.recovery import print_offer\nprint_offer('risk.ipynb')").stdout == ""
    run = kill_mid_run(killed, tmp_path / "mark")

    fresh = start_kernel(home)
    fresh.ok("%unload_ext flyte_nb")
    fresh.client.execute("%load_ext flyte_nb")
    offer = line_printed(fresh, "To go on")
    assert offer.startswith(f"Run {run} of quick.whole ended with its kernel on ")
    assert offer.endswith(f"To go on where it stopped: %flyte recover {run}")
    assert f"Go on: %flyte recover {run}" in fresh.ok("t = %flyte runs\nprint(t['error'][0])").stdout

    recovered = fresh.ok(f"r = %flyte recover {run}\nprint(r.outputs()[0])")
    assert recovered.stdout == "Q0 Q1 Q2\n", "nothing that had finished ran again"
    assert phases(recovered) == {"succeeded": 1, "recovered": 3}
    fresh.ok("from flyte_nb.notebook.recovery import print_offer")
    assert fresh.ok("print_offer('risk.ipynb')\nprint_offer('other.ipynb')").stdout == ""
    assert "Go on" not in fresh.ok("t = %flyte runs\nprint(t['error'])").stdout


def test_an_offer_never_fails(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    (broken / "journals").mkdir(parents=True)
    (broken / "version").write_text("999")
    (broken / "runs.duckdb").write_text("no database")
    code = "from flyte_nb.notebook.recovery import print_offer\nprint_offer('risk.ipynb')"
    words = [sys.executable, "-c", code]
    env = {**os.environ, "FLYTE_NB_HOME": str(broken), "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

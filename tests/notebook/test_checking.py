"""`%flyte check` in a real kernel."""

from __future__ import annotations

HELPERS = """def slowly(x):
    import time
    time.sleep(1)
    return x
"""
STEPS = """%config InlineBackend.figure_format = "png"
@env.task
async def step(x: int) -> int:
    return slowly(x) + await fit("two")
"""


def test_check_names_cell_and_line_and_runs_nothing(kernel) -> None:
    (helpers,) = (message["execution_count"] for message in kernel.ok(HELPERS).of("execute_input"))
    (steps,) = (message["execution_count"] for message in kernel.ok(STEPS).of("execute_input"))
    shown = kernel.ok("%flyte check step").result
    text = shown["text/plain"]
    assert "✗ quick.step: 2 mistakes in 2 tasks" in text
    assert f"cell {helpers}, line 3: time.sleep blocks: write `await asyncio.sleep(...)`" in text
    assert f"cell {steps}, line 4: fit takes x: int, and gets 'two' (str)" in text
    assert f"cell {helpers}, line 3" in shown["text/html"] and "quick.step" in shown["text/html"]
    assert "No runs yet" in kernel.ok("%flyte runs").stdout

    kernel.ok(HELPERS.replace("time.sleep(1)", "pass"))
    kernel.ok(STEPS.replace('"two"', "2"))
    assert kernel.ok("%flyte check step").result["text/plain"].startswith("✓ quick.step: no mistakes in 2 tasks")
    assert kernel.ok("print(bool(flyte.check(step)))").stdout == "True\n"


def test_what_belongs_to_the_notebooks_shell_cannot_cross_to_a_process(kernel) -> None:
    kernel.ok('apart = flyte.TaskEnvironment("apart", env_vars={"LEVEL": "1"})')
    kernel.ok("@apart.task\nasync def counts() -> int:\n    return get_ipython().execution_count")
    text = kernel.ok("%flyte check counts").result["text/plain"]
    assert (
        "line 3: `get_ipython` cannot be sent to the process that counts runs in (it has environment variables)" in text
    )
    assert "it belongs to the notebook's shell" in text


def test_check_is_completed_and_refuses_what_is_no_task(kernel) -> None:
    assert "check" in kernel.complete("%flyte ch")
    assert "fit" in kernel.complete("%flyte check f")
    assert "No task is named 'fitt'. Did you mean fit" in kernel.run("%flyte check fitt").stderr
    assert "TASK missing: %flyte check TASK" in kernel.run("%flyte check").stderr

"""`flyte-nb cache`: lists, explains and clears what any process has cached."""

from __future__ import annotations

from click.testing import CliRunner

import flyte_nb as flyte
from flyte_nb.cli.main import cli

env = flyte.TaskEnvironment("script")


@env.task(cache="auto")
async def fit(depth: int) -> int:
    return depth


def flyte_nb(*words: str) -> str:
    return CliRunner().invoke(cli, ["cache", *words]).output


def test_cached_results_are_listed_explained_and_cleared() -> None:
    assert "No results are cached" in flyte_nb()
    first, second = flyte.run(fit, 3), flyte.run(fit, 3)
    head, row = flyte_nb().splitlines()
    assert head.split() == ["TASK", "INPUTS", "COMPUTED", "BY", "STORED", "TOOK", "SIZE", "CODE"]
    assert row.startswith(f"script.fit  depth=3  {first.name}/a0")
    for words in (second.name, "last", f"{second.name}/a0"):
        assert f"{first.name}/a0 computed it" in flyte_nb("explain", words)
    assert "1 cached result of 1 version" in flyte_nb("explain", "script.fit")
    assert flyte_nb("clear", "script.fit", "--older-than", "1d").startswith("0 cached results cleared")
    assert flyte_nb("clear", "--all").startswith("1 cached result cleared")


def test_what_cannot_be_understood_is_one_line() -> None:
    assert flyte_nb("clear") == "Error: Say what to clear: a TASK, --older-than TIME, or --all.\n"
    assert flyte_nb("explain", "script.fit").startswith("Error: Nothing is cached of 'script.fit'.")
    assert flyte_nb("explain", "nothing").startswith("Error: No run")

"""Checks every task of a folder of programs, and says what was found: `python scripts/check_corpus.py FOLDER`.

The programs `import flyte` and declare tasks, some of them inside functions without parameters: those are called, with
`flyte.run` and `flyte.with_runcontext` stood in for, so that no task runs. Exits with 1 when there is a mistake that no
`--expect TASK:KIND` names, or an expected one was not found.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import inspect
import pkgutil
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from unittest import mock

import flyte_nb
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.checking.check import check


def main() -> int:
    """Checks the folder that is named on the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--expect", action="append", default=[], metavar="TASK:KIND")
    arguments = parser.parse_args()
    alias_flyte()
    kept = [declared for path in sorted(arguments.folder.glob("*.py")) for declared in declared_in(path)]
    tasks = {id(task): task for task in [*kept, *all_tasks()]}
    problems = {problem for task in tasks.values() for problem in check(task).problems}
    found = {f"{problem.task}:{problem.kind}" for problem in problems}
    for problem in sorted(problems, key=lambda one: (one.file, one.line)):
        print(problem)
    print(f"tasks: {len(tasks)}, mistakes: {len(problems)}")
    for name in sorted(found.symmetric_difference(arguments.expect)):
        print("not expected:" if name in found else "expected and not found:", name)
    return 0 if found == set(arguments.expect) else 1


def alias_flyte() -> None:
    """Lets the programs' `import flyte` find flyte_nb, with its submodules."""
    sys.modules["flyte"] = flyte_nb
    for module in pkgutil.iter_modules(flyte_nb.__path__):
        if module.name in flyte_nb.SUBMODULES:
            sys.modules[f"flyte.{module.name}"] = getattr(flyte_nb, module.name)


def declared_in(path: Path) -> list[object]:
    """Loads a program and calls its functions; returns what keeps its tasks alive."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    started: list[object] = []

    def start(task: object, *args: object, **kwargs: object) -> mock.MagicMock:
        started.append(task)
        return mock.MagicMock()

    runner = mock.MagicMock()
    runner.run = start
    with (
        mock.patch.object(flyte_nb, "run", start),
        mock.patch.object(flyte_nb, "with_runcontext", lambda *args, **kwargs: runner),
    ):
        for function in functions_without_parameters(module):
            with suppress(Exception, SystemExit):  # it looks at results that are none
                function()
    return [task for task in started if isinstance(task, TaskTemplate)]


def functions_without_parameters(module: ModuleType) -> list[object]:
    return [
        value
        for value in list(vars(module).values())
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not inspect.signature(value).parameters
    ]


def all_tasks() -> list[TaskTemplate]:
    return [found for found in gc.get_objects() if isinstance(found, TaskTemplate)]


if __name__ == "__main__":
    sys.exit(main())

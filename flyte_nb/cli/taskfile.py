"""A file with tasks, loaded as a module of its own."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

import click

from flyte_nb.cli.notebookfile import load_notebook
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.search import did_you_mean

__all__ = ["existing_file", "load_file", "load_target", "near_files"]

NOTEBOOK = ".ipynb"


def existing_file(context: click.Context, parameter: click.Parameter, file: str) -> Path:
    """The Python file or notebook that an argument names: a callback of `click.argument`.

    Raises:
        click.BadParameter: there is none; the message names near ones.
    """
    path = Path(file)
    if not path.is_file():
        raise click.BadParameter(f"there is no file {file}.{near_files(path)}", context, parameter)
    return path


def near_files(path: Path, *others: str) -> str:
    """` Did you mean train.py?` where the folder of a file that is not there has one of a near name, else empty."""
    beside = [other.name for other in path.parent.glob("*") if other.suffix in (".py", NOTEBOOK)]
    return did_you_mean(path.name, [*beside, *others])


def load_target(path: Path, task: str | None = None) -> ModuleType:
    """A Python file, or of a notebook what a task (None: all tasks) needs; see `flyte_nb.cli.notebookfile`.

    Raises:
        CommandError: it cannot be loaded; the message shows where it failed.
    """
    return load_notebook(path, task) if path.suffix == NOTEBOOK else load_file(path)


def load_file(path: Path) -> ModuleType:
    """Executes a file as the module of its name; its folder comes first on `sys.path`, as with `python FILE`.

    Args:
        path: the file.

    Raises:
        CommandError: it cannot be loaded; the message shows where it failed.
    """
    path = path.resolve()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise CommandError(f"{path} is not a Python file")
    sys.path.insert(0, str(path.parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's file raises when it is executed
        frames = traceback.TracebackException.from_exception(error)
        own = [frame for frame in frames.stack if "importlib" not in frame.filename and frame.filename != __file__]
        frames.stack[:] = own
        raise CommandError(f"{path.name} cannot be loaded:\n{''.join(frames.format())}".rstrip()) from None
    return module

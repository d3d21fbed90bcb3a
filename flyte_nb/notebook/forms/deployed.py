"""A deployed task on a cell's last line: the form that runs it, and what there is to know of it."""

from __future__ import annotations

from flyte_nb.errors import RemoteTaskNotFoundError, RemoteTaskUsageError, RuntimeUserError
from flyte_nb.notebook.forms.commands import served_kernel
from flyte_nb.notebook.forms.launch import LaunchForm
from flyte_nb.remote.source import source
from flyte_nb.remote.task_details import Bundle, LazyEntity, TaskDetails

__all__ = ["render_task"]

VERSIONS = 10
"""So many versions are named."""


def render_task(shown: TaskDetails | LazyEntity) -> Bundle:
    """Shows the form, and returns the text below it; the text alone where the task cannot be run from here."""
    try:
        details = shown.fetch() if isinstance(shown, LazyEntity) else shown
        task = details.template
    except (RemoteTaskNotFoundError, RemoteTaskUsageError, RuntimeUserError) as error:
        return {"text/plain": f"{shown!r}: {error}"}, {}
    kernel = served_kernel(f"flyte.run of {details.name}")
    explorer = kernel.explorers.make()
    form = LaunchForm(task, kernel.shell.user_ns, kernel.explorers, explorer=explorer)
    kernel.shell.display_pub.publish(kernel.forms.add(form).bundle())
    explorer.place()
    return {"text/plain": f"{details!r}\n{versions_text(details.name)}"}, {}


def versions_text(task: str) -> str:
    """The versions of a deployed task in a line, newest first."""
    versions = [version for name, version in source.deployed_names() if name == task]
    more = f" and {len(versions) - VERSIONS} more" if len(versions) > VERSIONS else ""
    return f"Versions, newest first: {', '.join(versions[:VERSIONS])}{more}"

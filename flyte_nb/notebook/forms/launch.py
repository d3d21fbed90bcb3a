"""`%flyte launch TASK`: a form made of a task's signature, that runs the task and shows the run under itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.errors import BaseRuntimeError
from flyte_nb.interface import Docstring
from flyte_nb.notebook.explorer import Explorer, Explorers
from flyte_nb.notebook.forms.fields import NOTHING, Field
from flyte_nb.notebook.forms.forms import Form
from flyte_nb.notebook.views.details import RunReader
from flyte_nb.notebook.views.document import Document
from flyte_nb.remote.action import Action
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.launch import with_runcontext
from flyte_nb.remote.source import source

__all__ = ["LaunchForm", "begun"]

DOCUMENT_BYTES = 20_000
"""Bound of the document of a run that has just begun."""


class LaunchForm(Form):
    """A form for the inputs of a task.

    Args:
        task: the task as it stands.
        namespace: the notebook's names.
        explorers: where runs are shown.
        recorded: an earlier action, whose inputs stand in the form; None for the defaults.
        explorer: shows the runs that the form starts; None for nowhere but in the page.
    """

    submit = "Run"

    def __init__(
        self,
        task: TaskTemplate[Any, Any],
        namespace: Mapping[str, Any],
        explorers: Explorers,
        recorded: Action | None = None,
        explorer: Explorer | None = None,
    ) -> None:
        super().__init__(fields_of(task, recorded), namespace)
        self.title = task.name
        self.text = description_of(task)
        required = " ".join(f"{name}=..." for name in task.native_interface.required_inputs())
        self.by_hand = f"%flyte run {task.name} {required}".rstrip()
        self._task = task
        self._explorers = explorers
        self._explorer = explorer

    def do(self, entries: Mapping[str, Any]) -> Document:
        inputs = self.read(entries)
        try:
            run = self._explorers.begin(self._explorer, lambda: with_runcontext().start(self._task, **inputs))
        except (BaseRuntimeError, TypeError, ValueError) as error:  # the inputs do not fit, or the engine refuses
            raise CommandError(str(error)) from None
        return begun(run.name)


def begun(run: str) -> Document:
    """What a page is told of a run that it has begun: it may draw it where no display of the cell reaches it."""
    return {"run": run, "doc": RunReader(run).document(DOCUMENT_BYTES, details=False), "text": f"Started {run}."}


def fields_of(task: TaskTemplate[Any, Any], recorded: Action | None) -> list[Field]:
    """The fields of a task's inputs, with what its docstring says of each."""
    docstring = task.native_interface.docstring or Docstring("")
    known = docstring.input_descriptions
    values = recorded_inputs(recorded) if recorded is not None else {}
    return [
        Field(
            name,
            declared,
            default,
            known.get(name, ""),
            values.get(name, NOTHING),
            shows_recorded=recorded is not None and is_shown(recorded),
        )
        for name, (declared, default) in task.native_interface.inputs.items()
    ]


def recorded_inputs(action: Action) -> Mapping[str, Any]:
    """What an action was given, by name."""
    inputs: Mapping[str, Any] = action.inputs()
    return inputs


def is_shown(action: Action) -> bool:
    """Whether an action's inputs may stand in a form: not where the value of a secret is among them."""
    payload = source.action(action.run_name, action.name).inputs
    return source.shown(payload) == payload


def description_of(task: TaskTemplate[Any, Any]) -> str:
    """What a task says about itself, without what it says of its inputs."""
    docstring = task.native_interface.docstring
    said = (docstring.short_description, docstring.long_description) if docstring is not None else ()
    return task.docs.description if task.docs is not None else "\n\n".join(filter(None, said))

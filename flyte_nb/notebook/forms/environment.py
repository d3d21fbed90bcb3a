"""`%flyte env --form`: a task environment described with widgets, its Python code beside them, ready to be a cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

from flyte_nb.notebook.forms.environment_code import Draft, code_of, problems_of
from flyte_nb.notebook.forms.fields import NOTHING, Field, FieldError, Problem
from flyte_nb.notebook.forms.forms import Form
from flyte_nb.notebook.views.document import Document
from flyte_nb.remote.errors import CommandError

__all__ = ["EnvironmentForm", "environment_code"]


class EnvironmentForm(Form):
    """A form for the settings of a task environment.

    Args:
        given: settings that stand in it already, by name.
    """

    title = "New task environment"
    text = "Its code is written below as you type."
    submit = "Insert as a cell"
    takes_expressions = False
    by_hand = "%flyte env NAME --package polars --cpu 2 --memory 4Gi"

    def __init__(self, given: Mapping[str, Any]) -> None:
        super().__init__(draft_fields(given), {})

    def doubts(self, entries: Mapping[str, Any]) -> list[Problem]:
        draft = Draft(**self.read(entries))
        return [
            {"field": str(path[0]), "path": list(path[1:]), "message": message} for path, message in problems_of(draft)
        ]

    def code(self, entries: Mapping[str, Any]) -> str:
        return code_of(Draft(**self.read(entries))) if entries else ""

    def do(self, entries: Mapping[str, Any]) -> Document:
        problems = self.check(entries)
        if problems:
            raise FieldError(problems)
        return {"code": self.code(entries), "text": ""}


def environment_code(settings: Mapping[str, Any]) -> str:
    """The code that declares an environment.

    Args:
        settings: those of `Draft`, by name.

    Raises:
        CommandError: one of them is refused; the message says which.
    """
    import pydantic

    try:
        draft = pydantic.TypeAdapter(Draft).validate_python(dict(settings))
    except pydantic.ValidationError as error:
        found = error.errors(include_url=False)[0]
        raise CommandError(f"{'.'.join(map(str, found['loc']))}: {found['msg']}, got {found['input']!r}") from None
    for path, message in problems_of(draft):
        raise CommandError(f"{'.'.join(map(str, path))}: {message}")
    return code_of(draft)


def draft_fields(given: Mapping[str, Any]) -> list[Field]:
    """The settings of an environment as fields."""
    types = get_type_hints(Draft)
    drawn = []
    for setting in fields(Draft):
        default = setting.default_factory() if setting.default_factory is not MISSING else setting.default
        drawn.append(
            Field(
                setting.name,
                types[setting.name],
                NOTHING if default is MISSING else default,
                setting.metadata["description"],
                given.get(setting.name, NOTHING),
                suggestions=setting.metadata["suggestions"],
            )
        )
    return drawn

"""Forms in cells: what one is, what the page that draws it asks, and how it reaches the page (docs/explorer.md).

    page --check, submit--> Forms.receive     on the main thread, or on a subshell's while a cell blocks
    page <--answer--------- Port              a check at once; what is submitted from a thread of its own

A form that is displayed in a cell has a comm of its own; that of one opened in an explorer is the run's.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from uuid import uuid4

from flyte_nb.notebook.channels import Port
from flyte_nb.notebook.forms.fields import NOTHING, Field, FieldError, Problem
from flyte_nb.notebook.views.document import Document, sendable
from flyte_nb.notebook.views.saving import saving
from flyte_nb.remote.errors import CommandError

__all__ = ["COMM_TARGET", "MIME", "Form", "Forms"]

MIME = "application/vnd.flyte.form+json"
COMM_TARGET = "flyte_nb.form"
VERSION = 1


class Form(ABC):
    """A form: fields, and what they are good for.

    Args:
        fields: what it asks for.
        namespace: the notebook's names, which expressions may use.

    Attributes:
        id: names it in messages.
        title: what it is about.
        text: more about it; empty for nothing.
        submit: what its button says.
        takes_expressions: whether Python expressions may stand for values.
        by_hand: how the same is done without a form, as lines of code.
    """

    title: str
    text: str
    submit: str
    takes_expressions = True
    by_hand: str

    def __init__(self, fields: Sequence[Field], namespace: Mapping[str, Any]) -> None:
        self.id = uuid4().hex
        self.fields = list(fields)
        self._namespace = namespace

    def document(self) -> Document:
        """The form as the page draws it."""
        return sendable(
            {
                "version": VERSION,
                "form": self.id,
                "title": self.title,
                "text": self.text,
                "submit": self.submit,
                "expressions": self.takes_expressions,
                "code": self.code({}),
                "fields": [field.description(self._namespace) for field in self.fields],
            }
        )

    def bundle(self) -> Document:
        """The form for every front end: where none draws it, it says how the same is done by hand.

        A notebook saves it; so recorded values are only named in it where notebooks are to save no data.
        """
        for field in self.fields:
            field.shows_recorded = field.shows_recorded and saving.previews
        html = f"<div><strong>{escape(self.title)}</strong><pre>{escape(self.by_hand)}</pre></div>"
        return {MIME: self.document(), "text/html": html, "text/plain": f"{self.title}\n{self.by_hand}"}

    def check(self, entries: Mapping[str, Any]) -> list[Problem]:
        """What is wrong with the entries so far; at each key that the reader types, so nothing is evaluated."""
        found = [problem for field in self.fields for problem in field.check(entry_of(entries, field), self._namespace)]
        return found or self.doubts(entries)

    def doubts(self, entries: Mapping[str, Any]) -> list[Problem]:
        """What is wrong with entries that fit their types each."""
        return []

    def code(self, entries: Mapping[str, Any]) -> str:
        """The code that the entries stand for; empty for a form that writes none, and while they do not fit."""
        return ""

    def read(self, entries: Mapping[str, Any]) -> dict[str, Any]:
        """The values of the entries, without those that are left to their defaults.

        Raises:
            FieldError: some have none.
        """
        values, problems = {}, []
        for field in self.fields:
            try:
                values[field.name] = field.read(entry_of(entries, field), self._namespace)
            except FieldError as error:
                problems += error.problems
        if problems:
            raise FieldError(problems)
        return {name: value for name, value in values.items() if value is not NOTHING}

    @abstractmethod
    def do(self, entries: Mapping[str, Any]) -> Document:
        """Does what the form is for.

        Returns:
            What the page is answered: `text`, and what else the form says.

        Raises:
            FieldError: the entries do not fit.
            CommandError: it cannot be done; one clear message.
        """


class Forms:
    """The forms of this kernel, by id, and the comms of pages that draw them."""

    def __init__(self) -> None:
        self._forms: dict[str, Form] = {}

    def add(self, form: Form) -> Form:
        """Serves a form from now on."""
        self._forms[form.id] = form
        return form

    def accept(self, opened: Any, message: dict[str, Any]) -> None:
        """Takes a comm that a page opened for a form; one for a form of an earlier kernel is closed at once."""
        if str(message.get("content", {}).get("data", {}).get("form", "")) not in self._forms:
            opened.close()
            return

        def port(answer: Document) -> None:
            opened.send(data=answer)

        # Else ipykernel (7.4) hands what the page sends to the loop that sent last: mostly that of the blocked cell.
        opened._reply_subshell_for = lambda _, subshell: subshell
        opened.on_msg(lambda message: self.receive(message["content"]["data"], port))
        port({"kind": "ready"})

    def receive(self, message: Document, port: Port) -> None:
        """Does what the page of a form asks; returns at once."""
        form = self._forms.get(str(message.get("form", "")))
        if form is None:
            return
        entries = message.get("entries") or {}
        answer: Document = {"kind": "form", "form": form.id, "ask": message.get("ask", "")}
        if message.get("do") == "check":
            problems = form.check(entries)
            port(sendable({**answer, "problems": problems, "code": "" if problems else form.code(entries)}))
        elif message.get("do") == "submit":
            threading.Thread(target=_submit, args=(form, entries, answer, port), name="flyte-form", daemon=True).start()


def entry_of(entries: Mapping[str, Any], field: Field) -> dict[str, Any]:
    """The entry of a field; nothing where the page gave none."""
    entry = entries.get(field.name)
    return entry if isinstance(entry, dict) else {}


def _submit(form: Form, entries: Mapping[str, Any], answer: Document, port: Port) -> None:
    """Does what the form is for and tells the page; whatever goes wrong stands in the form."""
    try:
        done = form.do(entries)
    except FieldError as error:
        done = {"problems": error.problems}
    except CommandError as error:
        done = {"problems": [{"field": "", "path": [], "message": str(error)}]}
    except (
        Exception
    ) as error:  # the code of a user's type, policy or module runs here: the form is where it is looked for
        done = {"problems": [{"field": "", "path": [], "message": f"{type(error).__name__}: {error}"}]}
    port(sendable({**answer, "problems": [], "text": "", "submitted": True, **done}))

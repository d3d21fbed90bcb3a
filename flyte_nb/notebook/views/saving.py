"""What a saved notebook keeps of a run: how much, and whether the user's data.

A bundle of a run is what its cell shows and what the notebook saves. `%flyte config saved_kb=500` and
`%flyte config save_previews=no` change what goes into those that are made from then on.
"""

from __future__ import annotations

from dataclasses import dataclass

from flyte_nb.notebook.views.document import LIMIT_BYTES, Document

__all__ = ["Saving", "saving", "without_data"]

NOT_SAVED = {"kind": "opaque", "text": "not saved (save_previews=no)"}


@dataclass
class Saving:
    """What holds for the notebooks of this kernel.

    Attributes:
        limit_bytes: size of what is saved of the runs of one cell: run document, HTML and text together.
        previews: save what shows the user's data: inputs and outputs, also as labels of the actions, what tasks
            printed and displayed, and reports. Names, times, phases, errors and source are always saved.
    """

    limit_bytes: int = LIMIT_BYTES
    previews: bool = True


saving = Saving()
"""What holds for this kernel."""


def without_data(document: Document) -> Document:
    """The document with nothing of the user's data in it.

    Args:
        document: see `flyte_nb.notebook.views.document.run_document`.
    """
    labels = document["actions"]["label"]
    details = {action: detail_without_data(detail) for action, detail in document["details"].items()}
    actions = {**document["actions"], "label": [""] * len(labels)}
    return {**document, "actions": actions, "details": details, "questions": [], "previews": False}


def detail_without_data(detail: Document) -> Document:
    """An action's detail with nothing of the user's data in it."""

    def hidden(values: list[Document] | None) -> list[Document] | None:
        return None if values is None else [{**value, "preview": NOT_SAVED} for value in values]

    return {
        **detail,
        "inputs": hidden(detail["inputs"]),
        "outputs": hidden(detail["outputs"]),
        "logs": [],
        "logs_omitted": detail["logs_omitted"] + len(detail["logs"]),
        "report": None,
    }

"""Values of secrets never stand in what is recorded or shown: `***` stands in their place.

    text       log lines, errors, reports, displays, notes     masked before anybody sees or keeps it
    events     all of the above, inputs, outputs, labels ...   masked once more on the way to the journal
    payloads   inputs and outputs in memory                    true, for the code that receives them; masked when shown

A value is found as it is, and as `repr`, JSON, HTML, a URL and base64 write it; each longer line of a value of several
lines too. What nobody can find is left: a part of a value, one that was encrypted or compressed, a value of fewer than
four characters, and what is in the files of the value store.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec
from msgspec.msgpack import Ext

from flyte_nb.engine.secrets.forms import as_bytes, forms_of, gates_of, quoted_forms
from flyte_nb.store.deployment_events import TaskDeployed, TriggerChanged, TriggerDeployed
from flyte_nb.store.errors import StoreError
from flyte_nb.store.events import (
    ActionEnded,
    ActionStarted,
    AttemptEnded,
    ErrorRecord,
    Event,
    LogWritten,
    ReportWritten,
    RunEnded,
    RunLabelled,
    RunStarted,
    TaskDeclared,
)
from flyte_nb.types.base import BLOB, PICKLE, Blob, Blobs
from flyte_nb.types.trees import blob_leaf, leaf_content, pack, pickle_leaf, tagged, unpack

__all__ = ["MASK", "MASKED_NOTE", "OPEN_NOTE", "Masker"]

MASK = "***"
SHORTEST_VALUE = 4
SHORTEST_LINE = 8
"""Shorter lines of a value of several lines stand in too many other texts."""
SHORTEST_REST = 4
"""Of a value that a preview cut off, so many characters are taken for its beginning."""
CUT_CHARACTERS = 4_000
"""Texts of previews and messages are cut at this length without a sign."""
DIGEST_CHARACTERS = 64
"""A payload that refers to a large value is longer than its digest."""
SCANNED_BYTES = 8_000_000
"""How much of a large value is searched."""
MASKED_NOTE = "a secret's value is masked in the record: the result is not cached, and cannot be reused"
OPEN_NOTE = "a large value holds a secret's value, which is not masked"

MASKED_FIELDS: Mapping[type, tuple[str, ...]] = {
    RunStarted: ("labels", "annotations", "options"),
    TaskDeclared: ("source", "settings", "types", "short_name"),
    ActionStarted: ("payload", "group", "custom_context"),
    AttemptEnded: ("error",),
    ActionEnded: ("payload", "error", "note"),
    LogWritten: ("text",),
    ReportWritten: ("html",),
    RunEnded: ("error",),
    RunLabelled: ("labels",),
    TaskDeployed: ("defaults", "source", "settings", "types", "short_name"),
    TriggerDeployed: ("description",),  # with a secret among its inputs or settings it is refused
    TriggerChanged: ("error",),
}
"""Where a value can stand in an event; names, phases and digests are never touched, so that the record stays whole."""

TEXT_ATTRIBUTES = ("filename", "filename2", "strerror", "msg", "text")
"""What the exceptions of the standard library keep outside their `__dict__` and show."""
ELLIPSIS = "…"
logger = logging.getLogger("flyte")


class Masker:
    """Masks the values of the secrets that tasks of this process were given.

    Args:
        blobs: where large values are, to tell which of them hold a secret; None does not look.
    """

    def __init__(self, blobs: Blobs | None = None) -> None:
        self._blobs = blobs
        self._values: tuple[str, ...] = ()
        self._texts: tuple[str, ...] = ()
        self._gates: tuple[str, ...] = ()
        self._bytes: tuple[bytes, ...] = ()
        self._byte_gates: tuple[bytes, ...] = ()
        self._scanned: dict[str, bool] = {}
        self.active = False
        """False as long as there is nothing to mask: what calls this looks here first."""
        self.overlap = 0
        """Whoever cuts a text for its length keeps so many characters back, lest he cut a value."""

    def add(self, variables: Mapping[str, str]) -> None:
        """Masks these values from now on.

        Args:
            variables: values by the name of their variable, which a warning names when its value is too short.
        """
        new = {name: value.strip() for name, value in variables.items() if value.strip() not in self._values}
        if not new:
            return
        for name, value in new.items():
            if len(value) < SHORTEST_VALUE:
                logger.warning(
                    "The value of the secret %s has fewer than %d characters: it is not masked", name, SHORTEST_VALUE
                )
        self._values += tuple(new.values())
        forms: set[str] = set()
        gates: set[str] = set()
        for value in self._values:
            if len(value) >= SHORTEST_VALUE:
                lines = {line.strip() for line in value.splitlines()} - {value}
                for ways in (forms_of(value), *(quoted_forms(line) for line in lines if len(line) >= SHORTEST_LINE)):
                    forms |= ways
                    gates |= gates_of(ways)
        self._texts = tuple(sorted(forms, key=lambda form: (-len(form), form)))
        self._gates = tuple(gates)
        self._bytes = tuple(map(as_bytes, self._texts))
        self._byte_gates = tuple(map(as_bytes, self._gates))
        self._scanned = {}
        self.overlap = max(map(len, self._texts), default=1) - 1
        self.active = bool(self._texts)

    def mask(self, text: str) -> str:
        """The text without the values."""
        if any(gate in text for gate in self._gates):
            for form in self._texts:
                text = text.replace(form, MASK)
        return text

    def mask_error(self, error: ErrorRecord) -> ErrorRecord:
        """An error's record without the values; what was cut off a long message or traceback may have cut one."""
        if not self.active:
            return error
        traceback = error.traceback
        if traceback.startswith("...\n"):
            traceback = "...\n" + traceback[4:].partition("\n")[2]
        return msgspec.structs.replace(
            error, message=self._mask_cut(error.message), traceback=self._mask_cut(traceback)
        )

    def mask_exception(self, error: BaseException) -> None:
        """Takes the values out of an exception, its causes and members: out of what it is made of."""
        links, seen = [error], set()
        while links:
            link = links.pop()
            if id(link) in seen:
                continue
            seen.add(id(link))
            with suppress(Exception):  # an exception of the user's own may refuse in any way, or hold itself
                self._mask_attributes(link)
            links += [one for one in (link.__cause__, link.__context__) if one is not None]
            links += link.exceptions if isinstance(link, BaseExceptionGroup) else ()

    def mask_payload(self, payload: bytes) -> bytes:
        """The payload without the values: to be shown or recorded, no longer to be computed with."""
        if not self._may_hold(payload):
            return payload
        try:
            return pack([self._mask_tree(tree) for tree in unpack(payload)])
        except (msgspec.DecodeError, RecursionError):  # damaged, or nested deeper than Python counts
            return self._mask_pickle(payload)

    def mask_event(self, event: Event) -> Event:
        """The event as it is recorded."""
        changes = {}
        for name in MASKED_FIELDS.get(type(event), ()):
            value = getattr(event, name)
            masked = self._mask_pickle(value) if name == "types" else self._mask_field(value)
            if masked != value:
                changes[name] = masked
        return msgspec.structs.replace(event, **changes) if changes else event

    def is_masked(self, payload: bytes | None) -> bool:
        """Whether the record of these values is not the values themselves."""
        return payload is not None and self.mask_payload(payload) != payload

    def is_in(self, data: bytes) -> bool:
        """Whether a value stands in these bytes."""
        return any(gate in data for gate in self._byte_gates) and any(form in data for form in self._bytes)

    def open_blob(self, payload: bytes | None) -> str:
        """The digest of a large value in the payload that holds a secret, which is not masked; empty if there is none.

        The first 8 MB of each are searched.
        """
        if not payload or len(payload) < DIGEST_CHARACTERS or self._blobs is None:
            return ""
        try:
            return next((blob.digest for blob in blobs_of(unpack(payload)) if self._is_open(blob.digest)), "")
        except (msgspec.DecodeError, RecursionError, KeyError, StoreError):  # what cannot be read is not searched
            return ""

    # ---------------------------------------------------------------- the parts

    def _mask_attributes(self, error: BaseException) -> None:
        error.args = tuple(self._mask_tree(list(error.args)))
        for name, value in vars(error).items():
            vars(error)[name] = self._mask_tree(value)
        for name in TEXT_ATTRIBUTES:
            if isinstance(getattr(error, name, None), str):
                setattr(error, name, self.mask(getattr(error, name)))

    def _mask_field(self, value: Any) -> Any:
        if isinstance(value, bytes):
            return self.mask_payload(value)
        if isinstance(value, ErrorRecord):
            return self.mask_error(value)
        return self._mask_tree(value)

    def _mask_tree(self, tree: Any) -> Any:
        """A plain tree without the values; what is neither text nor a container stays as it is."""
        kind = type(tree)
        if kind is str:
            return self.mask(tree)
        if kind is bytes:
            return self._mask_pickle(tree)
        if kind is list:
            return [self._mask_tree(item) for item in tree]
        if kind is tuple:
            return tuple(self._mask_tree(item) for item in tree)
        if kind is dict:
            return {self._mask_tree(key): self._mask_tree(item) for key, item in tree.items()}
        return self._mask_leaf(tree) if kind is Ext else tree

    def _mask_leaf(self, leaf: Ext) -> Ext:
        content = leaf_content(leaf)
        if leaf.code == BLOB:
            return blob_leaf(msgspec.structs.replace(content, preview=self._mask_preview(content.preview)))
        if leaf.code == PICKLE:
            pickled, preview = content
            return pickle_leaf(self._mask_pickle(pickled), self._mask_preview(preview))
        tag, tree = content
        if tag == "previewed":
            preview, fields = tree
            return tagged(tag, [self._mask_preview(preview), self._mask_tree(fields)])
        return tagged(tag, self._mask_tree(tree))

    def _mask_pickle(self, data: bytes) -> bytes:
        """Bytes without the values, of the same length, so that a pickle stays one."""
        if any(gate in data for gate in self._byte_gates):
            for form in self._bytes:
                data = data.replace(form, b"*" * len(form))
        return data

    def _mask_preview(self, preview: Any) -> Any:
        """A preview without the values, and without the beginning of one that it cut off."""
        if isinstance(preview, str):
            return self._mask_cut(preview)
        if isinstance(preview, list):
            return [self._mask_preview(item) for item in preview]
        if isinstance(preview, dict):
            return {key: item if key == "kind" else self._mask_preview(item) for key, item in preview.items()}
        return preview

    def _mask_cut(self, text: str) -> str:
        """The text without the values, and without the beginning of one where it was cut off."""
        text = self.mask(text)
        if ELLIPSIS not in text and len(text) < CUT_CHARACTERS:
            return text
        *cut, last = text.split(ELLIPSIS)
        return ELLIPSIS.join([*map(self._without_rest, cut), self._without_rest(last)])

    def _without_rest(self, text: str) -> str:
        """The text without the beginning of a value at its end."""
        for form in self._texts:
            at = text.find(form[:SHORTEST_REST], max(0, len(text) - len(form) + 1))
            while at >= 0:
                if form.startswith(text[at:]):
                    return text[:at] + MASK
                at = text.find(form[:SHORTEST_REST], at + 1)
        return text

    def _may_hold(self, payload: bytes) -> bool:
        return any(gate in payload for gate in self._byte_gates) or ELLIPSIS.encode() in payload

    def _is_open(self, digest: str) -> bool:
        assert self._blobs is not None
        known = self._scanned.get(digest)
        if known is None:
            known = self._scanned[digest] = any(self._holds(part) for part in self._blobs.get(digest))
        return known

    def _holds(self, part: memoryview) -> bool:
        return self.is_in(bytes(part[:SCANNED_BYTES]))


def blobs_of(tree: Any) -> Iterator[Blob]:
    """The large values that a plain tree refers to."""
    kind = type(tree)
    if kind is Ext and tree.code == BLOB:
        yield leaf_content(tree)
    elif kind is Ext and tree.code != PICKLE:
        yield from blobs_of(leaf_content(tree)[1])
    elif kind is list or kind is dict:
        for item in tree.values() if kind is dict else tree:
            yield from blobs_of(item)

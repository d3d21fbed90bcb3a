"""How a secret's value is written into texts: as it is, as Python or JSON quote it, in HTML, a URL, in base64."""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus

__all__ = ["as_bytes", "forms_of", "gates_of", "quoted_forms"]

SHORTEST_GATE = 3
"""Shorter words stand in too many texts to tell anything."""


def forms_of(value: str) -> set[str]:
    """The ways in which a value is written into texts."""
    data = as_bytes(value)
    quoted = {again for form in quoted_forms(value) for again in quoted_forms(form)}  # JSON in JSON, a repr in a repr
    web = {html.escape(value), html.escape(value, quote=False), quote(data), quote(data, safe=""), quote_plus(data)}
    return quoted | web | {encode(data).decode().rstrip("=") for encode in (b64encode, urlsafe_b64encode)}


def quoted_forms(text: str) -> set[str]:
    """The text, and what stands between the quotes when Python or JSON quote it."""
    python = {repr(text)[1:-1], repr('"' + text)[2:-1], ascii(text)[1:-1], repr(as_bytes(text))[2:-1]}
    return {text, *python, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}


def gates_of(forms: set[str]) -> set[str]:
    """Few texts of which one stands in every form: where there is none of them, there is no form to look for."""
    words = re.findall("[A-Za-z0-9]+", min(forms, key=len))
    word = max(words, key=len, default="")
    return {word, *(form for form in forms if word not in form)} if len(word) >= SHORTEST_GATE else forms


def as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")

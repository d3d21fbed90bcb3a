"""What is recorded of the declaration of a task: its settings, source text, place and types."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from flyte_nb.authoring.image import Image
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.engine.tracebacks import place_of
from flyte_nb.types.classes import ValuePickler

__all__ = ["pickled_types", "place_of_task", "settings_of", "source_of", "text_of"]

HIDDEN = {"name", "interface", "func", "parent_env", "ref", "short_name", "parent_env_name", "policies", "links"}
"""Fields that are not settings: shown elsewhere, or internal."""
UNSET = ("", "0", "count=0", "behavior=disable")
"""Settings that say what holds without them."""


def settings_of(template: TaskTemplate[Any, Any]) -> dict[str, Any]:
    """The declared parameters that differ from their defaults, as text where msgpack has no word for them."""
    settings: dict[str, Any] = {}
    for name, field in type(template).__dataclass_fields__.items():
        if name in HIDDEN or name.startswith("_"):
            continue
        value = getattr(template, name)
        if value is None or value == field.default or value in ((), {}, []):
            continue
        plain = value if isinstance(value, (bool, int, float, str)) else text_of(value)
        if str(plain) not in UNSET:
            settings[name] = plain
    environment = template.parent_env() if template.parent_env is not None else None
    if environment is not None and environment.description:
        settings["environment_description"] = environment.description
    return settings


def text_of(value: object) -> str:
    """A declared value in a line: of Flyte's own objects what differs from their defaults, `memory=500Mi`."""
    if isinstance(value, Mapping):
        text = ", ".join(f"{key}={item}" for key, item in value.items())
    elif isinstance(value, Image):
        layers = [f"{type(layer).__name__}({text_of(layer)})" for layer in value._layers]
        text = ", ".join([value.name or "image", *layers]) if layers else ""
    elif is_dataclass(value):
        given = {field.name: getattr(value, field.name) for field in fields(value) if field.name not in HIDDEN}
        defaults = {field.name: field.default for field in fields(value)}
        text = ", ".join(
            f"{name}={item}" for name, item in given.items() if item is not None and item != defaults[name]
        )
    elif isinstance(value, list | tuple):
        text = ", ".join(map(text_of, value))
    else:
        text = str(value)
    return text[:500]


def source_of(template: TaskTemplate[Any, Any]) -> str:
    function = getattr(template, "func", None)
    try:
        return inspect.getsource(function) if function is not None else ""
    except (OSError, TypeError):  # typed at a prompt, or built by exec: there is no text
        return ""


def place_of_task(template: TaskTemplate[Any, Any]) -> str:
    code = getattr(getattr(template, "func", None), "__code__", None)
    return place_of(code.co_filename, code.co_firstlineno) if code is not None else ""


def pickled_types(template: TaskTemplate[Any, Any]) -> bytes:
    """The types by value, so that recorded values load where the cells never ran; empty when they cannot be pickled."""
    interface = template.native_interface
    types = {"inputs": {n: kind for n, (kind, _) in interface.inputs.items()}, "outputs": dict(interface.outputs)}
    try:
        return ValuePickler.dumps(types)
    except Exception:  # a user's class may refuse in any way; its values still show as previews
        return b""

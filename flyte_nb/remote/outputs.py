"""Inputs and outputs as Flyte hands them out: `outputs[0]`, `outputs.o0`, `outputs.named_outputs`, `inputs["x"]`."""

from __future__ import annotations

import json
from collections import UserDict
from collections.abc import Sequence
from typing import Any

__all__ = ["ActionInputs", "ActionOutputs"]


class ActionOutputs(tuple[Any, ...]):
    """The outputs of an action: a tuple whose members are attributes too.

    Args:
        values: the outputs, in the order of the interface; `(None,)` for a task that returns nothing.
        fields: their names.
    """

    named_outputs: dict[str, Any]

    def __new__(cls, values: Sequence[Any], fields: Sequence[str]) -> ActionOutputs:
        made = super().__new__(cls, values)
        made.named_outputs = dict(zip(fields, values, strict=False))
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self), list(self.named_outputs)

    def __getattr__(self, name: str) -> Any:
        named = self.__dict__.get("named_outputs", {})
        if name in named:
            return named[name]
        if name.startswith("o") and name[1:].isdigit() and int(name[1:]) < len(self):
            return self[int(name[1:])]
        raise AttributeError(f"There is no output {name!r}; outputs: {', '.join(named) or 'none'}")

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={_show(value)}" for name, value in self.named_outputs.items())
        return f"ActionOutputs({shown})"

    def to_dict(self) -> dict[str, Any]:
        """The outputs by name."""
        return dict(self.named_outputs)

    def to_json(self) -> str:
        """The outputs by name as JSON; what JSON has no word for is text."""
        return json.dumps(self.to_dict(), default=str)


class ActionInputs(UserDict[str, Any]):
    """The inputs of an action by name."""

    def __missing__(self, name: str) -> Any:
        raise KeyError(f"There is no input {name!r}; inputs: {', '.join(self.data) or 'none'}")

    def to_dict(self) -> dict[str, Any]:
        """A plain dictionary of them."""
        return dict(self.data)

    def to_json(self) -> str:
        """As JSON; what JSON has no word for is text."""
        return json.dumps(self.data, default=str)


def _show(value: object) -> str:
    return json.dumps(value) if isinstance(value, str) else repr(value)

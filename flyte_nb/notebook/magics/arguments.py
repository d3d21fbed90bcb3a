"""Subcommands of `%flyte` as data: what they take, their help, and the reading of their words.

The same declarations give the parser, `%flyte help`, `--help` and Tab completion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from flyte_nb.notebook.magics.words import Word
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.search import did_you_mean

__all__ = ["Argument", "Command"]


@dataclass(frozen=True)
class Argument:
    """One thing that a subcommand takes.

    Attributes:
        name: `--limit` for an option, `RUN` for a word in its place.
        help: what it is, in a few words.
        kind: what Tab completes and how it is read: text, number, flag, run, action, task, phase or label.
        required: for words: whether there must be one.
        many: whether it can be given several times; its value is a list then.
        default: its value when it is not given.
    """

    name: str
    help: str
    kind: str = "text"
    required: bool = True
    many: bool = False
    default: Any = None

    @property
    def is_option(self) -> bool:
        return self.name.startswith("--")

    @property
    def key(self) -> str:
        """The keyword under which the subcommand's function takes it."""
        return self.name.lstrip("-").lower().replace("-", "_")

    @property
    def usage(self) -> str:
        if self.is_option:
            value = "" if self.kind == "flag" else f" {VALUE_WORDS.get(self.kind, 'TEXT')}"
            return f"[{self.name}{value}]" + (" ..." if self.many else "")
        text = f"{self.name} ..." if self.many else self.name
        return text if self.required else f"[{text}]"

    def read(self, text: str) -> Any:
        """The value of a text.

        Raises:
            CommandError: it is not of the kind.
        """
        if self.kind == "number":
            if not text.isdigit():
                raise CommandError(f"{self.name} takes a number, got {text!r}")
            return int(text)
        return text


VALUE_WORDS = {"number": "N", "label": "KEY=VALUE", "phase": "PHASE", "task": "TASK", "run": "RUN"}


@dataclass(frozen=True)
class Command:
    """A subcommand.

    Attributes:
        name: the word after `%flyte`.
        summary: what it does, in a sentence.
        function: takes the values by `Argument.key`; or (namespace, line) when `raw`.
        arguments: what it takes, words first.
        examples: lines that show it.
        raw: it reads the rest of the line itself.
        usage: how it is written, where the arguments do not say it.
        magic: the magic that it belongs to.
    """

    name: str
    summary: str
    function: Callable[..., Any]
    arguments: Sequence[Argument] = ()
    examples: Sequence[str] = ()
    raw: bool = False
    usage: str = ""
    magic: str = "%flyte"
    options: dict[str, Argument] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", {a.name: a for a in self.arguments if a.is_option})

    @property
    def words(self) -> list[Argument]:
        return [argument for argument in self.arguments if not argument.is_option]

    def usage_line(self) -> str:
        """`%flyte logs RUN [ACTION] [--limit N]`"""
        return " ".join([self.magic, self.name, self.usage or " ".join(a.usage for a in self.arguments)]).rstrip()

    def help(self) -> str:
        """The help text, made of the declarations."""
        lines = [self.usage_line(), "", self.summary]
        if self.arguments:
            width = max(len(argument.name) for argument in self.arguments)
            lines += ["", *(f"  {argument.name.ljust(width)}  {argument.help}" for argument in self.arguments)]
        if self.examples:
            lines += ["", "Examples:", *(f"  {example}" for example in self.examples)]
        return "\n".join(lines)

    def read(self, words: Sequence[Word]) -> dict[str, Any]:
        """The values of the words, by key.

        Raises:
            CommandError: something is missing, unknown or of the wrong kind; in one line.
        """
        values: dict[str, Any] = {a.key: ([] if a.many else a.default) for a in self.arguments}
        places = self.words
        rest = list(words)
        while rest:
            word = rest.pop(0)
            argument = self._option(word) if word.is_option else self._place(places, word)
            text = word.plain
            if word.is_option:
                _, given, text = text.partition("=")
                if argument.kind == "flag":
                    values[argument.key] = True
                    continue
                if not given:
                    if not rest:
                        raise CommandError(f"{word.text} needs a value: {self.usage_line()}")
                    text = rest.pop(0).plain
            value = argument.read(text)
            if argument.many:
                values[argument.key].append(value)
            else:
                values[argument.key] = value
        missing = [a.name for a in places if a.required and not (a.many and values[a.key])]
        if missing:
            raise CommandError(f"{' and '.join(missing)} missing: {self.usage_line()}")
        return values

    def _option(self, word: Word) -> Argument:
        name = word.text.partition("=")[0]
        if name not in self.options:
            raise CommandError(
                f"{self.magic} {self.name} has no option {name}.{did_you_mean(name, self.options)} {self.usage_line()}"
            )
        return self.options[name]

    def _place(self, places: list[Argument], word: Word) -> Argument:
        """The argument that the word fills; one that can be given many times stays."""
        if not places:
            raise CommandError(f"{word.text!r} is one word too many: {self.usage_line()}")
        return places[0] if places[0].many else places.pop(0)

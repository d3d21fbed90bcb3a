"""A magic's line as words: spaces part words, except inside quotes and brackets.

    fit --title "a b" xs=[1, 2] f=make("x y")   ->   fit, --title, a b, xs=[1, 2], f=make("x y")

Quotes around a whole option value are taken off; an expression keeps its own. A `#` that stands alone begins a comment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from flyte_nb.remote.errors import CommandError

__all__ = ["Word", "split_words"]

CLOSING = {"(": ")", "[": "]", "{": "}"}
NAMED = re.compile(r"[\w.-]+=")
COMMENT = re.compile(r"#(\s|$)")
EXPRESSION = re.compile(r"[A-Za-z_]\w*=(?!=)")


@dataclass(frozen=True)
class Word:
    """One word of a line.

    Attributes:
        text: as it stands in the line.
        start: its position in the line.
    """

    text: str
    start: int

    @property
    def plain(self) -> str:
        """The text without the quotes around it, or around what stands behind `name=`."""
        named = NAMED.match(self.text)
        return named[0] + unquoted(self.text[named.end() :]) if named else unquoted(self.text)

    @property
    def is_option(self) -> bool:
        return self.text.startswith("--") and len(self.text) > 2

    @property
    def is_expression(self) -> bool:
        return EXPRESSION.match(self.text) is not None


def split_words(line: str) -> list[Word]:
    """The words of a line.

    Raises:
        CommandError: a quote or bracket is not closed; a caret shows which.
    """
    words: list[Word] = []
    start: int | None = None
    open_brackets: list[int] = []
    at = 0
    while at < len(line):
        character = line[at]
        if character.isspace() and not open_brackets:
            if start is not None:
                words.append(Word(line[start:at], start))
                start = None
            at += 1
            continue
        if start is None and COMMENT.match(line, at):
            break
        start = at if start is None else start
        if character in "'\"" and _opens_quote(line, at, start):
            at = _after_quote(line, at)
            continue
        if character in CLOSING:
            open_brackets.append(at)
        elif open_brackets and character == CLOSING[line[open_brackets[-1]]]:
            open_brackets.pop()
        at += 1
    if open_brackets:
        raise pointed(line, open_brackets[-1], f"{line[open_brackets[-1]]!r} is never closed")
    if start is not None:
        words.append(Word(line[start:], start))
    return words


def pointed(line: str, at: int, message: str) -> CommandError:
    """The error with the line and a caret under the character."""
    return CommandError(f"{message}\n    {line}\n    {' ' * at}^")


def unquoted(text: str) -> str:
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"" else text


def _opens_quote(line: str, at: int, start: int) -> bool:
    """An apostrophe inside a word (`it's`) is none; after a sign of an expression, it is."""
    return at == start or not (line[at - 1].isalnum() and not _is_prefix(line, start, at))


def _is_prefix(line: str, start: int, at: int) -> bool:
    """`f"..."`, `rb'...'`: the letters before a quote belong to the literal."""
    return re.search(r"(^|[=(\[{,:+\s])[rbfuRBFU]{1,2}$", line[start:at]) is not None


def _after_quote(line: str, at: int) -> int:
    """The position behind the string literal that starts here."""
    quote = line[at] * 3 if line.startswith(line[at] * 3, at) else line[at]
    position = at + len(quote)
    while position < len(line):
        if line[position] == "\\":
            position += 2
        elif line.startswith(quote, position):
            return position + len(quote)
        else:
            position += 1
    raise pointed(line, at, f"The quote {quote} is never closed")

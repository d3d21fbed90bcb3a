from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.notebook.magics.words import split_words
from flyte_nb.remote.errors import CommandError


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("  fit  --x 3 ", ["fit", "--x", "3"]),
        ('fit --title "a b"', ["fit", "--title", "a b"]),
        ("fit --title='a b'", ["fit", "--title=a b"]),
        ("fit xs=[1, 2, 3] y=2", ["fit", "xs=[1, 2, 3]", "y=2"]),
        ("fit --xs [1, 2]", ["fit", "--xs", "[1, 2]"]),
        ("fit f=make('a b', [1, (2)])", ["fit", "f=make('a b', [1, (2)])"]),
        ('fit s=f"a {b} c"', ["fit", 's=f"a {b} c"']),
        ("fit s='''a 'b' c'''", ["fit", "s=''a 'b' c''"]),
        ("fit --note it's", ["fit", "--note", "it's"]),
        ("fit --label who='a b'", ["fit", "--label", "who=a b"]),
        ("fit --x -3", ["fit", "--x", "-3"]),
        ("fit --x 3  # what 'it' takes (", ["fit", "--x", "3"]),
        ("fit --colour #fff --text '# a' x=[ # ]", ["fit", "--colour", "#fff", "--text", "# a", "x=[ # ]"]),
    ],
)
def test_spaces_part_words_except_in_quotes_and_brackets(line: str, words: list[str]) -> None:
    assert [word.plain for word in split_words(line)] == words


def test_an_expression_keeps_its_quotes() -> None:
    (word,) = split_words("s='a b'")
    assert word.is_expression and word.text == "s='a b'"


@pytest.mark.parametrize(("line", "caret"), [("fit x=[1, 2", 6), ("fit s='a b", 6), ("fit x=(1]", 6)])
def test_what_is_never_closed_is_pointed_at(line: str, caret: int) -> None:
    with pytest.raises(CommandError, match="never closed") as caught:
        split_words(line)
    _, shown, pointer = str(caught.value).split("\n")
    assert shown == f"    {line}" and pointer.index("^") == caret + 4


@given(st.lists(st.text("abcxyz0123-_=.", min_size=1), max_size=6))
def test_plain_words_come_back_as_they_were(words: list[str]) -> None:
    line = "  ".join(words)
    assert [word.text for word in split_words(line)] == words
    assert all(line[word.start :].startswith(word.text) for word in split_words(line))

"""Tagged structural hashing: equal structures, and only those, share a name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.engine.hashing import DIGEST_BYTES, encode_struct, hash_struct
from flyte_nb.engine.parts import integer, text

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
)
parts = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=12,
)


def spelled(part: Any) -> str:
    """A structure as text in which types show and the order of dictionaries does not."""
    match part:
        case dict():
            return "{" + ",".join(f"{key!r}:{spelled(part[key])}" for key in sorted(part)) + "}"
        case list():
            return "[" + ",".join(map(spelled, part)) + "]"
        case _:
            return f"{type(part).__name__} {part!r}"


@given(parts, parts)
def test_structures_share_a_hash_exactly_when_they_are_equal(one: Any, other: Any) -> None:
    assert (hash_struct("T", one) == hash_struct("T", other)) == (spelled(one) == spelled(other))


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), scalars))
def test_the_order_of_a_dictionary_does_not_matter(structure: dict[str, Any]) -> None:
    assert hash_struct("T", structure) == hash_struct("T", dict(reversed(structure.items())))


@given(parts)
def test_the_tag_separates_kinds(part: Any) -> None:
    assert hash_struct("Action", part) != hash_struct("Trace", part)
    assert hash_struct("Action", part) != hash_struct("Action", part, None)


def test_the_hash_is_pinned() -> None:
    digest = hash_struct("A", 1, None, b"x", {"b": 1, "a": [1, (2,)]}, True, 1.0, "ä")
    assert encode_struct("A", 1, True) == b"\x93\xa1A\x01\xc3"
    assert len(digest) == DIGEST_BYTES
    assert digest.hex() == "e793391873c44d62f0bd9d71dd4f9dee"


@given(st.integers(), st.integers())
def test_integers_of_any_size_are_told_apart(one: int, other: int) -> None:
    assert (hash_struct("T", integer(one)) == hash_struct("T", integer(other))) == (one == other)


def test_strings_with_lone_surrogates_are_parts_too() -> None:
    assert hash_struct("T", text("\udcff")) != hash_struct("T", text("\udcfe"))


def test_what_is_not_plain_data_is_refused() -> None:
    with pytest.raises(OverflowError):
        hash_struct("T", 2**64)
    with pytest.raises(TypeError):
        hash_struct("T", object())  # type: ignore[arg-type]

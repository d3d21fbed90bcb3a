"""Plain trees on the wire, and what identifies a payload: equal for equal values in any process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.types.anything import decode_anything, encode_anything
from flyte_nb.types.blobs import MemoryBlobs
from flyte_nb.types.signature import Signature
from flyte_nb.types.trees import identity_of, pack, unpack

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(max_size=20)
hashables = scalars | st.tuples(scalars, scalars) | st.frozensets(scalars, max_size=3)
values = st.recursive(
    hashables | st.sets(hashables, max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hashables, inner, max_size=3),
    max_leaves=8,
)


def types_within(value: Any) -> Any:
    """The value with the type of every part beside it: 1, 1.0 and True are equal, and different values."""
    if isinstance(value, dict):
        return [(types_within(key), types_within(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [types_within(item) for item in value]
    if isinstance(value, set | frozenset):
        return type(value), sorted(map(repr, map(types_within, value)))
    return type(value), value


@given(values)
def test_any_value_comes_back_from_its_bytes(value: Any) -> None:
    blobs = MemoryBlobs()
    assert types_within(decode_anything(unpack(pack(encode_anything(value, blobs))), blobs)) == types_within(value)


@given(st.text(alphabet=st.characters(), max_size=20), st.integers())
def test_text_with_lone_surrogates_and_any_integer_come_back(text: str, number: int) -> None:
    odd = text + "\udcff"
    assert unpack(pack([odd, {"k": number * 2**70}])) == [odd, {"k": number * 2**70}]


@given(st.dictionaries(hashables, hashables, max_size=6), st.randoms())
def test_the_order_of_a_dict_does_not_count_for_identity(table: dict[Any, Any], random: Any) -> None:
    items = list(table.items())
    random.shuffle(items)
    blobs = MemoryBlobs()
    one, other = (pack([encode_anything(value, blobs)]) for value in (table, dict(items)))
    assert identity_of(one) == identity_of(other)


@given(values, values)
def test_different_values_have_different_identities(one: Any, other: Any) -> None:
    blobs = MemoryBlobs()
    same = identity_of(pack([encode_anything(one, blobs)])) == identity_of(pack([encode_anything(other, blobs)]))
    if one != other:
        assert not same


def test_a_payload_is_the_same_under_every_hash_seed() -> None:
    program = (
        "from flyte_nb.types.anything import encode_anything\n"
        "from flyte_nb.types.blobs import MemoryBlobs\n"
        "from flyte_nb.types.trees import pack\n"
        "value = {'b': {'x', 'y', 'zz', ('a', 1)}, 'a': frozenset([1, 'q', None])}\n"
        "print(pack(encode_anything(value, MemoryBlobs())).hex())\n"
    )
    root = Path(__file__).resolve().parents[2]
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(printed) == 1


class LengthHash:
    """A hash method as users write them, see `flyte.io.HashFunction`."""

    def update(self, data: Any) -> None:
        self.length = len(data)

    def result(self) -> str:
        return f"length {self.length}"


def test_a_value_with_a_hash_of_its_own_counts_by_it(
    signature_of: Callable[..., Signature], blobs: MemoryBlobs
) -> None:
    def count(x: Annotated[list[int], LengthHash()]) -> int: ...

    signature = signature_of(count)
    one, same, other = (
        signature.identity(signature.encode_inputs((value,), {}, blobs)[0]) for value in ([1, 2], [3, 4], [5])
    )
    assert one == same != other
    assert signature.encode_inputs(([1, 2],), {}, blobs)[1] == {"x": [1, 2]}

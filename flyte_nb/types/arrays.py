"""Arrays: numpy's, with or without element types (`np.ndarray`, `npt.NDArray[np.float64]`), and tensors like them.

Their pickle keeps the memory of the array apart, so a large one is stored once and mapped copy-on-write by each reader.
As in Flyte the value is not checked against the declared class: whoever declares an array may pass a list.
"""

from __future__ import annotations

from typing import Any, get_origin

from flyte_nb.types.base import Resolve, Transformer
from flyte_nb.types.names import describe_type
from flyte_nb.types.pickles import PickleTransformer

__all__ = ["ArrayTransformer", "array_family"]

ARRAYS = {"numpy": {"ndarray"}, "torch": {"Tensor"}, "jax": {"Array"}, "jaxlib": {"Array"}}


class ArrayTransformer(PickleTransformer):
    """An array or tensor; pickle is its natural form, so nothing is said about it."""


def array_family(python_type: Any, resolve: Resolve, lenient: bool) -> Transformer | None:
    """The transformer of an array type, None when the type is not one."""
    origin = get_origin(python_type) or python_type
    library = getattr(origin, "__module__", "").partition(".")[0]
    known = isinstance(origin, type) and origin.__name__ in ARRAYS.get(library, ())
    return ArrayTransformer(describe_type(python_type)) if known else None

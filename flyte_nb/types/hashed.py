"""Values that bring their own hash: `Annotated[pd.DataFrame, HashFunction.from_fn(hash_of_frame)]`."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from flyte_nb.types.base import Blobs, Preview, Transformer
from flyte_nb.types.trees import leaf_content, tagged

__all__ = ["HashedTransformer", "hash_function_in"]


def hash_function_in(metadata: Iterable[Any]) -> Any | None:
    """The `HashMethod` among the metadata of an `Annotated` type, or None."""
    return next((item for item in metadata if hasattr(item, "update") and hasattr(item, "result")), None)


class HashedTransformer:
    """Any type, whose values count by the hash that the user's function gives them (in cache keys, for example)."""

    identity = False

    def __init__(self, inner: Transformer, hash_method: Any) -> None:
        self.inner = inner
        self.hash_method = hash_method
        self.type_name = inner.type_name

    def encode(self, value: Any, blobs: Blobs) -> Any:
        tree = self.inner.encode(value, blobs)
        method = copy.copy(self.hash_method)  # it keeps its result in itself, and calls may be concurrent
        method.update(value)
        return tagged("hashed", [str(method.result()), tree])

    def decode(self, tree: Any, blobs: Blobs) -> Any:
        return self.inner.decode(leaf_content(tree)[1][1], blobs)

    def preview(self, value: Any) -> Preview:
        return self.inner.preview(value)

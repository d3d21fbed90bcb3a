"""How values are typed, encoded, copied, digested and previewed: Flyte's `flyte.types`."""

from flyte_nb.types.base import TypeTransformerFailedError
from flyte_nb.types.type_engine import (
    FlytePickle,
    Renderable,
    TypeEngine,
    TypeTransformer,
    guess_interface,
    literal_string_repr,
)

__all__ = [
    "FlytePickle",
    "Renderable",
    "TypeEngine",
    "TypeTransformer",
    "TypeTransformerFailedError",
    "guess_interface",
    "literal_string_repr",
]

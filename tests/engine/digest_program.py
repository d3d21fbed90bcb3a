"""A program in cells that reaches its constants, helpers, classes, modules and tasks in every way that digests know."""

from __future__ import annotations

import linecache
from itertools import count
from pathlib import Path
from typing import Any

__all__ = ["CELLS", "NAMES", "RATES_MODULE", "Cells"]

RATES_MODULE = """
VAT = 0.2
UNUSED = 1

def with_vat(price):
    return price * (1 + VAT)

def unused():
    return UNUSED
"""

CELLS = [
    """
import dataclasses
import enum
import functools
from dataclasses import dataclass, field

import numpy as np

import rates
from flyte_nb.authoring.environment import TaskEnvironment
from flyte_nb.authoring.trace import trace

env = TaskEnvironment("demo")
""",
    """
SCALE = 3
TABLE = {"a": 1, "b": [1, 2, 3]}
LABELS = {"x", "y", "z"}
WEIGHTS = np.arange(4.0)
calls = 0

class Colour(enum.Enum):
    RED = 1
    BLUE = 2

    def text(self):
        return shown(self.value)

@dataclass
class Point:
    x: float
    y: float = 2.0
    tags: list = field(default_factory=list)

    def norm(self):
        return scaled(self.x) + self.y

class Base:
    factor = 5

class Derived(Base):
    @property
    def size(self):
        return self.factor
""",
    """
def scaled(x):
    "Multiplies."
    return x * SCALE  # by a constant

def shown(x):
    return f"<{x!r:>{SCALE}}>"

def is_even(n):
    return n == 0 or is_odd(n - 1)

def is_odd(n):
    return n != 0 and is_even(n - 1)

def logged(prefix):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args):
            return (prefix, TABLE["a"], function(*args))
        return wrapper
    return decorate

@logged("got")
def decorated(x):
    return x + 1

@functools.lru_cache
def cached(x):
    return scaled(x)

def counter():
    total = 0
    def add(n):
        nonlocal total
        total += n
        return total + SCALE
    return add

add = counter()
half, double = lambda x: x / 2, lambda x: x * 2
bound = Point(1.0).norm
thrice = functools.partial(scaled, 3)
""",
    """
@trace
def step(x: int) -> int:
    return scaled(x)

@env.task
def leaf(x: int) -> int:
    return scaled(x)

@env.task(retries=2)
async def parent(x: int) -> int:
    return await leaf.aio(x)

@env.task
def traced(x: int) -> int:
    return step(x)

@env.task
def geometry(point: Point) -> float:
    return point.norm()

@env.task
def coloured(n: int) -> str:
    return Colour.RED.text()

@env.task
def parity(n: int) -> bool:
    return is_even(n)

@env.task
def decorating(x: int) -> tuple:
    return decorated(x)

@env.task
def memoised(x: int) -> int:
    return cached(x)

@env.task
def closing(x: int) -> int:
    return add(x)

@env.task
def halved(x: int) -> float:
    return half(x)

@env.task
def doubled(x: int) -> int:
    return double(x)

@env.task
def taxed(x: float) -> float:
    return rates.with_vat(x)

@env.task
def counting(x: int) -> int:
    global calls
    calls += 1
    return calls + len(LABELS)

@env.task
def inheriting(x: int) -> int:
    return Derived().size

@env.task
def weighing(x: int) -> float:
    return float(WEIGHTS.sum()) + bound() + thrice()
""",
]

NAMES = [
    "step", "leaf", "parent", "traced", "geometry", "coloured", "parity", "decorating", "memoised", "closing", "halved",
    "doubled", "taxed", "counting", "inheriting", "weighing",
]  # fmt: skip
"""Every task of the program, and the trace."""


class Cells:
    """A notebook's namespace: runs cells with their source in `linecache`, as IPython does."""

    _numbers = count()

    def __init__(self, *cells: str) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__"}
        for cell in cells:
            self.run(cell)

    def run(self, source: str) -> None:
        file = f"/tmp/cells/{next(self._numbers)}.py"
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        exec(compile(source, file, "exec", dont_inherit=True), self.names)

    def __getitem__(self, name: str) -> Any:
        return self.names[name]


def write_modules(folder: Path, rates: str = RATES_MODULE) -> None:
    (folder / "rates.py").write_text(rates, encoding="utf-8")

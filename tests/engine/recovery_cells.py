"""A notebook whose runs are run again in other kernels: every way in which code and values hang together."""

from __future__ import annotations

from pathlib import Path

__all__ = ["CELLS", "MODULES", "RUNS", "TELL", "write_modules"]

TELL = """
def tell(run):
    actions = [[action.task_name, action.phase.value, action.name] for action in run.actions()]
    return {"output": run.outputs()[0], "actions": actions, "name": run.name}

def tell_again(name, **options):
    return tell(flyte.rerun(name, **options))
"""

MODULES = {
    "edited.py": "FACTOR = 2\ndef scale(x):\n    return x * FACTOR\n",
    "gone.py": "def shift(x):\n    return x + 100\n",
    "folder/__init__.py": "from .deep.inner import twice\n",
    "folder/deep/__init__.py": "",
    "folder/deep/inner.py": "def twice(x):\n    return 2 * x\n",
    "folder/late.py": "def late(x):\n    return x + 7\n",
    "bare/part.py": "def part(x):\n    return x + 1\n",
    "tasks_of_a_module.py": (
        "import flyte_nb as flyte\nenv = flyte.TaskEnvironment('other')\n"
        "@env.task\nasync def of_a_module(x: int) -> int:\n    return x + 1000\n"
    ),
}

CELLS = [
    """
import enum, functools
from dataclasses import dataclass
import pydantic

env = flyte.TaskEnvironment("cells")

class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"

@dataclass
class Point:
    x: int
    y: int = 3
    def norm(self):
        return abs(self.x) + abs(self.y)

class Model(pydantic.BaseModel):
    name: str
    point: Point
    @property
    def size(self):
        return self.point.norm()

class Base:
    K = 5
    def f(self):
        return self.K

class Derived(Base):
    def f(self):
        return super().f() + OFFSET

OFFSET = 11
TABLE = {"a": 1}

def adds(n):
    def wrap(f):
        @functools.wraps(f)
        def inner(*args, **kwargs):
            return f(*args, **kwargs) + n
        return inner
    return wrap

@adds(1000)
def helper(x):
    return x + TABLE["a"] + factorial(3)

def factorial(n):
    return 1 if n <= 1 else n * factorial(n - 1)

@functools.lru_cache
def remembered(x):
    return x + 1

@env.task
async def makes(n: int) -> Model:
    note("makes")
    return Model(name="n", point=Point(n))

@env.task
async def uses(point: Point, colour: Colour, model: Model) -> list[int]:
    note("uses")
    is_blue = int(colour is Colour.BLUE)
    return [point.norm(), is_blue, model.size, Derived().f(), helper(1), remembered(2)]

@env.task
async def classes(n: int) -> list[int]:
    note("classes")
    return await uses(Point(n), Colour.BLUE, await makes(n))
""",
    """
import edited, folder, gone
import bare.part
from folder import late

@env.task
async def uses_modules(x: int) -> int:
    note("uses_modules")
    return edited.scale(x) + gone.shift(x) + folder.twice(x) + bare.part.part(x)

@env.task
async def modules(x: int) -> int:
    note("modules")
    from folder import late as imported_late
    return await uses_modules(x) + imported_late.late(x)
""",
    """
import tasks_of_a_module

@env.task
async def in_a_dict(x: int) -> int:
    note("in_a_dict")
    return x + 1

@env.task
async def in_a_list(x: int) -> int:
    note("in_a_list")
    return x + 2

@env.task
async def in_a_closure(x: int) -> int:
    note("in_a_closure")
    return x + 3

TASKS = {"first": in_a_dict, "others": [in_a_list]}

def close_over(task):
    async def call(x):
        return await task(x)
    return call

closure = close_over(in_a_closure)

@env.task
async def containers(x: int) -> int:
    note("containers")
    return sum([
        await TASKS["first"](x),
        await TASKS["others"][0](x),
        await closure(x),
        await tasks_of_a_module.of_a_module(x),
    ])

@env.task
async def overridden(x: int) -> int:
    note("overridden")
    return x

@env.task
async def overrides(x: int) -> int:
    return await overridden.override(retries=2, short_name="other")(x)

@env.task
async def fibonacci(n: int) -> int:
    note(f"fibonacci {n}")
    return n if n < 2 else await fibonacci(n - 1) + await fibonacci(n - 2)

@env.task(cache="auto")
async def cached(x: int) -> int:
    note("cached")
    return x

@env.task
async def calls_cached(x: int) -> int:
    return await cached(x)

@env.task(report=True)
async def reports(x: int) -> int:
    await flyte.report.log.aio(f"<b>{x}</b>", do_flush=True)
    return x

@env.task
def in_a_thread(x: int) -> int:
    note("in_a_thread")
    return x * 2

@env.task
def sync(x: int) -> int:
    return in_a_thread(x) + 1

@env.task
async def starts(x: int) -> int:
    note("starts")
    return await never_called(x) if os.path.exists("go") else os.kill(os.getpid(), 9)

@env.task
async def never_called(x: int) -> int:
    note("never_called")
    return helper(x)
""",
]

RUNS = {
    "classes": "classes, 4",
    "modules": "modules, 5",
    "containers": "containers, 1",
    "overrides": "overrides, 6",
    "fibonacci": "fibonacci, 4",
    "calls_cached": "calls_cached, 3",
    "reports": "reports, 3",
    "sync": "sync, 3",
}
"""Arguments of `flyte.run` by the run's name."""


def write_modules(folder: Path) -> None:
    """Writes the modules that the cells import."""
    for name, text in MODULES.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(text)

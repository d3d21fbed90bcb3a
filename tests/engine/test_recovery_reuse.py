"""What a recovery reuses: every finished call, whatever its values, and nothing that would not be the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from flyte_nb.store.queries import Store
from tests.engine.cells import Kernels
from tests.engine.recovery_cells import TELL


def test_a_recovery_goes_on_from_what_an_interrupted_recovery_had_not_come_to(tmp_path: Path) -> None:
    kernels = Kernels(tmp_path)
    cells = """
env = flyte.TaskEnvironment("twice")

@env.task
async def step(x: int) -> int:
    note(f"step {x}")
    return x

@env.task
async def main() -> int:
    total = 0
    for x in range(5):
        total += await step(x)
        if os.path.exists(f"die after {x}"):
            os.kill(os.getpid(), 9)
    return total
"""
    (tmp_path / "die after 3").touch()
    kernels.run(cells, "flyte.with_runcontext(name='twice').run(main)", killed=True)
    assert kernels.noted() == [f"step {x}" for x in range(4)]
    (tmp_path / "die after 1").touch()
    kernels.run("flyte.rerun('twice', recover=True)", killed=True)
    for file in tmp_path.glob("die*"):
        file.unlink()
    assert kernels.noted() == []
    last = Store.open(kernels.home).runs()[0]
    assert last.parent_run == "twice"
    answer = kernels.run(TELL, f"answer(tell_again({last.name!r}, recover=True))")
    assert answer["output"] == 10
    assert kernels.noted() == ["step 4"]
    rows = Store.open(kernels.home).actions(answer["name"])
    sources = [row.source.partition("/")[0] for row in rows if row.phase == "recovered"]
    assert len(sources) == 4 and sources[-1] == "twice"


TRAINING = """
env = flyte.TaskEnvironment("saves")
apart = flyte.TaskEnvironment("apart", reusable=flyte.ReusePolicy(replicas=1))

def train(where, epochs):
    saved = flyte.ctx().checkpoint.load_sync()
    epoch = int(saved.read_text()) if saved else 0
    note(f"{where} goes on from {epoch}")
    while epoch < epochs:
        epoch += 1
        flyte.ctx().checkpoint.save_sync(str(epoch).encode())
        if os.path.exists(f"die in {where} after {epoch}"):
            os.kill(int(os.environ["KERNEL"]), 9)
            os.kill(os.getpid(), 9)
    return epoch

@apart.task
def worker(epochs: int) -> int:
    return train("worker", epochs)

@env.task
def main(epochs: int) -> int:
    reached = train("kernel", epochs)
    return reached + worker(epochs)
os.environ["KERNEL"] = str(os.getpid())
"""


def test_what_is_recovered_goes_on_from_the_checkpoint_that_it_had_come_to(tmp_path: Path) -> None:
    kernels = Kernels(tmp_path)
    (tmp_path / "die in kernel after 2").touch()
    kernels.run(TRAINING, "flyte.with_runcontext(name='first').run(main, 5)", killed=True)
    recover = "os.environ['KERNEL'] = str(os.getpid()); answer(flyte.rerun({!r}, recover=True{}).outputs()[0])"
    (tmp_path / "die in kernel after 2").unlink()
    (tmp_path / "die in worker after 3").touch()
    kernels.run(recover.format("first", ""), killed=True)
    (tmp_path / "die in worker after 3").unlink()
    assert kernels.noted() == ["kernel goes on from 0", "kernel goes on from 2", "worker goes on from 0"]
    last = Store.open(kernels.home).runs()[0].name
    assert kernels.run(recover.format(last, "")) == 10
    assert kernels.noted() == ["kernel goes on from 5", "worker goes on from 3"]
    edited = TRAINING.replace("reached + worker(epochs)", "reached + worker(epochs) + 1")
    assert kernels.run(edited, f"answer(flyte.fork({last!r}, main).outputs()[0])") == 11
    assert kernels.noted() == ["kernel goes on from 0", "worker goes on from 3"]
    assert kernels.run(recover.format(last, ", epochs=6")) == 12
    assert kernels.noted() == ["kernel goes on from 0", "worker goes on from 0"]


VALUES = """
from dataclasses import dataclass
from typing import Any, NamedTuple
import datetime, decimal, enum, pathlib
import numpy as np
import pandas as pd
import pydantic

env = flyte.TaskEnvironment("values")
OFFSET = 11

class Plain:
    def __init__(self, x):
        self.x = x
    def moved(self):
        return self.x + OFFSET
    @property
    def twice(self):
        return 2 * self.x

class Derived(Plain):
    def __init__(self, x):
        super().__init__(x)
        self.more = {"a": [x], "b": {"x", "yy", "zzz"}}

class Kind(enum.Enum):
    ONE = 1

class Pair(NamedTuple):
    a: int
    b: str

@dataclass
class Data:
    x: int
    inner: Any = None

class Model(pydantic.BaseModel):
    x: int

def helper(x):
    return x + OFFSET

def close_over(n):
    return lambda x: x + n

VALUES = {
    "plain": lambda: Plain(1),
    "derived": lambda: Derived(2),
    "enum": lambda: Kind.ONE,
    "named tuple": lambda: Pair(1, "b"),
    "dataclass": lambda: Data(1, Plain(3)),
    "model": lambda: Model(x=1),
    "function": lambda: helper,
    "closure": lambda: close_over(3),
    "class": lambda: Plain,
    "date": lambda: datetime.datetime(2020, 1, 1),
    "path": lambda: pathlib.Path("a"),
    "decimal": lambda: decimal.Decimal("1.5"),
    "array": lambda: np.arange(10),
    "large array": lambda: np.arange(100_000),
    "frame": lambda: pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}),
    "set": lambda: {"b", "a", "c"},
    "nested": lambda: {"k": [Plain(1), {"z": Derived(1)}]},
    "large": lambda: Plain(np.arange(100_000)),
}

@env.task
async def leaf(what: str, value: Any) -> Any:
    note(f"leaf {what}")
    return value

@flyte.trace
async def traced(what: str, value: Any) -> Any:
    note(f"trace {what}")
    return value

@env.task
async def main() -> int:
    note("main")
    for what, make in VALUES.items():
        received = await leaf(what, make())
        await leaf(f"{what} again", received)
        await traced(what, make())
    if os.path.exists("die"):
        os.kill(os.getpid(), 9)
    return len(VALUES)
"""


def test_calls_with_values_of_every_kind_are_known_again(tmp_path: Path) -> None:
    kernels = Kernels(tmp_path)
    (tmp_path / "die").touch()
    kernels.run(VALUES, "flyte.with_runcontext(name='values').run(main)", killed=True)
    assert len(kernels.noted()) == 1 + 3 * 18
    (tmp_path / "die").unlink()
    kernels.run("first = flyte.rerun('values', recover=True)", "flyte.rerun(first.name, recover=True)")
    assert kernels.noted() == ["main"]
    kernels.run(VALUES, "flyte.fork('values', main)")
    assert kernels.noted() == ["main"]


def test_a_changed_class_or_closure_makes_another_call_of_it(tmp_path: Path) -> None:
    kernels = Kernels(tmp_path)
    kernels.run(VALUES, "flyte.with_runcontext(name='values').run(main)")
    kernels.noted()
    kernels.run(
        VALUES.replace("2 * self.x", "3 * self.x").replace("close_over(3)", "close_over(4)"),
        "flyte.fork('values', main)",
    )
    steps = ["plain", "derived", "dataclass", "closure", "class", "nested", "large"]
    assert kernels.noted() == [
        "main",
        *(line for what in steps for line in (f"leaf {what}", f"leaf {what} again", f"trace {what}")),
    ]


def test_a_result_whose_large_value_is_gone_is_computed_again(tmp_path: Path) -> None:
    kernels = Kernels(tmp_path)
    kernels.run("""
import numpy as np
env = flyte.TaskEnvironment("gone")

@env.task
async def large(x: int) -> np.ndarray:
    note(f"large {x}")
    return np.full(100_000, x)

@flyte.trace
async def large_step(x: int):
    note(f"step {x}")
    return np.full(100_000, x)

@env.task
async def main() -> int:
    note("main")
    total = 0
    for x in range(2):
        total += int((await large(x))[0])
        total += int((await large_step(x + 2))[0])
    return total

flyte.with_runcontext(name="gone").run(main)
""")
    kernels.noted()
    rows = Store.open(kernels.home).actions("gone")
    rows = [row for row in rows if row.kind == "trace" or row.task.endswith("large")]
    for row in rows[:2]:
        digest = next(name for name in digests(kernels.home) if name.encode() in (row.outputs or b""))
        (kernels.home / "values" / digest[:2] / digest).unlink()
    answer = kernels.run(TELL, "answer(tell_again('gone', recover=True, force_rerun_actions=['a0']))")
    assert answer["output"] == 6
    assert kernels.noted() == ["main", "large 0", "step 2"]


def digests(home: Path) -> Iterator[str]:
    yield from (file.name for file in (home / "values").rglob("*") if file.is_file())


def test_code_that_holds_a_secret_is_not_kept_and_the_error_says_so(tmp_path: Path) -> None:
    kernels = Kernels(tmp_path)
    told, forked = kernels.run("""
from pathlib import Path
os.environ["TOKEN"] = "a very secret token"
token = os.environ["TOKEN"]
env = flyte.TaskEnvironment("plain")
asking = flyte.TaskEnvironment("asking", secrets="TOKEN")

@asking.task
async def asks() -> int:
    return len(os.environ["TOKEN"])

@env.task
async def reads() -> int:
    return len(token) + await asks()

flyte.with_runcontext(name="reads").run(reads)
try:
    flyte.rerun("reads", recover=True)
except flyte.errors.RuntimeUserError as error:
    answer([str(error), flyte.fork("reads", reads).outputs()[0]])
""")
    assert "`token` holds the value of a secret" in told and "os.environ" in told and "flyte.fork" in told
    assert forked == 38
    stored = [file.read_bytes() for file in kernels.home.rglob("*") if file.is_file()]
    assert not any(b"a very secret token" in content for content in stored)


def test_inputs_that_hold_secrets_have_to_be_given_again(tmp_path: Path) -> None:
    kernels = Kernels(tmp_path)
    token = "os.environ['TOKEN'] = 'a very secret token'"
    cells = """
env = flyte.TaskEnvironment("asking", secrets="TOKEN")

@env.task
async def uses(token: str, n: int) -> int:
    return len(token) + n

@env.task
async def main(token: str, n: int) -> int:
    return await uses(token, n)

flyte.with_runcontext(name="asks").run(main, os.environ["TOKEN"], n=1)
"""
    kernels.run(token, cells)
    told = kernels.run(
        token,
        """
def refused(again):
    try:
        return again()
    except flyte.errors.RuntimeUserError as error:
        return [error.code, str(error)]

uses = next(action.name for action in flyte.remote.Run("asks").actions(task="uses"))
answer([
    refused(lambda: flyte.rerun("asks", recover=True, n=2)),
    refused(lambda: flyte.rerun("asks", action_name=uses)),
    flyte.rerun("asks", recover=True, token="another token").outputs()[0],
    flyte.rerun("asks", action_name=uses, token="third").outputs()[0],
])
""",
    )
    for refusal in told[:2]:
        assert refusal[0] == "InputsNotFound"
        assert "input token of run asks held the value of a secret" in refusal[1] and "token=..." in refusal[1]
    assert told[2:] == [14, 6]


def test_results_that_hold_secrets_are_never_reused(tmp_path: Path) -> None:
    kernels = Kernels(tmp_path)
    kernels.run("""
os.environ["TOKEN"] = "a very secret token"
env = flyte.TaskEnvironment("secrets", secrets="TOKEN")
plain = flyte.TaskEnvironment("plain")

@env.task
async def tells() -> str:
    note("tells")
    return os.environ["TOKEN"]

@env.task
async def hides() -> int:
    note("hides")
    return len(os.environ["TOKEN"])

@plain.task
async def main() -> int:
    note("main")
    return len(await tells()) + await hides()

flyte.with_runcontext(name="secrets").run(main)
""")
    kernels.noted()
    cell = "answer(tell_again('secrets', recover=True, force_rerun_actions=['a0']))"
    answer = kernels.run(TELL, "os.environ['TOKEN'] = 'a very secret token'", cell)
    assert answer["output"] == 38
    assert kernels.noted() == ["main", "tells"]

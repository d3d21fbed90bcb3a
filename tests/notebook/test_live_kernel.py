"""A kernel in which cells are run again and again: what is redefined counts at once, wherever a task runs.

Every edit is looked at in three places where something stale could hide: the kernel, a warm worker that ran the task
before, and the cache that holds its result.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.notebook.conftest import Kernel, running_kernel

DECLARED = """
from dataclasses import dataclass
live = flyte.TaskEnvironment("live", cache="auto")
warm = flyte.TaskEnvironment("warm", cache="auto", reusable=flyte.ReusePolicy(replicas=(1, 2)))

def of(task, *args):
    run = flyte.run(task, *args)
    return run.outputs()[0], run.root.source.partition(":")[0] or run.root.where.split()[0]
"""
PLACES = ["live", "warm"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("live")


@pytest.fixture(scope="module")
def kernel(folder: Path) -> Iterator[Kernel]:
    with running_kernel(folder, folder / "home") as started:
        started.ok(DECLARED)
        yield started


@pytest.fixture(scope="module")
def other(folder: Path) -> Iterator[Kernel]:
    """Another notebook's kernel, or the same notebook's after a restart, on the same store."""
    with running_kernel(folder, folder / "home") as started:
        started.ok(DECLARED)
        yield started


def told(kernel: Kernel, expression: str) -> str:
    """What an expression is, without what its tasks print."""
    return kernel.ok(f"shown = {expression}\nprint('=', shown)").stdout.splitlines()[-1].removeprefix("= ")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("first", "task", "then"),
    [
        (
            "def inner(x): return x + 1\ndef helper(x): return inner(x)",
            "def fit(x: int) -> int:\n    return helper(x)",
            "def inner(x): return x + 2",
        ),
        ("STEP = 1", "def fit(x: int) -> int:\n    return x + STEP", "STEP = 2"),
        (
            "class Model:\n    def at(self, x): return x + 1",
            "def fit(x: int) -> int:\n    return Model().at(x)",
            "class Model:\n    def at(self, x): return x + 2",
        ),
        (
            "class Base:\n    step = 1\nclass Model(Base):\n    def at(self, x): return x + self.step",
            "def fit(x: int) -> int:\n    return Model().at(x)",
            "class Base:\n    step = 2\nclass Model(Base):\n    def at(self, x): return x + self.step",
        ),
        (
            "from functools import partial\ndef added(a, b): return a + b\nadd_one = partial(added, 1)",
            "def fit(x: int) -> int:\n    return add_one(x)",
            "add_one = partial(added, 2)",
        ),
        (
            "@{place}.task\ndef child(x: int) -> int:\n    return x + 1",
            "def fit(x: int) -> int:\n    return child(x)",
            "@{place}.task\ndef child(x: int) -> int:\n    return x + 2",
        ),
    ],
    ids=["helper", "constant", "class", "base class", "partial", "task"],
)
def test_what_is_redefined_counts_at_once(kernel: Kernel, place: str, first: str, task: str, then: str) -> None:
    kernel.ok(first.format(place=place))
    kernel.ok(f"@{place}.task\n{task}")
    assert told(kernel, "of(fit, 10)[0]") == "11"
    assert told(kernel, "of(fit, 10)") == "(11, 'cache')"
    kernel.ok(then.format(place=place))
    value, where = told(kernel, "of(fit, 10)").strip("()").split(", ")
    assert value == "12" and where != "'cache'"
    kernel.ok(first.format(place=place))
    assert told(kernel, "of(fit, 10)") == "(11, 'cache')", "the old code is known again"


@pytest.mark.parametrize("place", PLACES)
def test_a_module_that_autoreload_renews_counts_at_once(kernel: Kernel, folder: Path, place: str) -> None:
    name = f"rates_{place}"
    module = folder / f"{name}.py"
    module.write_text("def rate(x):\n    return x + 1\n")
    kernel.ok(f"%load_ext autoreload\n%autoreload 2\nimport {name}\nfrom {name} import rate")
    kernel.ok(f"@{place}.task\ndef rated(x: int) -> int:\n    return rate(x) + {name}.rate(0)")
    assert told(kernel, "of(rated, 10)[0]") == "12"
    module.write_text("def rate(x):\n    return x + 1000\n")  # of another length: its time may be the same
    assert told(kernel, "of(rated, 10)[0]") == "2010"
    assert told(kernel, "of(rated, 10)[1]") == "cache"
    kernel.ok("%autoreload 0")


def test_an_environment_that_is_declared_again_counts_for_the_tasks_declared_after_it(kernel: Kernel) -> None:
    kernel.ok("again = flyte.TaskEnvironment('again')\n@again.task\ndef place(x: int) -> str:\n    return 'old'")
    assert told(kernel, "of(place, 1)") == "('old', 'kernel')"
    kernel.ok("again = flyte.TaskEnvironment('again', env_vars={'A': '1'})")
    assert told(kernel, "of(place, 1)") == "('old', 'kernel')", "a task keeps the environment that it was declared in"
    kernel.ok("@again.task\ndef place(x: int) -> str:\n    return 'new'")
    assert told(kernel, "of(place, 1)") == "('new', 'process')"
    assert kernel.ok("r = %flyte run again.place --x 1\nprint(r.outputs()[0])").stdout == "new\n"


def test_tasks_of_one_name_in_two_environments_are_two(kernel: Kernel) -> None:
    kernel.ok("one, two = flyte.TaskEnvironment('one', cache='auto'), flyte.TaskEnvironment('two', cache='auto')")
    kernel.ok("@one.task\ndef same(x: int) -> int:\n    return x\nof_one = same")
    kernel.ok("@two.task\ndef same(x: int) -> int:\n    return x\nof_two = same")
    kernel.ok("@two.task\ndef both(x: int) -> list[int]:\n    return [of_one(x), of_two(x)]")
    assert told(kernel, "of(of_one, 3)[1]") == "kernel"
    assert told(kernel, "of(of_two, 3)[1]") == "kernel", "its result is not the other's"
    kernel.ok("r = flyte.with_runcontext(disable_run_cache=True).run(both, 3)")
    assert told(kernel, "sorted(a.task_name for a in r.actions())") == "['one.same', 'two.both', 'two.same']"
    assert told(kernel, "r['one.same'].name != r['two.same'].name") == "True"
    assert told(kernel, "sorted(a.path for a in r.actions())") == "['both', 'both/one.same', 'both/two.same']"
    assert kernel.ok("r = %flyte run one.same --x 5\nprint(r.task_name)").stdout == "one.same\n"


@pytest.mark.parametrize("place", PLACES)
def test_a_task_that_was_deleted_is_gone(kernel: Kernel, place: str) -> None:
    kernel.ok(f"@{place}.task\ndef gone(x: int) -> int:\n    return x")
    kernel.ok(f"@{place}.task\ndef caller(x: int) -> int:\n    return gone(x)")
    assert told(kernel, "of(caller, 1)[0]") == "1"
    kernel.ok("del gone")
    assert "NameError: name 'gone' is not defined" in kernel.run("flyte.run(caller, 1)").traceback
    missing = kernel.run("%flyte run gone --x 1").stderr
    assert "No task is named 'gone'." in missing
    kernel.ok(f"@{place}.task\ndef gone(x: int) -> int:\n    return x")
    assert told(kernel, "of(caller, 1)") == "(1, 'cache')"


def test_restart_and_run_all_gives_the_same_names_and_finds_the_cached_results(kernel: Kernel, other: Kernel) -> None:
    cells = [
        "import math\nSCALE = 3\ndef scaled(x): return math.prod([x, SCALE])",
        "@dataclass\nclass Point:\n    x: int\n    def norm(self): return scaled(self.x)",
        "@live.task\nasync def moved(point: Point) -> Point:\n    print('moving')\n    return Point(point.norm())",
        "@warm.task\nasync def path(n: int) -> list[int]:\n    return [(await moved(Point(at))).x for at in range(n)]",
        "r = flyte.run(path, 3)\nnames = [a.name for a in r.actions()]",
        "%%flyte run --cache auto --name total\ntotal = sum(r_values)\ntotal",
    ]
    for started in (kernel, other):
        started.ok("r_values = [1, 2, 3]")
        for cell in cells:
            last = started.ok(cell)
    assert "Unchanged, so it did not run again" in last.stdout
    assert told(other, "r.root.source.partition(':')[0], r.outputs()[0]") == "('cache', [0, 3, 6])"
    run = "r = flyte.with_runcontext(disable_run_cache=True).run(path, 3)"
    names = [told(started, "[a.name for a in r.actions()]") for started in (kernel, other) if started.ok(run)]
    assert names[0] == names[1] and names[0].count("'") == 8


def test_two_notebooks_with_the_same_names_do_not_get_each_others_results(kernel: Kernel, other: Kernel) -> None:
    for started, step in ((kernel, 1), (other, 2)):
        started.ok(f"def helper(x): return x + {step}")
        started.ok("@live.task\ndef shared(x: int) -> int:\n    return helper(x)")
        assert told(started, "of(shared, 20)[0]") == str(20 + step)
    assert told(kernel, "of(shared, 20)") == "(21, 'cache')"
    assert told(other, "of(shared, 20)") == "(22, 'cache')"


def test_a_failure_is_entered_again_in_a_kernel_that_never_ran_its_cells(kernel: Kernel, other: Kernel) -> None:
    kernel.ok("def divided(x, by): return x / by\n@dataclass\nclass Part:\n    x: int\n    by: int")
    kernel.ok("@warm.task\ndef half(x: int) -> Part:\n    print('halving')\n    return Part(x, x - 4)")
    kernel.ok("@warm.task\ndef quotient(x: int) -> float:\n    part = half(x)\n    return divided(part.x, part.by)")
    assert kernel.run("flyte.run(quotient, 4)").of("error")
    run = told(kernel, "flyte.last_run.name")
    outputs = other.run(f"%flyte debug {run}")
    assert "return x / by" in outputs.traceback and "halving" not in outputs.stdout
    assert "4" in other.run("%debug", answers=["p x", "q"]).stdout
    assert told(other, "'divided' in dir()") == "False"

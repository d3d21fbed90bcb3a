"""The house's lines (docs: imports point one way): where a module may look, how large it may be, what it must say.

A *room* is a folder of the package, or a public submodule that stands for one.
"""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
PACKAGE = PROJECT / "flyte_nb"
MODULES = sorted(PACKAGE.rglob("*.py"))

# Lower layers first. The rooms of one set may import one another; sets of one layer stand side by side and may not.
LAYERS: list[list[set[str]]] = [
    [{"as_flyte", "errors", "interface", "models", "syncify"}],
    [{"authoring", "durable", "storage", "extend", "notify"}],
    [{"types"}],
    [{"io", "report"}],
    [{"store"}, {"executors"}],
    [{"engine"}],
    [{"checking"}],
    [{"remote"}],
    [{"notebook"}, {"cli"}],
    [{"server", "sdk"}],  # both know the wire protocol; `sdk` is the process of Flyte's SDK, a program of its own
]
GROUPS = {
    room: (level, group) for level, layer in enumerate(LAYERS) for group, rooms in enumerate(layer) for room in rooms
}
TOP = len(LAYERS)

# The store knows rows and digests, not tasks.
FORBIDDEN = {"store": {"authoring"}}

# Only these may be imported inside a function: heavy, and not needed by every task file.
HEAVY = {
    "IPython",
    "PIL",
    "anywidget",
    "comm",
    "dotenv",
    "duckdb",
    "flyte",
    "ipykernel",
    "ipywidgets",
    "jupyter_client",
    "jupyter_server",
    "keyring",
    "matplotlib",
    "nest_asyncio2",
    "numpy",
    "pandas",
    "polars",
    "psutil",
    "pyarrow",
    "pydantic",
    "pydantic_core",
    "sklearn",
    "torch",
    "traitlets",
    "yaml",
}

# Only server/, and what runs in the process of the official SDK, may know these.
WIRE = {"flyte", "flyteidl", "flyteidl2", "google.protobuf"}

HARD_LIMIT, SOFT_LIMIT = 600, 400
OVER_SOFT_LIMIT = {
    "flyte_nb/errors.py",  # Flyte's whole tree of errors, a few lines each
    "flyte_nb/engine/controller.py",  # one stack of small methods, read from the top
    "flyte_nb/executors/worker/namespace.py",  # what pickles and calls find in a worker, kept in one set of tables
    "flyte_nb/executors/workers.py",  # one connection: each message with what answers it
    "tests/engine/process_tasks.py",  # the tasks of several tests, in one module as a user would have them
    "tests/engine/test_recovery.py",  # one program after another, each killed and recovered
    "tests/executors/test_admission.py",  # a machine's worth of cases, and their state machine
    "tests/executors/test_memory.py",  # the same cases over two ways to read memory
    "tests/executors/test_pool.py",  # one clock and one kind of toy worker for all cases
    "flyte_nb/authoring/image.py",  # one builder, a method for each kind of layer
}
"""Files between the limits, each with its reason beside it."""


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


SDK_PROCESS = "flyte_nb.remote.backend.sdk"


def room_of(name: str) -> str:
    """The room of a module of ours; "" for the root itself."""
    if belongs_to(name, {SDK_PROCESS}):
        return "sdk"
    return name.split(".")[1] if "." in name else ""


def place_of(room: str) -> tuple[int, int]:
    """Layer and group; the root and what only helps users (testing) are above all."""
    return GROUPS.get(room, (TOP, 0))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def imports(path: Path) -> tuple[tuple[str, int, bool], ...]:
    """Every import as (module, line, inside a function); those under `if TYPE_CHECKING:` bind nothing at run time."""

    def walk(node: ast.AST, local: bool) -> Iterator[tuple[str, int, bool]]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno, local
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: import absolutely inside the package"
            assert node.module is not None
            for alias in node.names:
                submodule = PACKAGE / alias.name
                ours = node.module == "flyte_nb" and (submodule.is_dir() or submodule.with_suffix(".py").exists())
                yield f"flyte_nb.{alias.name}" if ours else node.module, node.lineno, local
        inner = local or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inner)

    return tuple(walk(tree_of(path), False))


def is_ours(name: str) -> bool:
    return name.split(".")[0] == "flyte_nb"


def belongs_to(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def test_imports_between_rooms_point_one_way() -> None:
    wrong = []
    for path in MODULES:
        room = room_of(module_name(path))
        level, group = place_of(room)
        for name, line, _ in imports(path):
            if not is_ours(name):
                continue
            target = room_of(name)
            target_level, target_group = place_of(target)
            same_room = target == room or (target_level, target_group) == (level, group)
            if target in FORBIDDEN.get(room, ()) or not (same_room or target_level < level):
                wrong.append(f"{path.relative_to(PROJECT)}:{line}: {room or 'the root'} may not import {name}")
    assert not wrong, "\n".join(wrong)


def test_only_heavy_optional_packages_are_imported_inside_functions() -> None:
    wrong = [
        f"{path.relative_to(PROJECT)}:{line}: {name} belongs at the top of the file"
        for path in MODULES
        for name, line, local in imports(path)
        if local and not belongs_to(name, HEAVY)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_wire_protocol_lives_in_the_server_and_in_the_process_of_the_official_sdk() -> None:
    knowing = {module_name(path) for path in MODULES for name, _, _ in imports(path) if belongs_to(name, WIRE)}
    outside = {name for name in knowing if room_of(name) not in ("server", "sdk")}
    assert not outside, f"only {SDK_PROCESS} may talk to the official SDK, these do: {sorted(outside)}"
    loaded = "import sys, flyte_nb.remote.setup, flyte_nb.remote.launch; print('flyte' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", loaded], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("import flyte_nb", id="import"),
        pytest.param(
            "import flyte_nb as flyte\n"
            "env = flyte.TaskEnvironment('demo')\n"
            "@env.task\n"
            "async def double(x: int) -> int:\n"
            "    return x * 2\n",
            id="task_file",
        ),
    ],
)
def test_a_task_file_loads_nothing_heavy(source: str) -> None:
    check = f"{source}\nimport sys\nprint(sorted({{'duckdb', 'pydantic', 'IPython', 'ipywidgets'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", check], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_files_stay_small() -> None:
    sources = [
        path for folder in ("flyte_nb", "tests", "benchmarks", "scripts") for path in (PROJECT / folder).rglob("*.py")
    ]
    sources += [path for pattern in ("*.ts", "*.css") for path in (PROJECT / "labextension" / "src").rglob(pattern)]
    lines = {str(path.relative_to(PROJECT)): len(path.read_text(encoding="utf-8").splitlines()) for path in sources}
    too_large = {name: count for name, count in lines.items() if count > HARD_LIMIT}
    assert not too_large, f"over {HARD_LIMIT} lines: {too_large}"
    large = {name: count for name, count in lines.items() if count > SOFT_LIMIT and name not in OVER_SOFT_LIMIT}
    assert not large, f"over {SOFT_LIMIT} lines; split by noun, or name the reason in OVER_SOFT_LIMIT: {large}"


def test_every_public_module_has_a_docstring_and_all() -> None:
    wrong = []
    for path in MODULES:
        tree = tree_of(path)
        if not tree.body:  # an empty __init__.py
            continue
        if any(part.startswith("_") and part != "__init__.py" for part in path.relative_to(PACKAGE).parts):
            continue
        names = {target.id for node in tree.body for target in _targets(node) if isinstance(target, ast.Name)}
        if ast.get_docstring(tree) is None:
            wrong.append(f"{path.relative_to(PROJECT)}: no docstring")
        if "__all__" not in names and len(tree.body) > 1:
            wrong.append(f"{path.relative_to(PROJECT)}: no __all__")
    assert not wrong, "\n".join(wrong)


def _targets(node: ast.stmt) -> list[ast.expr]:
    if isinstance(node, ast.AnnAssign):
        return [node.target]
    return node.targets if isinstance(node, ast.Assign) else []


def test_the_public_face_is_sorted_and_whole() -> None:
    face = importlib.import_module("flyte_nb")
    assert list(face.__all__) == sorted(set(face.__all__))
    missing = [name for name in face.__all__ if not hasattr(face, name)]
    assert not missing, missing


def test_every_name_in_all_exists() -> None:
    for path in MODULES:
        if path.name == "__main__.py" or belongs_to(module_name(path), {SDK_PROCESS}):
            continue  # the SDK is never loaded here
        module = importlib.import_module(module_name(path))
        missing = [name for name in getattr(module, "__all__", ()) if not hasattr(module, name)]
        assert not missing, f"{module.__name__}: {missing}"

"""Writes a small store of this release as a test fixture: `python scripts/store_fixture.py`.

    tests/fixtures/store-VERSION.zip    a database with a run that succeeded and one that failed, their values and code,
                                        a deployed task with a trigger (from version 3 on), and a journal that nobody
                                        has folded: of a process that was killed in mid-run
    tests/fixtures/run-VERSION.zip      the failed run, as `flyte-nb export` writes it

Later releases must open, read and recover them (`tests/store/test_fixtures.py`); so a fixture is written once for each
version of the store, with the release that brings it, and never again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from flyte_nb.store.archive import ARCHIVE_VERSION
from flyte_nb.store.home import STORE_VERSION, Home
from flyte_nb.store.queries import Store
from flyte_nb.store.transfer import export_run

PROJECT = Path(__file__).resolve().parent.parent
FIXTURES = PROJECT / "tests" / "fixtures"
TASKS = """
import os, signal, sys
from pathlib import Path

import flyte_nb as flyte
from flyte_nb.store.owner import Owner

Owner.current = classmethod(lambda cls: cls("elsewhere", "", "", 1, ""))  # of no machine in particular
env = flyte.TaskEnvironment("shop")
offers = flyte.TaskEnvironment("offers")

@flyte.trace
async def price(item: str) -> int:
    return len(item)

@env.task
async def fit(depth: int) -> str:
    print("fitting", depth)
    return "x" * depth

@env.task
async def main(items: list[str], good: bool) -> int:
    total = sum([await price(item) for item in items])
    large = await fit(2_000_000)
    if not good and not Path(os.environ["FLYTE_NB_HOME"], "repaired").exists():
        raise flyte.errors.RuntimeSystemError("Unlucky", "unlucky")
    return total + len(large)

@offers.task(triggers=flyte.Trigger.daily(inputs={"price": 2.0}))
async def discount(price: float, rate: float = 0.1) -> float:
    return price * (1 - rate)

@env.task
async def crash(items: list[str]) -> int:
    total = sum([await price(item) for item in items])
    os.kill(os.getpid(), signal.SIGKILL)
    return total

if sys.argv[1] == "crash":
    flyte.with_runcontext(name="crashed").run(crash, ["a", "bc"])
else:
    flyte.deploy(offers, version="v1")
    flyte.with_runcontext(name="succeeded", labels={"team": "red"}).run(main, ["a", "bc"], True)
    try:
        flyte.with_runcontext(name="failed").run(main, ["a", "bc"], False)
    except flyte.errors.RuntimeSystemError:
        pass
"""


def main() -> None:
    """Makes the store in a folder of its own, and packs it."""
    store_file = FIXTURES / f"store-{STORE_VERSION}.zip"
    run_file = FIXTURES / f"run-{ARCHIVE_VERSION}.zip"
    FIXTURES.mkdir(exist_ok=True)
    store_file.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder, "store"))
        run_tasks(home, "finish")
        store = Store(home)
        assert [run.name for run in store.runs()] == ["failed", "succeeded"]
        if not run_file.exists():
            export_run(home, "failed", run_file)
        store.close()
        run_tasks(home, "crash")
        pack(home.path, store_file)


def run_tasks(home: Home, what: str) -> None:
    environment = {**os.environ, "FLYTE_NB_HOME": str(home.path), "PYTHONPATH": str(PROJECT)}
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "shop.py")
        script.write_text(TASKS)
        subprocess.run([sys.executable, script.name, what], cwd=folder, env=environment, check=what == "finish")


def pack(folder: Path, archive: Path) -> None:
    """The folder as a zip; of empty folders nothing but their names."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as members:
        for path in sorted(folder.rglob("*")):
            if not path.name.endswith(".lock"):
                members.write(path, path.relative_to(folder))


if __name__ == "__main__":
    main()

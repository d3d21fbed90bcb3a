"""Pruning what clients of a server put beside a store: what a run or deployed task names stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

import flyte_nb as flyte
from flyte_nb.io import File
from flyte_nb.remote import prune
from flyte_nb.remote.source import source
from flyte_nb.remote.upkeep.housekeeping import prune_runs
from flyte_nb.store.deployment_events import TaskDeployed, TriggerDeployed
from flyte_nb.store.deployments import Deployments
from flyte_nb.store.uploaded import FORGOTTEN_SECONDS
from flyte_nb.store.values import ValueStore

env = flyte.TaskEnvironment("uploaded")


@env.task
async def read(file: File, where: str) -> str:
    return where


def put(name: str, age_seconds: float = 2 * FORGOTTEN_SECONDS, content: bytes = b"x" * 1000) -> str:
    """A file that a client put so long ago; its address."""
    folder = source.store.home.ensure().uploads
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    then = time.time() - age_seconds
    for changed in (path, *path.parents[: len(path.relative_to(folder).parts) - 1]):
        os.utime(changed, (then, then))
    return path.as_uri()


def left() -> set[str]:
    folder = source.store.home.uploads
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def deployed_with(bundle: str, inputs: str) -> None:
    """A task and a trigger as Flyte's own client deploys them: what it said names a bundle, or a file."""
    values = ValueStore(source.store.home)
    task, trigger = (values.put([b"\x0a" + text.encode() + b"\x12"]) for text in (bundle, inputs))
    Deployments(source.store.home).record(
        [
            TaskDeployed("off.task", "v1", 1, "off", "", "", "", [], [], {}, b"", b"", wire=task),
            TriggerDeployed("off.task", "nightly", "v1", 1, True, {"kind": "none"}, wire=trigger),
        ]
    )


def test_what_a_run_or_a_deployed_task_names_stays_and_what_nothing_names_goes() -> None:
    run = flyte.with_runcontext(name="kept").run(read, File(path=put("aa11/data.csv")), put("my files/note.txt"))
    deployed_with(put("bb22/code.tar.gz"), put("cc33/table.parquet"))
    put(f"runs/{run.name}/a0/1/outputs.pb")
    put("cache/aa.json", content=msgspec.json.encode({"run": run.name}))
    put("dd44/lately.tar.gz", age_seconds=FORGOTTEN_SECONDS / 2)
    put("inputs/lately.pb", age_seconds=60)
    kept = left()
    put("cache/bb.json", content=msgspec.json.encode({"run": "nobody"}))
    put("ee55/nobody.tar.gz")
    put("inputs/nobody.pb")
    put("runs/nobody/a0/1/outputs.pb")
    put("aa/short.txt")  # the beginning of another's name
    assert prune_runs(None, None, None, dry_run=True).startswith("Would delete 4 uploads of clients;")
    assert prune().uploads == 4
    assert left() == kept | {"aa/short.txt"}


def test_what_a_deleted_run_named_or_wrote_goes_with_it() -> None:
    run = flyte.with_runcontext(name="gone").run(read, File(path=put("aa11/data.csv")), "")
    put(f"runs/{run.name}/a0/1/outputs.pb", age_seconds=0)
    put(f"tracked-runs/{run.name}/a0/inputs.pb", age_seconds=0)
    put("runs/starting/inputs.pb", age_seconds=0)
    assert prune(keep=0).uploads == 3
    assert left() == {str(Path("runs") / "starting" / "inputs.pb")}

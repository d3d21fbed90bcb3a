"""Code digests in real kernels: what a notebook says, two kernels agree on, whatever their hash seeds."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager

from tests.engine.digest_program import CELLS, NAMES, Cells, write_modules

PROJECT = Path(__file__).resolve().parents[2]
DIGESTS = f"""
import json
from flyte_nb.engine.code.digests import deep_digest, explain, own_digest
names = {NAMES!r}
digests = {{name: own_digest(globals()[name]) for name in names}}
deep = {{name: deep_digest(globals()[name]) for name in names}}
kinds = {{entry.kind for name in names for entry in explain(globals()[name])}}
print(json.dumps([digests, deep, sorted(kinds)]))
"""


@contextmanager
def kernel(hash_seed: int, folder: Path) -> Iterator[BlockingKernelClient]:
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": f"{PROJECT}:{folder}"}
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env=environment, cwd=str(folder))
    client: BlockingKernelClient = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


def run(client: BlockingKernelClient, cell: str) -> str:
    """What a cell prints."""
    printed: list[str] = []

    def listen(message: dict[str, dict[str, str]]) -> None:
        if message["header"]["msg_type"] == "stream":
            printed.append(message["content"]["text"])

    reply = client.execute_interactive(cell, output_hook=listen, timeout=60)
    assert reply["content"]["status"] == "ok", reply["content"].get("traceback")
    return "".join(printed)


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[BlockingKernelClient]]:
    """Two kernels that ran the program, with different hash seeds."""
    folder = tmp_path_factory.mktemp("project")
    write_modules(folder)
    with ExitStack() as stack:
        clients = [stack.enter_context(kernel(seed, folder)) for seed in (1, 2)]
        for client in clients:
            for cell in CELLS:
                run(client, cell)
        yield clients


def test_kernels_with_different_hash_seeds_agree(kernels: list[BlockingKernelClient]) -> None:
    own, deep, kinds = zip(*(json.loads(run(client, DIGESTS)) for client in kernels), strict=True)
    assert own[0] == own[1]
    assert deep[0] == deep[1]
    assert len(set(own[0].values())) == len(NAMES)
    assert "bytecode" not in kinds[0], "the source of every cell was believed"


def test_a_kernel_agrees_with_a_plain_process(
    kernels: list[BlockingKernelClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flyte_nb.engine.code.digests import own_digest

    write_modules(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    cells = Cells(*CELLS)
    own, _, _ = json.loads(run(kernels[0], DIGESTS))
    assert own == {name: own_digest(cells[name]) for name in NAMES}


def test_an_edited_cell_changes_its_dependants_and_running_it_as_it_was_restores_them(
    kernels: list[BlockingKernelClient],
) -> None:
    before, *_ = json.loads(run(kernels[1], DIGESTS))
    run(kernels[1], "# another cell\ndef shown(x):\n    return str(x)")
    after, *_ = json.loads(run(kernels[1], DIGESTS))
    assert {name for name in NAMES if before[name] != after[name]} == {"coloured"}
    run(kernels[1], CELLS[2])
    assert json.loads(run(kernels[1], DIGESTS))[0] == before

"""Executes notebooks/quickstart.ipynb as it stands, saves the executed copy and prints the runs that it drew."""

from __future__ import annotations

import asyncio
from pathlib import Path

import nbformat
from nbclient import NotebookClient

PROJECT = Path(__file__).resolve().parent.parent
NOTEBOOK = PROJECT / "notebooks" / "quickstart.ipynb"
EXECUTED = PROJECT / "build" / "quickstart.ipynb"
RUN_MIME = "application/vnd.flyte.run+json"


def main() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOK.parent)}}
    )
    asyncio.run(client.async_execute())
    EXECUTED.parent.mkdir(exist_ok=True)
    nbformat.write(notebook, EXECUTED)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            bundle = output.get("data", {})
            if RUN_MIME in bundle:
                print(bundle["text/plain"], end="\n\n")
    print(f"Executed: {EXECUTED.relative_to(PROJECT)}. Open it with `make lab`.")


if __name__ == "__main__":
    main()

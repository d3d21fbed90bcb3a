"""A flyte_nb server and Flyte's own SDK as its client, each in a process of its own, for a module of tests."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
ANSWERING_SECONDS = 100
ENDING_SECONDS = 20


class ClientError(Exception):
    """What Flyte's client raised: `kind` is the class, the text its message."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Client:
    """Flyte's SDK in a process: evaluates expressions over `flyte`, `remote` and what `run` has bound."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, expression: str, **names: Any) -> Any:
        """The value of an expression, as JSON says it; coroutines are awaited, iterators are read to their end."""
        return self._ask({"expression": expression, "names": names})

    def run(self, statements: str) -> None:
        """Executes statements; what they bind stays."""
        self._ask({"statements": statements})

    def _ask(self, question: Mapping[str, Any]) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], ANSWERING_SECONDS)[0]:
            self._process.kill()  # the next question finds nobody, and waits for nothing
            raise TimeoutError(f"The client did not answer within {ANSWERING_SECONDS} s: {question}")
        answer = json.loads(self._process.stdout.readline() or '{"kind": "Ended", "message": "the client ended"}')
        if "kind" in answer:
            raise ClientError(answer["kind"], answer["message"])
        return answer["value"]


@contextmanager
def served(home: Path, *options: str, env: Mapping[str, str] | None = None) -> Iterator[str]:
    """The address of a server of a store, while it runs."""
    command = [sys.executable, "-c", "from flyte_nb.cli.main import main; main()", "serve", *options]
    variables = {**os.environ, "FLYTE_NB_HOME": str(home), "PYTHONPATH": str(PROJECT), **(env or {})}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=variables, cwd=home.parent) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert " at http" in line, line
            yield line.split(" at ")[1].split()[0]
        finally:
            process.terminate()
            try:
                process.wait(ENDING_SECONDS)
            finally:
                process.kill()


@contextmanager
def official_client(url: str, folder: Path, env: Mapping[str, str] | None = None, **options: Any) -> Iterator[Client]:
    """Flyte's own SDK, set up for a server."""
    script = Path(__file__).with_name("wire_client.py")
    given = json.dumps({"endpoint": url, "insecure": True, "project": "p", "domain": "d", "org": "o", **options})
    variables = {**os.environ, "PYTHONPATH": str(PROJECT), "FLYTE_DISABLE_KEYRING": "1", **(env or {})}
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", str(script), given],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=variables,
        cwd=folder,
    ) as process:
        try:
            yield Client(process)
        finally:
            process.kill()  # also one that still waits for something

"""A Jupyter server of the tests' own with our extension enabled as the wheel enables it, and a store to read."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[2]
TOKEN = "secret-of-the-tests"
START_SECONDS = 60


@dataclass
class Server:
    """A running server: `root` is the folder that it shows."""

    url: str
    root: Path

    def ask(
        self,
        path: str,
        *,
        token: str = TOKEN,
        body: Any = None,
        headers: dict[str, str] | None = None,
        method: str | None = None,
        **query: Any,
    ) -> tuple[int, Any]:
        """The status and the JSON of an answer; a request with a body is a POST unless `method` says otherwise, bytes
        are sent as they are."""
        address = f"{self.url}/flyte-nb/{path}?{urllib.parse.urlencode(query, doseq=True)}"
        sent = {"Authorization": f"token {token}"} if token else {}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(address, data, {**sent, **(headers or {})}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def get(self, path: str, **query: Any) -> Any:
        """What a question that is answered is answered with."""
        status, answer = self.ask(path, **query)
        assert status == 200, answer
        return answer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A hermetic Jupyter server over an empty folder; projects in it are found as everywhere."""
    base = tmp_path_factory.mktemp("server")
    root = base / "root"
    root.mkdir()
    (root / "pyproject.toml").touch()
    enabled = base / "config" / "jupyter_server_config.d"
    enabled.mkdir(parents=True)
    shutil.copy(PROJECT / "labextension" / "server.json", enabled / "flyte_nb.json")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folders = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    environment = {name: value for name, value in os.environ.items() if name != "FLYTE_NB_HOME"}
    environment |= {name: str(base / name.split("_")[1].lower()) for name in folders} | {"PYTHONPATH": str(PROJECT)}
    command = [
        *(sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"),
        *("--ServerApp.port_retries=0", f"--ServerApp.root_dir={root}", f"--IdentityProvider.token={TOKEN}"),
    ]
    log_path = base / "server.log"
    with log_path.open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=base)
    try:
        running = Server(f"http://127.0.0.1:{port}", root)
        _wait_until_up(running, process, log_path)
        yield running
    finally:
        process.terminate()
        process.wait(20)


def _wait_until_up(server: Server, process: subprocess.Popen[bytes], log_path: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            server.ask("stores")
            return
        except (urllib.error.URLError, ConnectionError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The server did not start:\n{log_path.read_text()}") from None
            time.sleep(0.1)

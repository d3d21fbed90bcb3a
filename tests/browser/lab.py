"""A JupyterLab server of the tests' own, and what a reader does in it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Page, expect

PROJECT = Path(__file__).parents[2]
LABEXTENSION = PROJECT / "flyte_nb" / "notebook" / "labextension"
SERVER_EXTENSION = PROJECT / "labextension" / "server.json"
MIME = "application/vnd.flyte.run+json"
READY_MS = 60_000
START_SECONDS = 60
STOP_SECONDS = 20
SAVES = 3
SAVE_SECONDS = 20
"""After so long the keys are pressed once more: a page that is busy just then may lose them."""
PICTURES = os.environ.get("FLYTE_NB_PICTURES")
"""A folder for screenshots, for people who want to look."""


@dataclass
class Lab:
    """A running server: `url` without a slash at the end, `root` the folder that it serves."""

    url: str
    root: Path

    def write(self, name: str, cells: Sequence[str]) -> str:
        """Writes a notebook of these code cells under the root; returns its name."""
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        code: dict[str, Any] = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
        notebook = {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {"kernelspec": kernel},
            "cells": [{**code, "id": f"cell-{k}", "source": cell} for k, cell in enumerate(cells)],
        }
        (self.root / name).write_text(json.dumps(notebook))
        return name

    def use_theme(self, theme: str) -> None:
        """`JupyterLab Light` or `JupyterLab Dark`, for pages opened from now on."""
        self.set("themes", theme=theme)

    def set(self, group: str, **settings: Any) -> None:
        """Settings of one group of the application, for pages opened from now on."""
        folder = self.root / "settings" / "@jupyterlab" / "apputils-extension"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{group}.jupyterlab-settings").write_text(json.dumps(settings))

    def end_kernels(self) -> None:
        """Ends every kernel, as a reader who shuts all of them down."""
        for item in json.loads(self._request("/api/sessions")):
            self._request(f"/api/sessions/{item['id']}", "DELETE")

    def _request(self, path: str, method: str = "GET") -> bytes:
        with urllib.request.urlopen(urllib.request.Request(self.url + path, method=method)) as answer:
            return bytes(answer.read())


@contextmanager
def running_lab(root: Path) -> Iterator[Lab]:
    """A hermetic JupyterLab over `root`: settings and kernels' folders of its own, this checkout's front end."""
    extensions = root / "labextensions"
    extensions.mkdir()
    (extensions / "flyte-nb").symlink_to(LABEXTENSION, target_is_directory=True)
    enabled = root / "config" / "jupyter_server_config.d"
    enabled.mkdir(parents=True)
    shutil.copy(SERVER_EXTENSION, enabled / "flyte_nb.json")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folders = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
        "FLYTE_NB_HOME": "flyte_nb_home",
    }
    environment: dict[str, Any] = {
        **os.environ,
        **{name: str(root / folder) for name, folder in folders.items()},
        "PYTHONPATH": str(PROJECT),
    }
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"),
        *("--ServerApp.port_retries=0", f"--ServerApp.root_dir={root}", "--ServerApp.password="),
        *("--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True"),
        *(f"--{app}.extra_labextensions_path={extensions}" for app in ("LabApp", "JupyterNotebookApp")),
    ]
    log_path = root / "lab.log"
    with log_path.open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_up(url, process, log_path)
        lab = Lab(url, root)
        lab.set("notification", fetchNews="false", checkForUpdates=False)
        yield lab
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Asks the server to end, kernels included; ends it and what it started where it does not."""
    children = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:  # a server that is restarting a kernel forgets that it was asked
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(children, timeout=STOP_SECONDS)
    for child in alive:
        child.kill()


def _wait_until_up(url: str, process: subprocess.Popen[bytes], log_path: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(f"{url}/api/status").close()
            return
        except (urllib.error.URLError, ConnectionError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"JupyterLab did not start:\n{log_path.read_text()}") from None
            time.sleep(0.1)


def open_notebook(page: Page, lab: Lab, name: str, *, kernel: bool = True) -> None:
    """Opens a notebook of the lab in a fresh workspace and waits for its cells and, unless told not to, its kernel."""
    page.goto(f"{lab.url}/lab/tree/{name}?reset")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=READY_MS)
    if kernel:
        wait_until_idle(page)


def take(page: Page, name: str) -> None:
    """Takes a screenshot where somebody wants to look."""
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES) / f"{name}.png"))


def wait_until_idle(page: Page) -> None:
    """Waits for the kernel: the first Shift+Enter before that would be lost."""
    page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for(timeout=READY_MS)


def run_cell(page: Page, index: int) -> None:
    """Runs one cell as a reader does and returns at once."""
    editor = page.locator(".jp-Notebook .jp-Cell").nth(index).locator(".jp-InputArea-editor")
    editor.click()
    expect(editor.locator(".cm-focused")).to_be_visible()
    page.keyboard.press("Shift+Enter")


def interrupt_kernel(page: Page) -> None:
    """Stops what the kernel executes, as a reader does with the button."""
    page.locator(".jp-NotebookPanel-toolbar [data-jp-item-name=interrupt] jp-button").click()


def restart_kernel(page: Page) -> None:
    page.locator(".jp-NotebookPanel-toolbar [data-jp-item-name=restart] jp-button").click()
    page.locator(".jp-Dialog button.jp-mod-warn").click()
    page.locator("#jp-main-statusbar").get_by_text("| Restarting").wait_for(state="hidden")
    wait_until_idle(page)


def save(page: Page, lab: Lab, name: str) -> dict[str, Any]:
    """Saves the open notebook and returns what is on disk then."""
    path = lab.root / name
    before = path.stat().st_mtime_ns
    for _ in range(SAVES):
        page.locator(".jp-NotebookPanel-toolbar").click(position={"x": 2, "y": 2})
        page.keyboard.press("Control+s")
        deadline = time.monotonic() + SAVE_SECONDS
        while time.monotonic() < deadline:
            page.wait_for_timeout(50)
            if path.stat().st_mtime_ns != before:
                with suppress(json.JSONDecodeError):  # the server is still writing
                    return dict(json.loads(path.read_text()))
    raise TimeoutError(f"{name} was not saved")


def display_of(saved: dict[str, Any]) -> dict[str, Any]:
    """The bundle of the only run in a notebook."""
    (bundle,) = [out["data"] for cell in saved["cells"] for out in cell["outputs"] if MIME in out.get("data", {})]
    return dict(bundle)

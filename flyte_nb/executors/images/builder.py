"""Makes a virtual environment from a recipe, with uv.

    uv venv -> one call of uv per step -> uv pip install what the worker needs

uv is a program of its own: `pip install uv`, or the extra `flyte_nb[images]`. It finds packages where it is told to
(its own variables and uv.toml), else where this Python's pip is told to, else in the public index.
"""

from __future__ import annotations

import ast
import asyncio
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from flyte_nb.errors import ImageBuildError
from flyte_nb.executors.images.recipe import Recipe, Step, without_credentials, worker_packages

__all__ = ["build"]

IO_PACKAGE = "pydantic"
"""An image that has it, in whatever version, keeps its own."""

KEPT_LINES = 400
SHOWN_LINES = 20
SAID_BY_EVERY_CALL = "Using Python "

UNREACHABLE = "error sending request"
UNREACHABLE_CURE = (
    "The package index was not reached. Check the network and the proxy; with UV_OFFLINE=1 uv takes what it has "
    "downloaded before."
)
CONFLICT_CURE = "The worker itself needs {}, as the kernel has it: leave its version out of the image."

UV_INDEXES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_CONFIG_FILE")
UV_FILES = (Path("/etc/uv/uv.toml"), Path("~/.config/uv/uv.toml"))
UV_NAMES_OF_PIP = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
}
MISLEADING_UV = ("UV_PROJECT_ENVIRONMENT", "UV_SYSTEM_PYTHON", "UV_PROJECT", "CONDA_PREFIX")
"""Variables of the kernel that would lead uv to another environment."""


async def build(recipe: Recipe, folder: Path, say: Callable[[str], None], held_fd: int) -> None:
    """Makes the environment in `folder`, which does not exist yet.

    Args:
        recipe: what goes into it.
        folder: where; it can be moved afterwards. Left half-built when this fails or is cancelled.
        say: told what is done, and what uv says.
        held_fd: a lock that uv holds on to, so that nobody else builds while a uv whose parent died goes on.

    Raises:
        flyte_nb.errors.ImageBuildError: uv is missing, or it failed; the message has its last words.
    """
    uv = Uv(find_uv(), await asyncio.to_thread(package_indexes), folder, say, held_fd)
    await uv.run("venv", ["venv", "--quiet", "--relocatable", "--no-project", "--python", sys.executable, str(folder)])
    with tempfile.TemporaryDirectory(prefix="flyte_nb-image-") as temporary:
        needs = Path(temporary) / "needs.txt"
        needs.write_text("\n".join(worker_packages()), encoding="utf-8")
        for number, step in enumerate(recipe.steps, 1):
            say(f"{number}/{len(recipe.steps)} {step.title}")
            arguments = [os.path.expandvars(argument) for argument in step.arguments]
            if arguments[0] == "pip":
                arguments += ["--constraint", str(needs)]
            place = await asyncio.to_thread(_stage, step, Path(temporary) / str(number)) if step.staged else None
            await uv.run(step.title, arguments, dict(step.variables), place)
    await uv.run("what flyte_nb needs", ["pip", "install", *_still_needed(folder)])


class Uv:
    """uv for one environment.

    Args:
        program: where it is.
        indexes: variables that say where packages come from.
        folder: the environment.
        say: told each line of its output.
        held_fd: a descriptor that it keeps open.
    """

    def __init__(
        self, program: str, indexes: dict[str, str], folder: Path, say: Callable[[str], None], held_fd: int
    ) -> None:
        self._program = program
        self._say = say
        self._held_fd = held_fd
        self._environ = {name: value for name, value in os.environ.items() if name not in MISLEADING_UV} | indexes
        self._environ |= {"VIRTUAL_ENV": str(folder), "UV_PYTHON": str(folder / "bin" / "python")}
        self._environ |= {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}

    async def run(
        self,
        title: str,
        arguments: Sequence[str],
        variables: Mapping[str, str] | None = None,
        place: Path | None = None,
    ) -> None:
        """One call; a cancelled one is killed with all that it started.

        Raises:
            flyte_nb.errors.ImageBuildError: it failed.
        """
        process = await asyncio.create_subprocess_exec(
            self._program,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**self._environ, **(variables or {})},
            cwd=place,
            start_new_session=True,
            pass_fds=(self._held_fd,),
        )
        assert process.stdout is not None
        try:
            lines = await self._read(process.stdout)
            failed = await process.wait() != 0
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await asyncio.shield(process.wait())
        if failed:
            raise ImageBuildError(f"{title} could not be installed:\n{last_words(lines)}{_cure(lines)}")

    async def _read(self, output: asyncio.StreamReader) -> list[str]:
        """Its last lines, each said as it comes."""
        lines: deque[str] = deque(maxlen=KEPT_LINES)
        rest = b""
        while piece := await output.read(65_536):
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                text = without_credentials(line.decode("utf-8", "replace").rstrip())
                lines.append(text)
                if not text.startswith(SAID_BY_EVERY_CALL):
                    self._say(text.strip())
        return [*lines, rest.decode("utf-8", "replace")] if rest else list(lines)


def find_uv() -> str:
    """The program: this Python's own, or the one on PATH.

    Raises:
        flyte_nb.errors.ImageBuildError: there is none.
    """
    scripts = [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user"))]
    found = shutil.which("uv", path=os.pathsep.join([*scripts, os.environ.get("PATH", "")]))
    if found is None:
        raise ImageBuildError(
            "isolation='virtualenv' needs uv, which builds the virtual environments, and it is not installed. "
            "Get it with `pip install uv` (or `pip install 'flyte_nb[images]'`)."
        )
    return found


def package_indexes() -> dict[str, str]:
    """pip's settings as uv's variables; none where uv has settings of its own, or there is no pip."""
    if any(name in os.environ for name in UV_INDEXES) or any(file.expanduser().exists() for file in UV_FILES):
        return {}
    listing = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True)
    settings: dict[str, str] = {}
    for line in sorted(listing.stdout.splitlines(), key=_rank):
        name, _, value = line.partition("=")
        variable = UV_NAMES_OF_PIP.get(name.rpartition(".")[2])
        if variable is not None and value:
            settings[variable] = " ".join(str(ast.literal_eval(value)).split())
    if "UV_INDEX" in settings:
        settings["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # pip looks at all indexes alike
    if "UV_FIND_LINKS" in settings:
        settings["UV_FIND_LINKS"] = settings["UV_FIND_LINKS"].replace(" ", ",")
    return settings


def _rank(line: str) -> int:
    """Which of pip's settings count more: those of a command over global ones, variables over files."""
    return 2 if line.startswith(":env:.") else 1 if line.startswith("install.") else 0


def last_words(lines: Sequence[str]) -> str:
    """uv's error: from where it begins, its end where it is long."""
    begin = next((at for at, line in enumerate(lines) if line.startswith("error:")), max(0, len(lines) - SHOWN_LINES))
    said = [line for line in lines[begin:] if line.strip()]
    if len(said) > SHOWN_LINES:
        said = [*said[:3], "  ...", *said[-(SHOWN_LINES - 4) :]]
    return "\n".join(f"  {line}" for line in said)


def _cure(lines: Sequence[str]) -> str:
    """What to do about an error, where uv does not say it."""
    text = "\n".join(lines)
    if UNREACHABLE in text:
        return f"\n{UNREACHABLE_CURE}"
    conflicts = [package for package in worker_packages() if package in text]
    return f"\n{CONFLICT_CURE.format(' and '.join(conflicts))}" if conflicts else ""


def _still_needed(folder: Path) -> list[str]:
    """What a worker imports, and what flyte_nb's files and frames are made of unless the image has its own."""
    has_own = any(folder.glob(f"lib/python*/site-packages/{IO_PACKAGE}"))
    return [*worker_packages(), *([] if has_own else [f"{IO_PACKAGE}=={version(IO_PACKAGE)}"])]


def _stage(step: Step, folder: Path) -> Path:
    """A folder with copies of the step's files."""
    for name, path in step.staged:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return folder

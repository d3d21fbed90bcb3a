"""What this machine has that tasks can hold: cpus, memory, GPUs, as far as this process may use them.

    cpus     cores of the affinity mask, no more than the cpu quota of the control groups
    memory   of the machine, no more than the memory limit of the control groups
    gpus     NVIDIA devices, of which CUDA_VISIBLE_DEVICES may leave some

Found once: a machine does not change while a kernel lives.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Machine", "this_machine"]

PROC = Path("/proc")
NVIDIA_SMI_SECONDS = 10.0
HIDDEN_DEVICE = "-1"


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to hold.

    Attributes:
        cpus: cores; a fraction where a control group allows only part of one.
        memory_bytes: memory in all, not what is free now.
        gpus: devices, each named as CUDA_VISIBLE_DEVICES names it.
    """

    cpus: float
    memory_bytes: int
    gpus: tuple[str, ...] = ()

    @classmethod
    def detect(cls, proc: Path = PROC, variables: Mapping[str, str] = os.environ) -> Machine:
        """This machine, as this process may use it. Takes a millisecond; up to a second where `nvidia-smi` is asked.

        Args:
            proc: where the system describes itself.
            variables: environment variables of this process.
        """
        groups = list(_control_groups(proc))
        return cls(
            cpus=min([float(usable_cores()), *_cpu_quotas(groups)]),
            memory_bytes=min([_memory_bytes(proc), *_memory_limits(groups)]),
            gpus=_visible_gpus(_gpu_count(proc), variables.get("CUDA_VISIBLE_DEVICES")),
        )


@cache
def this_machine() -> Machine:
    """The machine, looked at once."""
    return Machine.detect()


def usable_cores() -> int:
    """The cores of this process's affinity mask."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_bytes(proc: Path) -> int:
    with suppress(OSError):
        for line in (proc / "meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemTotal:"):
                return int(line.split()[1]) * 1024
    import psutil

    return int(psutil.virtual_memory().total)


# ---------------------------------------------------------------- control groups


def _control_groups(proc: Path) -> Iterator[Path]:
    """Folders of the control groups that this process is in, of both versions, each group before its parents."""
    try:
        memberships = (proc / "self/cgroup").read_text(encoding="utf-8").splitlines()
        mounts = (proc / "self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    paths: dict[str, str] = {}
    for line in memberships:
        _, controllers, path = line.split(":", 2)
        paths.update(dict.fromkeys(controllers.split(","), path))  # version 2 has the empty name
    for line in mounts:
        mount, _, system = line.partition(" - ")
        root, place = mount.split(" ")[3:5]
        kind, _, options = system.split(" ", 2)
        names = [""] if kind == "cgroup2" else options.split(",") if kind == "cgroup" else []
        for group in {paths[name] for name in names if name in paths}:
            yield from _with_parents(Path(place), os.path.relpath(group, root))


def _with_parents(mount: Path, path: str) -> Iterator[Path]:
    """The group, its parents and the mount itself; only the mount where the path leads out of it, as in a container."""
    folder = mount / path
    if ".." not in folder.parts:
        while folder != mount:
            yield folder
            folder = folder.parent
    yield mount


def _cpu_quotas(groups: list[Path]) -> Iterator[float]:
    """Cores that the groups allow, where they bound them."""
    for group in groups:
        words = _read(group / "cpu.max") or f"{_read(group / 'cpu.cfs_quota_us')} {_read(group / 'cpu.cfs_period_us')}"
        with suppress(ValueError, ZeroDivisionError):
            quota, period = (int(word) for word in words.split())
            if quota > 0:
                yield quota / period


def _memory_limits(groups: list[Path]) -> Iterator[int]:
    """Bytes that the groups allow, where they bound them."""
    for group in groups:
        with suppress(ValueError):
            yield int(_read(group / "memory.max") or _read(group / "memory.limit_in_bytes"))


def _read(file: Path) -> str:
    """The words of a file, none where there is no such file."""
    try:
        return file.read_text(encoding="ascii").strip()
    except OSError:
        return ""


# ---------------------------------------------------------------- accelerators


def _gpu_count(proc: Path) -> int:
    """How many NVIDIA devices the driver knows; its command is asked only where it has no folder, as on WSL."""
    folder = proc / "driver/nvidia/gpus"
    if folder.is_dir():
        return len(list(folder.iterdir()))
    command = shutil.which("nvidia-smi")
    if command is None:
        return 0
    try:
        listed = subprocess.run([command, "-L"], capture_output=True, text=True, timeout=NVIDIA_SMI_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):  # installed, but there is no driver or no device
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


def _visible_gpus(count: int, visible: str | None) -> tuple[str, ...]:
    """The names of the devices that may be used; as CUDA reads its variable, the first unknown number ends the list."""
    numbers = [str(number) for number in range(count)]
    if visible is None or count == 0:
        return tuple(numbers)
    names = []
    for name in (word.strip() for word in visible.split(",")):
        if not name or name == HIDDEN_DEVICE or (name.isdigit() and name not in numbers):
            break
        names.append(name)
    return tuple(dict.fromkeys(names))

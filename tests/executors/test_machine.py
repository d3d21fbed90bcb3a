"""What the machine has: the smallest of what the hardware, the affinity mask and the control groups allow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flyte_nb.executors.limits.machine import Machine

GIB = 1 << 30


class System:
    """A `/proc` and the folders of control groups, as a kernel would show them."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.groups = folder / "proc", folder / "cgroup"
        self.write(self.proc / "meminfo", f"MemTotal:  {64 * GIB // 1024} kB\nMemFree: 1 kB\n")

    def write(self, file: Path, text: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="ascii")

    def version_2(self, path: str, root: str = "/") -> None:
        """This process is in a group of version 2; `root` is what of the hierarchy is mounted."""
        self.write(self.proc / "self/cgroup", f"0::{path}\n")
        self.write(self.proc / "self/mountinfo", f"31 23 0:28 {root} {self.groups} rw shared:9 - cgroup2 cgroup2 rw\n")

    def version_1(self, path: str, root: str = "/") -> None:
        """This process is in a group of version 1, with a hierarchy for each controller."""
        self.write(self.proc / "self/cgroup", f"4:memory:{path}\n1:cpu,cpuacct:{path}\n0::/\n")
        mounts = [
            f"32 31 0:29 {root} {self.groups}/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct",
            f"35 31 0:32 {root} {self.groups}/memory rw,relatime - cgroup cgroup rw,memory",
            "1 1 0:3 / / rw - ext4 /dev/root rw",
        ]
        self.write(self.proc / "self/mountinfo", "\n".join(mounts) + "\n")

    def detect(self, **variables: str) -> Machine:
        return Machine.detect(self.proc, variables)


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> System:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)))
    return System(tmp_path)


def test_this_machine_has_something() -> None:
    machine = Machine.detect()
    assert 0 < machine.cpus <= (os.cpu_count() or 1)
    assert machine.memory_bytes > 1 << 26


def test_without_control_groups_it_is_what_the_hardware_has(system: System) -> None:
    assert system.detect() == Machine(16.0, 64 * GIB, ())


def test_the_affinity_mask_counts(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5})
    assert system.detect().cpus == 2.0


def test_the_quota_and_the_memory_of_a_group_of_version_2_count(system: System) -> None:
    system.version_2("/user/notebook")
    system.write(system.groups / "user/notebook/cpu.max", "150000 100000\n")
    system.write(system.groups / "user/notebook/memory.max", f"{4 * GIB}\n")
    assert system.detect() == Machine(1.5, 4 * GIB, ())


def test_a_parents_bound_holds_for_the_group(system: System) -> None:
    system.version_2("/user/notebook")
    system.write(system.groups / "user/notebook/cpu.max", "max 100000\n")
    system.write(system.groups / "user/notebook/memory.max", "max\n")
    system.write(system.groups / "user/cpu.max", "400000 100000\n")
    system.write(system.groups / "user/memory.max", f"{2 * GIB}\n")
    assert system.detect() == Machine(4.0, 2 * GIB, ())


def test_a_container_sees_its_group_as_the_root(system: System) -> None:
    system.version_2("/")
    system.write(system.groups / "cpu.max", "300000 100000\n")
    system.write(system.groups / "memory.max", f"{GIB}\n")
    assert system.detect() == Machine(3.0, GIB, ())


@pytest.mark.parametrize(
    ("path", "root", "folder"),
    [("/docker/1", "/docker/1", ""), ("/docker/1", "/", "docker/1"), ("/docker/1", "/elsewhere", "")],
    ids=["mounted by itself", "mounted whole", "mounted elsewhere"],
)
def test_groups_of_version_1_count(system: System, path: str, root: str, folder: str) -> None:
    system.version_1(path, root)
    system.write(system.groups / "cpu" / folder / "cpu.cfs_quota_us", "250000\n")
    system.write(system.groups / "cpu" / folder / "cpu.cfs_period_us", "100000\n")
    system.write(system.groups / "memory" / folder / "memory.limit_in_bytes", f"{3 * GIB}\n")
    assert system.detect() == Machine(2.5, 3 * GIB, ())


def test_a_group_of_version_1_without_bounds_bounds_nothing(system: System) -> None:
    system.version_1("/")
    system.write(system.groups / "cpu/cpu.cfs_quota_us", "-1\n")
    system.write(system.groups / "cpu/cpu.cfs_period_us", "100000\n")
    system.write(system.groups / "memory/memory.limit_in_bytes", "9223372036854771712\n")
    assert system.detect() == Machine(16.0, 64 * GIB, ())


@pytest.mark.parametrize(
    ("visible", "gpus"),
    [
        (None, ("0", "1", "2")),
        ("", ()),
        ("-1", ()),
        ("2", ("2",)),
        ("1, 0", ("1", "0")),
        ("1,1", ("1",)),
        ("0,-1,1", ("0",)),
        ("0,7,1", ("0",)),
        ("GPU-8932f937,MIG-4f2a", ("GPU-8932f937", "MIG-4f2a")),
    ],
)
def test_the_visible_devices_are_those_that_cuda_would_see(
    system: System, visible: str | None, gpus: tuple[str, ...]
) -> None:
    for bus in ("0000:01:00.0", "0000:02:00.0", "0000:03:00.0"):
        system.write(system.proc / "driver/nvidia/gpus" / bus / "information", "Model: A100\n")
    variables = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert system.detect(**variables).gpus == gpus


def test_the_variable_alone_makes_no_device(system: System) -> None:
    assert system.detect(CUDA_VISIBLE_DEVICES="0,1").gpus == ()


@pytest.mark.parametrize(
    ("script", "gpus"),
    [
        ("echo 'GPU 0: Tesla T4 (UUID: GPU-1)'; echo 'GPU 1: Tesla T4 (UUID: GPU-2)'", ("0", "1")),
        ("echo 'NVIDIA-SMI has failed'; exit 9", ()),
    ],
    ids=["two devices", "no driver"],
)
def test_where_the_driver_has_no_folder_its_command_is_asked(
    system: System, tmp_path: Path, script: str, gpus: tuple[str, ...]
) -> None:
    command = tmp_path / "bin/nvidia-smi"
    system.write(command, f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    assert system.detect().gpus == gpus

"""What a task needs of a machine: cpu, memory, accelerators, disk. Quantities are written as Kubernetes writes them.

    Resources(cpu="500m", memory=("1Gi", "4Gi"), gpu="A100:2")      a tuple is (request, limit)

`parse_cpu` and `parse_memory_bytes` turn them into numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from flyte_nb.authoring.devices import ACCELERATORS, DEVICE_CLASSES, Device, current_gpu_name

__all__ = ["Resources", "parse_cpu", "parse_memory_bytes"]

Cpu = int | float | str

_QUANTITY = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>m|k|[KMGTPE]i?|)")
_UNITS: dict[str, float] = {"m": 1e-3, "": 1, "k": 1000, "K": 1000} | {
    unit: base ** (power + 1)
    for suffix, base in (("", 1000), ("i", 1024))
    for power, unit in enumerate(letter + suffix for letter in "KMGTPE")
}


@dataclass
class Resources:
    """What a task needs of a machine.

    Args:
        cpu: cores, as a number or a quantity (`"500m"` is half a core), or (request, limit).
        memory: a quantity (`"512Mi"`, `"4G"`), or (request, limit).
        gpu: a number of GPUs, `"T4:1"`, or a `Device` of `GPU(...)`, `TPU(...)` ...
        disk: a quantity.
        shm: a quantity of shared memory, or `"auto"` for as much as there is.

    Raises:
        ValueError: when a value is not of these forms.
    """

    cpu: Cpu | tuple[Cpu, Cpu] | None = None
    memory: str | tuple[str, str] | None = None
    gpu: str | int | Device | None = None
    disk: str | None = None
    shm: str | None = None

    def __post_init__(self) -> None:
        for name in ("cpu", "memory"):
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != 2:
                raise ValueError(f"{name} tuple must have exactly two elements")
        _check_pair("cpu", self.cpu, _check_cpu)
        _check_pair("memory", self.memory, _check_quantity)
        _check_quantity("disk", self.disk)
        _check_quantity("shm", self.shm)
        self.gpu = _checked_gpu(self.gpu)

    def get_device(self) -> Device | None:
        """The accelerator asked for, or None."""
        if isinstance(self.gpu, Device) or not self.gpu:
            return self.gpu or None
        if isinstance(self.gpu, int):
            return Device(quantity=self.gpu, device_class="GPU")
        device, _, quantity = self.gpu.partition(":")
        return Device(quantity=int(quantity or 1), device_class=DEVICE_CLASSES[device], device=device)

    def get_shared_memory(self) -> str | None:
        """The quantity of shared memory; empty for `"auto"`, None when not asked for."""
        return "" if self.shm == "auto" else self.shm


def parse_cpu(cpu: Cpu) -> float:
    """A number of cores: `"500m"` is 0.5.

    Raises:
        ValueError: when it is not a number of cores.
    """
    return float(cpu) if isinstance(cpu, int | float) else _parse_quantity("cpu", cpu)


def parse_memory_bytes(memory: str) -> int:
    """A quantity of memory in bytes: `"1Gi"` is 1,073,741,824, `"1G"` 1,000,000,000.

    Raises:
        ValueError: when it is not a quantity.
    """
    return round(_parse_quantity("memory", memory))


def _parse_quantity(name: str, quantity: str) -> float:
    match = _QUANTITY.fullmatch(quantity)
    if match is None:
        raise ValueError(
            f"{name} must be a Kubernetes quantity such as '1Gi', '512Mi', '2G' or '500m', got {quantity!r}"
        )
    return float(match["number"]) * _UNITS[match["unit"]]


def _check_pair(name: str, value: Any, check: Any) -> None:
    if not isinstance(value, tuple):
        check(name, value)
    elif None in value:
        raise ValueError(f"{name} pair elements must both be set, got None")
    else:
        for element in value:
            check(name, element)


def _check_cpu(name: str, value: Any) -> None:
    if value is not None and not isinstance(value, int | float | str):
        raise ValueError(
            f"{name} must be a core count or a Kubernetes quantity string such as 1, 0.5 or '100m', "
            f"got {type(value).__name__}: {value!r}"
        )
    if isinstance(value, int | float) and value < 0:
        raise ValueError(f"{name} must be greater than or equal to 0")


def _check_quantity(name: str, value: Any) -> None:
    if value is not None and not isinstance(value, str):
        raise ValueError(
            f"{name} must be a Kubernetes quantity string such as '1Gi', '512Mi' or '2G', "
            f"got {type(value).__name__}: {value!r}"
        )


def _checked_gpu(gpu: Any) -> Any:
    if gpu is None or isinstance(gpu, Device):
        return gpu
    if isinstance(gpu, int):
        if gpu < 0:
            raise ValueError("gpu must be greater than or equal to 0")
        return gpu
    if not isinstance(gpu, str):
        raise ValueError(
            "gpu must be an accelerator string such as 'A100:4', a device count, or a "
            f"GPU()/TPU()/Device() instance, got {type(gpu).__name__}: {gpu!r}"
        )
    device, separator, quantity = gpu.partition(":")
    gpu = f"{current_gpu_name(device)}{separator}{quantity}"
    if gpu not in ACCELERATORS:
        raise ValueError(f"gpu must be one of {', '.join(ACCELERATORS)}, got {gpu}")
    return gpu

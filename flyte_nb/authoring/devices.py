"""Accelerators: which there are, how many of each a task may ask for, and how they are divided."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "ACCELERATORS",
    "AMD_GPU",
    "APPLE_SILICON",
    "DEVICE_CLASSES",
    "GPU",
    "HABANA_GAUDI",
    "TPU",
    "Device",
    "DeviceClass",
    "Neuron",
    "current_gpu_name",
]

logger = logging.getLogger("flyte")

DeviceClass = Literal["GPU", "TPU", "NEURON", "AMD_GPU", "HABANA_GAUDI", "APPLE_SILICON"]

ONE_TO_8 = tuple(range(1, 9))
SHARED_GPUS = ("T4 shared", "L4 shared", "A10G shared", "A10 shared", "L40S shared")
"""A time-sliced part of a GPU."""

QUANTITIES: dict[DeviceClass, dict[str, tuple[int, ...]]] = {
    "GPU": {
        "A2": (1,),
        "A10": ONE_TO_8,
        "A10G": ONE_TO_8,
        "A100": ONE_TO_8,
        "A100_80G": ONE_TO_8,
        "B200": ONE_TO_8,
        "H100": ONE_TO_8,
        "H200": ONE_TO_8,
        "L4": ONE_TO_8,
        "L40s": ONE_TO_8,
        "T4": ONE_TO_8,
        "V100": ONE_TO_8,
        "RTX_PRO_4500": (1,),
        "RTX_PRO_6000": (1, 2),
        "GB10": (1,),
        **dict.fromkeys(SHARED_GPUS, (1,)),
    },
    "TPU": dict.fromkeys(("V5E", "V5P", "V6E"), ()),
    "NEURON": {
        "Inf1": tuple(range(1, 17)),
        "Inf2": tuple(range(1, 13)),
        **dict.fromkeys(("Trn1", "Trn1n", "Trn2", "Trn2u"), (1, 4, 8, 16)),
    },
    "AMD_GPU": dict.fromkeys(
        ("MI100", "MI210", "MI250", "MI250X", "MI300A", "MI300X", "MI325X", "MI350X", "MI355X"), (1,)
    ),
    "HABANA_GAUDI": {"Gaudi1": (1,)},
    "APPLE_SILICON": {"AppleSilicon": (1,)},
}
"""How many of a device `Resources(gpu="NAME:N")` may ask for; none where the device has a function only."""

DEVICE_CLASSES: dict[str, DeviceClass] = {
    device: device_class for device_class, devices in QUANTITIES.items() for device in devices
}

ACCELERATORS = (
    *(f"{device}:{n}" for devices in QUANTITIES.values() for device, quantities in devices.items() for n in quantities),
    "AppleSilicon",
)
"""Every string that `Resources(gpu=...)` takes."""

V5E_SLICES = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
PARTITIONS = {
    "A100": ("1g.5gb", "2g.10gb", "3g.20gb", "4g.20gb", "7g.40gb"),
    "A100_80G": ("1g.10gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"),
    "H100": ("1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"),
    "H200": ("1g.18gb", "1g.35gb", "2g.35gb", "3g.71gb", "4g.71gb", "7g.141gb"),
    "RTX_PRO_6000": ("1g.24gb", "2g.48gb", "4g.96gb"),
    "V5E": V5E_SLICES,
    "V5P": (
        *("2x2x1", "2x2x2", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8"),
        *("8x8x16", "8x16x16", "16x16x16", "16x16x24"),
    ),
    "V6E": V5E_SLICES,
}

RENAMED_GPUS = {"A100 80G": "A100_80G", "RTX PRO 6000": "RTX_PRO_6000"}


@dataclass(frozen=True, slots=True)
class Device:
    """An accelerator.

    Args:
        quantity: how many of it.
        device_class: its family.
        device: its type; None for any.
        partition: the part of it, such as `"1g.5gb"` of a GPU or `"2x2"` of a TPU.

    Raises:
        ValueError: for fewer than one, or an impossible Apple Silicon device.
    """

    quantity: int
    device_class: DeviceClass
    device: str | None = None
    partition: str | None = None

    def __post_init__(self) -> None:
        if self.quantity < 1:
            raise ValueError("GPU quantity must be at least 1")
        if (self.device == "AppleSilicon") != (self.device_class == "APPLE_SILICON"):
            raise ValueError('The Apple Silicon device is device="AppleSilicon" with device_class="APPLE_SILICON"')
        if self.device_class == "APPLE_SILICON" and self.quantity != 1:
            raise ValueError("An Apple Silicon device is the Mac's single Metal GPU; quantity must be 1")


def GPU(device: str, quantity: int, partition: str | None = None) -> Device:
    """NVIDIA GPUs.

    Args:
        device: `"T4"`, `"A100"` ...; `"T4 shared"` for a time-sliced part.
        quantity: how many.
        partition: a part of the device, e.g. `"1g.5gb"`.

    Raises:
        ValueError: for a device or a partition that does not exist.
    """
    if quantity < 1:
        raise ValueError("GPU quantity must be at least 1")
    device = current_gpu_name(device)
    _check("GPU", "GPU", device)
    if partition is not None and device in SHARED_GPUS:
        raise ValueError(
            f"A shared GPU takes no partition, got {partition!r} for {device}. "
            "Request a plain device to use a MIG partition."
        )
    _check_partition(device, partition)
    return Device(quantity, "GPU", device, partition)


def TPU(device: str, partition: str | None = None) -> Device:
    """A Google TPU (`"V5E"`, `"V5P"`, `"V6E"`) or a slice of it (`"2x2"`).

    Raises:
        ValueError: for a device or a slice that does not exist.
    """
    _check("TPU", "TPU", device)
    _check_partition(device, partition)
    return Device(1, "TPU", device, partition)


def Neuron(device: str) -> Device:
    """An AWS Neuron device: `"Inf1"`, `"Trn1"` ...

    Raises:
        ValueError: for a device that does not exist.
    """
    _check("Neuron", "NEURON", device)
    return Device(1, "NEURON", device)


def AMD_GPU(device: str) -> Device:
    """An AMD GPU: `"MI300X"` ...

    Raises:
        ValueError: for a device that does not exist.
    """
    _check("AMD GPU", "AMD_GPU", device)
    return Device(1, "AMD_GPU", device)


def HABANA_GAUDI(device: str) -> Device:
    """An Intel Gaudi: `"Gaudi1"`.

    Raises:
        ValueError: for a device that does not exist.
    """
    _check("Habana Gaudi", "HABANA_GAUDI", device)
    return Device(1, "HABANA_GAUDI", device)


def APPLE_SILICON() -> Device:
    """The GPU of a Mac."""
    return Device(1, "APPLE_SILICON", "AppleSilicon")


def current_gpu_name(device: str) -> str:
    """The name that a renamed GPU has now, with a warning; other names as they are."""
    current = RENAMED_GPUS.get(device, device)
    if current != device:
        logger.warning("GPU type '%s' is deprecated, use '%s' instead.", device, current)
    return current


def _check(family: str, device_class: DeviceClass, device: str) -> None:
    devices = tuple(QUANTITIES[device_class])
    if device not in devices:
        raise ValueError(f"Invalid {family} type: {device}. Must be one of {devices}")


def _check_partition(device: str, partition: str | None) -> None:
    if partition is not None and device in PARTITIONS and partition not in PARTITIONS[device]:
        raise ValueError(f"Invalid partition for {device}: {partition}. Must be one of {PARTITIONS[device]}")

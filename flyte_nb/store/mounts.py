"""Which folders are on another machine's disk: there neither locks nor mapped files can be relied on."""

from __future__ import annotations

from pathlib import Path

__all__ = ["is_on_network", "network_type"]

NETWORK_TYPES = frozenset({"9p", "afs", "cifs", "fuse.sshfs", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"})
MOUNTS = Path("/proc/self/mounts")


def is_on_network(folder: Path) -> bool:
    """Whether the folder, which need not exist, is on a network file system; False where the system does not say."""
    try:
        mounts = MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return network_type(folder, mounts) is not None


def network_type(folder: Path, mounts: str) -> str | None:
    """The type of the network file system that holds the folder; None for a local one.

    Args:
        folder: an absolute path.
        mounts: the system's table of mounts.
    """
    found, kind = Path("/"), ""
    for line in mounts.splitlines():
        _, place, mounted_kind, *_ = line.split(" ")
        mount = Path(place.replace("\\040", " "))
        if folder.is_relative_to(mount) and len(mount.parts) >= len(found.parts):
            found, kind = mount, mounted_kind
    return kind if kind in NETWORK_TYPES else None

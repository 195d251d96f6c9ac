"""Detects folders on network file systems, which report no changes made by other machines, from Linux's mount table."""

import re
from pathlib import Path

NETWORK_TYPES = {
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "beegfs", "gpfs", "virtiofs"),
    *("vboxsf", "vmhgfs", "prl_fs", "drvfs", "davfs", "fuse", "fuseblk"),
}
"""Types of network file systems in the kernel's names; types that begin with `fuse.` count too."""


def read_mounts(table: Path = Path("/proc/self/mountinfo")) -> dict[Path, str]:
    """Return the type of the file system at each mount point; empty on a system without a mount table."""
    mounts: dict[Path, str] = {}
    try:
        lines = table.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return mounts
    for line in lines:  # 36 35 98:0 /root /mount/point options … - type source options; see proc(5)
        before, _, after = line.partition(" - ")
        point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), before.split()[4])
        mounts[Path(point)] = after.split()[0]
    return mounts


def find_network_type(folder: Path, mounts: dict[Path, str]) -> str | None:
    """Return the type of a folder's file system if it is a network file system; else None."""
    nearest = next((parent for parent in (folder, *folder.parents) if parent in mounts), None)
    found = mounts[nearest] if nearest is not None else ""
    return found if found in NETWORK_TYPES or found.startswith("fuse.") else None

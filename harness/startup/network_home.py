"""A home on a network file system: recognized by the table of mounts, and kept free of SQLite files that are written.

SQLite relies on locks that network file systems do not always have.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MOUNTS = Path("/proc/mounts")
NETWORK = {
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "afs", "9p"),
    *("fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.gcsfuse", "panfs", "orangefs"),
}


def network_file_system(folder: Path) -> str:
    """The kind of network file system a folder is on; empty for a local disk, or where the mounts cannot be read."""
    try:
        mounts = MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    path, found = folder.absolute().resolve(), (Path("/"), "")
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        point = Path(fields[1].replace("\\040", " "))
        if path.is_relative_to(point) and len(point.parts) >= len(found[0].parts):
            found = (point, fields[2])
    return found[1] if found[1] in NETWORK else ""


@contextmanager
def folder_for_sqlite(folder: Path) -> Iterator[Path]:
    """A folder for SQLite files that can be made again: `folder`, or a temporary one on a local disk in its place."""
    if not network_file_system(folder):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="harness-") as local:
        yield Path(local)

"""What a sweep asks of its host: room in the home, a home that is no network file system, an endpoint that answers."""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request
from pathlib import Path

LEAST_FREE = 500_000_000
"""Bytes that must be free in the home before another run starts."""
NETWORK = {
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "afs", "9p"),
    *("fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.gcsfuse", "panfs", "orangefs"),
}
ANSWER_SECONDS = 10.0


def free_bytes(home: Path) -> int:
    """Bytes that are free where the home is."""
    return shutil.disk_usage(home).free


def is_full(home: Path) -> bool:
    """Whether the home has too little room for another run to start."""
    return free_bytes(home) < LEAST_FREE


def network_file_system(home: Path, mounts: str | None = None) -> str:
    """The kind of network file system the home is on; empty for a local disk. `mounts` is text like /proc/mounts."""
    if mounts is None:
        try:
            mounts = Path("/proc/mounts").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
    path, found = home.absolute().resolve(), (Path("/"), "")
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        point = Path(fields[1].replace("\\040", " "))
        if path.is_relative_to(point) and len(point.parts) >= len(found[0].parts):
            found = (point, fields[2])
    return found[1] if found[1] in NETWORK else ""


def answers(base_url: str) -> bool:
    """Whether something answers at the address of an endpoint: any status but those of a dead server behind a proxy."""
    if not base_url:
        return True
    try:
        with urllib.request.urlopen(f"{base_url.rstrip('/')}/models", timeout=ANSWER_SECONDS):
            return True
    except urllib.error.HTTPError as error:
        return error.code not in (502, 503, 504)
    except (OSError, ValueError):
        return False

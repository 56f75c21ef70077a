"""What jobs on this machine's own file system need to use GPUs: device nodes, driver libraries and variables.

Containers get all this from NVIDIA's container toolkit.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

DEVICES = Path("/dev")
DRIVER = Path("/proc/driver/nvidia/gpus")
CONTROLS = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset", "dxg")
"""Nodes that all GPUs share; `dxg` is the only one under WSL."""
LIBRARY = "libcuda.so.1"
LIBRARY_FOLDERS = ("/usr/local/nvidia/lib64", "/usr/lib/wsl/lib", "/run/opengl-driver/lib")
"""Folders of the driver's libraries that the linker's cache may not name: Kubernetes nodes, WSL, NixOS."""


def gpu_variables(gpus: Sequence[str]) -> dict[str, str]:
    """Variables that show a job exactly these GPUs: none of the machine's where it has none."""
    folders = library_folders() if gpus else []
    found = {"LD_LIBRARY_PATH": ":".join(map(str, folders))} if folders else {}
    return {"CUDA_VISIBLE_DEVICES": ",".join(gpus), **found}


def device_nodes(gpus: Sequence[str]) -> dict[Path, str]:
    """The device nodes that jobs with these GPUs (their uuids) need, and their names below /dev."""
    if not gpus:
        return {}
    minors = _minors()
    known = [minors[gpu] for gpu in gpus if gpu in minors]
    own = [f"nvidia{minor}" for minor in known] if minors else _all_gpu_nodes()
    names = [*own, *CONTROLS, *(f"nvidia-caps/{path.name}" for path in sorted((DEVICES / "nvidia-caps").glob("*")))]
    return {DEVICES / name: name for name in names if (DEVICES / name).exists()}


def without_node(gpus: Sequence[str]) -> list[str]:
    """Those of the GPUs that have no device node."""
    minors = _minors()
    if not minors:  # the driver does not say which is which
        return [] if _all_gpu_nodes() or (DEVICES / "dxg").exists() else list(gpus)
    return [gpu for gpu in gpus if gpu not in minors or not (DEVICES / f"nvidia{minors[gpu]}").exists()]


def library_folders() -> list[Path]:
    """Folders of the driver's libraries that the linker does not search by itself."""
    folders = [Path(folder) for folder in LIBRARY_FOLDERS]
    return [folder for folder in folders if (folder / LIBRARY).exists() and folder not in _cached_folders()]


def outside(roots: Iterable[Path]) -> list[Path]:
    """Folders of the driver's libraries that are below none of these folders."""
    known = tuple(roots)
    folders = dict.fromkeys([*_cached_folders(), *library_folders()])
    return [folder for folder in folders if not any(folder.is_relative_to(root) for root in known)]


def parse_library_folders(text: str) -> list[Path]:
    """The folders of the driver's libraries, from the output of `ldconfig -p`."""
    found = re.findall(rf"^\s*{re.escape(LIBRARY)} \(.*\) => (\S+)$", text, re.MULTILINE)
    return list(dict.fromkeys(Path(path).parent for path in found))


def _cached_folders() -> list[Path]:
    program = shutil.which("ldconfig", path="/usr/sbin:/sbin:/usr/bin")
    if program is None:
        return []
    return parse_library_folders(subprocess.run([program, "-p"], capture_output=True, text=True).stdout)


def _minors() -> dict[str, int]:
    """The number of each GPU's device node, by uuid, as the driver says."""
    minors = {}
    for path in sorted(DRIVER.glob("*/information")):
        text = path.read_text(errors="replace")
        uuid, minor = re.search(r"GPU UUID:\s*(\S+)", text), re.search(r"Device Minor:\s*(\d+)", text)
        if uuid and minor:
            minors[uuid[1]] = int(minor[1])
    return minors


def _all_gpu_nodes() -> list[str]:
    return sorted(path.name for path in DEVICES.glob("nvidia[0-9]*"))

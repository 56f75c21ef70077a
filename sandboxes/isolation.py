"""What each kind of sandbox enforces: the table of the doctor and of this README, and the task card's section."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from sandboxes.base import Sandbox
from sandboxes.environments.environment import missing_packages
from sandboxes.gpus import describe_gpus
from sandboxes.leases.amounts import Machine

SAME = "the same"
"""The same as in the column to the left."""


@dataclass(frozen=True)
class Row:
    """One property and what each kind of sandbox enforces of it. Words in ** are warnings."""

    what: str
    local: str
    bubblewrap: str
    docker: str


ROWS = (
    Row(
        "wall time, output, file size, all processes killed at the end; memory of a process if limited",
        "yes",
        "yes",
        "yes",
    ),
    Row(
        "total memory, CPU",
        "no limit",
        "no limit",
        "nine tenths of the machine's memory, all cores; of several lanes, each its share",
    ),
    Row("disk", "100 GB per workspace, 500 MB kept free", SAME, SAME),
    Row(
        "/tmp and /dev/shm",
        "the machine's",
        "2 GiB each, deleted with the job",
        "2 GiB and a quarter of the memory; both count as memory",
    ),
    Row("number of processes", "if limited, except as root", "4096 for all jobs of the user", "4096"),
    Row("network", "open", "none, nor sockets to the hypervisor", SAME),
    Row("the harness's home, answers, other runs, other files", "**readable**", "not mounted", "not mounted"),
    Row(
        "`./data`, `./.jobs`",
        "links, writable with your permissions",
        "read-only mounts",
        "read-only mounts",
    ),
    Row("`/home/data`, `/home/submission` as in MLE-bench", "no", "yes", "yes"),
    Row("answer files inside packages (`SandboxPaths.hidden`)", "**readable**", "masked", "masked"),
    Row(
        "environment variables of the harness (keys)",
        "not passed on, but readable in /proc",
        "not passed on, not readable",
        SAME,
    ),
    Row("other processes", "visible, can be killed", "own process namespace", "own process namespace"),
    Row("privileges", "those of your user", "none; an unprivileged user on the host too", SAME),
    Row(
        "new namespaces, mounts, kernel keys",
        "as your user may",
        "refused by our filter (x86_64, aarch64)",
        "refused by our filter and by Docker's",
    ),
    Row(
        "32-bit programs",
        "run if the kernel supports them",
        "none: our filter refuses system calls of other architectures",
        SAME,
    ),
    Row(
        "installed packages (see `--environment`)",
        "the harness's numpy, pandas, pillow, scikit-learn",
        SAME,
        "the image's",
    ),
    Row("GPUs", "all; the leased ones by default", "the leased ones", "the leased ones, with NVIDIA's toolkit"),
    Row("labels", "**unprotected**", "protected", "protected"),
)


def table_as_markdown() -> str:
    """The table of this package's README."""
    rows = [("", "local", "bubblewrap", "docker"), *((x.what, x.local, x.bubblewrap, x.docker) for x in ROWS)]
    lines = ["|" + "".join(f" {cell} |" if cell else " |" for cell in row) for row in rows]
    return "\n".join([lines[0], "|---|---|---|---|", *lines[1:]])


def table_as_text() -> Iterator[str]:
    """The table for a terminal: strongest kind first, kinds with equal text on one line."""
    for row in ROWS:
        yield row.what.replace("`", "")
        bubblewrap = row.local if row.bubblewrap == SAME else row.bubblewrap
        docker = bubblewrap if row.docker == SAME else row.docker
        texts = {"docker": docker, "bubblewrap": bubblewrap, "local": row.local}
        for text in dict.fromkeys(texts.values()):
            kinds = ", ".join(kind for kind in texts if texts[kind] == text)
            yield f"    {kinds}: {text.replace('**', '')}"


DEPENDENCIES = ("nvidia-", "types-")
"""Name prefixes of packages that only other packages need; not listed to the model."""


def _bounds_memory(sandbox: Sandbox) -> bool:
    """Whether a job has less memory than all jobs together."""
    return sandbox.isolation.memory and sandbox.paths.memory > 0


def describe_sandbox(sandbox: Sandbox, workspace_bytes: int | None = None, machine: Machine | None = None) -> str:
    """The task card's section about the machine and the sandbox, as Markdown."""
    paths = sandbox.paths
    installed = ", ".join(name for name in sandbox.packages() if not name.startswith(DEPENDENCIES))
    network = "There is no network." if sandbox.isolation.network else "Do not rely on the network."
    missing = missing_packages(sandbox.packages())
    installed += f". Not installed: {', '.join(missing)}" if missing else ""
    python = ".".join(sandbox.python().split(".")[:2])
    lines = ["", "## Where commands run", "", f"- {network} Installed for Python {python}: {installed}"]
    if machine:
        lines.append(
            f"- {machine.cores} CPU core{'s' * (machine.cores > 1)}, {machine.memory / 1e9:.0f} GB of memory, "
            f"{shutil.disk_usage(paths.workspace).free / 1e9:.0f} GB of free disk, shared by all jobs of the run"
            + (f"; one job has at most {paths.memory / 1e9:.0f} GB of memory" if _bounds_memory(sandbox) else "")
        )
    if workspace_bytes:
        lines.append(f"- The workspace may hold {workspace_bytes / 1e9:g} GB in all; a job that exceeds this is ended")
    if paths.models:
        folder = "/models" if sandbox.isolation.files else str(paths.models.absolute())
        lines.append(
            f"- Pretrained weights are in `{folder}` (`$MODELS_DIR`), read-only. The usual model hubs read from it and "
            "stay offline: `huggingface/hub`, `torch`, `keras`, `tfhub`, `sentence-transformers`, `nltk_data`"
        )
    lines.append(f"- GPUs: {', '.join(describe_gpus(paths.gpus)) or 'none for this run'}")
    return "\n".join(lines) + "\n"

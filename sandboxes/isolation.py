"""What each kind of sandbox enforces, line by line: the one place that says it, for the doctor and this room's card."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sandboxes.base import Sandbox


@dataclass(frozen=True)
class Line:
    """One thing that a sandbox may enforce, and how far each kind does. Words in ** are warnings."""

    what: str
    local: str
    bubblewrap: str
    docker: str


LINES = (
    Line(
        "wall time, output, size of a file, whole tree killed; memory of a process where a limit is set",
        "yes",
        "yes",
        "yes",
    ),
    Line(
        "total memory, CPU share",
        "no",
        "no",
        "nine tenths of the machine's; all cores",
    ),
    Line(
        "disk",
        "100 GB a workspace, 500 MB kept free",
        "the same",
        "the same",
    ),
    Line(
        "/tmp and /dev/shm",
        "the machine's",
        "2 GiB each, gone with the job",
        "2 GiB, a quarter of the memory; both count",
    ),
    Line(
        "number of processes",
        "where a limit is set, and not as root",
        "4096 for all jobs of the user",
        "4096",
    ),
    Line(
        "network",
        "open",
        "none, nor sockets to the hypervisor",
        "the same",
    ),
    Line(
        "the harness's home, answers, other runs, other files",
        "**can be read**",
        "not mounted",
        "not mounted",
    ),
    Line(
        "`./data`, `./.jobs`",
        "links, writable as their owner may",
        "read-only mounts",
        "read-only mounts",
    ),
    Line(
        "`/home/data`, `/home/submission`, as in MLE-bench",
        "no",
        "yes",
        "yes",
    ),
    Line(
        "answer files inside packages (`SandboxPaths.hidden`)",
        "**can be read**",
        "masked",
        "masked",
    ),
    Line(
        "harness's variables (keys)",
        "not passed on, but to be found in /proc",
        "not passed on, not to be found",
        "the same",
    ),
    Line(
        "other processes",
        "can be seen and killed",
        "own process namespace",
        "own process namespace",
    ),
    Line(
        "rights",
        "those of whoever started the harness",
        "none; an ordinary user on the host too",
        "the same",
    ),
    Line(
        "new namespaces, mounts, kernel keys",
        "as the user may",
        "refused by our own filter (x86_64, aarch64)",
        "refused by our own filter, and by Docker's",
    ),
    Line(
        "programs of 32 bits",
        "run where the kernel runs them",
        "none: our own filter refuses every call of another architecture",
        "the same",
    ),
    Line(
        "packages installed",
        "the harness's numpy, pandas, scikit-learn",
        "the same",
        "the image's",
    ),
    Line(
        "labels",
        "**unprotected**",
        "protected",
        "protected",
    ),
)


def as_markdown() -> str:
    """The table of this room's README."""
    rows = [("", "local", "bubblewrap", "docker"), *((x.what, x.local, x.bubblewrap, x.docker) for x in LINES)]
    texts = ["|" + "".join(f" {cell} |" if cell else " |" for cell in row) for row in rows]
    return "\n".join([texts[0], "|---|---|---|---|", *texts[1:]])


def as_text() -> Iterator[str]:
    """The same for a terminal: the strongest kind first, and kinds that do the same together."""
    for line in LINES:
        yield line.what.replace("`", "")
        said = {"docker": line.docker, "bubblewrap": line.bubblewrap, "local": line.local}
        if line.docker == "the same":
            said["docker"] = line.bubblewrap
        if line.bubblewrap == "the same":
            said |= {"bubblewrap": line.local, "docker": line.local if line.docker == "the same" else line.docker}
        for words in dict.fromkeys(said.values()):
            kinds = ", ".join(kind for kind in said if said[kind] == words)
            yield f"    {kinds}: {words.replace('**', '')}"


PLUMBING = ("nvidia-", "types-")
"""Packages that others need and nobody asks for, by how their names begin."""


def describe_sandbox(sandbox: Sandbox, workspace_bytes: int | None = None) -> str:
    """A part of the task card, as Markdown."""
    paths = sandbox.paths
    installed = ", ".join(name for name in sandbox.packages() if not name.startswith(PLUMBING))
    network = "There is no network." if sandbox.isolation.network else "Do not rely on a network."
    lines = ["", "## Where commands run", "", f"- {network} Installed for Python: {installed}"]
    if workspace_bytes:
        lines.append(f"- The workspace may hold {workspace_bytes / 1e9:g} GB in all; a job that passes that is ended")
    if paths.models:
        shown = "/models" if sandbox.isolation.files else str(paths.models.absolute())
        lines.append(
            f"- Pretrained weights lie in `{shown}` (`$MODELS_DIR`), read-only. The usual hubs are set to look there "
            "and to stay offline: `huggingface/hub`, `torch`, `keras`, `tfhub`, `sentence-transformers`, `nltk_data`"
        )
    if paths.gpus:
        lines.append(f"- GPUs: {len(paths.gpus)}")
    return "\n".join(lines) + "\n"

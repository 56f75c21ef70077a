"""What the model is told of the place where its commands run: what is installed, and where weights lie."""

from __future__ import annotations

from sandboxes.base import Sandbox

PLUMBING = ("nvidia-", "types-")
"""Packages that others need and nobody asks for, by how their names begin."""


def describe_sandbox(sandbox: Sandbox, workspace_bytes: int | None = None) -> str:
    """A part of the task card, as Markdown."""
    place = sandbox.place
    installed = ", ".join(name for name in sandbox.packages() if not name.startswith(PLUMBING))
    network = "There is no network." if sandbox.isolation.network else "Do not rely on a network."
    lines = ["", "## Where commands run", "", f"- {network} Installed for Python: {installed}"]
    if workspace_bytes:
        lines.append(f"- The workspace may hold {workspace_bytes / 1e9:g} GB in all; a job that passes that is ended")
    if place.models:
        shown = "/models" if sandbox.isolation.files else str(place.models.absolute())
        lines.append(
            f"- Pretrained weights lie in `{shown}` (`$MODELS_DIR`), read-only. The usual hubs are set to look there "
            "and to stay offline: `huggingface/hub`, `torch`, `keras`, `tfhub`, `sentence-transformers`, `nltk_data`"
        )
    if place.gpus:
        lines.append(f"- GPUs: {len(place.gpus)}")
    return "\n".join(lines) + "\n"

"""What the files of an ended job tell of how it was started."""

from __future__ import annotations

import json
from pathlib import Path


def environment_of_job(jobs: Path, job: str) -> dict[str, str]:
    """The environment variables that a job in a folder of jobs had; empty where its files are gone or unreadable."""
    try:
        request = json.loads((jobs / job / "request.json").read_bytes())
        base = json.loads((jobs / ".bases" / f"{request['base']}.json").read_bytes())
        return dict(base["environment"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}

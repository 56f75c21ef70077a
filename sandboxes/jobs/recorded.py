"""Reads from the files of an ended job how it was started."""

from __future__ import annotations

import json
from pathlib import Path

SET_VARIABLE = "--setenv"
"""The option of bubblewrap that sets a variable of the job; the other sandboxes give a job its variables as such."""


def environment_of_job(jobs: Path, job: str) -> dict[str, str]:
    """The environment variables that a job in a folder of jobs had; empty if its files are gone or unreadable."""
    try:
        request = json.loads((jobs / job / "request.json").read_bytes())
        base = json.loads((jobs / ".bases" / f"{request['base']}.json").read_bytes())
        words = base["argv"]
        given = {words[at + 1]: words[at + 2] for at, word in enumerate(words[:-2]) if word == SET_VARIABLE}
        return {**base["environment"], **given}
    except (OSError, ValueError, KeyError, TypeError):
        return {}

"""What a sweep asks of its host: room in the home, an endpoint that answers."""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request
from pathlib import Path

LEAST_FREE = 500_000_000
"""Bytes that must be free in the home before another run starts."""
ANSWER_SECONDS = 10.0


def free_bytes(home: Path) -> int:
    """Bytes that are free where the home is."""
    return shutil.disk_usage(home).free


def is_full(home: Path) -> bool:
    """Whether the home has too little room for another run to start."""
    return free_bytes(home) < LEAST_FREE


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

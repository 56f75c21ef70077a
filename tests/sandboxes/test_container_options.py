"""The code that is copied into containers."""

from __future__ import annotations

import subprocess
from pathlib import Path

from sandboxes.docker.container_options import supervisor_code
from sandboxes.environments.small import interpreter

SCRIPT = """
import sys
sys.path.append(sys.argv[1])
import sandboxes.jobs.supervisor
print(sorted({"pathlib", "hashlib", "subprocess", "tempfile", "site"} & set(sys.modules)))
"""


def test_supervisor_code_is_complete_and_light(home: Path) -> None:
    """It runs without the repository. A process of it is kept for every job, so it loads no large module."""
    argv = [interpreter(), "-I", "-S", "-c", SCRIPT, supervisor_code(home)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")

"""A run as a child of a sweep's worker: it is asked to pause if its worker dies, so that another worker can go on.

python -m harness.sweep.child PID-OF-THE-WORKER PROGRAM ARGUMENT...
"""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from sandboxes.jobs.processes import PR_SET_PDEATHSIG, set_process_option

STOPPED = 3


def become(worker: int, words: list[str]) -> NoReturn:
    """Replace this process by the program, unless the worker has died already."""
    if sys.platform == "linux":
        set_process_option(PR_SET_PDEATHSIG, signal.SIGTERM)  # it stays when the program is replaced
        if os.getppid() != worker:  # it died before the line above
            raise SystemExit(STOPPED)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # Slurm sends it to all processes of a job; the worker acts on it
    os.execv(words[0], words)


if __name__ == "__main__":
    become(int(sys.argv[1]), sys.argv[2:])

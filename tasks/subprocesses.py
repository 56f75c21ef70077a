"""Run a module in a child process, from a JSON request to a JSON reply: `python -I -m MODULE REQUEST.json`.

    ChildFailed         the child failed, which is an error of the harness; the message ends with its last lines
    ├── ChildTimeout    it did not finish in time
    └── ChildKilled     a signal ended it, for example when memory ran out

Private answers are opened, and a task's own metric is run, only in such a child: the process that talks to the model
never holds answers and never imports the numeric libraries.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

Reply = dict[str, Any]


PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "TZ", "SYSTEMROOT")
PASSED_ON_PREFIXES = ("LC_", "LD_", "OMP_", "OPENBLAS_", "MKL_", "NUMEXPR_", "MALLOC_")
"""Environment variables of a child: those of the system and of numeric libraries."""
MAX_TIMEOUT_SECONDS = 1e6
"""poll() counts milliseconds in 32 bits."""


class ChildFailed(Exception):
    """The child process failed; the message ends with its last lines."""


class ChildTimeout(ChildFailed):
    """The child process did not finish in time and was killed with its process group."""


class ChildKilled(ChildFailed):
    """A signal ended the child process."""


def run_isolated(module: str, request: dict[str, Any], seconds: float) -> Reply:
    """Run `module` on a request and return its reply. Raises `ChildFailed`."""
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        path = Path(folder) / "request.json"
        path.write_text(json.dumps({**request, "seconds": seconds}), encoding="utf-8")
        # -I: no module of the agent can be imported from the working directory or PYTHONPATH.
        # A task's own metric runs in the child: it gets no variable that might hold a key.
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", module, str(path)],
            env=harmless_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            start_new_session=True,
        )
        try:
            output, errors = process.communicate(timeout=min(seconds, MAX_TIMEOUT_SECONDS))
        except subprocess.TimeoutExpired:
            raise ChildTimeout(f"{module} took longer than {seconds:g} seconds") from None
        finally:
            _kill_group(process)
    last_lines = errors.decode("utf-8", "replace").strip()[-2000:]
    if process.returncode < 0:
        raise ChildKilled(f"{module} was ended by signal {-process.returncode}: {last_lines}")
    if process.returncode:
        raise ChildFailed(f"{module} failed: {last_lines}")
    reply: Reply = json.loads(output)
    return reply


def harmless_environment() -> dict[str, str]:
    """The variables that a child gets: none that might hold a key."""
    return {k: v for k, v in os.environ.items() if k in PASSED_ON or k.startswith(PASSED_ON_PREFIXES)}


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def bound_memory(share: float = 0.9) -> None:
    """Limit this process to a share of the machine's memory, so that a huge file fails and the machine does not."""
    import resource

    limit = int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * share)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard < 0 else min(limit, hard), hard))


def serve(perform: Callable[[dict[str, Any]], Reply]) -> None:
    """The child's main function: perform the request named on the command line and print the reply.

    Standard output is reserved for the reply; output of libraries goes to standard error.
    """
    reply_to = os.dup(1)
    os.dup2(2, 1)
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    # If the parent has died, nothing else ends a metric that hangs.
    signal.alarm(int(request["seconds"]) + 5)
    # These jobs are short: starting thread pools costs more than it saves.
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.putenv(f"{library}_NUM_THREADS", "1")
    gc.set_threshold(10_000_000)  # otherwise it rescans millions of cells
    try:
        reply = perform(request)
    except MemoryError:
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel would: there may be no memory left for a message
        raise
    with os.fdopen(reply_to, "w", encoding="utf-8") as stream:
        json.dump(reply, stream)
    sys.stderr.flush()
    # Skip cleanup: unloading the numeric libraries takes longer than the work.
    os._exit(0)

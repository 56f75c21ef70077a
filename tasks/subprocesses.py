"""Work done in a process of its own, from a JSON request to a JSON reply: `python -I -m MODULE REQUEST.json`.

    ChildFailed         the child broke, which is a fault of the harness; the message ends with its last lines
    ├── ChildTimeout    it did not finish in time
    └── ChildKilled     a signal ended it, as when memory runs out

Answers are opened, and a task's own metric is run, only in such a child: the process that speaks with the model
never holds them and never imports what they need.
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


class ChildFailed(Exception):
    """The child process broke; the message ends with its last lines."""


class ChildTimeout(ChildFailed):
    """The child process did not finish in time and was killed with all it had started."""


class ChildKilled(ChildFailed):
    """A signal ended the child process."""


def run_isolated(module: str, request: dict[str, Any], seconds: float) -> Reply:
    """Run `module` on a request and return its reply. Raises `ChildFailed`."""
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        path = Path(folder) / "request.json"
        path.write_text(json.dumps({**request, "seconds": seconds}), encoding="utf-8")
        # -I: neither the working directory nor PYTHONPATH can put a module of the agent's in the way.
        # The model's key is none of its business: a task's own metric runs there.
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", module, str(path)],
            env={name: value for name, value in os.environ.items() if "API_KEY" not in name},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            start_new_session=True,
        )
        try:
            output, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise ChildTimeout(f"{module} took longer than {seconds:g} seconds") from None
        finally:
            _end(process)
    last = errors.decode("utf-8", "replace").strip()[-2000:]
    if process.returncode < 0:
        raise ChildKilled(f"{module} was ended by signal {-process.returncode}: {last}")
    if process.returncode:
        raise ChildFailed(f"{module} failed: {last}")
    reply: Reply = json.loads(output)
    return reply


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def bound_memory(share: float = 0.9) -> None:
    """Let this process take at most a share of the machine's memory: a vast file fails, and not the machine."""
    import resource

    most = int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * share)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (most if hard < 0 else min(most, hard), hard))


def serve(perform: Callable[[dict[str, Any]], Reply]) -> None:
    """Be the child: perform the request named on the command line, print the reply.

    Standard output is kept for the reply alone; what libraries print goes to standard error.
    """
    reply_to = os.dup(1)
    os.dup2(2, 1)
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    # Should the parent be gone, nobody else would end a metric that hangs.
    signal.alarm(int(request["seconds"]) + 5)
    # These jobs are short: starting a pool of threads costs more than it gives.
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.putenv(f"{library}_NUM_THREADS", "1")
    gc.set_threshold(10_000_000)  # else it looks through millions of cells again and again
    try:
        reply = perform(request)
    except MemoryError:
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel would: there may be no memory left to explain with
        raise
    with os.fdopen(reply_to, "w", encoding="utf-8") as stream:
        json.dump(reply, stream)
    sys.stderr.flush()
    # Nothing is left to tidy up, and taking down the numeric libraries takes longer than the work.
    os._exit(0)

"""Runs on `transformers serve` with a tiny model that writes its calls as text, in the syntax of each dialect.

It needs the extra `servers` (torch and transformers), which CI installs in an environment of its own.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.dialect_runs import play_each
from tests.servers.real_server import real_server

ROOT = Path(__file__).resolve().parents[2]
MISSING = [name for name in ("torch", "transformers", "uvicorn") if importlib.util.find_spec(name) is None]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"a real server needs the extra `servers` (not here: {MISSING})"),
]


@pytest.mark.timeout(900)
def test_turns_in_each_dialect_lose_no_call(full: bool, tmp_path: Path) -> None:
    """A run of 10 turns in each; of 30 with `--full`."""
    model = tmp_path / "reciter"
    subprocess.run([sys.executable, "-m", "tests.servers.tiny_dialects", str(model)], cwd=ROOT, check=True)
    serve = [str(Path(sys.executable).parent / "transformers"), "serve", str(model), "--device", "cpu"]
    with real_server(serve, tmp_path / "log", "/health") as port:
        play_each(tmp_path / "home", port, str(model), turns=30 if full else 10)

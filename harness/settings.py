"""Settings: every knob of the harness with its one default. Nothing else reads the environment.

| variable | what for |
|---|---|
| `HARNESS_HOME` | where runs, prepared data and grades live (default `~/.harness`) |
| `HARNESS_API_KEY`, else `OPENAI_API_KEY` | the key of the model's endpoint |
| `HARNESS_API_KEY_FILE` | a file of mode 0600 that holds it instead |
| `HARNESS_IMAGE` | the image of the docker sandbox (default: the first of ours that was built) |
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path


class SettingsError(Exception):
    """The environment asks for something that cannot be; the message says what to change."""


@dataclass(frozen=True)
class Settings:
    """The knobs of one process. Seconds, bytes, tokens and dollars as the names say."""

    home: Path
    api_key: str = field(default="", repr=False)
    image: str = ""

    hours: float = 24.0
    demo_attempts: int = 6
    attempt_turns: int = 200
    window_tokens: int = 120_000
    unusable_replies: int = 50
    kept_back_share: float = 0.05
    kept_back_seconds: float = 600.0

    bash_wait_seconds: float = 120.0
    longest_wait_seconds: float = 3600.0
    job_output_bytes: int = 20_000_000
    workspace_bytes: int = 100_000_000_000
    """What the workspace of a run, and that of each evaluation, may hold in all."""
    judge_seconds: float = 900.0
    fold_share: float = 0.4
    """Of the run's time, what runs on other blends may take in all."""
    demo_fold_seconds: float = 60.0
    """The same for the demo model, which somebody is watching."""
    expected_evaluations: int = 50
    finalists: int = 5
    max_holdout_queries: int = 100
    """After so many told scores, one that is no new best is told as a verdict only."""
    evaluation_share: float = 0.2
    evaluation_seconds: float = 3600.0
    heartbeat_seconds: float = 60.0
    stop_seconds: float = 8.0

    output_tokens: int = 2_000
    file_tokens: int = 8_000
    cache_seconds: float = 300.0

    model_patience_seconds: float = 6 * 3600.0
    model_call_seconds: float = 1800.0
    model_stall_seconds: float = 300.0
    model_first_wait_seconds: float = 1.0
    model_longest_wait_seconds: float = 120.0

    @property
    def runs(self) -> Path:
        """The folder that holds one folder per run."""
        return self.home / "runs"

    @property
    def grades(self) -> Path:
        """The folder of grades, apart from the runs: a graded run can no longer be resumed."""
        return self.home / "grades"


KEYS = ("HARNESS_API_KEY", "OPENAI_API_KEY")
KEY_FILE = "HARNESS_API_KEY_FILE"
_TAKEN: dict[str, str] = {}
"""The keys that were taken out of this process's environment: whoever loads the settings again finds them here."""


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the environment, and take the keys out of it: no program that is started from here on, be it one of a
    library's own, inherits them. What the kernel shows of this process (/proc/<pid>/environ, to its own user and to
    root) is the block it was started with, and holds them as long as it lives; `HARNESS_API_KEY_FILE` avoids that.

    Raises `SettingsError`.
    """
    variables = _taken_from(os.environ) if environment is None else environment
    home = _folder_of(variables.get("HARNESS_HOME") or "~/.harness", "HARNESS_HOME").absolute()
    return Settings(home=home, api_key=_api_key(variables), image=variables.get("HARNESS_IMAGE", ""))


def _taken_from(environment: MutableMapping[str, str]) -> Mapping[str, str]:
    """The variables, those of the keys as they last were; they are in the environment no more."""
    _TAKEN.update({name: environment.pop(name) for name in KEYS if name in environment})
    return {**environment, **_TAKEN}


def _folder_of(named: str, variable: str) -> Path:
    """A path with the home folder that its `~` stands for."""
    try:
        return Path(named).expanduser()
    except RuntimeError:
        raise SettingsError(
            f"{variable}: the home folder that {named} begins with is not known. Set {variable} to a path without ~."
        ) from None


def _api_key(variables: Mapping[str, str]) -> str:
    named = variables.get(KEY_FILE)
    if not named:
        return next((key for name in KEYS if (key := variables.get(name))), "")
    path = _folder_of(named, KEY_FILE)
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode) and stat.S_IMODE(mode) & 0o077:
            raise SettingsError(f"{path} can be read by others. Run: chmod 600 {path}")
        key = path.read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        raise SettingsError(f"{KEY_FILE}: cannot read {path} ({error.strerror}).") from None
    except UnicodeError:
        raise SettingsError(f"{KEY_FILE}: {path} is not UTF-8 text. Write the key alone into it, as text.") from None
    if not key:
        raise SettingsError(f"{KEY_FILE}: {path} is empty. Write the key into it, or unset {KEY_FILE}.")
    return key

"""The settings of one process: where things are, the keys, and what config.toml and the environment say of runs.

Nothing else reads the environment.

| variable | what for |
|---|---|
| `HARNESS_HOME` | where runs, prepared data, grades and `config.toml` are (default `~/.harness`) |
| `HARNESS_API_KEY`, else `OPENAI_API_KEY` | the key of the model's endpoint |
| `HARNESS_API_KEY_FILE` | a file of mode 0600 that holds it instead |
| `HARNESS_NOTIFY` | addresses for notifications, separated by spaces; they hold secrets as keys do |
| `HARNESS_<SETTING>` | any setting of a run, such as `HARNESS_MODEL` or `HARNESS_HOURS` |
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path


class SettingsError(Exception):
    """A setting is wrong; the message names where it is set and what to write instead."""


@dataclass(frozen=True)
class Settings:
    """What one process knows before it opens a run. `variables` is its environment without the keys."""

    home: Path
    api_key: str = field(default="", repr=False)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Keys by the name of their variable."""

    @property
    def runs(self) -> Path:
        """The folder that holds one folder per run."""
        return self.home / "runs"

    @property
    def grades(self) -> Path:
        """The folder of grades, apart from the runs: a graded run can no longer be resumed."""
        return self.home / "grades"

    @property
    def config(self) -> Path:
        """The file of settings and endpoints."""
        return self.home / "config.toml"

    def key_of(self, variable: str) -> str:
        """The key in a variable; an empty name means the usual one. Raises `SettingsError` if it is not set."""
        if not variable:
            return self.api_key
        key = self.keys.get(variable) or self.variables.get(variable)
        os.environ.pop(variable, None)  # as the other keys: no program inherits it
        if not key:
            raise SettingsError(f"{variable} is not set: export the endpoint's key as {variable}")
        return key


KEYS = ("HARNESS_API_KEY", "OPENAI_API_KEY")
KEY_FILE = "HARNESS_API_KEY_FILE"
_TAKEN: dict[str, str] = {}
"""Keys that were taken out of this process's environment, for whoever loads the settings again."""


def completes() -> bool:
    """Whether a shell asks for the words that may come next."""
    return "_ARGCOMPLETE" in os.environ


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the environment and take the keys out of it, so that no program started later inherits them.

    Taken are HARNESS_NOTIFY, variables whose name contains `API_KEY`, and those that config.toml names as
    `key_variable`. The kernel still shows the initial environment of this process to its own user
    (`/proc/<pid>/environ`); `HARNESS_API_KEY_FILE` avoids that. Raises `SettingsError`.
    """
    home_name = (os.environ if environment is None else environment).get("HARNESS_HOME") or "~/.harness"
    home = _expanded(home_name, "HARNESS_HOME").absolute()
    named = _key_variables(home / "config.toml")
    variables = _without_keys(os.environ, named) if environment is None else environment
    _check_encoding(home)
    keys = {name: value for name, value in variables.items() if _is_key(name) or name in named}
    others = {name: value for name, value in variables.items() if name not in keys}
    return Settings(home=home, api_key=_api_key(variables), variables=others, keys=keys)


def _is_key(name: str) -> bool:
    return ("API_KEY" in name and name != KEY_FILE) or name == "HARNESS_NOTIFY"


def _key_variables(config: Path) -> set[str]:
    """The variables that config.toml names as keys. What is wrong with the file is reported when it is read."""
    import tomllib

    try:
        document = tomllib.loads(config.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return set()
    endpoints = document.get("endpoints")
    tables = [document, *(endpoints.values() if isinstance(endpoints, dict) else [])]
    names = (table.get("key_variable") for table in tables if isinstance(table, dict))
    return {name for name in names if isinstance(name, str) and name}


def _without_keys(environment: MutableMapping[str, str], named: Collection[str]) -> Mapping[str, str]:
    """The variables with their keys, which are no longer in the environment afterwards."""
    _TAKEN.update({name: environment.pop(name) for name in list(environment) if _is_key(name) or name in named})
    return {**environment, **_TAKEN}


def _expanded(path: str, variable: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise SettingsError(
            f"{variable}: the home folder of {path} is not known. Set {variable} to a path without ~."
        ) from None


def _check_encoding(home: Path) -> None:
    """Paths are recorded as text. Raises `SettingsError` for bytes that are no UTF-8."""
    try:
        str(home).encode()
    except UnicodeEncodeError:
        shown = str(home).encode(errors="replace").decode()
        raise SettingsError(f"HARNESS_HOME: {shown} is not UTF-8 text. Set HARNESS_HOME to another folder.") from None


def _api_key(variables: Mapping[str, str]) -> str:
    named = variables.get(KEY_FILE)
    if not named:
        return next((key for name in KEYS if (key := variables.get(name))), "")
    path = _expanded(named, KEY_FILE)
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode) and stat.S_IMODE(mode) & 0o077:
            raise SettingsError(f"{path} can be read by others. Run: chmod 600 {path}")
        key = path.read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        raise SettingsError(f"{KEY_FILE}: cannot read {path} ({error.strerror}).") from None
    except UnicodeError:
        raise SettingsError(f"{KEY_FILE}: {path} is not UTF-8 text. Write only the key into it, as text.") from None
    if not key:
        raise SettingsError(f"{KEY_FILE}: {path} is empty. Write the key into it, or unset {KEY_FILE}.")
    return key

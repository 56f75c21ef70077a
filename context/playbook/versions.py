"""Versions of the playbook: the prompts and working settings as files, named by a hash of their content.

The shipped version is `context/prompts/`. Others are in `HARNESS_HOME/playbook/<hash>/`, hold the same files, and may
hold `settings.toml` with settings of search and sampling. `HARNESS_HOME/playbook/current` names the one that was kept.
A run records the texts that it uses, so no later edit reaches it.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from context.window import PROMPTS

_Record = TypeVar("_Record", bound=BaseModel)

FOLDER, CURRENT, SETTINGS = "playbook", "current", "settings.toml"
SHIPPED = "shipped"
TOOLS = "tools"
"""The prompt whose headings are names of tools."""
NAME_LENGTH = 12
MOST_BYTES = 200_000


_HEADING = re.compile(r"^## .*$", re.MULTILINE)


class PlaybookError(Exception):
    """A playbook cannot be used; the message says what is wrong with which file."""


def read_record(kind: type[_Record], path: Path, text: str | None = None) -> _Record:
    """A record of a trial or draft: the content of `path`, or `text` of it. Raises PlaybookError if it is damaged."""
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8") if text is None else text)
    except (ValidationError, UnicodeDecodeError) as error:
        first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise PlaybookError(f"{path}: damaged ({first}). Restore the file, or move it away.") from None


@dataclass(frozen=True)
class Playbook:
    """One version: its texts by their name, such as `system` or `moves/draft`, and its settings."""

    texts: Mapping[str, str]
    settings: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """The sha256 of everything in it."""
        content = json.dumps([dict(self.texts), dict(self.settings)], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def name(self) -> str:
        """The short form of the digest, which names its folder."""
        return self.digest[:NAME_LENGTH]


def shipped_playbook() -> Playbook:
    """The version that comes with the harness."""
    return Playbook(_texts(PROMPTS), {})


def load_playbook(home: Path, version: str = "") -> Playbook:
    """A version by the beginning of its hash, or from a folder; without a name the kept one. Raises `PlaybookError`.

    A folder may hold only the files that differ from the shipped ones.
    """
    if version == SHIPPED:
        return shipped_playbook()
    if not version:
        current = home / FOLDER / CURRENT
        return load_playbook(home, current.read_text().strip()) if current.is_file() else shipped_playbook()
    folder = Path(version) if "/" in version else _find(home, version)
    playbook = _read(folder)
    if folder.parent == home / FOLDER and playbook.name != folder.name:
        raise PlaybookError(
            f"{folder} was edited after it was stored: its content is now version {playbook.name}. Restore it, or move "
            "it elsewhere and propose it as a change; `harness evolve use shipped` returns to the shipped version"
        )
    return playbook


def store_playbook(home: Path, playbook: Playbook) -> Path:
    """Store a version under its hash; storing it again changes nothing. Raises `PlaybookError` if it was edited."""
    folder = home / FOLDER / playbook.name
    if folder.is_dir():
        load_playbook(home, playbook.name)
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as temporary:
        building = Path(temporary) / "version"
        for name, text in playbook.texts.items():
            path = building / f"{name}.md"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n", encoding="utf-8")
        if playbook.settings:
            lines = (f"{name} = {json.dumps(value)}\n" for name, value in sorted(playbook.settings.items()))
            (building / SETTINGS).write_text("".join(lines), encoding="utf-8")
        building.rename(folder)
    return folder


def keep_playbook(home: Path, name: str) -> None:
    """Make a stored version the one that new runs use; `shipped` is the one that comes with the harness."""
    path = home / FOLDER / CURRENT
    if name == SHIPPED:
        path.unlink(missing_ok=True)
        return
    temporary = path.with_suffix(".new")
    temporary.write_text(f"{name}\n", encoding="utf-8")
    shutil.move(temporary, path)


def differences(old: Playbook, new: Playbook) -> list[str]:
    """Names of the texts and settings in which two versions differ."""
    names = {*old.texts, *new.texts}
    changed = [name for name in sorted(names) if old.texts.get(name) != new.texts.get(name)]
    settings = sorted({*old.settings, *new.settings})
    return changed + [name for name in settings if old.settings.get(name) != new.settings.get(name)]


def check_texts(texts: Mapping[str, str], where: str) -> None:
    """Raise `PlaybookError` for a text without the placeholders and headings of the shipped one."""
    shipped = _texts(PROMPTS)
    for name, text in texts.items():
        placeholders = set(Template(shipped[name]).get_identifiers())
        missing = set(Template(text).get_identifiers()) ^ placeholders
        if missing:
            raise PlaybookError(f"{where}: {name} must have the placeholders of the shipped one: ${min(missing)}")
        if placeholders and not Template(text).is_valid():
            raise PlaybookError(f"{where}: {name} has placeholders, so write $$ for a dollar sign")
        if name == TOOLS and _HEADING.findall(text) != _HEADING.findall(shipped[name]):
            raise PlaybookError(f"{where}: {name} must have the headings of the shipped one: each describes a tool")


def _find(home: Path, version: str) -> Path:
    found = [path for path in sorted((home / FOLDER).glob(f"{version}*")) if path.is_dir()]
    if len(found) != 1:
        count = "more than one" if found else "no"
        raise PlaybookError(f"{count} version {version!r} of the playbook in {home / FOLDER}")
    return found[0]


def _read(folder: Path) -> Playbook:
    if not folder.is_dir():
        raise PlaybookError(f"{folder}: there is no such folder of prompts")
    own, shipped = _texts(folder), _texts(PROMPTS)
    unknown = sorted(set(own) - set(shipped))
    if unknown:
        raise PlaybookError(f"{folder / unknown[0]}.md: no such prompt; there are {', '.join(sorted(shipped))}")
    check_texts(own, str(folder))
    return Playbook({**shipped, **own}, _settings(folder / SETTINGS))


def _texts(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.rglob("*.md")):
        try:
            content = path.read_bytes()
            if len(content) > MOST_BYTES:
                raise PlaybookError(f"{path} is larger than {MOST_BYTES:,} bytes")
            found[path.relative_to(folder).with_suffix("").as_posix()] = content.decode().strip()
        except (OSError, UnicodeError) as error:
            raise PlaybookError(f"{path} cannot be read as text: {error}") from None
    return found


def _settings(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, tomllib.TOMLDecodeError) as error:
        raise PlaybookError(f"{path} cannot be read: {error}") from None

"""Read a requirements file with the files it includes, and refuse what would run code while it is installed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sandboxes.base import SandboxUnavailable
from sandboxes.cache import short_hash

ML_REQUIREMENTS = Path(__file__).parents[1] / "docker" / "images" / "ml" / "requirements.txt"
"""The usual machine learning stack: what the image `ml` contains."""
MAX_BYTES = 1_000_000
INCLUDES = re.compile(r"(?:-r|-c|--requirement|--constraint)(?:\s+|\s*=\s*)(\S+)")
PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(?:\[[^\]]*\])?\s*(?:[<>=!~;(].*)?")
WHEEL = re.compile(r"(?:[A-Za-z0-9._-]+(?:\[[^\]]*\])?\s*@\s*)?\S+\.whl(?:[#;\s].*)?")
OPTIONS = ("-i", "-f", "--index-url", "--extra-index-url", "--find-links", "--no-index", "--pre", "--prefer-binary")
"""Options of a requirements file that only choose which wheels are installed."""
BUILT = ("--only-binary", "--require-hashes", "--trusted-host")


@dataclass(frozen=True)
class Requirements:
    """A requirements file: its path, and the bytes of all files it consists of, by hash.

    `allows_builds`: packages may be built from source, which runs their code on this machine.
    """

    path: Path
    digest: str
    allows_builds: bool = False

    def key(self, *python: str) -> str:
        """The name of the environments made of it, for one Python on one platform."""
        return short_hash("\n".join(["1", self.digest, str(self.allows_builds), *python]))


def read_requirements(path: Path, allows_builds: bool = False) -> Requirements:
    """Read and check a requirements file. Raises `SandboxUnavailable` with what is wrong with it."""
    contents: dict[Path, str] = {}
    _collect(path.absolute(), contents)
    lines = [(file, line) for file, text in contents.items() for line in _logical_lines(text)]
    named = [line for _, line in lines if not line.startswith("-")]
    if not named:
        raise SandboxUnavailable(f"{path} names no package: write one requirement per line, such as lightgbm>=4")
    for file, line in lines:
        if not allows_builds and not _installs_wheels(line):
            raise SandboxUnavailable(
                f"{file}: `{_without_secrets(line)}` would be built from source, which runs its code on this machine: "
                "name a package or a wheel instead, or add --allow-builds"
            )
    texts = "\0".join(contents.values())
    return Requirements(path.absolute(), short_hash(texts, 32), allows_builds)


def _collect(path: Path, contents: dict[Path, str]) -> None:
    """The texts of a file and of those it includes."""
    if path in contents:
        return
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SandboxUnavailable(f"{path} is larger than {MAX_BYTES / 1e6:g} MB: is it a requirements file?")
        contents[path] = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SandboxUnavailable(f"{path} is not UTF-8 text: is it a requirements file?") from None
    except OSError as error:
        raise SandboxUnavailable(f"{path} cannot be read ({error.strerror})") from None
    for line in _logical_lines(contents[path]):
        if (match := INCLUDES.fullmatch(line)) and "://" not in match[1]:
            _collect(path.parent / match[1], contents)


def _logical_lines(text: str) -> list[str]:
    """The lines without comments; a line that ends with a backslash continues."""
    lines = re.sub(r"\\\r?\n", " ", text).splitlines()
    stripped = (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines)
    return [line for line in stripped if line]


def _installs_wheels(line: str) -> bool:
    first = re.split(r"[\s=]", line, maxsplit=1)[0]
    if first.startswith("-"):
        return first in OPTIONS or first in BUILT or INCLUDES.fullmatch(line) is not None
    if re.search(r"\.(tar\.\w+|tgz|zip)\b", line):
        return False
    return PACKAGE.fullmatch(re.sub(r"\s--hash\S*.*", "", line)) is not None or WHEEL.fullmatch(line) is not None


def _without_secrets(line: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//", line)[:200]

"""Build the images for containers: `ml` from its Dockerfile, `small` from files of this machine.

`small` needs no registry and no network. It is one archive of shell tools, this Python, the data science packages of
the harness and the libraries they load: the same that bubblewrap mounts, for tests and small tabular tasks.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from sandboxes.base import SandboxUnavailable
from sandboxes.cache import short_hash
from sandboxes.docker.daemon import IMAGES, LABEL, connect, image_named
from sandboxes.environments.environment import Environment
from sandboxes.environments.small import DEFAULT, SANDBOX_USER, interpreter, make_environment

RECIPE = "3"
PROGRAMS = """
awk base64 basename bash cat chgrp chmod chown cmp comm cp csplit cut date dd df diff dirname du env expand expr
factor false find fold free grep gunzip gzip head hostname id install join kill less ln logname ls lscpu md5sum mkdir
mkfifo mknod mktemp more mount mv nice nl nohup nproc od paste pgrep pkill printenv printf ps pwd readlink
realpath rm rmdir sed seq setsid sh sha256sum shuf sleep sort split stat stdbuf sync tac tail tar tee test time
timeout top touch tr true truncate tsort tty uname uniq unlink unshare uptime wc which who xargs yes su
"""
LOADED_BY_NAME = """
libpthread.so.0 libdl.so.2 librt.so.1 libutil.so.1 libm.so.6 libresolv.so.2 libgomp.so.1 libstdc++.so.6 libgcc_s.so.1
"""
"""Libraries that wheels load by name and that none of the programs is linked with."""
EXCLUDED = ("site-packages", "dist-packages", "test", "idlelib", "lib2to3", "tkinter", "ensurepip", "turtledemo")
FOLDERS = ("tmp", "proc", "sys", "dev", "etc", "run", "workspace", "home/data", "home/submission", "models", "harness")
MERGED_FOLDERS = ("bin", "sbin", "lib", "lib64")


def build(kind: str, home: Path) -> str:
    """Build the image `small` or `ml` if it is missing; returns its name. Raises `SandboxUnavailable`."""
    return build_small(home) if kind == "small" else build_ml()


def build_ml() -> str:
    """Build the image for real runs. The daemon fetches its base and packages from their registries."""
    from docker.errors import BuildError, DockerException

    folder = Path(__file__).parent / "images" / "ml"
    try:
        connect().images.build(path=str(folder), tag=IMAGES[0], rm=True, network_mode="host")
    except (BuildError, DockerException) as error:
        raise SandboxUnavailable(f"the image could not be built: {' '.join(str(error).split())[-400:]}") from error
    return IMAGES[0]


def build_small(home: Path, wanted: tuple[str, ...] = DEFAULT) -> str:
    """Build an image from this machine's Python and the wanted packages. Raises `SandboxUnavailable`."""
    from docker.errors import DockerException

    name = IMAGES[1]
    environment = make_environment(home, wanted)
    recipe = short_hash(f"{RECIPE} {environment.folder.name}")
    client = connect()
    if _is_built(name, recipe):
        return name
    with tempfile.NamedTemporaryFile(prefix="harness-image-", suffix=".tar") as archive:
        with tarfile.open(archive.name, "w") as tar:
            _RootFolder(tar).fill(environment)
        if _is_built(name, recipe):  # by another process meanwhile
            return name
        try:
            _import_image(client, archive.name, name, recipe)
        except DockerException as error:
            raise SandboxUnavailable(f"the image could not be built: {' '.join(str(error).split())[-400:]}") from error
    return name


def _is_built(name: str, recipe: str) -> bool:
    known = image_named(name)
    return known is not None and known.labels.get(f"{LABEL}.recipe") == recipe


def _import_image(client: Any, archive: str, name: str, recipe: str) -> None:
    changes = [  # Podman reads one variable or label of a line
        "ENV PATH=/usr/local/bin:/usr/bin:/bin",
        "ENV LANG=C.UTF-8",
        "WORKDIR /workspace",
        f"LABEL {LABEL}.recipe={recipe}",
        f"LABEL {LABEL}.image=small",
    ]
    client.api.import_image_from_file(archive, repository=name, changes=changes)  # Podman ignores a tag of its own
    if image_named(name) is None:
        raise SandboxUnavailable(f"the image {name} could not be imported: see the log of the daemon")


class _RootFolder:
    """Writes the root folder of an image into an archive: each path once, after its parent folders, owned by root."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self.tar = tar
        self.paths: set[str] = set()

    def fill(self, environment: Environment) -> None:
        for name in MERGED_FOLDERS:
            self.folder(f"usr/{name}")
            self.link(name, f"usr/{name}")
        for name in FOLDERS:
            self.folder(name, 0o1777 if name == "tmp" else 0o755)
        self._add_programs_and_python(environment)
        users = ((0, "root"), (1000, "agent"), (SANDBOX_USER, "agent"))
        self.text("etc/passwd", "".join(f"{name}:x:{number}:{number}::/tmp:/bin/bash\n" for number, name in users))
        self.text("etc/group", "".join(f"{name}:x:{number}:\n" for number, name in users))
        self.text("etc/nsswitch.conf", "hosts: files dns\npasswd: files\ngroup: files\n")

    def _add_programs_and_python(self, environment: Environment) -> None:
        search = "/usr/bin:/bin:/usr/sbin"
        programs = [Path(path) for name in PROGRAMS.split() if (path := shutil.which(name, path=search))]
        python = interpreter().resolve()
        standard = Path(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix}))
        extensions = sorted((standard / "lib-dynload").glob("*.so"))
        for program in programs:
            self.file(program, Path("/usr/bin", program.name))
        for library in _libraries([*programs, python, *extensions]):
            self.file(library, library)
        self.file(python, python)
        self.tree(standard, standard, EXCLUDED)
        for package in sorted((environment.folder / environment.site_packages).iterdir()):
            self.tree(package, standard / "site-packages" / package.name, ("tests",))
        for name in ("python3", "python"):
            self.link(f"usr/bin/{name}", str(python))

    def folder(self, path: str, mode: int = 0o755) -> None:
        if path in self.paths:
            return
        if parent := path.rpartition("/")[0]:
            self.folder(parent)
        entry = tarfile.TarInfo(path)
        entry.type, entry.mode = tarfile.DIRTYPE, mode
        self._add(entry)

    def link(self, path: str, target: str) -> None:
        self.folder(str(Path(path).parent)) if "/" in path else None
        entry = tarfile.TarInfo(path)
        entry.type, entry.linkname = tarfile.SYMTYPE, target
        self._add(entry)

    def text(self, path: str, content: str) -> None:
        entry = tarfile.TarInfo(path)
        entry.size = len(content)
        self._add(entry, io.BytesIO(content.encode()))

    def file(self, source: Path, inside: Path) -> None:
        """Add a file, links followed. A path in `/bin`, `/lib` etc. becomes one in `/usr`."""
        first = inside.parts[1]
        path = str(inside)[1:] if first not in MERGED_FOLDERS else f"usr{inside}"
        if path in self.paths or not source.is_file():
            return
        self.folder(str(Path(path).parent))
        status = source.stat()
        entry = tarfile.TarInfo(path)
        entry.size, entry.mtime = status.st_size, int(status.st_mtime)
        entry.mode = 0o755 if status.st_mode & 0o111 else 0o644
        with source.open("rb") as content:
            self._add(entry, content)

    def tree(self, source: Path, inside: Path, excluded: Iterable[str]) -> None:
        if source.is_file():
            return self.file(source, inside)
        for folder, names, files in os.walk(source):
            names[:] = [name for name in names if name not in excluded and not name.startswith("config-")]
            for name in sorted(files):
                path = Path(folder, name)
                self.file(path, inside / path.relative_to(source))
        return None

    def _add(self, entry: tarfile.TarInfo, content: IO[bytes] | None = None) -> None:
        if entry.name not in self.paths:
            self.paths.add(entry.name)
            self.tar.addfile(entry, content)


def _libraries(files: list[Path]) -> Iterator[Path]:
    """The libraries that these programs and libraries load, as named by the dynamic linker."""
    output = subprocess.run(["ldd", *map(str, files)], capture_output=True, text=True).stdout
    yield from map(Path, sorted(set(re.findall(r"(/[^ ()]+\.so[^ ()]*) \(0x", output))))
    program = shutil.which("ldconfig", path="/usr/sbin:/sbin:/usr/bin")
    known = subprocess.run([program, "-p"], capture_output=True, text=True).stdout if program else ""
    for name in LOADED_BY_NAME.split():
        if match := re.search(rf"^\s*{re.escape(name)} \(.*\) => (\S+)$", known, re.MULTILINE):
            yield Path(match[1])

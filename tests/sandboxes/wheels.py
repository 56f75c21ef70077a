"""A small wheel and a source archive, made on the spot, so that environments are built without a registry."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path


def make_wheel(folder: Path, name: str = "tiny", version: str = "1.0") -> Path:
    """A wheel with a module, a folder of answers and a script."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": f"VALUE = {version!r}\n\n\ndef main():\n    print('script of', VALUE)\n",
        f"{name}/answers/labels.csv": "id,label\n1,0\n",
        f"{name}/key.txt": "secret\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name}-script = {name}:main\n",
    }
    record = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, content in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(inside, content)
    return path


def make_sdist(folder: Path, mark: Path, name: str = "built", version: str = "1.0") -> Path:
    """A source archive whose setup.py writes to the file `mark`."""
    setup = f"open({str(mark)!r}, 'a').write('x')\nfrom setuptools import setup\nsetup(name={name!r}, version='1.0')\n"
    path = folder / f"{name}-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for inside, content in (("setup.py", setup), ("PKG-INFO", f"Name: {name}\nVersion: {version}\n")):
            entry = tarfile.TarInfo(f"{name}-{version}/{inside}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content.encode()))
    return path


def requirements_in(folder: Path, *lines: str) -> Path:
    """A requirements file that finds packages in its own folder only."""
    path = folder / "requirements.txt"
    path.write_text("\n".join(["--no-index", f"--find-links {folder}", *lines, ""]))
    return path

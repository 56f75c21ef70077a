"""Environments of the user's choice: a requirements file, a venv, a conda prefix, in every kind of sandbox."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from sandboxes.base import Sandbox, SandboxFailed, SandboxPaths, SandboxUnavailable
from sandboxes.cleanup import remove_stale_folders
from sandboxes.docker.build_environment import build_in_image
from sandboxes.environments.build import build_here
from sandboxes.environments.environment import changed_packages, missing_packages, read_prefix
from sandboxes.environments.requirements import read_requirements
from sandboxes.environments.small import interpreter
from sandboxes.isolation import describe_sandbox
from sandboxes.select import open_sandbox
from tests.sandboxes.conftest import SandboxDriver
from tests.sandboxes.wheels import make_sdist, make_wheel, requirements_in

VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
ASK = "python -c 'import tiny; print(tiny.VALUE)'; tiny-script; touch $VIRTUAL_ENV/x 2>&- || echo read-only"


def build_for(sandbox: Sandbox, requirements: Path, home: Path) -> Path:
    read = read_requirements(requirements)
    return build_in_image(read, "", home, (), print) if sandbox.kind == "docker" else build_here(read, home)


def with_prefix(driver: SandboxDriver, paths: SandboxPaths, prefix: Path) -> SandboxDriver:
    workspace = paths.workspace.parent / f"other{driver.number}"
    box = open_sandbox(driver.sandbox.kind, replace(paths, environment=prefix, workspace=workspace))
    driver.number += 10
    return SandboxDriver(box, driver.number)


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    make_wheel(tmp_path)
    return requirements_in(tmp_path, "tiny==1.0  # the newest")


def test_requirements_are_installed_once_for_each_kind(
    driver: SandboxDriver, paths: SandboxPaths, requirements: Path
) -> None:
    prefix = build_for(driver.sandbox, requirements, paths.home)
    began = time.monotonic()
    assert build_for(driver.sandbox, requirements, paths.home) == prefix
    assert time.monotonic() - began < 1.0
    before = driver.sandbox.environment_id()
    driver = with_prefix(driver, paths, prefix)
    expected = ["1.0", "script of 1.0"] + ["read-only"] * (driver.sandbox.kind != "local")
    assert driver.output_of(ASK).splitlines() == expected
    assert driver.sandbox.packages() == ("tiny 1.0",)
    assert driver.sandbox.python().startswith(VERSION)
    assert driver.sandbox.environment_id() == prefix.name != before
    card = describe_sandbox(driver.sandbox)
    assert f"Installed for Python {VERSION}: tiny 1.0. Not installed: numpy, pandas, scikit-learn" in card


def test_answers_inside_packages_are_masked(isolated: SandboxDriver, paths: SandboxPaths, requirements: Path) -> None:
    prefix = build_for(isolated.sandbox, requirements, paths.home)
    hidden = replace(paths, hidden=("tiny/answers", "tiny/key.txt", "tiny/none"))
    site = f"$VIRTUAL_ENV/lib/python{VERSION}/site-packages/tiny"
    assert with_prefix(isolated, hidden, prefix).output_of(f"ls {site}/answers; cat {site}/key.txt") == ""
    assert with_prefix(isolated, paths, prefix).output_of(f"ls {site}/answers; cat {site}/key.txt") == (
        "labels.csv\nsecret"
    )


def test_a_venv_of_this_machine_works_in_each_kind(driver: SandboxDriver, paths: SandboxPaths, tmp_path: Path) -> None:
    """In Docker too, where the image has the Python that the venv links to."""
    venv = tmp_path / "venv"
    subprocess.run([interpreter(), "-m", "venv", "--without-pip", venv], check=True)
    shutil.unpack_archive(make_wheel(tmp_path), venv / "lib" / f"python{VERSION}" / "site-packages", "zip")
    driver = with_prefix(driver, paths, venv)
    assert driver.output_of("python -c 'import tiny; print(tiny.VALUE)'; echo $VIRTUAL_ENV") == f"1.0\n{venv}"
    assert driver.sandbox.packages() == ("tiny 1.0",)


def test_a_conda_prefix_brings_its_own_python(driver: SandboxDriver, paths: SandboxPaths, tmp_path: Path) -> None:
    conda = tmp_path / "conda"
    (conda / "bin").mkdir(parents=True)
    (conda / "conda-meta").mkdir()
    shutil.copy(interpreter().resolve(), conda / "bin" / "python")
    standard = Path(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix}))
    left_out = shutil.ignore_patterns("site-packages", "dist-packages", "test", "idlelib", "config-*", "__pycache__")
    shutil.copytree(standard, conda / "lib" / f"python{VERSION}", ignore=left_out)
    shutil.unpack_archive(make_wheel(tmp_path), conda / "lib" / f"python{VERSION}" / "site-packages", "zip")
    for library in (Path(sys.base_prefix) / "lib").glob("libpython3*"):
        shutil.copy(library, conda / "lib" / library.name)
    driver = with_prefix(driver, paths, conda)
    script = "import sys, tiny; print(sys.prefix == sys.base_prefix, sys.prefix, tiny.VALUE)"
    command = f"LD_LIBRARY_PATH={conda}/lib python -c '{script}'; echo $CONDA_PREFIX"  # conda's own needs no such help
    assert driver.output_of(command) == f"True {conda} 1.0\n{conda}"


def test_processes_that_need_an_environment_build_it_once(requirements: Path, tmp_path: Path) -> None:
    read, said = read_requirements(requirements), list[str]()
    with ThreadPoolExecutor(3) as pool:
        made = set(pool.map(lambda _: build_here(read, tmp_path / "home", (), said.append), range(3)))
    assert len(made) == 1
    assert len([line for line in said if line.startswith("building")]) == 1
    assert [path.name for path in (tmp_path / "home" / "environments").glob("[!.]*-*")] == [path.name for path in made]


def test_an_environment_is_named_by_file_and_versions(requirements: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    requirements_in(tmp_path, "tiny")
    first = build_here(read_requirements(requirements), home)
    make_wheel(tmp_path, version="1.1")
    assert build_here(read_requirements(requirements), home) == first
    requirements_in(tmp_path, "tiny>=1")
    second = build_here(read_requirements(requirements), home)
    assert read_prefix(second, home).packages == ("tiny 1.1",)
    assert first.name.split("-")[0] != second.name.split("-")[0]
    shutil.rmtree(second)
    pinned = build_here(read_requirements(requirements), home, ("tiny 1.0",))
    assert read_prefix(pinned, home).packages == ("tiny 1.0",)
    assert pinned.name.split("-")[1] == first.name.split("-")[1] != second.name.split("-")[1]


def test_included_files_count(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("tiny\n")
    path = tmp_path / "requirements.txt"
    path.write_text("-r more.txt\n")
    before = read_requirements(path)
    (tmp_path / "more.txt").write_text("tiny==1.0\n")
    assert read_requirements(path).digest != before.digest


@pytest.mark.parametrize(
    "line",
    [
        "git+https://example.org/x.git",
        "x @ https://user:secret@example.org/x-1.tar.gz",
        "-e .",
        "./folder",
        "--no-binary :all:",
        "x-1.0.tar.gz",
    ],
)
def test_what_would_be_built_needs_permission(line: str, tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text(f"numpy\n{line}\n")
    with pytest.raises(SandboxUnavailable, match="--allow-builds") as refused:
        read_requirements(path)
    assert "secret" not in str(refused.value)
    read_requirements(path, allows_builds=True)


def test_a_source_archive_is_built_only_with_permission(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    make_sdist(tmp_path, mark)
    path = requirements_in(tmp_path, "built")
    with pytest.raises(SandboxUnavailable, match=r"built.*--allow-builds"):
        build_here(read_requirements(path), tmp_path / "home")
    assert not mark.exists()
    assert not list((tmp_path / "home" / "environments").glob(".making-*"))


BUILD = """
import sys
from pathlib import Path
from sandboxes.environments.build import build_here
from sandboxes.environments.requirements import read_requirements
build_here(read_requirements(Path(sys.argv[1])), Path(sys.argv[2]))
"""


def test_what_a_killed_build_left_is_removed_by_the_next(tmp_path: Path) -> None:
    """A build that goes on, which holds the lock of its key, keeps its folder."""
    make_wheel(tmp_path)
    path, built = requirements_in(tmp_path, "tiny"), tmp_path / "home" / "environments"
    argv = [sys.executable, "-c", BUILD, str(path), str(tmp_path / "home")]
    with subprocess.Popen(argv, cwd=Path(__file__).parents[2]) as process:
        while not list(built.glob(".making-*/bin")) and process.poll() is None:
            time.sleep(0.005)
        process.kill()
    [left] = built.glob(".making-*")
    going_on = built / ".making-0123-abc"
    going_on.mkdir()
    with FileLock(built / "0123.lock"):
        assert build_here(read_requirements(path), tmp_path / "home").parent == built
        assert going_on.exists() and not left.exists()
    assert remove_stale_folders(tmp_path / "home") == [going_on] and not going_on.exists()


def test_requirements_that_cannot_be_met_are_explained(tmp_path: Path) -> None:
    make_wheel(tmp_path)
    with pytest.raises(SandboxUnavailable, match=r"requirements.txt cannot be installed .*tiny==2"):
        build_here(read_requirements(requirements_in(tmp_path, "tiny==2")), tmp_path / "home")
    with pytest.raises(SandboxUnavailable, match="names no package"):
        read_requirements(requirements_in(tmp_path, "# nothing"))
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(SandboxUnavailable, match="not UTF-8"):
        read_requirements(tmp_path / "binary.txt")
    with pytest.raises(SandboxUnavailable, match="No such file"):
        read_requirements(tmp_path / "missing.txt")


def test_folders_that_are_not_environments_are_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with pytest.raises(SandboxUnavailable, match="neither a venv nor a conda environment"):
        read_prefix(tmp_path, home)
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\n")
    with pytest.raises(SandboxUnavailable, match="put it into a folder of its own"):
        read_prefix(tmp_path, home)
    old = tmp_path / "old"
    (old / "lib" / "python3.8" / "site-packages").mkdir(parents=True)
    (old / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.8.1\n")
    with pytest.raises(SandboxUnavailable, match=r"has Python 3\.8: make one with Python 3\.9 or later"):
        read_prefix(old, home)
    (old / "lib" / "python3.8").rename(old / "lib" / "python3.12")
    with pytest.raises(SandboxFailed, match="relative to site-packages"):
        read_prefix(old, home).hidden(("/etc/passwd",))


def test_packages_are_compared_in_words() -> None:
    assert missing_packages(("pandas 3.1", "numpy 2.0")) == ["scikit-learn"]
    assert changed_packages(("a 1", "b 1"), ("a 2", "b 1")) == "now with a 2, without a 1"
    assert changed_packages(("a 1",), ("a 1",)) == ""

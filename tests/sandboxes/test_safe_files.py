"""File access in folders that hostile code can change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandboxes.base import PathRefused
from sandboxes.safe_files import change_owner, read_file, split_path, write_file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "answers.csv").write_text("the answers")
    (tmp_path / "workspace").mkdir()
    return tmp_path / "workspace"


def test_read_follows_no_link(root: Path) -> None:
    (root / "submission.csv").symlink_to(root.parent / "secret" / "answers.csv")
    (root / "folder").symlink_to(root.parent / "secret")
    for path in ("submission.csv", "folder/answers.csv"):
        with pytest.raises(PathRefused, match="link"):
            read_file(root, split_path(path), 1000)


def test_write_follows_no_link(root: Path) -> None:
    (root / "a.txt").symlink_to(root.parent / "secret" / "answers.csv")
    (root / "folder").symlink_to(root.parent / "secret")
    write_file(root, split_path("a.txt"), b"mine", None)
    assert not (root / "a.txt").is_symlink()
    with pytest.raises(PathRefused, match="link"):
        write_file(root, split_path("folder/answers.csv"), b"mine", None)
    assert (root.parent / "secret" / "answers.csv").read_text() == "the answers"


def test_fifo_is_refused_without_blocking(root: Path) -> None:
    os.mkfifo(root / "submission.csv")
    with pytest.raises(PathRefused, match="not a regular file"):
        read_file(root, ("submission.csv",), 1000)
    write_file(root, ("submission.csv",), b"x", None)
    assert read_file(root, ("submission.csv",), 1000) == b"x"


def test_devices_folders_and_missing_files_are_distinguished(root: Path) -> None:
    (root / "folder").mkdir()
    with pytest.raises(PathRefused, match="not a regular file"):
        read_file(Path("/dev"), ("zero",), 10)
    with pytest.raises(PathRefused, match="not a regular file"):
        read_file(root, ("folder",), 10)
    with pytest.raises(PathRefused, match="is a folder"):
        write_file(root, ("folder",), b"", None)
    for parts in (("none",), ("none", "below")):
        with pytest.raises(FileNotFoundError):
            read_file(root, parts, 10)


def test_file_over_limit_is_refused(root: Path) -> None:
    (root / "big").write_bytes(b"12345")
    assert read_file(root, ("big",), 5) == b"12345"
    with pytest.raises(PathRefused, match="5 bytes; at most 4"):
        read_file(root, ("big",), 4)


@pytest.mark.parametrize("path", ["..", "a/../b", "/etc/passwd", "/workspacex/a", "", ".", "/workspace", "a\0b"])
def test_invalid_paths_are_refused(path: str) -> None:
    with pytest.raises(PathRefused):
        split_path(path)


def test_absolute_workspace_path_is_accepted() -> None:
    assert split_path("/workspace/a/b") == split_path("a/b") == split_path("./a//b") == ("a", "b")


def test_write_keeps_mode_and_leaves_no_temporary_file(root: Path) -> None:
    write_file(root, ("deep", "er", "run.sh"), b"1", None)
    (root / "deep" / "er" / "run.sh").chmod(0o755)
    write_file(root, ("deep", "er", "run.sh"), b"2", None)
    assert (root / "deep" / "er" / "run.sh").stat().st_mode & 0o777 == 0o755
    assert [path.name for path in (root / "deep" / "er").iterdir()] == ["run.sh"]


def test_file_names_of_any_bytes_are_kept(root: Path) -> None:
    name = os.fsdecode(b"new\nline \xff")
    write_file(root, (name,), b"x", None)
    assert read_file(root, (name,), 10) == b"x"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change owners")
def test_change_owner_follows_no_link(root: Path) -> None:
    (root / "link").symlink_to(root.parent / "secret")
    (root / "mine").mkdir()
    (root / "mine" / "file").touch()
    change_owner(root, (65534, 65534))
    assert (root / "mine" / "file").stat().st_uid == 65534
    assert (root / "link").lstat().st_uid == 65534
    assert (root.parent / "secret").stat().st_uid == 0
    assert (root.parent / "secret" / "answers.csv").stat().st_uid == 0

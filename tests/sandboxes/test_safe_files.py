"""Files are moved in and out without following what hostile code has laid there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandboxes.base import PathRefused
from sandboxes.safe_files import give, parts_of, read_file, write_file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "answers.csv").write_text("the answers")
    (tmp_path / "workspace").mkdir()
    return tmp_path / "workspace"


def test_a_link_is_not_read_through_wherever_it_stands(root: Path) -> None:
    (root / "submission.csv").symlink_to(root.parent / "secret" / "answers.csv")
    (root / "folder").symlink_to(root.parent / "secret")
    for path in ("submission.csv", "folder/answers.csv"):
        with pytest.raises(PathRefused, match="link"):
            read_file(root, parts_of(path), 1000)


def test_a_link_is_not_written_through(root: Path) -> None:
    (root / "a.txt").symlink_to(root.parent / "secret" / "answers.csv")
    (root / "folder").symlink_to(root.parent / "secret")
    write_file(root, parts_of("a.txt"), b"mine", None)
    assert not (root / "a.txt").is_symlink()
    with pytest.raises(PathRefused, match="link"):
        write_file(root, parts_of("folder/answers.csv"), b"mine", None)
    assert (root.parent / "secret" / "answers.csv").read_text() == "the answers"


def test_a_fifo_does_not_block_and_is_refused(root: Path) -> None:
    os.mkfifo(root / "submission.csv")
    with pytest.raises(PathRefused, match="not a regular file"):
        read_file(root, ("submission.csv",), 1000)
    write_file(root, ("submission.csv",), b"x", None)
    assert read_file(root, ("submission.csv",), 1000) == b"x"


def test_devices_folders_and_missing_files_are_told_apart(root: Path) -> None:
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


def test_more_than_the_limit_is_refused(root: Path) -> None:
    (root / "big").write_bytes(b"12345")
    assert read_file(root, ("big",), 5) == b"12345"
    with pytest.raises(PathRefused, match="5 bytes; at most 4"):
        read_file(root, ("big",), 4)


@pytest.mark.parametrize("path", ["..", "a/../b", "/etc/passwd", "/workspacex/a", "", ".", "/workspace", "a\0b"])
def test_paths_that_leave_or_name_nothing_are_refused(path: str) -> None:
    with pytest.raises(PathRefused):
        parts_of(path)


def test_the_workspace_may_be_named_in_full() -> None:
    assert parts_of("/workspace/a/b") == parts_of("a/b") == parts_of("./a//b") == ("a", "b")


def test_a_write_keeps_the_mode_and_leaves_nothing_beside_it(root: Path) -> None:
    write_file(root, ("deep", "er", "run.sh"), b"1", None)
    (root / "deep" / "er" / "run.sh").chmod(0o755)
    write_file(root, ("deep", "er", "run.sh"), b"2", None)
    assert (root / "deep" / "er" / "run.sh").stat().st_mode & 0o777 == 0o755
    assert [path.name for path in (root / "deep" / "er").iterdir()] == ["run.sh"]


def test_names_of_any_bytes_survive(root: Path) -> None:
    name = os.fsdecode(b"new\nline \xff")
    write_file(root, (name,), b"x", None)
    assert read_file(root, (name,), 10) == b"x"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_giving_a_folder_does_not_follow_links(root: Path) -> None:
    (root / "link").symlink_to(root.parent / "secret")
    (root / "mine").mkdir()
    (root / "mine" / "file").touch()
    give(root, (65534, 65534))
    assert (root / "mine" / "file").stat().st_uid == 65534
    assert (root / "link").lstat().st_uid == 65534
    assert (root.parent / "secret").stat().st_uid == 0
    assert (root.parent / "secret" / "answers.csv").stat().st_uid == 0

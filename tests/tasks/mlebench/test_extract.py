"""Archives are unpacked inside their folder or not at all, and again if they changed."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from tasks.mlebench.extract import unpack, unpacked_size
from tasks.task import TaskError


def silent(*_: object) -> None:
    """Progress that is not shown."""


def write_7z(path: Path, files: dict[str, str]) -> Path:
    import py7zr

    with py7zr.SevenZipFile(path, "w") as archive:
        archive.set_encoded_header_mode(False)
        for name, text in files.items():
            archive.writestr(text, name)
    return path


def rename_member(path: Path, old: str, new: str) -> None:
    """Give a member of a 7z archive a name that no packer writes, with correct checksums of the header."""
    raw = path.read_bytes().replace(old.encode("utf-16-le"), new.encode("utf-16-le"))
    offset, size = struct.unpack("<QQ", raw[12:28])
    start = raw[12:28] + struct.pack("<I", zlib.crc32(raw[32 + offset : 32 + offset + size]))
    path.write_bytes(raw[:8] + struct.pack("<I", zlib.crc32(start)) + start + raw[32:])


@pytest.mark.parametrize("name", ["../../evil.csv", "/tmp/very-evil"])
def test_a_7z_archive_with_paths_outside_is_refused_before_a_file_is_written(name: str, tmp_path: Path) -> None:
    archive = write_7z(tmp_path / "train.7z", {"good.csv": "x", "aaaaaaaaaaaaaa": "y"})
    rename_member(archive, "aaaaaaaaaaaaaa", name)
    with pytest.raises(TaskError, match=f"contains '{name}'"):
        unpack(archive, tmp_path / "deep" / "opened", silent)
    assert not list((tmp_path / "deep" / "opened").iterdir())
    assert not list(tmp_path.rglob("*evil*"))


def test_a_7z_archive_with_a_link_is_refused(tmp_path: Path) -> None:
    import py7zr

    (tmp_path / "real").write_text("x")
    (tmp_path / "link").symlink_to("real")
    with py7zr.SevenZipFile(tmp_path / "train.7z", "w") as archive:
        archive.write(tmp_path / "link", "link")
    with pytest.raises(TaskError, match="'link', which is a link"):
        unpack(tmp_path / "train.7z", tmp_path / "opened", silent)


@pytest.mark.parametrize("kept", [0, 20, 40, 120, -1])
def test_a_truncated_7z_archive_is_reported(kept: int, tmp_path: Path) -> None:
    archive = write_7z(tmp_path / "train.7z", {f"{n}.csv": "id,x\n" * n for n in range(50)})
    archive.write_bytes(archive.read_bytes()[:kept])
    with pytest.raises(TaskError, match=r"train\.7z is damaged \(.+\): delete it and download it again"):
        unpack(archive, tmp_path / "opened", silent)


def test_a_damaged_7z_archive_is_reported_and_its_replacement_unpacked(tmp_path: Path) -> None:
    archive = write_7z(tmp_path / "train.7z", {"train.csv": "id,x\n1,2\n" * 1000})
    whole = archive.read_bytes()
    archive.write_bytes(whole[:40] + bytes([whole[40] ^ 255]) + whole[41:])
    with pytest.raises(TaskError, match="is damaged"):
        unpack(archive, tmp_path / "opened", silent)
    archive.write_bytes(whole)
    assert (unpack(archive, tmp_path / "opened", silent) / "train.csv").read_text() == "id,x\n1,2\n" * 1000


def write_zip(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_a_truncated_or_encrypted_zip_archive_is_reported(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "train.zip", {"train.csv": "id\n"})
    whole = archive.read_bytes()
    archive.write_bytes(whole[:-10])
    for read in (unpacked_size, lambda path: unpack(path, tmp_path / "opened", silent)):
        with pytest.raises(TaskError, match=r"train\.zip is damaged .*: delete it and download it again"):
            read(archive)
    encrypted = bytearray(whole)
    encrypted[6] |= 1  # the flag "encrypted", before the member and in the directory
    encrypted[whole.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(encrypted)
    with pytest.raises(TaskError, match="encrypted"):
        unpack(archive, tmp_path / "opened", silent)


def test_an_archive_is_unpacked_once_and_again_if_it_changed(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "train.zip", {"old.csv": "old", "train.csv": "one"})
    folder = unpack(archive, tmp_path / "opened", silent)
    steps: list[str] = []
    unpack(archive, folder, lambda step, *_: steps.append(step))
    assert not steps
    write_zip(archive, {"new.csv": "new", "train.csv": "two"})
    unpack(archive, folder, lambda step, *_: steps.append(step))
    assert any("train.zip changed" in step for step in steps)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"new.csv": "new", "train.csv": "two"}


def test_unpacking_resumes_only_for_the_same_archive(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "train.zip", {"a.csv": "one", "b.csv": "one"})
    (tmp_path / "opened").mkdir()
    (tmp_path / "opened" / "b.csv").write_text("two")
    (tmp_path / "opened.done").touch()  # a mark that names no archive
    unpack(archive, tmp_path / "opened", silent)
    assert (tmp_path / "opened" / "b.csv").read_text() == "one"
    (tmp_path / "opened" / "b.csv").unlink()
    mark = tmp_path / "opened.done"
    mark.write_text(mark.read_text().replace("true", "false"))
    before = (tmp_path / "opened" / "a.csv").stat().st_ino
    unpack(archive, tmp_path / "opened", silent)
    assert (tmp_path / "opened" / "a.csv").stat().st_ino == before
    assert (tmp_path / "opened" / "b.csv").read_text() == "one"

"""Melanoma: the test set is the images in two TFRecord files, which are read without TensorFlow.

A TFRecord file is a sequence of records: eight bytes of length, four of checksum, the content, four of checksum. The
content is a protocol buffer, Example{1: Features{1: map<string, Feature{1: BytesList{1: bytes}}>}}.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tasks.errors import TaskError
from tasks.mlebench.builder import DataBuilder

TEST_RECORDS = ("train00-2071.tfrec", "train06-2071.tfrec")
TEST_COLUMNS = ["image_name", "patient_id", "sex", "age_approx", "anatom_site_general_challenge"]


def melanoma(builder: DataBuilder) -> None:
    """Melanoma. All TFRecords are withheld, because those of the test set contain its answers."""
    labels = builder.table("train.csv")
    records = builder.folder("tfrecords")
    names = {name for record in TEST_RECORDS for name in image_names(records / record)}
    is_test = labels["image_name"].isin(names)
    train, test = labels[~is_test], labels[is_test]
    for folder, suffix in (("train", ".dcm"), ("jpeg/train", ".jpg")):
        source = builder.folder(folder)
        for target, part in ((folder, train), (folder.replace("train", "test"), test)):
            pairs = [(source / f"{name}{suffix}", f"public/{target}/{name}{suffix}") for name in part["image_name"]]
            builder.link(pairs, f"public/{target}")
    builder.link(_renamed(records), "withheld/tfrecords")
    builder.write("public/train.csv", train)
    builder.write("public/test.csv", test[TEST_COLUMNS])
    builder.write("private/test.csv", test[["image_name", "target"]])
    builder.write("public/sample_submission.csv", test[["image_name"]].assign(target=0))


def _renamed(records: Path) -> Iterator[tuple[Path, str]]:
    """Training records renumbered without those of the test set, and those under test names."""
    for number, name in enumerate(TEST_RECORDS):
        yield records / name, f"withheld/tfrecords/test{number:02d}-{name.partition('-')[2]}"
    rest = sorted(path for path in records.glob("train*.tfrec") if path.name not in TEST_RECORDS)
    for number, path in enumerate(rest):
        yield path, f"withheld/tfrecords/train{number:02d}-{path.name.partition('-')[2]}"


def image_names(path: Path) -> list[str]:
    """The `image_name` of every record of a TFRecord file. Raises TaskError."""
    try:
        names = [_feature(content, b"image_name").decode() for content in _records(path)]
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise TaskError(f"{path} cannot be read as TFRecords ({error}): download the data again") from None
    expected = re.search(r"-(\d+)\.tfrec$", path.name)
    if expected and len(names) != int(expected[1]):
        raise TaskError(f"{path} has {len(names)} records, expected {expected[1]}: download the data again")
    return names


def _records(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while head := file.read(12):
            length = int.from_bytes(head[:8], "little")
            content = file.read(length + 4)
            if len(head) < 12 or len(content) < length + 4:
                raise ValueError("it ends within a record")
            yield content[:length]


def _feature(content: bytes, name: bytes) -> bytes:
    """The single bytes value of a feature of an Example."""
    for features in _fields(content, 1):
        for entry in _fields(features, 1):
            if next(_fields(entry, 1)) == name:
                values = next(_fields(next(_fields(entry, 2)), 1))
                return next(_fields(values, 1))
    raise KeyError(name.decode())


def _fields(message: bytes, number: int) -> Iterator[bytes]:
    """The length-delimited fields of a protocol buffer with this number."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 2:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError("a field is longer than its message")
            if key >> 3 == number:
                yield message[at : at + length]
            at += length
        elif kind == 0:
            _, at = _varint(message, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field has the unknown type {kind}")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at

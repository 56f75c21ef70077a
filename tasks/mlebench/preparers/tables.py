"""Competitions whose data are tables."""

from __future__ import annotations

import json
import mmap
from pathlib import Path
from typing import Any

from tasks.mlebench.builder import DataBuilder, split
from tasks.mlebench.read_raw import exact_floats, read_csv

CHUNK = 500_000
TAXI_TYPES = {
    "key": str,
    "fare_amount": float,
    "pickup_datetime": str,
    "pickup_longitude": float,
    "pickup_latitude": float,
    "dropoff_longitude": float,
    "dropoff_latitude": float,
}


def taxi(builder: DataBuilder) -> None:
    """New York taxi fares: 55 million rows, shuffled without loading them into memory."""
    import numpy as np

    source = builder.file("train.csv")
    plain = builder.target / ".rows.csv"
    offsets = _write_rows(builder, source, plain)
    train, test = split(np.arange(len(offsets) - 1), test_size=9914)
    builder.progress("shuffling rows", 0, 0)
    header = _header(source)
    with plain.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as rows:

        def write(path: Path, chosen: Any) -> None:
            with path.open("wb", buffering=1 << 22) as out:
                out.write(f"{header}\n".encode())
                for start in range(0, len(chosen), CHUNK):
                    part = chosen[start : start + CHUNK]
                    begins, ends = offsets[part], offsets[part + 1]
                    out.writelines(rows[b:e] for b, e in zip(begins.tolist(), ends.tolist(), strict=True))
                    builder.progress(
                        f"writing {path.name.strip('.').removesuffix('.part')}", start + len(part), len(chosen)
                    )

        builder.write_by("public/labels.csv", lambda path: write(path, train))
        builder.write_by("private/test.csv", lambda path: write(path, test))
    plain.unlink()
    answers = read_csv(builder.path("private/test.csv"))
    builder.write("public/test.csv", answers.drop(columns="fare_amount"))
    builder.write("public/sample_submission.csv", answers[["key"]].assign(fare_amount=11.35))
    coupons = builder.raw / "GCP-Coupons-Instructions.rtf"
    if coupons.is_file():
        builder.copy(coupons, f"public/{coupons.name}")


def _header(source: Path) -> str:
    with source.open(encoding="utf-8-sig") as file:
        return file.readline().rstrip("\r\n")


def _write_rows(builder: DataBuilder, source: Path, plain: Path) -> Any:
    """Write the rows as pandas would, without a header. Returns the byte offsets of all rows, and of the end."""
    import numpy as np
    import pandas as pd

    lengths: list[Any] = []
    done = 0
    with plain.open("wb") as out:
        for chunk in pd.read_csv(source, chunksize=CHUNK, dtype=TAXI_TYPES, **exact_floats()):
            lines = chunk.to_csv(None, index=False, header=False).encode()
            out.write(lines)
            lengths.append(np.diff(np.flatnonzero(np.frombuffer(lines, np.uint8) == ord("\n")), prepend=-1))
            done += len(chunk)
            builder.progress("reading train.csv", done, 0)
    return np.concatenate([[0], np.cumsum(np.concatenate(lengths))])


def forest(builder: DataBuilder) -> None:
    """Tabular Playground, December 2021."""
    train, test = split(builder.table("train.csv"), test_size=0.1)
    builder.write("public/train.csv", train)
    builder.write("private/test.csv", test)
    builder.write("public/test.csv", test.drop(columns="Cover_Type"))
    builder.write("public/sample_submission.csv", test[["Id"]].assign(Cover_Type=2))


def interactions(builder: DataBuilder) -> None:
    """Tabular Playground, May 2022: rows are renumbered, train first."""
    train, test = split(builder.table("train.csv"), test_size=100_000)
    train, test = train.assign(id=range(len(train))), test.assign(id=range(len(train), len(train) + len(test)))
    builder.write("public/train.csv", train)
    builder.write("private/test.csv", test)
    builder.write("private/gold_submission.csv", test[["id", "target"]])
    builder.write("public/test.csv", test.drop(columns="target"))
    builder.write("public/sample_submission.csv", test[["id"]].assign(target=0.5))


def conductors(builder: DataBuilder) -> None:
    """Nomad 2018: train and test are renumbered separately, and the geometries with them."""
    targets = ["formation_energy_ev_natom", "bandgap_energy_ev"]
    geometries = builder.folder("train")
    train, test = split(builder.table("train.csv"), test_size=0.1)
    for side, part in (("train", train), ("test", test)):
        pairs = [
            (geometries / str(old) / "geometry.xyz", f"public/{side}/{new}/geometry.xyz")
            for new, old in enumerate(part["id"], 1)
        ]
        builder.link(pairs, f"geometries of {side}")
    train, test = train.assign(id=range(1, len(train) + 1)), test.assign(id=range(1, len(test) + 1))
    builder.write("public/train.csv", train)
    builder.write("private/test.csv", test)
    builder.write("public/test.csv", test.drop(columns=targets))
    sample = test[["id"]].assign(formation_energy_ev_natom=0.1779, bandgap_energy_ev=1.8892)
    builder.write("public/sample_submission.csv", sample)


def pizza(builder: DataBuilder) -> None:
    """Random Acts of Pizza: JSON; the test rows keep only the fields of Kaggle's test set."""
    import pandas as pd

    requests = json.loads(builder.file("train.json").read_text(encoding="utf-8"))
    kaggles = json.loads(builder.file("test.json").read_text(encoding="utf-8"))
    train, test = split(requests, test_size=len(kaggles) / (len(kaggles) + len(requests)))
    kept = set(kaggles[0])
    shown = [{name: value for name, value in row.items() if name in kept} for row in test]
    for name, part in (("train", train), ("test", shown)):
        builder.write_text(f"public/{name}.json", json.dumps(part, indent=4))
        builder.path(f"public/{name}.zip").unlink(missing_ok=True)
        builder.archive(f"public/{name}.zip", [(builder.path(f"public/{name}.json"), f"{name}.json")])
    ids = [row["request_id"] for row in test]
    received = [int(row["requester_received_pizza"]) for row in test]
    builder.write("private/test.csv", pd.DataFrame({"request_id": ids, "requester_received_pizza": received}))
    builder.write("public/sampleSubmission.csv", pd.DataFrame({"request_id": ids, "requester_received_pizza": 0}))


def spaceship(builder: DataBuilder) -> None:
    """Spaceship Titanic."""
    train, test = split(builder.table("train.csv"), test_size=0.1)
    builder.write("public/train.csv", train)
    builder.write("private/test.csv", test)
    builder.write("public/test.csv", test.drop(columns="Transported"))
    builder.write("public/sample_submission.csv", test[["PassengerId"]].assign(Transported=False))


def enzymes(builder: DataBuilder) -> None:
    """Playground Series 3, episode 18: six enzyme classes, two of which are predicted."""
    train, test = split(builder.table("train.csv"), test_size=0.1)
    builder.write("public/train.csv", train)
    builder.write("private/test.csv", test)
    builder.write("public/test.csv", test.drop(columns=[f"EC{number}" for number in range(1, 7)]))
    builder.write("public/sample_submission.csv", test[["id"]].assign(EC1=0.5, EC2=0.5))


def phonemes(builder: DataBuilder) -> None:
    """ML 2021 Spring, homework 2: frames of speech in NumPy arrays."""
    import numpy as np
    import pandas as pd

    folder = "timit_11/timit_11"
    arrays = {name: np.load(builder.file(f"{folder}/{name}.npy")) for name in ("train_11", "train_label_11", "test_11")}
    labelled, unlabelled = len(arrays["train_11"]), len(arrays["test_11"])
    train, test = split(np.arange(labelled), test_size=unlabelled / (labelled + unlabelled))

    def save(name: str, values: Any) -> None:
        def write(path: Path) -> None:
            with path.open("wb") as file:
                np.save(file, values)

        builder.write_by(f"public/{folder}/{name}.npy", write)

    save("train_11", arrays["train_11"][train])
    save("train_label_11", arrays["train_label_11"][train])
    save("test_11", arrays["train_11"][test])
    ids = np.arange(len(test))
    labels = arrays["train_label_11"][test]
    builder.write("private/answers.csv", pd.DataFrame({"Id": ids, "ClassId": labels}))
    builder.write("public/sampleSubmission.csv", pd.DataFrame({"Id": ids, "ClassId": 0}))

"""Competitions whose data are tables."""

from __future__ import annotations

import json
import mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.mlebench.builder import Workshop, split
from tasks.mlebench.read_raw import read_csv

if TYPE_CHECKING:
    pass

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


def taxi(shop: Workshop) -> None:
    """New York taxi fares: 55 million rows, shuffled without holding them in memory."""
    import numpy as np

    source = shop.file("train.csv")
    plain = shop.target / ".rows.csv"
    offsets = _rows_as_written(shop, source, plain)
    train, test = split(np.arange(len(offsets) - 1), test_size=9914)
    shop.tell("shuffling rows", 0, 0)
    header = _header(source)
    with plain.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as rows:

        def write(path: Path, chosen: Any) -> None:
            with path.open("wb", buffering=1 << 22) as out:
                out.write(f"{header}\n".encode())
                for start in range(0, len(chosen), CHUNK):
                    part = chosen[start : start + CHUNK]
                    begins, ends = offsets[part], offsets[part + 1]
                    out.writelines(rows[b:e] for b, e in zip(begins.tolist(), ends.tolist(), strict=True))
                    shop.tell(f"writing {path.name.strip('.').removesuffix('.part')}", start + len(part), len(chosen))

        shop.write_by("public/labels.csv", lambda path: write(path, train))
        shop.write_by("private/test.csv", lambda path: write(path, test))
    plain.unlink()
    answers = read_csv(shop.path("private/test.csv"))
    shop.write("public/test.csv", answers.drop(columns="fare_amount"))
    shop.write("public/sample_submission.csv", answers[["key"]].assign(fare_amount=11.35))
    coupons = shop.raw / "GCP-Coupons-Instructions.rtf"
    if coupons.is_file():
        shop.copy(coupons, f"public/{coupons.name}")


def _header(source: Path) -> str:
    with source.open(encoding="utf-8-sig") as file:
        return file.readline().rstrip("\r\n")


def _rows_as_written(shop: Workshop, source: Path, plain: Path) -> Any:
    """Write the rows as pandas would, without a header; where each begins, in bytes, and where the last ends."""
    import numpy as np
    import pandas as pd

    from tasks.mlebench.read_raw import mend, parser_is_ordinary

    lengths: list[Any] = []
    mends = not parser_is_ordinary()
    floats = [name for name, kind in TAXI_TYPES.items() if kind is float]
    texts = pd.read_csv(source, chunksize=CHUNK, usecols=floats, dtype=str) if mends else None
    done = 0
    with plain.open("wb") as out:
        for chunk in pd.read_csv(source, chunksize=CHUNK, dtype=TAXI_TYPES):
            if texts is not None:
                mend(chunk, next(texts))
            lines = chunk.to_csv(None, index=False, header=False).encode()
            out.write(lines)
            lengths.append(np.diff(np.flatnonzero(np.frombuffer(lines, np.uint8) == ord("\n")), prepend=-1))
            done += len(chunk)
            shop.tell("reading train.csv", done, 0)
    return np.concatenate([[0], np.cumsum(np.concatenate(lengths))])


def forest(shop: Workshop) -> None:
    """Tabular Playground, December 2021."""
    train, test = split(shop.table("train.csv"), test_size=0.1)
    shop.write("public/train.csv", train)
    shop.write("private/test.csv", test)
    shop.write("public/test.csv", test.drop(columns="Cover_Type"))
    shop.write("public/sample_submission.csv", test[["Id"]].assign(Cover_Type=2))


def interactions(shop: Workshop) -> None:
    """Tabular Playground, May 2022: ids are given anew, train first."""
    train, test = split(shop.table("train.csv"), test_size=100_000)
    train, test = train.assign(id=range(len(train))), test.assign(id=range(len(train), len(train) + len(test)))
    shop.write("public/train.csv", train)
    shop.write("private/test.csv", test)
    shop.write("private/gold_submission.csv", test[["id", "target"]])
    shop.write("public/test.csv", test.drop(columns="target"))
    shop.write("public/sample_submission.csv", test[["id"]].assign(target=0.5))


def conductors(shop: Workshop) -> None:
    """Nomad 2018: ids are given anew in train and test apart, and the geometries follow them."""
    targets = ["formation_energy_ev_natom", "bandgap_energy_ev"]
    geometries = shop.folder("train")
    train, test = split(shop.table("train.csv"), test_size=0.1)
    for side, part in (("train", train), ("test", test)):
        pairs = [
            (geometries / str(old) / "geometry.xyz", f"public/{side}/{new}/geometry.xyz")
            for new, old in enumerate(part["id"], 1)
        ]
        shop.link(pairs, f"geometries of {side}")
    train, test = train.assign(id=range(1, len(train) + 1)), test.assign(id=range(1, len(test) + 1))
    shop.write("public/train.csv", train)
    shop.write("private/test.csv", test)
    shop.write("public/test.csv", test.drop(columns=targets))
    sample = test[["id"]].assign(formation_energy_ev_natom=0.1779, bandgap_energy_ev=1.8892)
    shop.write("public/sample_submission.csv", sample)


def pizza(shop: Workshop) -> None:
    """Random Acts of Pizza: JSON, of which the test part keeps the fields that Kaggle's has."""
    import pandas as pd

    asked = json.loads(shop.file("train.json").read_text(encoding="utf-8"))
    kaggles = json.loads(shop.file("test.json").read_text(encoding="utf-8"))
    train, test = split(asked, test_size=len(kaggles) / (len(kaggles) + len(asked)))
    kept = set(kaggles[0])
    shown = [{name: value for name, value in one.items() if name in kept} for one in test]
    for name, part in (("train", train), ("test", shown)):
        shop.write_text(f"public/{name}.json", json.dumps(part, indent=4))
        shop.path(f"public/{name}.zip").unlink(missing_ok=True)
        shop.archive(f"public/{name}.zip", [(shop.path(f"public/{name}.json"), f"{name}.json")])
    ids = [one["request_id"] for one in test]
    won = [int(one["requester_received_pizza"]) for one in test]
    shop.write("private/test.csv", pd.DataFrame({"request_id": ids, "requester_received_pizza": won}))
    shop.write("public/sampleSubmission.csv", pd.DataFrame({"request_id": ids, "requester_received_pizza": 0}))


def spaceship(shop: Workshop) -> None:
    """Spaceship Titanic."""
    train, test = split(shop.table("train.csv"), test_size=0.1)
    shop.write("public/train.csv", train)
    shop.write("private/test.csv", test)
    shop.write("public/test.csv", test.drop(columns="Transported"))
    shop.write("public/sample_submission.csv", test[["PassengerId"]].assign(Transported=False))


def enzymes(shop: Workshop) -> None:
    """Playground Series 3, episode 18: six enzyme classes, two of them asked for."""
    train, test = split(shop.table("train.csv"), test_size=0.1)
    shop.write("public/train.csv", train)
    shop.write("private/test.csv", test)
    shop.write("public/test.csv", test.drop(columns=[f"EC{number}" for number in range(1, 7)]))
    shop.write("public/sample_submission.csv", test[["id"]].assign(EC1=0.5, EC2=0.5))


def phonemes(shop: Workshop) -> None:
    """ML 2021 Spring, homework 2: frames of speech in NumPy arrays."""
    import numpy as np
    import pandas as pd

    folder = "timit_11/timit_11"
    arrays = {name: np.load(shop.file(f"{folder}/{name}.npy")) for name in ("train_11", "train_label_11", "test_11")}
    known, asked = len(arrays["train_11"]), len(arrays["test_11"])
    train, test = split(np.arange(known), test_size=asked / (known + asked))

    def save(name: str, values: Any) -> None:
        def write(path: Path) -> None:
            with path.open("wb") as file:
                np.save(file, values)

        shop.write_by(f"public/{folder}/{name}.npy", write)

    save("train_11", arrays["train_11"][train])
    save("train_label_11", arrays["train_label_11"][train])
    save("test_11", arrays["train_11"][test])
    ids = np.arange(len(test))
    labels = arrays["train_label_11"][test]
    shop.write("private/answers.csv", pd.DataFrame({"Id": ids, "ClassId": labels}))
    shop.write("public/sampleSubmission.csv", pd.DataFrame({"Id": ids, "ClassId": 0}))

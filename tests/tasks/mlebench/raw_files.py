"""Small raw files of each competition, with Kaggle's names, columns and archives."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from answers import BREEDS, SPECIES, Cell, Table, write

from tasks.mlebench.graders import CATHETERS, TOXIC

DIGITS_KEPT, DIGITS_LOST = "-0.13629433874529376", "-73.892005920410156"
"""Numbers of which the first is written as it is, the second as -73.89200592041016: the same float in fewer digits."""
PIZZA_FIELDS = ["giver_username_if_known", "request_id", "request_text_edit_aware", "requester_username"]


class Draw(random.Random):
    """The random generator of a builder. `is_large`: make enough rows for tests that measure shares of rows."""

    is_large = False

    def rows(self, few: int, many: int) -> int:
        """The number of rows."""
        return many if self.is_large else few


def raw(name: str, folder: Path, is_large: bool = False) -> Path:
    """Build the raw files of a competition in a folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = Draw(name)
    draw.is_large = is_large
    BUILDERS[name](folder, draw)
    return folder


def images(folder: Path, names: Sequence[str]) -> None:
    """Distinct files; only one preparer reads images."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(f"image {name}".encode())


def zipped(path: Path, members: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def as_csv(table: Table, separator: str = ",") -> bytes:
    import csv

    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\n", delimiter=separator).writerows(table)
    return stream.getvalue().encode()


def table(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Table:
    return [list(header), *(list(row) for row in rows)]


def cactus(folder: Path, draw: Draw) -> None:
    names = [f"{draw.randrange(16**8):08x}.jpg" for _ in range(draw.rows(100, 230))]
    write(folder / "train.csv", table(["id", "has_cactus"], [[name, draw.randrange(2)] for name in names]))
    zipped(folder / "train.zip", {f"train/{name}": name.encode() for name in names})


def aptos(folder: Path, draw: Draw) -> None:
    rows = [[f"{draw.randrange(16**12):012x}", draw.randrange(5)] for _ in range(draw.rows(83, 420))]
    write(folder / "train.csv", table(["id_code", "diagnosis"], rows))
    images(folder / "train_images", [f"{row[0]}.png" for row in rows])


def documents(folder: Path, draw: Draw) -> None:
    from PIL import Image

    for archive, shade, step in (("train", 90, 7), ("train_cleaned", 255, 11)):
        members = {}
        for number in range(2, draw.rows(62, 212)):
            size = (6, 4) if number % 3 else (6, 5)
            image = Image.new("L", size)
            image.putdata([(shade + step * at + number) % 256 for at in range(size[0] * size[1])])
            stream = io.BytesIO()
            image.save(stream, "PNG")
            members[f"{archive}/{number}.png"] = stream.getvalue()
        zipped(folder / f"{archive}.zip", members)


def insults(folder: Path, draw: Draw) -> None:
    def said(count: int) -> list[list[Cell]]:
        return [
            [n % 2, "" if n % 3 else "20120618192155Z", f'"You {draw.random()}, \\\\xa0 ""x"""'] for n in range(count)
        ]

    write(folder / "train.csv", table(["Insult", "Date", "Comment"], said(draw.rows(40, 90))))
    rows = [[*row, "PublicTest"] for row in said(draw.rows(25, 45))]
    write(folder / "test_with_solutions.csv", table(["Insult", "Date", "Comment", "Usage"], rows))


def breeds(folder: Path, draw: Draw) -> None:
    rows = [[f"{n:032x}", BREEDS[n % 120]] for n in range(draw.rows(240, 420))]
    write(folder / "labels.csv", table(["id", "breed"], rows))
    images(folder / "train", [f"{row[0]}.jpg" for row in rows])


def cats(folder: Path, draw: Draw) -> None:
    names = [f"{kind}.{n}.jpg" for kind in ("cat", "dog") for n in range(draw.rows(60, 210))]
    zipped(folder / "train.zip", {f"train/{name}": name.encode() for name in names})
    zipped(folder / "test.zip", {f"test/{n}.jpg": b"" for n in range(1, 9)})


def tissue(folder: Path, draw: Draw) -> None:
    rows = [[f"{draw.randrange(16**12):040x}", draw.randrange(2)] for _ in range(draw.rows(80, 450))]
    write(folder / "train_labels.csv", table(["id", "label"], rows))
    images(folder / "train", [f"{row[0]}.tif" for row in rows])
    images(folder / "test", [f"{n}.tif" for n in range(draw.rows(20, 45))])


def toxic(folder: Path, draw: Draw) -> None:
    train = [[f"{n:016x}", f"comment {n}", *(draw.randrange(2) for _ in TOXIC)] for n in range(draw.rows(40, 90))]
    test = [[f"{n + 99:016x}", f"comment, {n}"] for n in range(draw.rows(30, 55))]
    labels = [[row[0], *([-1] * 6 if n < 10 else [(n + k) % 2 for k in range(6)])] for n, row in enumerate(test)]
    for name, found in {
        "train": table(["id", "comment_text", *TOXIC], train),
        "test": table(["id", "comment_text"], test),
        "test_labels": table(["id", *TOXIC], labels),
        "sample_submission": table(["id", *TOXIC], [[row[0], *[0.5] * 6] for row in test]),
    }.items():
        zipped(folder / f"{name}.csv.zip", {f"{name}.csv": as_csv(found)})


def leaves(folder: Path, draw: Draw) -> None:
    features = [f"{kind}{n}" for kind in ("margin", "shape", "texture") for n in range(1, 65)]
    rows = [
        [n * 2 + 1, SPECIES[n % 99], *(f"{draw.random():.6f}" for _ in features)] for n in range(draw.rows(198, 396))
    ]
    zipped(folder / "train.csv.zip", {"train.csv": as_csv(table(["id", "species", *features], rows))})
    zipped(folder / "images.zip", {f"images/{n}.jpg": str(n).encode() for n in range(1, draw.rows(500, 900))})


def birds(folder: Path, draw: Draw) -> None:
    root = "mlsp_contest_dataset/"
    count = draw.rows(160, 420)
    folds = [draw.randrange(2) if n != 3 else 0 for n in range(count)]
    labels = [sorted(draw.sample(range(2, 19), draw.randrange(4))) for _ in range(count)]
    hidden = [",".join([str(n), *map(str, found)]) if not folds[n] else f"{n},?" for n, found in enumerate(labels)]
    members = {
        "essential_data/CVfolds_2.txt": "\n".join(["rec_id,fold", *(f"{n},{f}" for n, f in enumerate(folds))]),
        "essential_data/rec_id2filename.txt": "\n".join(
            ["rec_id,filename", *(f"{n},PC{n}_2009" for n in range(count))]
        ),
        "essential_data/rec_labels_test_hidden.txt": "\n".join(["rec_id,[labels]", *hidden]),
        "essential_data/species_list.txt": "class_id,code,species\n0,BRCR,Brown Creeper\n",
        "supplemental_data/histogram_of_segments.txt": "\n".join(["h", *(f"{n},1,2" for n in range(count))]),
        "supplemental_data/segment_features.txt": "\n".join(
            ["f", *(f"{n},{s},0.5" for n in range(count) for s in (0, 1))]
        ),
        "supplemental_data/segment_rectangles.txt": "\n".join(["r", *(f"{n},0,1,2,3,4" for n in range(count))]),
        "supplemental_data/segment_clusters.bmp": "clusters",
        "supplemental_data/segment_mosaic.bmp": "mosaic",
    }
    for n in range(count):
        members[f"essential_data/src_wavs/PC{n}_2009.wav"] = f"wave {n}"
        for kind in ("filtered_spectrograms", "spectrograms", "supervised_segmentation"):
            members[f"supplemental_data/{kind}/PC{n}_2009.bmp"] = f"{kind} {n}"
    members["supplemental_data/segmentation_examples/PC3_2009.bmp"] = "example"
    zipped(folder / "mlsp_contest_dataset.zip", {root + name: text.encode() for name, text in members.items()})


def taxi(folder: Path, draw: Draw) -> None:
    header = ["key", "fare_amount", "pickup_datetime", "pickup_longitude", "pickup_latitude"]
    header += ["dropoff_longitude", "dropoff_latitude", "passenger_count"]
    rows: list[list[Cell]] = []
    for n in range(10_100):
        place: list[Cell] = [
            f"-73.{draw.randrange(10**6):06d}",
            "40.721319",
            f"-73.{draw.randrange(10**16):016d}",
            "40.7",
        ]
        if n == 77:
            place[2:] = ["", ""]
        if n == 78:
            place[0] = DIGITS_LOST
        when = f"2009-06-{n % 28 + 1:02d} 17:26:21"
        rows.append([f"{when}.{n:07d}", f"{draw.randrange(250, 9000) / 100}", f"{when} UTC", *place, n % 6])
    write(folder / "train.csv", table(header, rows))
    (folder / "GCP-Coupons-Instructions.rtf").write_text("{\\rtf1 coupons}")


def conductors(folder: Path, draw: Draw) -> None:
    header = ["id", "spacegroup", "percent_atom_al", "formation_energy_ev_natom", "bandgap_energy_ev"]
    rows = [
        [n, 33, f"{draw.random():.4f}", f"{draw.random():.4f}", f"{draw.random() * 5:.4f}"]
        for n in range(1, draw.rows(95, 411))
    ]
    for side in ("train", "test"):
        zipped(folder / f"{side}.csv.zip", {f"{side}.csv": as_csv(table(header, rows))})
        atoms = {f"{side}/{row[0]}/geometry.xyz": f"atoms {row[0]}".encode() for row in rows}
        zipped(folder / f"{side}.zip", atoms)


def apples(folder: Path, draw: Draw) -> None:
    rows = [[f"Train_{n}", *(int(n % 4 == k) for k in range(4))] for n in range(draw.rows(200, 410))]
    write(folder / "train.csv", table(["image_id", "healthy", "multiple_diseases", "rust", "scab"], rows))
    images(folder / "images", [f"{row[0]}.jpg" for row in rows])


def pizza(folder: Path, draw: Draw) -> None:
    train = [
        {
            "request_id": f"t3_{n}",
            "giver_username_if_known": "N/A",
            "request_text_edit_aware": f"hungry — {n}",
            "requester_username": f"u{n}",
            "requester_received_pizza": n % 3 == 0,
            "requester_user_flair": None,
        }
        for n in range(draw.rows(71, 150))
    ]
    test = [dict.fromkeys(PIZZA_FIELDS, "x") for _ in range(draw.rows(29, 60))]
    (folder / "train.json").write_text(json.dumps(train))
    (folder / "test.json").write_text(json.dumps(test))


def catheters(folder: Path, draw: Draw) -> None:
    header = ["StudyInstanceUID", *CATHETERS, "CVC - Normal", "Swan Ganz Catheter Present", "PatientID"]
    rows = [[f"1.2.826.{n}", *((n + k) % 2 for k in range(11)), f"p{n % 9}"] for n in range(draw.rows(66, 410))]
    write(folder / "train.csv", table(header, rows))
    marks = [[row[0], "ETT - Normal", "[[1, 2]]"] for row in rows[::2]]
    write(folder / "train_annotations.csv", table(["StudyInstanceUID", "label", "data"], marks))
    images(folder / "train", [f"{row[0]}.jpg" for row in rows])


def record(name: str, target: int) -> bytes:
    """One record of a TFRecord file: an Example with an image, an image_name and a target."""

    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2]) + varint(len(content)) + content

    def varint(value: int) -> bytes:
        head = b""
        while value > 127:
            head, value = head + bytes([value & 127 | 128]), value >> 7
        return head + bytes([value])

    def entry(key: bytes, feature: bytes) -> bytes:
        return field(1, field(1, key) + field(2, feature))

    features = entry(b"image", field(1, field(1, b"\xff\xd8" + bytes(300))))
    features += entry(b"target", field(3, b"\x0a" + varint(1) + varint(target)))
    features += entry(b"image_name", field(1, field(1, name.encode())))
    content = field(1, features)
    return struct.pack("<QI", len(content), 0) + content + struct.pack("<I", 0)


def melanoma(folder: Path, draw: Draw) -> None:
    header = ["image_name", "patient_id", "sex", "age_approx", "anatom_site_general_challenge"]
    header += ["diagnosis", "benign_malignant", "target"]
    rows = [[f"ISIC_{n:07d}", f"IP_{n % 5}", "male", 45.0, "torso", "unknown", "benign", n % 2] for n in range(4_190)]
    write(folder / "train.csv", table(header, rows))
    for suffix, where in (("dcm", "train"), ("jpg", "jpeg/train")):
        images(folder / where, [f"{row[0]}.{suffix}" for row in rows])
    (folder / "tfrecords").mkdir()
    names = [str(row[0]) for row in rows]
    draw.shuffle(names)
    shares = {0: names[:2071], 6: names[2100:4171], 3: names[2071:2100], 11: names[4171:]}
    for number, share in shares.items():
        content = b"".join(record(name, 1) for name in share)
        (folder / "tfrecords" / f"train{number:02d}-{len(share)}.tfrec").write_bytes(content)


def authors(folder: Path, draw: Draw) -> None:
    rows = [[f"id{n:05d}", f'It was "night", {n}', ("EAP", "HPL", "MWS")[n % 3]] for n in range(draw.rows(95, 410))]
    zipped(folder / "train.zip", {"train.csv": as_csv(table(["id", "text", "author"], rows))})


def forest(folder: Path, draw: Draw) -> None:
    rows = [[n, draw.randrange(2000, 4000), n % 2, n % 7 + 1] for n in range(draw.rows(205, 410))]
    write(folder / "train.csv", table(["Id", "Elevation", "Wilderness_Area1", "Cover_Type"], rows))


def interactions(folder: Path, draw: Draw) -> None:
    rows = [[n, repr(draw.gauss(0, 1)) if n % 50 == 0 else n / 8, f"A{n % 9}", n % 2] for n in range(100_050)]
    rows[1][1], rows[2][1] = DIGITS_KEPT, DIGITS_LOST
    write(folder / "train.csv", table(["id", "f_00", "f_27", "target"], rows))


def tokens(prefix: str) -> Callable[[Path, Draw], None]:
    def build(folder: Path, draw: Draw) -> None:
        words = ["A", "1st", ".", "NA", "null", "say", '"', "2 km", "3.5", "nan"]
        rows: list[list[Cell]] = []
        for sentence in range(0, draw.rows(600, 900), 2):
            for token in range(draw.randrange(1, 9)):
                word = draw.choice(words)
                rows.append([sentence, token, "PLAIN", word, "first" if word == "1st" else word])
        header = ["sentence_id", "token_id", "class", "before", "after"]
        zipped(folder / f"{prefix}_train.csv.zip", {f"{prefix}_train.csv": as_csv(table(header, rows))})

    return build


def whales(folder: Path, draw: Draw) -> None:
    names = []
    for day in ("20090328", "20090329", "20090330", "20090331"):
        for n in range(20):
            names.append(f"{day}_{n:02d}0000_{n * 37:03d}s2ms_TRAIN{len(names)}_{n % 2}.aif")
    zipped(folder / "train2.zip", {f"train2/{name}": name[:-9].encode() for name in names})


def spaceship(folder: Path, draw: Draw) -> None:
    rows = [
        [f"{n:04d}_01", "" if n % 9 == 0 else "Europa", n * 1.5, str(n % 2 == 0)] for n in range(draw.rows(87, 410))
    ]
    write(folder / "train.csv", table(["PassengerId", "HomePlanet", "RoomService", "Transported"], rows))


def enzymes(folder: Path, draw: Draw) -> None:
    rows = [[n, repr(draw.random() * 300), *((n + k) % 2 for k in range(6))] for n in range(draw.rows(93, 410))]
    rows[1][1], rows[2][1] = DIGITS_KEPT, DIGITS_LOST
    write(folder / "train.csv", table(["id", "BertzCT", *(f"EC{k}" for k in range(1, 7))], rows))


def paddy(folder: Path, draw: Draw) -> None:
    rows = [[f"{n}.jpg", ("blast", "normal")[n % 2], "ADT45", 45] for n in range(draw.rows(62, 410))]
    write(folder / "train.csv", table(["image_id", "label", "variety", "age"], rows))
    for kind in ("blast", "normal"):
        images(folder / "train_images" / kind, [str(row[0]) for row in rows if row[1] == kind])


def seedlings(folder: Path, draw: Draw) -> None:
    for kind in ("Sugar beet", "Maize", "Black-grass"):
        images(folder / "train" / kind, [f"{kind[:2]}{n}.png" for n in range(draw.rows(20, 140))])


def hydrangeas(folder: Path, draw: Draw) -> None:
    import py7zr

    rows = [[n, n % 2] for n in range(1, draw.rows(91, 411))]
    zipped(folder / "train_labels.csv.zip", {"train_labels.csv": as_csv(table(["name", "invasive"], rows))})
    images(folder / "train", [f"{row[0]}.jpg" for row in rows])
    with py7zr.SevenZipFile(folder / "train.7z", "w") as archive:
        archive.writeall(folder / "train", "train")
    for path in (folder / "train").iterdir():
        path.unlink()
    (folder / "train").rmdir()


def phrases(folder: Path, draw: Draw) -> None:
    rows = [[n, n // 4, f'a film "of" sorts {n}', n % 5] for n in range(1, draw.rows(90, 400))]
    content = as_csv(table(["PhraseId", "SentenceId", "Phrase", "Sentiment"], rows), "\t")
    zipped(folder / "train.tsv.zip", {"train.tsv": content})


def phonemes(folder: Path, draw: Draw) -> None:
    import numpy as np

    inside = folder / "timit_11" / "timit_11"
    inside.mkdir(parents=True)
    np.save(inside / "train_11.npy", np.arange(70 * 429, dtype=np.float32).reshape(70, 429))
    np.save(inside / "train_label_11.npy", np.array([str(n % 39) for n in range(70)]))
    np.save(inside / "test_11.npy", np.zeros((30, 429), dtype=np.float32))


BUILDERS: dict[str, Callable[[Path, Draw], None]] = {
    "aerial-cactus-identification": cactus,
    "aptos2019-blindness-detection": aptos,
    "denoising-dirty-documents": documents,
    "detecting-insults-in-social-commentary": insults,
    "dog-breed-identification": breeds,
    "dogs-vs-cats-redux-kernels-edition": cats,
    "histopathologic-cancer-detection": tissue,
    "jigsaw-toxic-comment-classification-challenge": toxic,
    "leaf-classification": leaves,
    "mlsp-2013-birds": birds,
    "new-york-city-taxi-fare-prediction": taxi,
    "nomad2018-predict-transparent-conductors": conductors,
    "plant-pathology-2020-fgvc7": apples,
    "random-acts-of-pizza": pizza,
    "ranzcr-clip-catheter-line-classification": catheters,
    "siim-isic-melanoma-classification": melanoma,
    "spooky-author-identification": authors,
    "tabular-playground-series-dec-2021": forest,
    "tabular-playground-series-may-2022": interactions,
    "text-normalization-challenge-english-language": tokens("en"),
    "text-normalization-challenge-russian-language": tokens("ru"),
    "the-icml-2013-whale-challenge-right-whale-redux": whales,
    "spaceship-titanic": spaceship,
    "playground-series-s3e18": enzymes,
    "paddy-disease-classification": paddy,
    "plant-seedlings-classification": seedlings,
    "invasive-species-monitoring": hydrangeas,
    "movie-review-sentiment-analysis-kernels-only": phrases,
    "ml2021spring-hw2": phonemes,
}

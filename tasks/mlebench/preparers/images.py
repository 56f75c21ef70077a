"""Competitions whose data are images with a table of labels, or with the label in their path."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tasks.mlebench.builder import DataBuilder, split
from tasks.mlebench.graders import CATHETERS, DISEASES
from tasks.mlebench.preparers.texts import one_hot


def _link(builder: DataBuilder, source: Path, names: Iterable[Any], target: str, suffix: str = "") -> None:
    builder.link([(source / f"{name}{suffix}", f"{target}/{name}{suffix}") for name in names], target)


def cactus(builder: DataBuilder) -> None:
    """Cacti on aerial photographs: the images are published in archives."""
    train, test = split(builder.table("train.csv"), test_size=0.19)
    images = builder.folder("train")
    builder.write("public/train.csv", train)
    builder.write("private/test.csv", test)
    builder.write("public/sample_submission.csv", test.assign(has_cactus=0.5))
    for side, part in (("train", train), ("test", test)):
        builder.archive(f"public/{side}.zip", [(images / name, name) for name in sorted(part["id"])])


def retina(builder: DataBuilder) -> None:
    """Diabetic retinopathy."""
    train, test = split(builder.table("train.csv"), test_size=0.1)
    images = builder.folder("train_images")
    _link(builder, images, train["id_code"], "public/train_images", ".png")
    _link(builder, images, test["id_code"], "public/test_images", ".png")
    builder.write("public/train.csv", train)
    builder.write("private/test.csv", test)
    builder.write("public/test.csv", test[["id_code"]])
    builder.write("public/sample_submission.csv", test[["id_code"]].assign(diagnosis=0))


def documents(builder: DataBuilder) -> None:
    """Dirty documents: the answers are the grey values of the clean pages, one per row."""
    dirty, clean = builder.folder("train"), builder.folder("train_cleaned")
    train, test = split(sorted(path.name for path in dirty.glob("*.png")), test_size=0.2)
    _link(builder, dirty, train, "public/train")
    _link(builder, clean, train, "public/train_cleaned")
    _link(builder, dirty, test, "public/test")
    frame = _pixels(builder, [clean / name for name in sorted(test)])
    builder.write("private/answers.csv", frame)
    builder.write("public/sampleSubmission.csv", frame.assign(value=1))


def _pixels(builder: DataBuilder, images: Sequence[Path]) -> Any:
    import numpy as np
    import pandas as pd

    try:
        from PIL import Image
    except ImportError:
        from tasks.errors import TaskError

        raise TaskError("reading images needs the package Pillow: pip install pillow") from None
    ids: list[str] = []
    values = []
    for count, path in enumerate(images, 1):
        with Image.open(path) as image:
            grey = np.asarray(image.convert("L"))
        rows, columns = grey.shape
        ids += [f"{path.stem}_{row}_{column}" for row in range(1, rows + 1) for column in range(1, columns + 1)]
        values.append(grey.ravel() / 255.0)
        builder.progress("reading pixels", count, len(images))
    return pd.DataFrame({"id": ids, "value": np.concatenate(values)})


def breeds(builder: DataBuilder) -> None:
    """Dog breeds: one column per breed."""
    labels = builder.table("labels.csv")
    classes = sorted(labels["breed"].unique())
    train, test = split(labels, test_size=0.1)
    images = builder.folder("train")
    _link(builder, images, train["id"], "public/train", ".jpg")
    _link(builder, images, test["id"], "public/test", ".jpg")
    answers = one_hot(test, "id", "breed", classes)
    builder.write("public/labels.csv", train)
    builder.write("private/test.csv", answers)
    builder.write("public/sample_submission.csv", answers.assign(**dict.fromkeys(classes, 1 / len(classes))))


def cats(builder: DataBuilder) -> None:
    """Cats and dogs: labels are in file names, so images are renamed; archives beside the folders."""
    import pandas as pd

    images = builder.folder("train")
    train, test = split(sorted(path.name for path in images.glob("*.jpg")), test_size=0.1)
    counts = {"cat": 0, "dog": 0}
    names = []
    for name in train:
        kind = "dog" if "dog" in name else "cat"
        names.append(f"{kind}.{counts[kind]}.jpg")
        counts[kind] += 1
    numbered = {"train": names, "test": [f"{number}.jpg" for number in range(1, len(test) + 1)]}
    for side, olds in (("train", train), ("test", test)):
        pairs = list(zip(olds, numbered[side], strict=True))
        builder.link([(images / old, f"public/{side}/{new}") for old, new in pairs], f"public/{side}")
        builder.archive(f"public/{side}.zip", [(images / old, new) for old, new in pairs])
    frame = pd.DataFrame({"id": range(1, len(test) + 1), "label": [int("dog" in name) for name in test]})
    builder.write("private/answers.csv", frame)
    builder.write("public/sample_submission.csv", frame.assign(label=0.5))


def tissue(builder: DataBuilder) -> None:
    """Tumour tissue: the test share is that of Kaggle; tables keep their order."""
    labels = builder.table("train_labels.csv")
    images = builder.folder("train")
    labelled = len(list(images.glob("*.tif")))
    unlabelled = len(list(builder.folder("test").glob("*.tif")))
    train_ids, test_ids = split(labels["id"], test_size=unlabelled / (labelled + unlabelled))
    train, test = labels[labels["id"].isin(set(train_ids))], labels[labels["id"].isin(set(test_ids))]
    _link(builder, images, train["id"], "public/train", ".tif")
    _link(builder, images, test["id"], "public/test", ".tif")
    builder.write("public/train_labels.csv", train)
    builder.write("private/answers.csv", test)
    builder.write("public/sample_submission.csv", test.assign(label=0))


def leaves(builder: DataBuilder) -> None:
    """Leaves: features in tables, all images in one folder, one column per species."""
    leaves = builder.table("train.csv")
    classes = sorted(leaves["species"].unique())
    train, test = split(leaves, test_size=0.1)
    images = builder.folder("images")
    _link(builder, images, [*train["id"], *test["id"]], "public/images", ".jpg")
    answers = one_hot(test, "id", "species", classes)
    builder.write("public/train.csv", train)
    builder.write("public/test.csv", test.drop(columns="species"))
    builder.write("private/test.csv", answers)
    builder.write("public/sample_submission.csv", answers.assign(**dict.fromkeys(classes, 1 / len(classes))))


def apples(builder: DataBuilder) -> None:
    """Apple leaves: ids and images are renamed; train and test images are in one folder."""
    images = builder.folder("images")
    train, test = split(builder.table("train.csv"), test_size=0.1)
    renamed = []
    for side, part in (("Train", train), ("Test", test)):
        names = [f"{side}_{number}" for number in range(len(part))]
        pairs = zip(part["image_id"], names, strict=True)
        builder.link([(images / f"{old}.jpg", f"public/images/{new}.jpg") for old, new in pairs], "public/images")
        renamed.append(part.assign(image_id=names))
    train, test = renamed
    builder.write("public/train.csv", train)
    builder.write("private/test.csv", test)
    builder.write("public/test.csv", test[["image_id"]])
    builder.write("public/sample_submission.csv", test[["image_id"]].assign(**dict.fromkeys(DISEASES, 0.25)))


def catheters(builder: DataBuilder) -> None:
    """Catheters on chest X-rays: nine of the eleven labels are predicted."""
    key = "StudyInstanceUID"
    annotations = builder.table("train_annotations.csv")
    train, test = split(builder.table("train.csv"), test_size=0.1)
    images = builder.folder("train")
    _link(builder, images, train[key], "public/train", ".jpg")
    _link(builder, images, test[key], "public/test", ".jpg")
    builder.write("public/train.csv", train)
    builder.write("public/train_annotations.csv", annotations[annotations[key].isin(set(train[key]))])
    builder.write("private/test.csv", test)
    builder.write("public/sample_submission.csv", test[[key]].assign(**dict.fromkeys(CATHETERS, 0)))


def paddy(builder: DataBuilder) -> None:
    """Rice diseases: training images are in one folder per label."""
    images = builder.folder("train_images")
    train, test = split(builder.table("train.csv"), train_size=0.75)
    for side, part in (("train_images/{label}", train), ("test_images", test)):
        rows = zip(part["image_id"], part["label"], strict=True)
        pairs = [(images / label / name, f"public/{side.format(label=label)}/{name}") for name, label in rows]
        builder.link(pairs, side.partition("/")[0])
    builder.write("public/train.csv", train)
    builder.write("private/test.csv", test)
    builder.write("public/sample_submission.csv", test[["image_id"]].assign(label=""))


def seedlings(builder: DataBuilder) -> None:
    """Seedlings: the label is the folder, and there is no table of labels."""
    import pandas as pd

    images = builder.folder("train")
    files = [
        (path.name, folder.name)
        for folder in sorted(images.iterdir())
        if folder.is_dir()
        for path in sorted(folder.iterdir())
    ]
    train, test = split(files, test_size=0.14)
    builder.link([(images / kind / name, f"public/train/{kind}/{name}") for name, kind in train], "public/train")
    builder.link([(images / kind / name, f"public/test/{name}") for name, kind in test], "public/test")
    frame = pd.DataFrame(test, columns=["file", "species"])
    builder.write("private/answers.csv", frame)
    builder.write("public/sample_submission.csv", frame.assign(species="Sugar beet"))


def hydrangeas(builder: DataBuilder) -> None:
    """Invasive hydrangeas: tables are published in archives only."""
    images = builder.folder("train")
    train, test = split(builder.table("train_labels.csv"), test_size=0.2)
    _link(builder, images, train["name"], "public/train", ".jpg")
    _link(builder, images, test["name"], "public/test", ".jpg")
    builder.archive_tables("public/train_labels.csv.zip", train, "train_labels.csv")
    builder.write("private/answers.csv", test)
    sample = test.assign(invasive=0.5)
    builder.write("private/sample_submission.csv", sample)
    builder.archive_tables("public/sample_submission.csv.zip", sample, "sample_submission.csv")

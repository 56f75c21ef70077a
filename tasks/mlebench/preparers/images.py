"""Competitions whose data are images with a table of labels, or with the label in their path."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tasks.mlebench.builder import Workshop, split
from tasks.mlebench.graders import CATHETERS, DISEASES
from tasks.mlebench.preparers.texts import one_hot


def _place(shop: Workshop, source: Path, names: Iterable[Any], target: str, suffix: str = "") -> None:
    shop.link([(source / f"{name}{suffix}", f"{target}/{name}{suffix}") for name in names], target)


def cactus(shop: Workshop) -> None:
    """Cacti on aerial photographs: the images stay in archives."""
    train, test = split(shop.table("train.csv"), test_size=0.19)
    images = shop.folder("train")
    shop.write("public/train.csv", train)
    shop.write("private/test.csv", test)
    shop.write("public/sample_submission.csv", test.assign(has_cactus=0.5))
    for side, part in (("train", train), ("test", test)):
        shop.archive(f"public/{side}.zip", [(images / name, name) for name in sorted(part["id"])])


def retina(shop: Workshop) -> None:
    """Diabetic retinopathy."""
    train, test = split(shop.table("train.csv"), test_size=0.1)
    images = shop.folder("train_images")
    _place(shop, images, train["id_code"], "public/train_images", ".png")
    _place(shop, images, test["id_code"], "public/test_images", ".png")
    shop.write("public/train.csv", train)
    shop.write("private/test.csv", test)
    shop.write("public/test.csv", test[["id_code"]])
    shop.write("public/sample_submission.csv", test[["id_code"]].assign(diagnosis=0))


def documents(shop: Workshop) -> None:
    """Dirty documents: the answers are the grey values of the clean pages, one a row."""
    dirty, clean = shop.folder("train"), shop.folder("train_cleaned")
    train, test = split(sorted(path.name for path in dirty.glob("*.png")), test_size=0.2)
    _place(shop, dirty, train, "public/train")
    _place(shop, clean, train, "public/train_cleaned")
    _place(shop, dirty, test, "public/test")
    frame = _pixels(shop, [clean / name for name in sorted(test)])
    shop.write("private/answers.csv", frame)
    shop.write("public/sampleSubmission.csv", frame.assign(value=1))


def _pixels(shop: Workshop, images: Sequence[Path]) -> Any:
    import numpy as np
    import pandas as pd

    try:
        from PIL import Image
    except ImportError:
        from tasks.errors import TaskError

        raise TaskError("reading images needs the package Pillow: pip install pillow") from None
    ids: list[str] = []
    values = []
    for at, path in enumerate(images):
        with Image.open(path) as image:
            grey = np.asarray(image.convert("L"))
        rows, columns = grey.shape
        ids += [f"{path.stem}_{row}_{column}" for row in range(1, rows + 1) for column in range(1, columns + 1)]
        values.append(grey.ravel() / 255.0)
        shop.tell("reading pixels", at + 1, len(images))
    return pd.DataFrame({"id": ids, "value": np.concatenate(values)})


def breeds(shop: Workshop) -> None:
    """Dog breeds: one column a breed."""
    labels = shop.table("labels.csv")
    classes = sorted(labels["breed"].unique())
    train, test = split(labels, test_size=0.1)
    images = shop.folder("train")
    _place(shop, images, train["id"], "public/train", ".jpg")
    _place(shop, images, test["id"], "public/test", ".jpg")
    answers = one_hot(test, "id", "breed", classes)
    shop.write("public/labels.csv", train)
    shop.write("private/test.csv", answers)
    shop.write("public/sample_submission.csv", answers.assign(**dict.fromkeys(classes, 1 / len(classes))))


def cats(shop: Workshop) -> None:
    """Cats and dogs: the label is in the name, so the images are given new names, and archives beside the folders."""
    import pandas as pd

    images = shop.folder("train")
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
        shop.link([(images / old, f"public/{side}/{new}") for old, new in pairs], f"public/{side}")
        shop.archive(f"public/{side}.zip", [(images / old, new) for old, new in pairs])
    frame = pd.DataFrame({"id": range(1, len(test) + 1), "label": [int("dog" in name) for name in test]})
    shop.write("private/answers.csv", frame)
    shop.write("public/sample_submission.csv", frame.assign(label=0.5))


def tissue(shop: Workshop) -> None:
    """Tumour tissue: as large a share as Kaggle's test set is drawn; tables keep their order."""
    labels = shop.table("train_labels.csv")
    images = shop.folder("train")
    known = len(list(images.glob("*.tif")))
    asked = len(list(shop.folder("test").glob("*.tif")))
    train_ids, test_ids = split(labels["id"], test_size=asked / (known + asked))
    train, test = labels[labels["id"].isin(set(train_ids))], labels[labels["id"].isin(set(test_ids))]
    _place(shop, images, train["id"], "public/train", ".tif")
    _place(shop, images, test["id"], "public/test", ".tif")
    shop.write("public/train_labels.csv", train)
    shop.write("private/answers.csv", test)
    shop.write("public/sample_submission.csv", test.assign(label=0))


def leaves(shop: Workshop) -> None:
    """Leaves: features in tables, all images in one folder, one column a species."""
    leaves = shop.table("train.csv")
    classes = sorted(leaves["species"].unique())
    train, test = split(leaves, test_size=0.1)
    images = shop.folder("images")
    _place(shop, images, [*train["id"], *test["id"]], "public/images", ".jpg")
    answers = one_hot(test, "id", "species", classes)
    shop.write("public/train.csv", train)
    shop.write("public/test.csv", test.drop(columns="species"))
    shop.write("private/test.csv", answers)
    shop.write("public/sample_submission.csv", answers.assign(**dict.fromkeys(classes, 1 / len(classes))))


def apples(shop: Workshop) -> None:
    """Apple leaves: ids and images are named anew, train and test in one folder."""
    images = shop.folder("images")
    train, test = split(shop.table("train.csv"), test_size=0.1)
    named = []
    for side, part in (("Train", train), ("Test", test)):
        names = [f"{side}_{number}" for number in range(len(part))]
        pairs = zip(part["image_id"], names, strict=True)
        shop.link([(images / f"{old}.jpg", f"public/images/{new}.jpg") for old, new in pairs], "public/images")
        named.append(part.assign(image_id=names))
    train, test = named
    shop.write("public/train.csv", train)
    shop.write("private/test.csv", test)
    shop.write("public/test.csv", test[["image_id"]])
    shop.write("public/sample_submission.csv", test[["image_id"]].assign(**dict.fromkeys(DISEASES, 0.25)))


def catheters(shop: Workshop) -> None:
    """Catheters on chest X-rays: nine of the eleven findings are asked for."""
    key = "StudyInstanceUID"
    annotations = shop.table("train_annotations.csv")
    train, test = split(shop.table("train.csv"), test_size=0.1)
    images = shop.folder("train")
    _place(shop, images, train[key], "public/train", ".jpg")
    _place(shop, images, test[key], "public/test", ".jpg")
    shop.write("public/train.csv", train)
    shop.write("public/train_annotations.csv", annotations[annotations[key].isin(set(train[key]))])
    shop.write("private/test.csv", test)
    shop.write("public/sample_submission.csv", test[[key]].assign(**dict.fromkeys(CATHETERS, 0)))


def paddy(shop: Workshop) -> None:
    """Rice diseases: training images lie in a folder for each label."""
    images = shop.folder("train_images")
    train, test = split(shop.table("train.csv"), train_size=0.75)
    for side, part in (("train_images/{label}", train), ("test_images", test)):
        rows = zip(part["image_id"], part["label"], strict=True)
        pairs = [(images / label / name, f"public/{side.format(label=label)}/{name}") for name, label in rows]
        shop.link(pairs, side.partition("/")[0])
    shop.write("public/train.csv", train)
    shop.write("private/test.csv", test)
    shop.write("public/sample_submission.csv", test[["image_id"]].assign(label=""))


def seedlings(shop: Workshop) -> None:
    """Seedlings: the label is the folder, and there is no table of labels."""
    import pandas as pd

    images = shop.folder("train")
    found = [
        (path.name, folder.name)
        for folder in sorted(images.iterdir())
        if folder.is_dir()
        for path in sorted(folder.iterdir())
    ]
    train, test = split(found, test_size=0.14)
    shop.link([(images / kind / name, f"public/train/{kind}/{name}") for name, kind in train], "public/train")
    shop.link([(images / kind / name, f"public/test/{name}") for name, kind in test], "public/test")
    frame = pd.DataFrame(test, columns=["file", "species"])
    shop.write("private/answers.csv", frame)
    shop.write("public/sample_submission.csv", frame.assign(species="Sugar beet"))


def hydrangeas(shop: Workshop) -> None:
    """Invasive hydrangeas: tables are public in archives only."""
    images = shop.folder("train")
    train, test = split(shop.table("train_labels.csv"), test_size=0.2)
    _place(shop, images, train["name"], "public/train", ".jpg")
    _place(shop, images, test["name"], "public/test", ".jpg")
    shop.archive_tables("public/train_labels.csv.zip", train, "train_labels.csv")
    shop.write("private/answers.csv", test)
    sample = test.assign(invasive=0.5)
    shop.write("private/sample_submission.csv", sample)
    shop.archive_tables("public/sample_submission.csv.zip", sample, "sample_submission.csv")

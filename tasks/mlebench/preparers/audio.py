"""Competitions whose data are recordings."""

from __future__ import annotations

import re
from pathlib import Path

from tasks.errors import TaskError
from tasks.mlebench.builder import DataBuilder

SPECIES = 19
HISTOGRAM = "rec_id,[histogram of segment features]"


def birds(builder: DataBuilder) -> None:
    """Birds in a forest: a fifth of the labelled recordings is the test set; all are renumbered in every file."""
    import pandas as pd

    root = _root(builder.folder("mlsp_contest_dataset"), "essential_data")
    essential, supplemental = root / "essential_data", root / "supplemental_data"
    folds = _lines(essential / "CVfolds_2.txt")
    kept = [int(line.split(",")[0]) for line in folds if line.split(",")[1].strip() == "0"]
    number = {old: new for new, old in enumerate(kept)}
    drawn = pd.DataFrame({"rec_id": range(len(kept))}).sample(frac=0.2, random_state=0)
    test = set(drawn["rec_id"])
    _write_lines(builder, "CVfolds_2.txt", "rec_id,fold", [f"{new},{int(new in test)}" for new in number.values()])
    names = _by_recording(essential / "rec_id2filename.txt", number)
    _write_lines(builder, "rec_id2filename.txt", "rec_id,filename", [f"{new},{name}" for new, name in names.items()])
    labels = _by_recording(essential / "rec_labels_test_hidden.txt", number)
    lines = [f"{new},?" if new in test else ",".join([str(new), *_split(labels[new])]) for new in number.values()]
    _write_lines(builder, "rec_labels_test_hidden.txt", "rec_id,[labels]", lines)
    builder.copy(essential / "species_list.txt", "public/essential_data/species_list.txt")
    _link_recordings(builder, root, supplemental, list(names.values()))
    for name in ("histogram_of_segments.txt", "segment_features.txt", "segment_rectangles.txt"):
        _filter(builder, supplemental / name, number)
    pairs = [(new, kind) for new in number.values() if new in test for kind in range(SPECIES)]
    answers = pd.DataFrame({"Id": [new * 100 + kind for new, kind in pairs]})
    present = [int(str(kind) in _split(labels[new])) for new, kind in pairs]
    builder.write("private/answers.csv", answers.assign(Probability=present))
    builder.write("public/sample_submission.csv", answers.assign(Probability=0))


def _root(folder: Path, subfolder: str) -> Path:
    for path in (folder, *(child for child in sorted(folder.iterdir()) if child.is_dir())):
        if (path / subfolder).is_dir():
            return path
    raise TaskError(f"{folder} has no folder {subfolder}: download the data again")


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines()[1:] if line.strip()]


def _by_recording(path: Path, number: dict[int, int]) -> dict[int, str]:
    """The rest of each line by the new number of its recording, in the order of the new numbers."""
    rest_of = {}
    for line in _lines(path):
        old, _, rest = line.partition(",")
        if int(old) in number:
            rest_of[number[int(old)]] = rest.strip()
    return {new: rest_of[new] for new in number.values()}


def _split(labels: str) -> list[str]:
    return [label for label in labels.split(",") if label]


def _write_lines(builder: DataBuilder, name: str, header: str, lines: list[str]) -> None:
    builder.write_text(f"public/essential_data/{name}", "\n".join([header, *lines]) + "\n")


def _link_recordings(builder: DataBuilder, root: Path, supplemental: Path, names: list[str]) -> None:
    waves = root / "essential_data" / "src_wavs"
    builder.link(
        [(waves / f"{name}.wav", f"public/essential_data/src_wavs/{name}.wav") for name in names], "recordings"
    )
    for folder in ("filtered_spectrograms", "spectrograms", "supervised_segmentation", "segmentation_examples"):
        existing = [name for name in names if (supplemental / folder / f"{name}.bmp").is_file()]
        if len(existing) < len(names) and folder in ("filtered_spectrograms", "spectrograms"):
            raise TaskError(f"{supplemental / folder} lacks images of recordings: download the data again")
        target = f"public/supplemental_data/{folder}"
        builder.link([(supplemental / folder / f"{name}.bmp", f"{target}/{name}.bmp") for name in existing], folder)
    for name in ("segment_clusters.bmp", "segment_mosaic.bmp"):
        if (supplemental / name).is_file():
            builder.link([(supplemental / name, f"public/supplemental_data/{name}")], name)


def _filter(builder: DataBuilder, path: Path, number: dict[int, int]) -> None:
    kept = [line.partition(",") for line in _lines(path)]
    lines = [f"{number[int(old)]},{rest}" for old, _, rest in kept if int(old) in number]
    builder.write_text(f"public/supplemental_data/{path.name}", "\n".join([HISTOGRAM, *lines]) + "\n")


_CLIP = re.compile(r"^(?P<date>\d{8})_.*_TRAIN(?P<number>\d+)_(?P<label>[01])\.aif$")


def whales(builder: DataBuilder) -> None:
    """Right whales: the first two days are train, the last two test; labels are in file names."""
    import pandas as pd

    folder = builder.folder("train2")
    clips = sorted(path.name for path in folder.glob("*.aif"))
    unexpected = [name for name in clips if not _CLIP.match(name)]
    if unexpected or not clips:
        raise TaskError(f"{folder} contains {unexpected[0] if unexpected else 'no clips'}: download the data again")
    days = sorted({name[:8] for name in clips})
    train = [name for name in clips if name[:8] in days[:2]]
    test = [name for name in clips if name[:8] in days[2:]]
    renamed = [_renamed(name, f"TRAIN{n}_{name[-5]}") for n, name in enumerate(train)]
    hidden = [_renamed(name, f"Test{n}") for n, name in enumerate(test)]
    for side, old_names, new_names in (("train2", train, renamed), ("test2", test, hidden)):
        members = [(folder / old, f"{side}/{new}") for old, new in zip(old_names, new_names, strict=True)]
        builder.archive(f"public/{side}.zip", members)
    frame = pd.DataFrame({"clip": hidden, "probability": [int(name[-5]) for name in test]})
    builder.write("private/test.csv", frame)
    builder.write("public/sampleSubmission.csv", frame.assign(probability=0))


def _renamed(name: str, tail: str) -> str:
    return f"{name[: name.rindex('TRAIN')]}{tail}.aif"

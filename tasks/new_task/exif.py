"""Say where the metadata of photos (EXIF) tells their class: the camera, the day, a description."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

TAGS = {0x010E: "ImageDescription", 0x0110: "Model", 0x0131: "Software", 0x0132: "DateTime", 0x013B: "Artist"}
CAPTURE, CAPTURE_TIME, DAY_CHARS = 0x8769, 0x9003, 10
"""The part of the metadata about how a photo was taken, its time there, and how long the day in a time is."""
READ, MAX_CLASSES = 500, 50


def note_telling_exif(paths: Sequence[Path], labels: Sequence[str]) -> list[str]:
    """Advice if one field of the metadata alone gives the class of most of these images, of which some are read."""
    step = max(1, len(paths) // READ)
    known, classes = [_fields(path) for path in paths[::step]], labels[::step]
    if not any(known) or not 2 <= len(set(classes)) <= MAX_CLASSES:
        return []
    by_chance = Counter(classes).most_common(1)[0][1] / len(classes)
    for name in sorted({name for fields in known for name in fields}):
        share = _share_told([fields.get(name, "") for fields in known], classes)
        if share > (1 + by_chance) / 2:
            return [
                f"the EXIF field {name} of images tells the class of {share:.0%} of them ({by_chance:.0%} are in the "
                "largest class); to make models judge by the picture, strip it before: `exiftool -all= -tagsfromfile @ "
                "-Orientation`"
            ]
    return []


def _fields(path: Path) -> Mapping[str, str]:
    """The fields of an image, empty without any; of times, the day."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            exif = image.getexif()
            fields = {name: str(exif[tag]) for tag, name in TAGS.items() if tag in exif}
            if taken := exif.get_ifd(CAPTURE).get(CAPTURE_TIME):
                fields["DateTimeOriginal"] = str(taken)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # whatever a damaged image raises
        return {}
    return {name: text[:DAY_CHARS] if name.startswith("DateTime") else text for name, text in fields.items()}


def _share_told(values: Sequence[str], classes: Sequence[str]) -> float:
    """The share of images whose class is the commonest one among the others with the same value."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for value, label in zip(values, classes, strict=True):
        counts[value][label] += 1
    right = 0
    for value, label in zip(values, classes, strict=True):
        others = counts[value] - Counter([label])
        right += bool(others) and others.most_common(1)[0][0] == label
    return right / len(classes)

"""Folders of small images, made from the digits of scikit-learn."""

from __future__ import annotations

from pathlib import Path

DIGITS = 3


def write_digits(folder: Path, each: int = 40) -> list[tuple[Path, str]]:
    """`each` images of each of three digits, in a folder for each; the paths and labels."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    written = []
    for label in range(DIGITS):
        (folder / f"digit {label}").mkdir(parents=True)
        for number, image in enumerate(digits.images[digits.target == label][:each]):
            path = folder / f"digit {label}" / f"{label}_{number}.png"
            Image.fromarray((image * 15).astype(np.uint8)).save(path)
            written.append((path, f"digit {label}"))
    return written

"""Encode labels as cells of a submission: unchanged, one-hot, mapped, one row per set member, or one row per pixel."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tasks.config.recipe import Answer
from tasks.io.csv_text import Row, TableError, number
from tasks.io.path_templates import Fields, PathPattern, Template

SHOWN_NAMES = 8
"""How many names a message lists."""


class AnswerEncoder:
    """Gives the ids of a row in the sample submission and, if it is labelled, its target cells.

    `page` is the path pattern of the image to clean, for `pixels`.
    """

    def __init__(
        self, answer: Answer, id: str, labels: Sequence[str], targets: Sequence[str], public: Path, page: str
    ) -> None:
        self._answer, self.labels, self._targets = answer, tuple(labels), tuple(targets)
        self.id = Template(id)
        self._values = dict(answer.values)
        self._image, self._page, self._public = PathPattern(answer.image), PathPattern(page), public

    @property
    def is_plain(self) -> bool:
        """Whether a row is one row of the submission."""
        return self._answer.kind in ("same", "onehot", "map")

    @property
    def names(self) -> frozenset[str]:
        """The fields of a row that its ids are built from."""
        return frozenset((*self.id.names, *self._page.names, *self._image.names))

    @property
    def reads_labels(self) -> bool:
        """Whether labels are columns, and not images."""
        return self._answer.kind != "pixels"

    def ids(self, fields: Fields, shown: Fields | None = None) -> Iterator[str]:
        """The ids of a row; `shown` has the fields with their new values, if it was renumbered."""
        named = shown or fields
        if self.is_plain:
            yield self.id.fill(named)
        elif self._answer.kind == "set":
            for member in range(self._answer.count):
                yield self.id.fill({**named, "k": str(member)})
        else:
            width, height = self._size(fields)
            for row in range(1, height + 1):
                for column in range(1, width + 1):
                    yield self.id.fill({**named, "row": str(row), "col": str(column)})

    def cells(self, fields: Fields) -> Iterator[Row]:
        """The target cells of a labelled row, one list per row of the submission."""
        kind = self._answer.kind
        if kind == "pixels":
            yield from ([repr(value)] for value in self._greys(fields))
            return
        label = [fields[name] for name in self.labels]
        if kind == "set":
            members = {member.strip() for member in label[0].split(",")}
            yield from ([str(int(str(member) in members))] for member in range(self._answer.count))
        elif kind == "onehot":
            yield ["1" if name == label[0].strip() else "0" for name in self._targets]
        else:
            yield [self._values[label[0]]] if kind == "map" else label

    def check(self, table: str, needs_numbers: bool) -> Callable[[Sequence[str], str], None]:
        """A function of label cells and the row's name that raises TableError for a label that cannot be encoded."""
        kind = self._answer.kind
        if kind in ("set", "pixels"):
            return lambda cells, name: None

        def check_cells(cells: Sequence[str], name: str) -> None:
            cell = cells[0]
            if kind == "onehot" and cell.strip() and cell.strip() not in self._targets:
                raise TableError(
                    f"{table}: the label {cell!r} of row {name!r} is not a column of the sample submission, whose "
                    f"classes are {', '.join(self._targets[:SHOWN_NAMES])}"
                )
            if kind == "map" and cell not in self._values:
                raise TableError(f"{table}: the label {cell!r} of row {name!r} is not one of {', '.join(self._values)}")
            if kind == "same" and needs_numbers:
                for each in cells:
                    _require_number(each, table, name)

        return check_cells

    def _size(self, fields: Fields) -> tuple[int, int]:
        """Width and height of the image to clean, from the page itself if it is there, so that no answer is opened."""
        from PIL import Image

        for pattern in (self._page, self._image):
            path = self._public / pattern.fill(fields)
            if pattern and path.is_file():
                with Image.open(path) as image:
                    return image.size
        raise TableError(f"{self._page.fill(fields)} is missing, and its pixels are rows of the sample")

    def _greys(self, fields: Fields) -> list[float]:
        import numpy as np
        from PIL import Image

        try:
            with Image.open(self._public / self._image.fill(fields)) as image:
                values: list[float] = (np.asarray(image.convert("L")).ravel() / 255.0).tolist()
        except OSError as error:
            raise TableError(f"{self._image.fill(fields)} cannot be read ({error})") from None
        return values


def _require_number(cell: str, table: str, name: str) -> None:
    try:
        if math.isinf(number(cell)):
            raise ValueError
    except ValueError:
        raise TableError(
            f"{table}: the label {cell!r} of row {name!r} is not a number, and the metric needs numbers"
        ) from None

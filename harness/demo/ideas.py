"""What the demo model knows to try: a handful of model families as small source templates, and how they combine.

A *tag* names one thing tried, in words that survive in the run's memory: `kernel`, `kernel tuned`,
`blend of kernel tuned + trees`, `bag 2 of trees`. A tag alone is enough to write the solution again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

SOLUTION, SHARED = "solution.py", "tabular.py"
END = "    return model"
"""The last line of every family's function: the one place that tuning edits."""

LOOK = """ls -l data; head -n 3 data/*.csv | cut -c 1-300; python - <<'LOOK'
import glob

import pandas as pd

for name in sorted(glob.glob("data/*.csv")):
    t = pd.read_csv(name)
    kinds = t.dtypes.astype(str).value_counts().to_dict()
    print(f"{name}: {len(t)} rows, {t.shape[1]} columns, {int(t.isna().sum().sum())} values missing, {kinds}")
LOOK"""


@dataclass(frozen=True)
class Idea:
    """One idea. Either a `member` (a function that builds a model: can be tuned, bagged and blended with others) or
    a whole `program` that stands alone. `grid` is the Python source of the settings that tuning searches; `look` is
    the command with which an attempt that starts from nothing looks at the data first."""

    name: str
    what: str
    member: str = ""
    program: str = ""
    grid: str = ""
    look: str = "head -n 3 data/*.csv"


@cache
def template(name: str) -> str:
    """The text of one of the source templates that lie beside this module."""
    return files(__package__).joinpath(f"{name}.py.txt").read_text(encoding="utf-8")


def family(name: str, what: str, grid: str = "") -> Idea:
    """An idea whose member is the template of the same name."""
    return Idea(name, what, member=template(name), grid=grid, look=LOOK)


def default_ideas() -> tuple[Idea, ...]:
    """The families, in the order in which they are tried when nothing else is known."""
    classes_or_numbers = "{} if data.kind == 'classes' else {}".format
    return (
        family("linear", "a regularised linear model on scaled columns"),
        family(
            "kernel",
            "support vectors with an RBF kernel on scaled columns",
            classes_or_numbers(
                '{"svc__C": [1.0, 4.0, 16.0], "svc__gamma": ["scale", 0.01, 0.03]}',
                '{"regressor__svr__C": [0.3, 1.0, 3.0], "regressor__svr__gamma": [0.005, 0.02, 0.06]}',
            ),
        ),
        family(
            "trees",
            "extremely randomised trees, averaged",
            classes_or_numbers(
                '{"extratreesclassifier__max_features": ["sqrt", 0.4]}',
                '{"extratreesregressor__min_samples_leaf": [2, 5], "extratreesregressor__max_features": [0.3, 0.8]}',
            ),
        ),
        family("splines", "every column bent by splines, added up by a well regularised linear model"),
        family("boosting", "gradient boosting of small trees on histograms"),
        family("neighbours", "the nearest rows, weighted by distance"),
    )


@dataclass(frozen=True)
class Tag:
    """A tag taken apart: the variants it blends (each `family` or `family tuned`) and the bag's number, if it bags."""

    variants: tuple[str, ...]
    bag: int = 0

    @classmethod
    def parse(cls, text: str) -> Tag:
        bagged = re.fullmatch(r"bag (\d+) of (.+)", text)
        rest = bagged[2] if bagged else text
        return cls(tuple(rest.removeprefix("blend of ").split(" + ")), int(bagged[1]) if bagged else 0)

    def __str__(self) -> str:
        text = self.variants[0] if len(self.variants) == 1 else "blend of " + " + ".join(self.variants)
        return f"bag {self.bag} of {text}" if self.bag else text

    @property
    def families(self) -> frozenset[str]:
        return frozenset(variant.removesuffix(" tuned") for variant in self.variants)

    @property
    def is_plain(self) -> bool:
        """One family, neither tuned nor bagged nor blended."""
        return not self.bag and len(self.variants) == 1 and not self.variants[0].endswith(" tuned")


def tuning(idea: Idea) -> str:
    """What stands in the place of `END` when the idea's settings are to be searched."""
    return f"    grid = {idea.grid}\n    return tuned(model, grid, data) if len(data.X) <= 10_000 else model"


def tuning_edits(idea: Idea, ideas: tuple[Idea, ...], metric: str) -> list[tuple[str, str]]:
    """The edits (old, new) that make the idea's plain solution its tuned one: the import line and the last line."""
    plain = solution(Tag((idea.name,)), ideas, metric)
    imported = next(line for line in plain.splitlines() if line.startswith("from tabular import"))
    return [(imported, f"{imported}, tuned"), (END, tuning(idea))]


def solution(tag: Tag, ideas: tuple[Idea, ...], metric: str) -> str:
    """The text of `solution.py` for a tag. Raises KeyError for a family that is not among the ideas."""
    known = {idea.name: idea for idea in ideas}
    idea = known[tag.variants[0].removesuffix(" tuned")]
    if idea.program:
        return idea.program.replace("{metric}", metric)
    imports, functions, names = set(), [], []
    for variant in tag.variants:
        idea = known[variant.removesuffix(" tuned")]
        head, function = idea.member.split("\n\n\n", 1)
        imports.update(head.splitlines())
        functions.append(function.replace(END, tuning(idea)) if variant.endswith(" tuned") else function)
        names.append(idea.name)
    used = [
        word for word in ("SEED", "prepare", "run", "tuned") if word == "run" or re.search(word, "".join(functions))
    ]
    bags = f", bags=3, seed={tag.bag}" if tag.bag else ""
    return "\n".join(
        [
            f'"""{str(tag).capitalize()}: {"; ".join(known[n].what for n in names)}."""\n',
            *sorted(imports, key=lambda line: (line.startswith("from"), line)),
            f"from tabular import {', '.join(used)}\n\n",
            "\n\n".join(functions),
            f'\nif __name__ == "__main__":\n    run([{", ".join(names)}], metric="{metric}"{bags})\n',
        ]
    )

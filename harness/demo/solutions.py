"""The ideas the demo model can try, and the source code of a solution for each.

A *tag* names one thing tried, in a form that survives in the run's memory: `kernel`, `kernel tuned`,
`blend of kernel tuned + trees`. The tag is enough to write the solution again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

SOLUTION, SHARED = "solution.py", "tabular.py"
_LAST_LINE = "    return model"
"""The last line of every family's function; tuning replaces it."""


@dataclass(frozen=True)
class Idea:
    """A model family (`member`: a function that builds a model) or a whole `program`.

    Only families can be tuned and blended. `grid` is Python source of the settings that tuning searches.
    """

    name: str
    what: str
    member: str = ""
    program: str = ""
    grid: str = ""


@cache
def template(name: str) -> str:
    """The text of a source template that lies beside this module."""
    return files(__package__).joinpath(f"{name}.py.txt").read_text(encoding="utf-8")


def default_ideas() -> tuple[Idea, ...]:
    """The model families, simple ones first."""
    kernel = '{"svc__C": [1.0, 4.0, 16.0], "svc__gamma": ["scale", 0.01, 0.03]} if data.kind == "classes" else '
    kernel += '{"regressor__svr__C": [0.3, 1.0, 3.0], "regressor__svr__gamma": [0.005, 0.02, 0.06]}'
    trees = '{"extratreesclassifier__max_features": ["sqrt", 0.4]} if data.kind == "classes" else '
    trees += '{"extratreesregressor__min_samples_leaf": [2, 5], "extratreesregressor__max_features": [0.3, 0.8]}'
    families = (
        ("linear", "a regularised linear model on scaled columns", ""),
        ("kernel", "support vectors with an RBF kernel on scaled columns", kernel),
        ("trees", "extremely randomised trees, averaged", trees),
        ("splines", "a regularised linear model on spline features", ""),
        ("boosting", "gradient boosting of small trees on histograms", ""),
    )
    return tuple(Idea(name, what, member=template(name), grid=grid) for name, what, grid in families)


def variants(tag: str) -> list[str]:
    """The variants a tag blends, each `family` or `family tuned`; one if it blends none."""
    return tag.removeprefix("blend of ").split(" + ")


def families(tag: str) -> list[str]:
    """The families of a tag."""
    return [variant.removesuffix(" tuned") for variant in variants(tag)]


def describe(tag: str, ideas: Sequence[Idea]) -> str:
    """What a tag's solution is."""
    known = {idea.name: idea.what for idea in ideas}
    return "; ".join(known[name] for name in families(tag))


def solution(tag: str, ideas: Sequence[Idea], metric: str, positive: str = "") -> str:
    """The text of `solution.py` for a tag; `positive` is the label whose probability is asked for.

    Raises KeyError for a family that is not among `ideas`.
    """
    known = {idea.name: idea for idea in ideas}
    first = known[families(tag)[0]]
    if first.program:
        return first.program.replace("{metric}", metric)
    imports: set[str] = {"from tabular import SEED, prepare, run, tuned"}
    functions, asked = [], f", positive={positive!r}" if positive else ""
    for variant, name in zip(variants(tag), families(tag), strict=True):
        head, function = known[name].member.split("\n\n\n", 1)
        imports.update(head.splitlines())
        functions.append(_tuned(function, known[name].grid) if variant.endswith(" tuned") else function)
    return "\n".join(
        [
            f'"""{tag.capitalize()}: {describe(tag, ideas)}."""\n',
            *sorted(imports, key=lambda line: (line.startswith("from"), line)),
            "\n",
            "\n\n".join(functions),
            f'\nif __name__ == "__main__":\n    run([{", ".join(families(tag))}], metric="{metric}"{asked})\n',
        ]
    )


def _tuned(function: str, grid: str) -> str:
    search = f"    grid = {grid}\n    return tuned(model, grid, data) if len(data.X) <= 10_000 else model"
    return function.replace(_LAST_LINE, search)

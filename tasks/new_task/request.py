"""The request of `harness new-task`, and its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Kind = Literal["number", "category", "text", "time"]
KINDS: tuple[Kind, ...] = ("number", "category", "text", "time")
Progress = Callable[[str, int, int], None]
"""Told of a step, `done` of `total` (0: unknown)."""


@dataclass(frozen=True)
class TaskRequest:
    """The user's request; None and empty values mean that something is inferred. `into` is the folder to make.

    `data`: a table, a folder of images by class, or a folder with train, test and sample tables; None if these three
    are named one by one. `target`: the columns to predict. `types` correct what columns hold. `positive`: the label
    whose probability is predicted. `order`: the labels from low to high. `separator`: between several labels in a cell.
    """

    data: Path | None
    target: str | tuple[str, ...] = ()
    into: Path | None = None
    id: str | None = None
    metric: str | None = None
    group: str | None = None
    time: str | None = None
    types: Mapping[str, Kind] = field(default_factory=dict)
    positive: str | None = None
    order: tuple[str, ...] = ()
    separator: str | None = None
    train: Path | None = None
    test: Path | None = None
    sample: Path | None = None

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns to predict."""
        return (self.target,) if isinstance(self.target, str) else self.target


@dataclass
class Findings:
    """What is reported about a new task: facts about the data, guesses that options can correct, and advice to
    consider.
    """

    facts: list[str] = field(default_factory=list)
    guesses: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """One line for each, which begins with what it is."""
        kinds = (("fact", self.facts), ("guess", self.guesses), ("advice", self.advice))
        return [f"{kind}: {text}" for kind, texts in kinds for text in texts]


@dataclass(frozen=True)
class CreatedTask:
    """The folder that was made, and what was found."""

    folder: Path
    findings: Findings

    @property
    def assumptions(self) -> tuple[str, ...]:
        """Everything that was found, without saying of which kind it is."""
        return (*self.findings.facts, *self.findings.guesses, *self.findings.advice)

"""The table of a sweep: one row for each task, combination of factors, and seed.

Without heavy imports, since `harness sweep status` needs no more than this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """One run of a sweep. `settings` are the texts of its `--set`; the rest describes it for schedulers and reports.

    `levels` maps each factor to the level of this run.
    """

    key: str
    run_id: str
    task: str
    task_id: str
    seed: int
    levels: Mapping[str, str]
    settings: Mapping[str, str]
    hours: float | None = None
    gpus: int = 0
    base_url: str = ""
    lower_is_better: bool = False
    uses_ledger: bool = False


@dataclass(frozen=True)
class Plan:
    """A sweep as it was when it was started. `variables` are the HARNESS_* settings of that moment, `ledger` what is
    known of the frozen copy of the lessons (empty: no run reads lessons)."""

    name: str
    created: str
    version: str
    split: str
    engine: str
    jobs: int | None
    cores: int
    memory: int
    score: bool
    rows: tuple[Row, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    slurm: Mapping[str, Any] = field(default_factory=dict)
    ledger: Mapping[str, Any] = field(default_factory=dict)

    def row(self, key: str) -> Row:
        """The row of a key."""
        return next(row for row in self.rows if row.key == key)

    def as_json(self) -> dict[str, Any]:
        """The plan as plain values."""
        return asdict(self)

    @classmethod
    def of_json(cls, values: dict[str, Any]) -> Plan:
        """The plan from its plain values; fields of a newer version are left out."""
        rows = tuple(
            Row(**{name: one[name] for name in Row.__dataclass_fields__ if name in one}) for one in values["rows"]
        )
        return cls(
            **{name: values[name] for name in cls.__dataclass_fields__ if name in values and name != "rows"}, rows=rows
        )


def levels_text(row: Row) -> str:
    """The levels of a row for people."""
    return ", ".join(f"{factor}={level}" for factor, level in row.levels.items())


def levels_of(plan: Plan) -> dict[str, list[str]]:
    """The levels of each factor, in the order of the sweep file."""
    factors = plan.rows[0].levels if plan.rows else {}
    return {factor: distinct([row.levels[factor] for row in plan.rows]) for factor in factors}


def distinct(values: Sequence[str]) -> list[str]:
    """The values, each once, in order."""
    return list(dict.fromkeys(values))

"""From a sweep file to its table of runs, with every task and setting checked."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from harness import config, errors
from harness.settings import Settings
from harness.startup.create_run import RunRequest, plays_demo, resolve_settings
from harness.startup.lessons import is_apart
from harness.sweep.schema import Source
from harness.sweep.types import Plan, Row
from runs.run_settings import RunSettings
from tasks.catalog import find_task
from tasks.errors import TaskError
from tasks.mlebench.facts import in_split
from tasks.task import Task


@dataclass(frozen=True)
class Variant:
    """One combination of levels, with the texts of the settings that it means."""

    levels: Mapping[str, str]
    settings: Mapping[str, str]

    @property
    def label(self) -> str:
        """Its levels as one word; empty without factors."""
        return "-".join(_word(level) for level in self.levels.values())


def make_plan(source: Source, process: Settings, *, trusts_tasks: bool = False) -> Plan:
    """The table of a sweep. Every task and setting is checked; raises `UsageError`, `SettingsError`, TaskError."""
    file = source.file
    tasks = _find_tasks(source, process)
    created = datetime.now(UTC)
    rows: list[Row] = []
    keys: set[str] = set()
    for name, task in tasks.items():
        for variant in variants(source, is_benchmark=bool(file.split)):
            known = _describe(name, task, variant, process, trusts_tasks)
            for seed in file.seed_list:
                row = _row(known, variant, seed, file.name, created, keys)
                keys.add(row.key)
                rows.append(row)
    names = {f"HARNESS_{setting.upper()}" for setting in RunSettings.model_fields}
    return Plan(
        name=file.name,
        created=created.isoformat(timespec="seconds"),
        version=version("open-harness"),
        split=file.split or "",
        engine=file.engine,
        jobs=file.jobs,
        cores=file.needs.cores,
        memory=int(file.needs.memory_gb * 1e9),
        score=file.score,
        rows=tuple(rows),
        variables={name: value for name, value in process.variables.items() if name in names and value},
        slurm=file.slurm,
    )


def _find_tasks(source: Source, process: Settings) -> dict[str, Task]:
    """The tasks by name or absolute path. Raises TaskError with all that cannot be found."""
    file, found, problems = source.file, {}, []
    names = [one.id for one in in_split(file.split)] if file.split else file.tasks
    for place, name in enumerate(names):
        path = source.folder / name
        is_path = source.yaml is not None and ("/" in name or name.endswith((".yaml", ".yml"))) and path.exists()
        try:
            task = find_task(str(path) if is_path else name, process.home)
        except TaskError as error:
            where = "" if file.split or not source.yaml else f"{source.yaml.problem(('tasks', place), '').strip()} "
            problems.append(f"{where}{error}")
            continue
        found[str(task.path) if "/" in name or is_path else name] = task
    if problems:
        raise TaskError("\n".join(problems))
    return found


def variants(source: Source, *, is_benchmark: bool) -> Iterator[Variant]:
    """The combinations of levels in the order of the file. Raises `UsageError`, `SettingsError` for a setting that does
    not exist, does not fit or is given twice."""
    file = source.file
    common = _texts(file.run, {name: source.where("run", name) for name in file.run})
    if is_benchmark and not {"ledger", "no_ledger", "ledger_snapshot"} & {*common, *_factor_settings(source)}:
        common = {**common, "no_ledger": "true"}
    options = [list(_levels(source, name)) for name in file.factors]
    for chosen in itertools.product(*options):
        settings: dict[str, str] = {}
        for factor, (_, values) in zip(file.factors, chosen, strict=True):
            if twice := set(values) & {*common, *settings}:
                errors.fail(f"{source.where('factors', factor)}: {', '.join(sorted(twice))} is set twice in the sweep")
            settings |= values
        levels = {factor: level for factor, (level, _) in zip(file.factors, chosen, strict=True)}
        yield Variant(levels, {**common, **settings})


def _factor_settings(source: Source) -> set[str]:
    return {name for factor in source.file.factors for _, values in _levels(source, factor) for name in values}


def _levels(source: Source, factor: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The levels of a factor: their names and settings."""
    levels = source.file.factors[factor]
    where = source.where("factors", factor)
    if isinstance(levels, dict):
        for level, values in levels.items():
            yield level, _texts(values, dict.fromkeys(values, where))
        return
    texts = [_texts({factor: value}, {factor: where}) for value in levels]
    if len({text[factor] for text in texts}) < len(texts):
        errors.fail(f"{where}: a value is listed twice")
    yield from ((text[factor], text) for text in texts)


def _texts(values: Mapping[str, Any], where: Mapping[str, str]) -> dict[str, str]:
    """Settings as the texts of `--set`, once they are checked. Raises `SettingsError`."""
    config.task_layer(values, where)
    return {name: _text(value) for name, value in values.items()}


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _describe(name: str, task: Task, variant: Variant, process: Settings, trusts_tasks: bool) -> Row:
    """A row without seed and names: what is the same for all runs of a task and a variant."""
    assignments = [f"{setting}={text}" for setting, text in variant.settings.items()]
    settings = resolve_settings(RunRequest(name, {}, tuple(assignments), trusts_tasks), task, process).settings
    is_demo = plays_demo(settings)
    has_ledger = bool(settings.ledger) or not is_apart(is_demo, task)
    return Row(
        key="",
        run_id="",
        task=name,
        task_id=task.id,
        seed=0,
        levels=variant.levels,
        settings=variant.settings,
        hours=settings.hours if not is_demo or "hours" in variant.settings else None,
        gpus=settings.gpus if isinstance(settings.gpus, int) else 0,
        base_url=settings.base_url,
        lower_is_better=task.metric.lower_is_better,
        uses_ledger=has_ledger and not settings.no_ledger and not settings.ledger_snapshot,
    )


def _row(known: Row, variant: Variant, seed: int, name: str, created: datetime, keys: set[str]) -> Row:
    label = variant.label[:60]
    parts = [_word(known.task_id), *([label] if label else []), f"s{seed}"]
    key = ".".join(parts)
    for number in itertools.count(2):
        if key not in keys:
            break
        key = ".".join([*parts, str(number)])
    run_id = f"{created:%Y%m%d-%H%M%S}_{_word(known.task_id)}_{seed}_{name}{'.' + label if label else ''}"
    taken = key.rpartition(".")[2]
    run_id += f".{taken}" if not taken.startswith("s") else ""
    return replace(known, key=key, run_id=run_id[:150], seed=seed)


def _word(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text.rpartition("/")[2]).strip("-")[:60] or "x"

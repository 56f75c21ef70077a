"""What a sweep file says: tasks, seeds, settings of all runs, and factors whose levels are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness import errors
from tasks.config.yaml_with_lines import YamlFile, read_yaml_file

Engine = Literal["local", "ray", "slurm"]
Split = Literal["low", "lite", "medium", "high", "all", "dev"]
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$"


class Needs(BaseModel):
    """What one run takes of its machine; 0 means that it is not counted. GPUs are the setting `gpus`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cores: int = Field(default=0, ge=0)
    memory_gb: float = Field(default=0.0, ge=0, allow_inf_nan=False)


class SweepFile(BaseModel):
    """A sweep.yaml. `factors` maps a setting to its values, or a name of your own to named groups of settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(default="", pattern=f"{NAME}|^$")
    tasks: list[str] = Field(default_factory=list)
    split: Split | None = None
    seeds: int | list[int] = 1
    run: dict[str, Any] = Field(default_factory=dict)
    factors: dict[str, list[Any] | dict[str, dict[str, Any]]] = Field(default_factory=dict)
    needs: Needs = Needs()
    jobs: int | None = Field(default=None, gt=0)
    engine: Engine = "local"
    slurm: dict[str, str | int | bool] = Field(default_factory=dict)
    score: bool = True

    @property
    def seed_list(self) -> list[int]:
        """The seeds: those that are listed, or the first ones of their number."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds


@dataclass(frozen=True)
class SweepRequest:
    """What a user typed: the arguments (a sweep file, or tasks) and the options, None if they were not given."""

    arguments: tuple[str, ...]
    name: str | None = None
    seeds: int | None = None
    jobs: int | None = None
    engine: Engine | None = None
    assignments: tuple[str, ...] = ()
    trusts_tasks: bool = False


@dataclass(frozen=True)
class Source:
    """A sweep file with the place of each part, for messages. `yaml` is None for a sweep that was typed."""

    file: SweepFile
    yaml: YamlFile | None = None
    folder: Path = field(default_factory=Path)

    def where(self, *location: str | int) -> str:
        """`file:line:column` of a part of the file; its name where there is no file."""
        return self.yaml.problem(location, "", at_key=True).strip() if self.yaml else ".".join(map(str, location))


def read_request(request: SweepRequest) -> Source:
    """The sweep that a user asks for. Raises `UsageError`, TaskError for a file that cannot be read."""
    source = _read(request.arguments)
    given = source.file
    if request.seeds is not None and source.yaml is not None and "seeds" in given.model_fields_set:
        errors.fail(f"{source.where('seeds')}: the file says its seeds; leave --seeds out, or remove that line")
    changes: dict[str, Any] = {
        "name": request.name or given.name or _default_name(source, request.arguments),
        "seeds": given.seeds if request.seeds is None else request.seeds,
        "jobs": request.jobs or given.jobs,
        "engine": request.engine or given.engine,
        "run": {**given.run, **_assigned(request.assignments, given)},
    }
    file = _validated({**given.model_dump(exclude_unset=True), **changes}, None)
    _check(file, source)
    return Source(file, source.yaml, source.folder)


def is_sweep_file(argument: str) -> bool:
    """Whether an argument is a sweep file and not a task: a YAML file with `tasks:` or `split:`."""
    path = Path(argument).expanduser()
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return False
    return path.name != "task.yaml" and bool({"tasks", "split"} & set(read_yaml_file(path).values))


def _read(arguments: Sequence[str]) -> Source:
    files = [argument for argument in arguments if is_sweep_file(argument)]
    if files and len(arguments) > 1:
        errors.fail(f"{files[0]} is a sweep file: give it alone, or only tasks")
    if not files:
        return Source(SweepFile(tasks=list(arguments)))
    path = Path(files[0]).expanduser()
    yaml = read_yaml_file(path)
    return Source(_validated(yaml.values, yaml), yaml, path.absolute().parent)


def _validated(values: dict[str, Any], yaml: YamlFile | None) -> SweepFile:
    try:
        return SweepFile.model_validate(values)
    except ValidationError as error:
        lines = []
        for one in error.errors(include_url=False):
            location = [step for step in one["loc"] if not isinstance(step, str) or step in str(values)]
            text = _explain(one["type"], [str(step) for step in one["loc"]], one["msg"])
            lines.append(yaml.problem(location, text, at_key=True) if yaml else text)
        errors.fail("\n".join(dict.fromkeys(lines)))


def _explain(kind: str, location: Sequence[str], message: str) -> str:
    if kind == "extra_forbidden":
        known = ", ".join(SweepFile.model_fields)
        return f"{location[-1]} is not a key of a sweep file (its keys: {known}); settings of the runs go under `run:`"
    if location[:1] == ["name"]:
        return "name: write at most 40 letters, digits and . _ -, as it names a folder"
    return f"{'.'.join(location[:2])}: {message}"


def _assigned(assignments: Sequence[str], file: SweepFile) -> dict[str, str]:
    found = {}
    for assignment in assignments:
        name, has_value, text = assignment.partition("=")
        name = name.strip().replace("-", "_")
        if not has_value:
            errors.fail(f"--set {assignment}: write --set NAME=VALUE")
        if name in file.factors:
            errors.fail(f"--set {name}: it is a factor of the file, so its values differ between the runs")
        found[name] = text
    return found


def _default_name(source: Source, arguments: Sequence[str]) -> str:
    stem = source.yaml.path.stem if source.yaml else "-".join(Path(one).expanduser().stem for one in arguments)
    cleaned = "".join(c if c.isascii() and (c.isalnum() or c in "_.-") else "-" for c in stem).strip(".-_")
    return cleaned[:40] or "sweep"


def _check(file: SweepFile, source: Source) -> None:
    if not file.tasks and not file.split:
        errors.fail("say which tasks: harness sweep TASK..., or `tasks:` or `split:` in a sweep file")
    if file.tasks and file.split:
        errors.fail(f"{source.where('split')}: give either `tasks:` or `split:`, not both")
    if repeated := _repeated(file.tasks):
        errors.fail(f"{source.where('tasks')}: {', '.join(repeated)} is listed twice; more runs of a task are `seeds:`")
    seeds = file.seed_list
    if not seeds or min(seeds) < 0:
        errors.fail(f"{source.where('seeds')}: write how many seeds, such as 3, or list them: [0, 1, 2]")
    if repeated := _repeated(seeds):
        errors.fail(f"{source.where('seeds')}: {', '.join(repeated)} is listed twice, and would be the same run again")
    for location in [("run",), *(("factors", name) for name in file.factors)]:
        named = file.run if location == ("run",) else {location[1]: ""} | _levels(file.factors[location[1]])
        if "seed" in named:
            errors.fail(f"{source.where(*location)}: the seeds of a sweep are its `seeds:`; remove `seed`")
    if _count(file) == 0:
        errors.fail(f"{source.where('factors')}: a factor needs at least one value")


def _levels(levels: list[Any] | dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {name: "" for one in levels.values() for name in one} if isinstance(levels, dict) else {}


def _count(file: SweepFile) -> int:
    total = 1
    for levels in file.factors.values():
        total *= len(levels)
    return total


def _repeated(values: Sequence[Any]) -> list[str]:
    return [str(value) for value in dict.fromkeys(values) if list(values).count(value) > 1]

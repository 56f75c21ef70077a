"""The form of a task.yaml: pydantic models of its keys, and pydantic's complaints in words a user can act on."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from tasks.config.yaml_with_lines import TaskError, YamlFile
from tasks.metrics.registry import METRICS

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z"

Text = Annotated[str, Field(min_length=1)]
Amount = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
Cell = Annotated[str, BeforeValidator(lambda v: str(v) if isinstance(v, (int, float)) else v)]
Columns = Annotated[list[Text], Field(min_length=1), BeforeValidator(lambda v: [v] if isinstance(v, str) else v)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, regex_engine="python-re")


class MetricPart(_Part):
    """`metric: NAME` (as `name`), or a function of the task's own with its direction."""

    name: Text | None = None
    function: Text | None = None
    direction: Literal["higher", "lower"] | None = None
    needs: Literal["labels", "scores", "numbers"] = "numbers"


class DataPart(_Part):
    """Where the data lie."""

    public: Text
    private: Text | None = None
    answers: Text | None = None


class SubmissionPart(_Part):
    """What is handed in."""

    sample: Text
    id: Text
    target: Columns
    may_be_missing: bool = False
    shown: Text | None = None


class LabelsPart(_Part):
    """Where the training labels are: a table, `archive.zip!table`, `files:NAME` or `marked:FILE`; a list: copies."""

    file: Columns
    id: Text
    target: Columns
    group: Text | None = None
    stratify: bool = False


class AnswerPart(_Part):
    """How labels become cells of a submission, where they are not columns of the same name."""

    onehot: Text | None = None
    map: dict[str, dict[str, Cell]] | None = None
    set: Text | None = None
    count: Count | None = None
    pixels: Text | None = None


class MarkPart(_Part):
    """Which cells of a table mark a row that is to be predicted."""

    key: Text
    set: dict[str, Cell]


class RenumberPart(_Part):
    """`{FIELD: FORM, start: N, order: TEMPLATE}`: new values of a field."""

    field: Text
    form: Annotated[str, Field(pattern=r"^[^{}]*\{i\}[^{}]*\Z")]
    start: int = 0
    order: Text = "random"


class SplitPart(_Part):
    """How labelled rows are held out."""

    group: Text | None = None
    time: Text | None = None
    stratify: bool | None = None
    tails: Literal["keep"] | None = None


class PlanPart(_Part):
    """How many folds, or which share of the rows (rows, above 1) is told and which is only opened at the end."""

    folds: Annotated[int, Field(ge=2, le=20)] | None = None
    search: Amount | None = None
    select: Amount | None = None


def _renumber(value: Any) -> Any:
    """`{image_id: "Test_{i}", start: 0}` with its one free key named."""
    if not isinstance(value, dict):
        return value
    free = [name for name in value if name not in ("start", "order")]
    named = {"field": str(free[0]), "form": value[free[0]]} if len(free) == 1 else {}
    return {**{name: value[name] for name in value if not named or name not in free}, **named}


class BlendPart(_Part):
    """How labelled rows are made into rows to predict."""

    test: Columns | None = None
    answer: Annotated[AnswerPart | None, BeforeValidator(lambda v: None if v == "same" else v)] = None
    files: list[Annotated[str, Field(pattern=r"^[^>]*\S\s*->[^>]*\Z")]] = []
    side: dict[str, Text] = {}
    also_mark: dict[str, MarkPart] = {}
    mark: Text | None = None
    fill: dict[str, Text] = {}
    renumber: Annotated[RenumberPart | None, BeforeValidator(_renumber)] = None
    unit: Text | None = None
    split: SplitPart = SplitPart()
    plan: Annotated[PlanPart | None, BeforeValidator(lambda v: None if v == "auto" else v)] = None
    static: list[Text] = []
    omit: list[Text] = []


class ThresholdsPart(_Part):
    """Medal thresholds written out."""

    gold: float
    silver: float
    bronze: float
    median: float


class RunPart(_Part):
    """What a run does where no flag says otherwise."""

    model: Text | None = None
    base_url: Text | None = None
    hours: Amount | None = None
    cost: Amount | None = None
    attempts: Count | None = None
    turns: Count | None = None
    sandbox: Literal["auto", "docker", "bubblewrap", "local"] | None = None


class TaskFile(_Part):
    """A whole task.yaml."""

    id: Annotated[str, Field(pattern=ID_PATTERN)]
    title: Text | None = None
    description: Text
    metric: Annotated[MetricPart, BeforeValidator(lambda v: {"name": v} if isinstance(v, str) else v)]
    data: DataPart
    submission: SubmissionPart
    labels: LabelsPart | None = None
    blend: BlendPart | None = None
    thresholds: ThresholdsPart | None = None
    leaderboard: Text | None = None
    run: RunPart = RunPart()
    hide: list[Text] = []
    competition: Text | None = None


def parse_task_file(marked: YamlFile) -> TaskFile:
    """The file's content, checked for form. Raises TaskError with a line for every problem."""
    try:
        return TaskFile.model_validate(marked.values)
    except ValidationError as error:
        problems = [_problem(marked, detail) for detail in error.errors(include_url=False, include_context=True)]
    raise TaskError("\n".join(dict.fromkeys(problems)))


def _problem(marked: YamlFile, detail: ErrorDetails) -> str:
    location = [step for step in detail["loc"] if step not in ("str", "float", "int")]
    name, kind = ".".join(map(str, location)), detail["type"]
    if kind == "extra_forbidden":
        return marked.problem(location, _unknown_key(location), at_key=True)
    if kind == "missing":
        return marked.problem(location[:-1], f"key '{name}' is missing. Add a line `{location[-1]}: ...`.")
    if detail["input"] is None:
        return marked.problem(location, f"'{name}' is empty. {_wanted(detail)}")
    return marked.problem(location, f"'{name}' is {_shown(detail['input'])}. {_wanted(detail)}")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    try:
        return clip(repr(value))
    except ValueError:  # Python does not spell out a number of many thousand digits
        return "a number far too long"


def clip(text: str, most: int = 80) -> str:
    """`text` on one line and cut to at most `most` characters, the cut marked."""
    text = text.replace("\n", "\\n")
    return text if len(text) <= most else text[: most - 1] + "…"


def _wanted(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if detail["loc"] == ("metric",):
        return f"Write one of: {', '.join(METRICS)}."
    if kind == "string_pattern_mismatch":
        if detail["loc"][-1] != "id":
            return "Write it as in `{image_id: 'Test_{i}'}`." if "form" in detail["loc"] else "Write `FROM -> TO`."
        return "Write a name of letters, digits, '.', '_' and '-', at most 64, beginning with a letter or digit."
    if kind == "literal_error":
        return f"Write one of: {context.get('expected', '')}."
    if kind == "greater_than":
        return f"Write a number above {context.get('gt', 0)}."
    words = {
        "string_type": "Write text (in quotes, if it looks like a number).",
        "string_too_short": "Write some text.",
        "float_type": "Write a number, such as 0.9.",
        "finite_number": "Write a finite number.",
        "int_type": "Write a whole number.",
        "bool_type": "Write true or false.",
        "list_type": "Write a list: [a, b].",
        "too_short": "Write at least one.",
        "model_type": "Write a mapping: {key: value}.",
    }
    return words.get(kind, detail["msg"] + ".")


def _unknown_key(location: list[str | int]) -> str:
    known = _keys_at(location[:-1])
    key = str(location[-1])
    near = get_close_matches(key, known, n=1)
    meant = f"Did you mean '{near[0]}'?" if near else f"The keys here are: {', '.join(known)}."
    return f"key '{clip(key)}' does not exist. {meant}"


def _keys_at(location: list[str | int]) -> list[str]:
    parts: dict[str, type[_Part]] = {
        "metric": MetricPart,
        "data": DataPart,
        "submission": SubmissionPart,
        "labels": LabelsPart,
        "blend": BlendPart,
        "thresholds": ThresholdsPart,
        "run": RunPart,
    }
    part = parts.get(str(location[0]), TaskFile) if location else TaskFile
    return [name for name in part.model_fields if (part, name) != (MetricPart, "name")]

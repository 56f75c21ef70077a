"""The schema of task.yaml as pydantic models, and its validation errors as messages with file, line and advice."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from tasks.config.yaml_with_lines import YamlFile
from tasks.errors import TaskError
from tasks.metrics.registry import METRICS

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z"

Text = Annotated[str, Field(min_length=1)]
Amount = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
Cell = Annotated[str, BeforeValidator(lambda v: str(v) if isinstance(v, (int, float)) else v)]
Columns = Annotated[list[Text], Field(min_length=1), BeforeValidator(lambda v: [v] if isinstance(v, str) else v)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, regex_engine="python-re")


class MetricSection(_Section):
    """`metric: NAME` (stored as `name`), or a function in a file of the task, with its direction."""

    name: Text | None = None
    function: Text | None = None
    direction: Literal["higher", "lower"] | None = None
    needs: Literal["labels", "scores", "numbers"] = "numbers"


class DataSection(_Section):
    """The data folders and the file of private answers."""

    public: Text
    private: Text | None = None
    answers: Text | None = None


class SubmissionSection(_Section):
    """The format of a submission."""

    sample: Text
    id: Text
    target: Columns
    may_be_missing: bool = False
    shown: Text | None = None


class LabelsSection(_Section):
    """The training labels: a table, `archive.zip!table`, `files:NAME` or `marked:FILE`; a list: identical copies."""

    file: Columns
    id: Text
    target: Columns
    group: Text | None = None
    stratify: bool = False


class AnswerSection(_Section):
    """How labels become cells of a submission, if they are not columns of the same name."""

    onehot: Text | None = None
    map: dict[str, dict[str, Cell]] | None = None
    set: Text | None = None
    count: Count | None = None
    pixels: Text | None = None


class MarkSection(_Section):
    """A table that marks rows to predict: its key column, and the cells to write there."""

    key: Text
    set: dict[str, Cell]


class RenumberSection(_Section):
    """`{FIELD: FORM, start: N, order: TEMPLATE}`: new values for a field."""

    field: Text
    form: Annotated[str, Field(pattern=r"^[^{}]*\{i\}[^{}]*\Z")]
    start: int = 0
    order: Text = "random"


class SplitSection(_Section):
    """How held-out rows are chosen: whole groups, the latest rows, or stratified."""

    group: Text | None = None
    time: Text | None = None
    stratify: bool | None = None
    tails: Literal["keep"] | None = None


class PlanSection(_Section):
    """The number of folds, or the sizes of search and select rows (a share of the labelled rows; above 1, a count)."""

    folds: Annotated[int, Field(ge=2, le=20)] | None = None
    search: Amount | None = None
    select: Amount | None = None


def _name_renumbered_field(value: Any) -> Any:
    """`{image_id: "Test_{i}", start: 0}` rewritten as `{field: image_id, form: "Test_{i}", start: 0}`."""
    if not isinstance(value, dict):
        return value
    free = [name for name in value if name not in ("start", "order")]
    named = {"field": str(free[0]), "form": value[free[0]]} if len(free) == 1 else {}
    return {**{name: value[name] for name in value if not named or name not in free}, **named}


class BlendSection(_Section):
    """How held-out labelled rows become rows to predict."""

    test: Columns | None = None
    answer: Annotated[AnswerSection | None, BeforeValidator(lambda v: None if v == "same" else v)] = None
    files: list[Annotated[str, Field(pattern=r"^[^>]*\S\s*->[^>]*\Z")]] = []
    side: dict[str, Text] = {}
    also_mark: dict[str, MarkSection] = {}
    mark: Text | None = None
    fill: dict[str, Text] = {}
    renumber: Annotated[RenumberSection | None, BeforeValidator(_name_renumbered_field)] = None
    unit: Text | None = None
    split: SplitSection = SplitSection()
    plan: Annotated[PlanSection | None, BeforeValidator(lambda v: None if v == "auto" else v)] = None
    static: list[Text] = []
    omit: list[Text] = []


class ThresholdsSection(_Section):
    """Medal thresholds as numbers."""

    gold: float
    silver: float
    bronze: float
    median: float


class TaskFile(_Section):
    """A complete task.yaml."""

    id: Annotated[str, Field(pattern=ID_PATTERN)]
    title: Text | None = None
    description: Text
    metric: Annotated[MetricSection, BeforeValidator(lambda v: {"name": v} if isinstance(v, str) else v)]
    data: DataSection
    submission: SubmissionSection
    labels: LabelsSection | None = None
    blend: BlendSection | None = None
    thresholds: ThresholdsSection | None = None
    leaderboard: Text | None = None
    run: dict[str, Any] = Field(default_factory=dict)
    hide: list[Text] = []
    competition: Text | None = None
    kaggle: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*\Z")] | None = None


def parse_task_file(yaml_file: YamlFile) -> TaskFile:
    """Validate the file's content against the schema. Raises TaskError with one line per problem."""
    try:
        return TaskFile.model_validate(yaml_file.values)
    except ValidationError as error:
        problems = [_problem(yaml_file, detail) for detail in error.errors(include_url=False, include_context=True)]
    raise TaskError("\n".join(dict.fromkeys(problems)))


def _problem(yaml_file: YamlFile, detail: ErrorDetails) -> str:
    location = [step for step in detail["loc"] if step not in ("str", "float", "int")]
    name, kind = ".".join(map(str, location)), detail["type"]
    if kind == "extra_forbidden":
        return yaml_file.problem(location, _unknown_key(location), at_key=True)
    if kind == "missing":
        return yaml_file.problem(location[:-1], f"key '{name}' is missing. Add a line `{location[-1]}: ...`.")
    if detail["input"] is None:
        return yaml_file.problem(location, f"'{name}' is empty. {_advice(detail)}")
    return yaml_file.problem(location, f"'{name}' is {_shown(detail['input'])}. {_advice(detail)}")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    try:
        return clip(repr(value))
    except ValueError:  # Python refuses to print numbers of many thousand digits
        return "a number with too many digits"


def clip(text: str, limit: int = 80) -> str:
    """`text` on one line and cut to at most `limit` characters, with an ellipsis."""
    text = text.replace("\n", "\\n")
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _advice(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if detail["loc"] == ("metric",):
        return f"Write one of: {', '.join(METRICS)}."
    if kind == "string_pattern_mismatch":
        if detail["loc"][-1] == "kaggle":
            return "Write the last part of the competition's address, such as titanic."
        if detail["loc"][-1] != "id":
            return "Write it as in `{image_id: 'Test_{i}'}`." if "form" in detail["loc"] else "Write `FROM -> TO`."
        return "Write at most 64 letters, digits, '.', '_' or '-', beginning with a letter or digit."
    if kind == "literal_error":
        return f"Write one of: {context.get('expected', '')}."
    if kind == "greater_than":
        return f"Write a number above {context.get('gt', 0)}."
    advice = {
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
    return advice.get(kind, detail["msg"] + ".")


def _unknown_key(location: list[str | int]) -> str:
    known = _keys_at(location[:-1])
    key = str(location[-1])
    similar = get_close_matches(key, known, n=1)
    hint = f"Did you mean '{similar[0]}'?" if similar else f"The keys here are: {', '.join(known)}."
    return f"key '{clip(key)}' does not exist. {hint}"


def _keys_at(location: list[str | int]) -> list[str]:
    sections: dict[str, type[_Section]] = {
        "metric": MetricSection,
        "data": DataSection,
        "submission": SubmissionSection,
        "labels": LabelsSection,
        "blend": BlendSection,
        "thresholds": ThresholdsSection,
    }
    section = sections.get(str(location[0]), TaskFile) if location else TaskFile
    return [name for name in section.model_fields if (section, name) != (MetricSection, "name")]

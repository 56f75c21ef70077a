"""Any task.yaml either loads or is refused with the position of each problem and what to write instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from churn_folder import WHOLE, make_folder, refusal
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tasks.task import TaskError, Thresholds, load_task


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "churn")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("metric: roc_auc", "metric: roc_acu", "task.yaml:4:9 metric 'roc_acu' does not exist. Did you mean 'roc_auc'"),
        ("metric: roc_auc", "metrik: roc_auc", "task.yaml:4:1 key 'metrik' does not exist. Did you mean 'metric'?"),
        ("metric: roc_auc", "metrik: roc_auc", "task.yaml:1:1 key 'metric' is missing. Add a line `metric: ...`."),
        ("metric: roc_auc", "metric:", "task.yaml:4:8 'metric' is empty. Write one of: accuracy,"),
        ("metric: roc_auc", "metric: [a]", "task.yaml:4:9 'metric' is a list. Write one of: accuracy,"),
        ("metric: roc_auc", "metric: my.py:score", "task.yaml:4:9 a function needs a direction."),
        ("  target: left", "  target: left\n  traget: x", "task.yaml:10:3 key 'traget' does not exist."),
        ("  target: left", "  target: []", "task.yaml:9:11 'submission.target' is an empty list. Write at least one."),
        ("  target: left", "  target: [left, 3]", "task.yaml:9:18 'submission.target.1' is 3. Write text"),
        ("  target: left", "  target: left\n  target: right", "task.yaml:10:3 key 'target' is repeated."),
        ("  target: left", "  target: left\n  may_be_missing: 1", "'submission.may_be_missing' is 1. Write true or"),
        ("id: churn", "id: ../churn", "task.yaml:1:5 'id' is '../churn'. Write at most 64 letters, digits"),
        ("id: churn", "id: 2024", "'id' is 2024. Write text (in quotes, if it looks like a number)."),
        ("id: churn", "id: 'a\n\n  b'", "64 letters, digits"),
        ("id: churn", "id: \"a\\0b\"", "task.yaml:1:5 contains a control character. Remove it."),
        ("id: churn", "id: !!python/name:os.system x", "which a task file cannot contain. Remove it."),
        ("id: churn", "? [a, b]\n: c", "task.yaml:1:3 is a key that is not text."),
        ("id: churn", "id: &a churn\nhide: &b [*a, *b]", "uses an alias"),
        ("id: churn", "id: churn\nhide: [/etc]", "task.yaml:2:8 '/etc' is not a path inside site-packages"),
        ("id: churn", "id: churn\nhide: [a/../../b]", "is not a path inside site-packages"),
        ("id: churn", "id: {a: b", "is not valid YAML"),
        ("id: churn", "id: \tchurn\n\t- x", "is not valid YAML"),
        ("gold: 0.92", "gold: 0.5", "task.yaml:11:13 thresholds are in the wrong order. Higher is better: gold >="),
        ("run:", "leaderboard: b.csv\nrun:", "task.yaml:12:14 both thresholds and leaderboard are given."),
        ("private: private/", "answers: a.csv", "answers need `private:`"),
    ],
)  # fmt: skip
def test_schema_error_names_position_and_remedy(folder: Path, old: str, new: str, expected: str) -> None:
    assert old in WHOLE
    assert expected in refusal(folder, WHOLE.replace(old, new, 1))


def test_all_problems_are_reported_at_once(folder: Path) -> None:
    text = WHOLE.replace("metric:", "metrc:").replace("id: churn", "id: [x]")
    message = refusal(folder, text).splitlines()
    assert len(message) == 3 and all(line.startswith("task.yaml:") for line in message)
    (folder / "description.md").unlink()
    (folder / "public/train.csv").unlink()
    message = refusal(folder, WHOLE.replace("roc_auc", "rocauk")).splitlines()
    assert [line.split()[1] for line in message] == ["metric", "file", "file"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "task.yaml: is empty."),
        (b"# only a comment\n", "task.yaml: is empty."),
        (b"- a\n- b\n", "task.yaml:1:1 is not a mapping."),
        (b"just words", "task.yaml:1:1 is not a mapping."),
        (b"id: caf\xe9\n", "task.yaml:1 is not text in UTF-8. Save the file as UTF-8."),
        (b"\x7fELF\x02\x01\x01\x00\xff\xfe", "is not text in UTF-8"),
        (b"id: a\n\x00\x01", "task.yaml:2 contains a character that YAML does not allow."),
        (b"id: a\n---\nid: b\n", "is not valid YAML"),
        (b"a" * 1_000_001, "is larger than 1,000,000 bytes"),
        (b"[" * 50_000, "is nested too deeply"),
        (b'id: "\\UFFFFFFFF"', "is not valid YAML"),
        (b"id: 0x" + b"f" * 20_000, "'id' is a number with too many digits."),
        (b"id: " + b"9" * 20_000, "is not a value that can be read."),
        (b'id: "\\ud800"', "contains a control character"),
    ],
)
def test_files_that_are_not_task_files_are_refused(folder: Path, content: bytes, expected: str) -> None:
    assert expected in refusal(folder, content)


# --------------------------------------------------------------------------------------------------------- anything


def _texts() -> st.SearchStrategy[Any]:
    leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates()
    return st.recursive(leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("any") / "churn")


def load_or_refuse(folder: Path, content: bytes) -> None:
    (folder / "task.yaml").write_bytes(content)
    try:
        load_task(folder)
    except TaskError as error:
        assert str(error) and "Traceback" not in str(error)
        str(error).encode()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(content=b"{1: 2, [a]: b}")
@example(content=b"id: 2024-13-45")
@example(content=b"<<: {id: x}")
@example(content=b"id: 1:99999999999:0")
@example(content=b"id: !!binary x\nmetric: =")
@example(content=b"&a [*a]")
def test_any_bytes_load_or_are_refused(shared: Path, content: bytes) -> None:
    load_or_refuse(shared, content)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_anywhere_loads_or_is_refused(shared: Path, data: st.DataObject) -> None:
    whole = yaml.safe_load(WHOLE)
    key = data.draw(st.sampled_from([*whole, "hide", "leaderboard", "surprise"]))
    if isinstance(whole.get(key), dict) and data.draw(st.booleans()):
        inner = data.draw(st.sampled_from([*whole[key], "answers", "function", "surprise"]))
        whole[key][inner] = data.draw(_texts())
    else:
        whole[key] = data.draw(_texts())
    load_or_refuse(shared, yaml.safe_dump(whole, allow_unicode=True).encode("utf-8", "surrogatepass"))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, len(WHOLE)), paste=st.text(st.sampled_from("{}[]:,-#&*!|>'\"\\%@`\n \tab0.~?<"), max_size=12))
def test_damaged_task_loads_or_is_refused(shared: Path, cut: int, paste: str) -> None:
    load_or_refuse(shared, (WHOLE[:cut] + paste + WHOLE[cut:]).encode())
    load_or_refuse(shared, (WHOLE[:cut] + paste).encode())


_numbers = st.floats(0.001, 1e6)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    task_id=st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,20}\Z"),
    title=st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=["Cc", "Cs"]), min_size=1),
    lines=st.lists(_numbers, min_size=4, max_size=4),
    hours=st.none() | _numbers,
    attempts=st.none() | st.integers(1, 10**6),
    missing=st.booleans(),
)
def test_written_values_are_loaded(
    shared: Path, task_id: str, title: str, lines: list[float], hours: float | None, attempts: int | None, missing: bool
) -> None:
    whole = yaml.safe_load(WHOLE)
    gold, silver, bronze = sorted(lines[:3], reverse=True)
    whole |= {"id": task_id, "title": title, "run": {"hours": hours, "attempts": attempts}}
    whole["thresholds"] = {"gold": gold, "silver": silver, "bronze": bronze, "median": lines[3]}
    whole["submission"]["may_be_missing"] = missing
    (shared / "task.yaml").write_text(yaml.safe_dump(whole))
    task = load_task(shared)
    assert (task.id, task.title, task.submission.may_be_missing) == (task_id, title, missing)
    assert task.thresholds == Thresholds(gold, silver, bronze, lines[3])
    assert task.run == {"hours": hours, "attempts": attempts}

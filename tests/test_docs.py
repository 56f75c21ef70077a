"""The documentation is complete and true: what exists is documented, and what the documentation names exists."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import re
import runpy
import shlex
import subprocess
import sys
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from harness.cli.options import make_parser
from harness.endpoint.profiles import KINDS, Profile
from runs.events.base import Audience, Event
from runs.run_settings import RunSettings, unit_of
from tasks.config import schema
from tasks.metrics.registry import METRICS

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("harness", "context", "sandboxes", "tasks", "runs")
README_LINES, PACKAGE_README_LINES = 150, 130
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
README = (ROOT / "README.md").read_text(encoding="utf-8")
USER_TEXTS = {"README.md": README, **PAGES}
LINKING = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *(ROOT / name / "README.md" for name in PACKAGES)]
SET_UP = "python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt -e"
TEST_COMMAND = f"{SET_UP} '.[test]' && .venv/bin/python -m pytest"
RUN_COMMAND = f"{SET_UP} . && .venv/bin/harness run digits --score"


@cache
def commands() -> dict[str, argparse.ArgumentParser]:
    """The parser of every command."""
    actions = [a for a in make_parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(actions[0].choices)


def options_of(name: str) -> set[str]:
    actions = [action for action in commands()[name]._actions if action.dest != "help"]
    return {option for action in actions for option in action.option_strings}


def section(page: str, title: str) -> str:
    """The text under a heading, up to the next heading of the same or a higher level."""
    match = re.search(rf"^(##+) {re.escape(title)}$(.*?)(?=^##? |\Z)", PAGES[page], re.MULTILINE | re.DOTALL)
    assert match, f"docs/{page} has no section {title!r}"
    return match[2]


def first_cells(text: str) -> list[str]:
    """The names in backticks in the first cell of every table row."""
    cells = re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]*)`", cell)]


# ---------------------------------------------------------------------------------------------------------- the README


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= README_LINES


def test_readme_begins_with_the_two_commands_and_their_uv_variants() -> None:
    blocks = re.findall(r"```sh\n(.*?)\n```", README, re.DOTALL)
    assert blocks[0] == RUN_COMMAND
    assert blocks[1] == TEST_COMMAND
    assert re.findall(r"uv pip install -q -c constraints.txt -e (\S+)", blocks[2]) == [".", "'.[test]'"]


def test_readme_lists_all_packages() -> None:
    block = re.search(r"^## Development\n.*?```\n(.*?)```", README, re.MULTILINE | re.DOTALL)
    assert block
    assert set(re.findall(r"^(\w+)/", block[1], re.MULTILINE)) == {*PACKAGES, "tests"}


def test_readme_leads_to_every_page() -> None:
    assert set(re.findall(r"\(docs/([\w-]+\.md)\)", README)) | {"extending.md"} == set(PAGES)
    assert "(docs/extending.md)" in README


def test_the_script_of_the_pictures_can_be_imported_and_the_pictures_load_nothing() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "pictures" / "make_pictures.py"))
    assert callable(script["main"])
    for path in (ROOT / "docs" / "pictures").glob("*.svg"):
        assert set(re.findall(r"https?://[^\"' ]+", path.read_text(encoding="utf-8"))) == {"http://www.w3.org/2000/svg"}


def test_ci_runs_the_test_command_word_for_word() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert TEST_COMMAND in script.splitlines()
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


# ---------------------------------------------------------------------------------------------------------- all texts


def test_every_command_has_a_row_and_a_section() -> None:
    table = PAGES["commands.md"].split("\n## ")[0]
    assert set(first_cells(table)) == set(commands())
    for name in commands():
        assert section("commands.md", name).strip()


@pytest.mark.parametrize("name", sorted(commands()))
def test_the_section_of_a_command_names_its_options(name: str) -> None:
    text = section("commands.md", name)
    own = options_of(name) - (options_of("run") if name == "config" else set())
    named = set(re.findall(r"--[a-z][a-z-]*", text))
    assert own <= named, "options that are not documented"
    assert named <= options_of(name), "options that do not exist"
    for action in commands()[name]._actions:
        if action.choices and name != "config":
            assert "|".join(map(str, action.choices)) in text


def test_every_option_has_a_help_text() -> None:
    silent = [f"{name} {a.dest}" for name, parser in commands().items() for a in parser._actions if not a.help]
    assert not silent


@pytest.mark.parametrize("page", sorted(USER_TEXTS))
def test_command_lines_in_code_blocks_parse(page: str) -> None:
    for block in re.findall(r"```sh\n(.*?)```", USER_TEXTS[page], re.DOTALL):
        for line in re.split(r"\n|&&", block):
            words = shlex.split(line, comments=True)
            if words and words[0].rpartition("/")[2] == "harness":
                make_parser().parse_args(words[1:])


@pytest.mark.parametrize("page", sorted(USER_TEXTS))
def test_inline_code_names_only_commands_and_options_that_exist(page: str) -> None:
    all_options = {option for name in commands() for option in options_of(name)} | {"--help", "--version"}
    text = re.sub(r"^```.*?^```", "", USER_TEXTS[page], flags=re.DOTALL | re.MULTILINE)
    for code in re.findall(r"`([^`\n]+)`", text):
        if match := re.match(r"harness ([a-z-]+)", code):
            assert match[1] in commands(), code
            assert set(re.findall(r"(?<!\S)\[?(--[a-z-]+)", code)) <= options_of(match[1]) | {"--help"}, code
        elif code.startswith("--"):
            assert re.match(r"--[a-z-]+", code)[0] in all_options, code  # type: ignore[index]


def test_every_message_that_names_a_command_names_one_that_exists() -> None:
    sources = [path for name in PACKAGES for path in (ROOT / name).rglob("*") if path.suffix in (".py", ".md")]
    named = {
        (word, path.relative_to(ROOT).as_posix())
        for path in sources
        for word in re.findall(r"(?:`|: |\. )harness ([a-z][a-z-]*)\b", path.read_text(encoding="utf-8"))
    }
    assert {pair for pair in named if pair[0] not in commands()} == set()


@pytest.mark.parametrize("page", LINKING, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_and_paths_resolve(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([\w-]+))?\)", text):
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), f"{target}#{anchor}"
    for path_text in re.findall(r"`((?:harness|context|sandboxes|tasks|runs|tests|docs|\.ci)/[\w./-]+)`", text):
        assert (ROOT / path_text).exists() or (page.parent / path_text).exists(), path_text


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


# --------------------------------------------------------------------------------------- settings, keys, metrics


def test_every_setting_is_documented_with_default_and_unit() -> None:
    rows = re.findall(r"^\| (`[^|]*) \|([^|]*)\|([^|]*)\|", section("commands.md", "Settings"), re.MULTILINE)
    documented = {name: row[1:] for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    assert set(documented) == set(RunSettings.model_fields)
    for name, (default, unit) in documented.items():
        value = RunSettings.model_fields[name].default
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            assert float(default) == value, name
        assert unit.strip() == unit_of(name) or not unit_of(name), name


def task_keys() -> set[str]:
    """Every key of task.yaml; the keys of `metric: NAME` and of a renumbered field are written without their names."""
    models = [
        m for m in vars(schema).values() if isinstance(m, type) and issubclass(m, BaseModel) and m is not BaseModel
    ]
    keys = {name for model in models for name in model.model_fields}
    return keys - {"name", "field", "form"}


def test_every_key_of_task_yaml_is_documented_and_every_documented_key_exists() -> None:
    page = PAGES["task-yaml.md"]
    mentioned = set(re.findall(r"[`{, ]([a-z_]+)(?::|`)", page))
    assert task_keys() <= mentioned
    assert {name for name in first_cells(page) if re.fullmatch(r"\w+", name)} <= task_keys()


def test_every_metric_is_documented_with_its_direction() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", PAGES["metrics.md"], re.MULTILINE)
    assert dict(rows) == {name: "lower" if m.lower_is_better else "higher" for name, m in METRICS.items()}


def test_every_key_of_an_endpoint_is_documented() -> None:
    documented = set(first_cells(PAGES["models.md"]))
    keys = {field.name for field in fields(Profile)} | {"base_url", "key_variable", "headers", "query", "key_header"}
    assert keys <= documented
    assert {name for name in documented if re.fullmatch(r"\w+", name)} <= keys
    assert set(KINDS) <= set(re.findall(r"`(\w+)`", section("models.md", "Profiles")))


def test_the_first_example_of_task_yaml_is_a_task(tmp_path: Path) -> None:
    from tasks.task import load_task

    text = re.search(r"```yaml\n(.*?)```", PAGES["task-yaml.md"], re.DOTALL)
    assert text
    (tmp_path / "public").mkdir()
    (tmp_path / "private").mkdir()
    (tmp_path / "task.yaml").write_text(text[1])
    (tmp_path / "description.md").write_text("Which customers leave?\n")
    (tmp_path / "public" / "sample_submission.csv").write_text("customer_id,left\n7,0.5\n8,0.5\n")
    rows = "".join(f"{n},{n // 2},{n},{n % 2}\n" for n in range(10, 40))
    (tmp_path / "public" / "train.csv").write_text("customer_id,household,age,left\n" + rows)
    (tmp_path / "private" / "answers.csv").write_text("customer_id,left\n7,0\n8,1\n")
    task = load_task(tmp_path)
    assert task.id == "churn"
    assert task.answers == tmp_path / "private" / "answers.csv"
    assert set(task.run) <= set(RunSettings.model_fields)


def example(page: str, title: str, head: str = "") -> CodeType:
    """The Python code in a section, compiled after `head`."""
    code = re.search(r"```python\n(.*?)```", section(page, title), re.DOTALL)
    assert code
    return compile(head + code[1], f"{page}, {title}", "exec", dont_inherit=True)


def test_the_examples_of_extending_work(monkeypatch: pytest.MonkeyPatch) -> None:
    import runs.run_settings
    import tasks.metrics.metric
    import tasks.metrics.of_numbers
    from harness.tools.tool import Tool

    monkeypatch.setattr(tasks.metrics.metric, "METRICS", METRICS.copy())
    exec(
        example("extending.md", "A metric", "from __future__ import annotations\n"),
        vars(tasks.metrics.of_numbers).copy(),
    )
    tool: dict[str, Any] = {}
    exec(example("extending.md", "A tool"), tool)
    assert [type(entry) for entry in tool["TOOLS"]] == [Tool]
    event: dict[str, Any] = {"Event": Event, "Audience": Audience, "Literal": Literal}
    exec(example("extending.md", "An event"), event)
    assert event["DiskMeasured"](size=1).audience == "people"
    settings = vars(runs.run_settings).copy()
    exec(example("extending.md", "A setting", "class Settings(RunSettings):\n"), settings)
    assert settings["Settings"]().attempt_warnings == 20


def test_the_table_of_sandboxes_is_the_one_of_the_code() -> None:
    from sandboxes.isolation import table_as_markdown

    assert table_as_markdown() in (ROOT / "sandboxes" / "README.md").read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------------- the packages


@pytest.mark.parametrize("package", PACKAGES)
def test_the_readme_of_a_package_names_its_modules(package: str) -> None:
    text = (ROOT / package / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= PACKAGE_README_LINES
    modules = {p.name for p in (ROOT / package).glob("*.py")} - {"__init__.py"}
    unnamed = {name for name in modules if not re.search(rf"\b{name[:-3]}\b", text)}
    assert not unnamed, f"{package}/README.md does not name {sorted(unnamed)}"
    existing = {path.name for name in (*PACKAGES, "tests") for path in (ROOT / name).rglob("*.py")}
    missing = {name for name in re.findall(r"\b(\w+\.py)\b", text) if name not in existing}
    assert not missing, f"{package}/README.md names {sorted(missing)}, which do not exist"


def test_constraints_are_exact_versions_and_name_no_host() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    odd = [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.!+]*", line)]
    assert not odd
    assert not (ROOT / "uv.lock").exists(), "constraints.txt is the only list of versions"


def test_every_dependency_is_constrained() -> None:
    def name_of(requirement: str) -> str:
        match = re.match(r"[A-Za-z0-9._-]+", requirement)
        assert match
        return re.sub(r"[-_.]+", "-", match[0]).lower()

    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    required = importlib.metadata.requires("open-harness") or []
    assert {name_of(requirement) for requirement in required} <= {name_of(line) for line in lines}


def test_the_console_script_works_from_anywhere(tmp_path: Path) -> None:
    script = Path(sys.executable).parent / "harness"
    done = subprocess.run([script, "--version"], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == f"harness {importlib.metadata.version('open-harness')}"

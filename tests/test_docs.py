"""The documents tell the truth: what they name exists, and what exists is named."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from harness.cli import make_parser

ROOT = Path(__file__).resolve().parent.parent
CARD_LINES = 120
ROOMS = ("harness", "context", "sandboxes", "tasks", "runs")
README = (ROOT / "README.md").read_text(encoding="utf-8")
SET_UP = "python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt -e"
TEST_COMMAND = f"{SET_UP} '.[test]' && .venv/bin/python -m pytest"
RUN_COMMAND = f"{SET_UP} . && .venv/bin/harness run digits --score"


@cache
def commands() -> dict[str, argparse.ArgumentParser]:
    """The parser of every command there is."""
    actions = [a for a in make_parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(actions[0].choices)


def usages() -> dict[str, str]:
    """What the README's list of commands says of each: its usage, joined where it runs over two lines."""
    block = re.search(r"^## Commands\n+```\n(.*?)```", README, re.MULTILINE | re.DOTALL)
    assert block, "the README has a list of commands"
    lines = re.sub(r"\n +", " ", block[1]).splitlines()
    return {line.split()[1]: line for line in lines}


def test_the_readme_begins_with_the_two_commands_and_their_uv_variants() -> None:
    blocks = re.findall(r"```sh\n(.*?)\n```", README, re.DOTALL)
    assert blocks[0] == RUN_COMMAND
    assert blocks[1] == TEST_COMMAND
    assert re.findall(r"uv pip install -q -c constraints.txt -e (\S+)", blocks[2]) == [".", "'.[test]'"]


def test_ci_runs_the_test_command_word_for_word_and_last() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert script.rstrip().splitlines()[-1] == TEST_COMMAND
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_every_command_is_in_the_readme_and_every_command_in_the_readme_exists() -> None:
    assert set(usages()) == set(commands())
    rows = set(re.findall(r"^\| `([a-z-]+)` \| ", README, re.MULTILINE))
    assert rows == set(commands()), "the table explains every command"
    code = re.findall(r"```.*?```|`[^`\n]+`", README, re.DOTALL)
    typed = {word for text in code for word in re.findall(r"(?:\bbin/|[`\s])harness ([a-z][a-z-]*)\b", text)}
    assert typed <= set(commands())


@pytest.mark.parametrize("name", sorted(commands()))
def test_the_readme_names_exactly_the_options_of(name: str) -> None:
    actions = [a for a in commands()[name]._actions if a.dest != "help"]
    options = {option for action in actions for option in action.option_strings}
    assert set(re.findall(r"--[a-z-]+", usages()[name])) == options
    values = {str(action.metavar) for action in actions if not action.option_strings}
    assert values <= set(re.findall(r"\b[A-Z]+\b", usages()[name]))
    for action in actions:
        if action.choices:
            assert "|".join(action.choices) in usages()[name]


def test_every_option_says_what_it_is_for() -> None:
    silent = [f"{name} {a.dest}" for name, parser in commands().items() for a in parser._actions if not a.help]
    assert not silent


def test_every_message_that_names_a_command_names_one_that_exists() -> None:
    sources = [path for room in ROOMS for path in (ROOT / room).rglob("*") if path.suffix in (".py", ".md")]
    named = {
        (word, path.relative_to(ROOT).as_posix())
        for path in sources
        for word in re.findall(r"(?:`|: |\. )harness ([a-z][a-z-]*)\b", path.read_text(encoding="utf-8"))
    }
    assert {pair for pair in named if pair[0] not in commands()} == set()


def test_every_path_of_the_tour_exists() -> None:
    tour = re.search(r"^## The house\n.*?```\n(.*?)```", README, re.MULTILINE | re.DOTALL)
    assert tour
    assert set(re.findall(r"^(\w+)/", tour[1], re.MULTILINE)) == {*ROOMS, "tests"}
    for path in re.findall(r"`((?:harness|context|sandboxes|tasks|runs|tests|\.ci)/[\w./]+)`", README):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("room", ROOMS)
def test_the_room_has_a_card_that_names_all_its_modules(room: str) -> None:
    card = (ROOT / room / "README.md").read_text(encoding="utf-8")
    assert len(card.splitlines()) <= CARD_LINES
    modules = {p.name for p in (ROOT / room).glob("*.py")} - {"__init__.py"}
    unnamed = {name for name in modules if not re.search(rf"\b{name[:-3]}\b", card)}
    assert not unnamed, f"{room}/README.md does not name {sorted(unnamed)}"
    known = {p.name for p in (ROOT / room).rglob("*.py")}
    ghosts = {name for name in re.findall(r"`(\w+\.py)`", card) if name not in known}
    assert not ghosts, f"{room}/README.md names {sorted(ghosts)}, which do not exist"


def test_the_task_yaml_of_the_readme_is_a_task(tmp_path: Path) -> None:
    from tasks.task import load_task

    text = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
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
    assert (task.run.hours, task.run.cost, task.run.sandbox) == (24, 20, "bubblewrap")


def test_constraints_are_exact_versions_and_name_no_host() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    odd = [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.!+]*", line)]
    assert not odd
    assert not (ROOT / "uv.lock").exists(), "constraints.txt is the only list of versions"


def test_every_dependency_is_constrained() -> None:
    def name_of(requirement: str) -> str:
        found = re.match(r"[A-Za-z0-9._-]+", requirement)
        assert found
        return re.sub(r"[-_.]+", "-", found[0]).lower()

    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    wanted = importlib.metadata.requires("open-harness") or []
    assert {name_of(requirement) for requirement in wanted} <= {name_of(line) for line in lines}


def test_the_console_script_works_from_anywhere(tmp_path: Path) -> None:
    script = Path(sys.executable).parent / "harness"
    done = subprocess.run([script, "--version"], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == f"harness {importlib.metadata.version('open-harness')}"

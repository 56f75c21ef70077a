"""The command line: arguments, exit codes, and no traceback for a user's mistake."""

from __future__ import annotations

import argparse
import errno
import importlib
import math
import os
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import cli, errors
from harness.amounts import hours
from harness.cli import entry
from harness.cli.options import make_parser
from harness.cli.parser import Parser
from harness.errors import BUG, CODES, DONE, ENDPOINT, INPUT, SANDBOX, STOPPED, code_of, explain
from harness.settings import SettingsError
from runs.events.registry import Warned
from runs.journal import JournalBusy, JournalFull, JournalVersion
from sandboxes.base import SandboxUnavailable
from tasks.task import TaskError
from tests.harness.run_folders import a_run, a_task, an_attempt, ended


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def parse(line: str) -> argparse.Namespace:
    return make_parser().parse_args(line.split())


RUN = "20261201-120000_digits_0_aa11"


def test_budgets_accept_units() -> None:
    assert [parse(f"run t --hours {text}").hours for text in ("24", "24h", "90m", "1.5h", "2d", "36s")] == [
        24, 24, 1.5, 1.5, 48, 0.01,
    ]  # fmt: skip
    assert parse("run t --cost $20").cost == 20
    assert parse("run t --cost 0.50").cost == 0.5
    assert parse("run t").hours is None


@pytest.mark.parametrize(
    "words",
    ["--hours nan", "--hours inf", "--hours 0", "--hours -3", "--hours 1e999", "--hours 1w", "--hours h",
     "--cost 0", "--cost nan", "--cost -1", "--cost ten", "--attempts 0", "--attempts 1.5", "--attempts -2",
     "--turns 0", "--turns x", "--seed -1", "--sandbox podman", "--turn 3"],
)  # fmt: skip
def test_invalid_argument_is_refused_with_its_name(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(f"run t {words}")
    assert ended.value.code == INPUT
    assert words.split()[0] in capsys.readouterr().err


def test_hours_are_finite() -> None:
    for text in ("1e400", "9" * 400):
        with pytest.raises(argparse.ArgumentTypeError):
            hours(text)
    assert math.isfinite(hours("9" * 9))


def test_every_error_has_its_exit_code(tmp_path: Path) -> None:
    cases: list[tuple[BaseException, int]] = [
        (errors.UsageError("x"), INPUT),
        (SettingsError("x"), INPUT),
        (TaskError("x"), INPUT),
        (JournalBusy("x"), INPUT),
        (JournalVersion("x"), INPUT),
        (JournalFull("x"), STOPPED),
        (OSError(errno.ENOSPC, "No space left on device"), STOPPED),
        (KeyboardInterrupt(), STOPPED),
        (PermissionError(errno.EACCES, "Permission denied", "/there"), INPUT),
        (SandboxUnavailable("x"), SANDBOX),
        (ZeroDivisionError(), BUG),
        (FileNotFoundError(2, "No such file", "x"), BUG),
    ]
    assert [(error, code_of(error)) for error, _ in cases] == cases


def test_every_name_in_the_table_is_an_error_class() -> None:
    found = set()
    for name in ("harness", "context", "runs", "sandboxes", "tasks"):
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if module.name.rpartition(".")[2] in ("__main__", "supervisor"):
                continue
            kinds = vars(importlib.import_module(module.name)).values()
            found |= {k.__name__ for k in kinds if isinstance(k, type) and issubclass(k, Exception)}
    assert set(CODES) <= found


def test_model_error_has_the_endpoint_exit_code() -> None:
    from harness.endpoint.client import ModelError

    assert code_of(ModelError("unreachable")) == ENDPOINT


def ends(act: Callable[[argparse.Namespace, object], int], monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of `main` for a command that behaves like `act`."""
    parser = Parser()
    parser.set_defaults(command=act)
    parser.add_argument("word")
    monkeypatch.setattr(entry, "make_parser", lambda *_: parser)
    return cli.main(["act"])


def test_bug_prints_one_line_and_writes_its_traceback_to_a_file(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(*_: object) -> int:
        raise ZeroDivisionError("seven by nothing")

    assert ends(breaks, monkeypatch) == BUG
    told = capsys.readouterr().err
    assert "ZeroDivisionError: seven by nothing" in told and "Traceback" not in told
    (crash,) = home.glob("crash-*.txt")
    assert str(crash) in told
    assert "in breaks" in crash.read_text()


def test_bug_is_reported_even_if_no_file_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file" / "tmp"))
    assert "could not be written" in explain(ZeroDivisionError("x"), tmp_path / "file" / "home")


def test_ctrl_c_before_a_run_starts_shows_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    assert ends(interrupted, monkeypatch) == STOPPED
    assert "harness resume last" in capsys.readouterr().err


def harness(*words: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a subprocess."""
    return subprocess.run(
        [sys.executable, "-m", "harness", *words], capture_output=True, text=True, env={**os.environ, **changes}
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "digitz"], "Did you mean digits?"),
        (["run", "./nowhere/task.yaml"], "nowhere/task.yaml"),
        (["resume", "last"], "there is no run yet"),
        (["resume", "nothing-like-it"], "no run is called 'nothing-like-it'"),
        (["show", "../../etc"], "no run is called"),
        (["show", ""], "no run is called"),
        (["score", "last"], "there is no run yet"),
        (["tasks", "digitz"], "Did you mean digits?"),
    ],
)
def test_user_mistake_is_one_line_and_exit_code_2(words: list[str], told: str) -> None:
    done = harness(*words)
    assert done.returncode == INPUT
    assert told in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_malformed_task_is_reported_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_text("id: mine\nmetrik: accuracy\n")
    done = harness("run", str(tmp_path / "task.yaml"))
    assert done.returncode == INPUT
    assert "task.yaml:2" in done.stderr and "metric" in done.stderr
    assert not list((tmp_path / "home").glob("runs/*"))


def test_key_file_readable_by_others_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("secret")
    key.chmod(0o644)
    done = harness("runs", HARNESS_API_KEY_FILE=str(key))
    assert (done.returncode, done.stdout) == (INPUT, "")
    assert "chmod 600" in done.stderr and "secret" not in done.stderr


def test_without_a_command_the_help_is_shown() -> None:
    done = harness()
    assert done.returncode == DONE
    assert "usage: harness" in done.stdout and "resume" in done.stdout


@pytest.mark.parametrize(
    ("words", "nearest", "usage"),
    [
        (["rnu", "digits"], "run", "usage: harness "),
        (["run", "digits", "--atempts", "3"], "--attempts", "usage: harness run"),
        (["show", "last", "--ful"], "--full", "usage: harness show"),
    ],
)
def test_a_mistyped_word_names_the_nearest(
    words: list[str], nearest: str, usage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == INPUT
    message = capsys.readouterr().err
    assert f"did you mean {nearest}?" in message and usage in message


@pytest.mark.parametrize(
    ("line", "words"),
    [("harness doc", ["doctor"]), ("harness run digits --attem", ["--attempts"]), ("harness rm 2026", [RUN])],
)
def test_a_shell_completes_commands_flags_and_runs(line: str, words: list[str], tmp_path: Path) -> None:
    """As a shell asks for it: the line in a variable, the answer in a file."""
    (tmp_path / "home" / "runs" / RUN).mkdir(parents=True)
    (tmp_path / "home" / "runs" / RUN / "events.jsonl").write_text("")
    asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": " ", "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "answer")}
    variables = {**os.environ, **asked, "COMP_LINE": line, "COMP_POINT": str(len(line))}
    variables |= {"HARNESS_HOME": str(tmp_path / "home")}
    subprocess.run([sys.executable, "-m", "harness"], env=variables, timeout=60)
    assert (tmp_path / "answer").read_text().split() == words


@pytest.mark.parametrize("words", ["runs", "show last --full", "score last", "--help", "--version"])
@pytest.mark.parametrize("reader", ["| (exec <&-; sleep 0.3)", "| head -1 >/dev/null", ">&-"])
def test_closed_output_is_not_an_error(words: str, reader: str, home: Path, tmp_path: Path) -> None:
    task = a_task(tmp_path / "letters")
    many = [Warned(message=f"{number} " + "and so on " * 500) for number in range(100)]
    a_run(home, "one", ended(*an_attempt(), *many), task_path=str(task.path), task_digest=task.digest)
    line = f"exec 2>&1; {sys.executable} -m harness {words} {reader}; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "0"
    assert "Traceback" not in done.stdout and "Error" not in done.stdout


def test_ascii_terminal_does_not_crash() -> None:
    done = harness("tasks", "digits", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (DONE, "")

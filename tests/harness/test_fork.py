"""`harness fork`: a new run from a point of another one, with its own budget and perhaps another model."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.search.load import COPY
from harness.settings import SettingsError, load_settings
from harness.startup.fork_run import ForkRequest, create_fork
from runs.events.registry import (
    AttemptEnded,
    AttemptStarted,
    EndpointChanged,
    EvaluationFinished,
    EvaluationStarted,
    Event,
    MoveChosen,
    RunEnded,
    RunForked,
)
from runs.fork import PIPES
from runs.integrity import check_run
from runs.journal import read_events
from runs.page.facts.knowledge import disclosure
from runs.page.facts.run_view import RunView
from runs.serialization import JournalDamaged
from runs.state import fold
from runs.views.control import control_text, forked_text
from tests.playing import call, events_of, harness_here, only_run, reply, variables, with_digits
from tests.servers.chat_server import ChatServer, Message

pytestmark = pytest.mark.xdist_group("forks")  # of one run


def copies_the_sample(request: dict[str, Any]) -> Message:
    """A model that evaluates the sample submission in each attempt and finishes."""
    found = re.findall(r"\\nattempt: (\d+)", json.dumps(request["messages"]))
    if not found:
        return {"content": "ok"}
    step = sum(message["role"] == "assistant" for message in request["messages"])
    command = f"cp data/sample_submission.csv submission.csv; echo {found[-1]}"
    calls = [call("evaluate", command=command), call("finish", did=f"copied {found[-1]}")]
    return reply(f"step {step}", calls[min(step, 1)], tag=f"{found[-1]}_{step}")


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with ChatServer(copies_the_sample, piece=100_000) as server:
        yield server


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory, server: ChatServer) -> Path:
    """A home with one ended run of two attempts at an endpoint."""
    home = with_digits(tmp_path_factory.mktemp("forked") / "home")
    options = ("--base-url", server.url, "--model", "m", "--sandbox", "local", "--parallel", "1", "--no-ledger")
    code, printed = harness_here(home, "run", "digits", "--attempts", "2", "--plain", *options)
    assert code == 0, printed
    return home


@pytest.fixture
def home(played: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """That home, whose settings this process has; what a test adds is removed."""
    source = only_run(played)
    for name, value in variables(played).items():
        monkeypatch.setenv(name, value)
    yield played
    for folder in others(played, source):
        shutil.rmtree(folder)
    shutil.rmtree(played / "grades", ignore_errors=True)


def copy_of(source: Path, folder: Path) -> Path:
    """A copy to damage, without the pipes that jobs leave behind."""
    ignored = shutil.ignore_patterns(*PIPES)
    return Path(shutil.copytree(source, folder / source.name, symlinks=True, ignore=ignored))


def place_of(events: list[Event], kind: type[Event], number: int = 0) -> int:
    return [event for event in events if isinstance(event, kind)][number].seq


def others(home: Path, source: Path) -> list[Path]:
    return [path for path in (home / "runs").iterdir() if path.name[0] != "." and path != source]


def test_a_fork_can_be_made_at_every_event_and_leaves_its_origin_as_it_is(home: Path) -> None:
    source = only_run(home)
    before, events = (source / "events.jsonl").read_bytes(), events_of(source)
    for at in range(0, len(events), 6):
        folder = create_fork(source, ForkRequest(str(at), {"attempts": 5}), load_settings())
        copied, found = events_of(folder), check_run(folder)
        assert [problem for problem in found.problems if not problem.startswith("submission.csv")] == []
        assert [type(event) for event in copied[1 : at + 1]] == [type(event) for event in events[1 : at + 1]]
        state = fold(copied)
        assert state.created and state.created.run_id == folder.name and state.created.format == 2
        assert state.control.forked and (state.control.forked.origin, state.control.forked.event) == (source.name, at)
        assert not state.open_attempts and not state.ended and not state.decisions
        assert state.created.settings.attempts == len(state.attempts) + 5
        known = {path.name for path in (folder / "jobs").glob("*")}
        assert not known & set(state.evaluation_jobs), "what was open runs again"
        shutil.rmtree(folder)
    assert (source / "events.jsonl").read_bytes() == before


def test_a_fork_has_its_own_settings_and_what_came_before_keeps_its_own(home: Path) -> None:
    source = only_run(home)
    request = ForkRequest("001-1", assignments=("temperature=0.3", "finalists=7"))
    folder = create_fork(source, request, load_settings())
    events = events_of(folder)
    forked = next(event for event in events if isinstance(event, RunForked))
    assert forked.settings == {"temperature": 0.3, "finalists": 7}
    before, after = fold(events[: forked.seq]).created, fold(events).created
    assert before and after and before.settings.temperature != 0.3
    assert (after.settings.temperature, after.settings.finalists) == (0.3, 7)
    view = RunView(folder)
    view.refresh()
    disclosed = dict(disclosure(view, None))["forked"]
    assert disclosed == f"{forked_text(forked)}; its own settings: temperature=0.3, finalists=7"


def test_the_command_of_a_fork_is_not_told_by_any_view() -> None:
    forked = RunForked(origin="o", event=3, settings={"on_event": "curl https://hook/secret", "top_k": 5})
    assert "secret" not in control_text(forked) and "top_k=5" in control_text(forked)


@pytest.mark.parametrize(
    "name",
    [
        *("seed=3", "sandbox=local", "hours=2", "parallel=2", "base_url=http://x", "strict=true", "endpoint=fast"),
        *("key_variable=KEY", "key_variable=sk-1", "temprature=1", "temperature=hot", "temperature", "finalists=0"),
    ],
)
def test_a_setting_that_a_fork_cannot_have_makes_no_folder(home: Path, name: str) -> None:
    with pytest.raises((UsageError, SettingsError), match="--set"):
        create_fork(only_run(home), ForkRequest("001-1", assignments=(name,)), load_settings())
    assert others(home, only_run(home)) == []


@pytest.mark.parametrize("name", ["best", "missing.py:Policy"])
def test_a_search_policy_that_cannot_be_used_makes_no_folder(home: Path, name: str) -> None:
    with pytest.raises(UsageError, match="search policy"):
        create_fork(only_run(home), ForkRequest("001-1", assignments=(f"search={name}",)), load_settings())
    assert others(home, only_run(home)) == []


def test_a_fork_with_a_search_policy_and_a_command_of_its_own_uses_both(home: Path, tmp_path: Path) -> None:
    policy, told = tmp_path / "own.py", tmp_path / "told"
    policy.write_text(
        "from harness.search.greedy import Greedy\n"
        "class Own(Greedy):\n"
        f"    def choose(self, *a, **b):\n        open({str(told)!r}, 'a').write('chose ')\n"
        "        return super().choose(*a, **b)\n"
    )
    own = ("--set", f"search={policy}:Own", "--set", f"on_event=sh -c 'cat >>{told}'")
    source = only_run(home)
    code, printed = harness_here(home, "fork", source.name, "--at", "1", "--attempts", "1", "--plain", *own)
    assert code == 0, printed
    (folder,) = others(home, source)
    assert (folder / COPY).read_bytes() == policy.read_bytes()
    assert "chose " in told.read_text() and '"kind": "finished"' in told.read_text()


def test_settings_of_a_fork_that_do_not_fit_are_a_damaged_line(home: Path) -> None:
    folder = create_fork(only_run(home), ForkRequest("001-1", assignments=("finalists=7",)), load_settings())
    content = (folder / "events.jsonl").read_bytes()
    (folder / "events.jsonl").write_bytes(content.replace(b'"finalists":7', b'"finalists":0'))
    with pytest.raises(JournalDamaged, match="finalists"):
        list(read_events(folder))


def test_a_fork_plays_on_from_an_evaluation_with_another_model_and_its_own_budget(
    home: Path, server: ChatServer
) -> None:
    source = only_run(home)
    code, printed = harness_here(
        home, "fork", source.name, "--at", "001-1", "--model", "other", "--attempts", "1", "--plain"
    )
    assert code == 0, printed
    (folder,) = others(home, source)
    events = events_of(folder)
    own = events[place_of(events, RunForked) :]
    (changed,) = [event for event in own if isinstance(event, EndpointChanged)]
    assert (changed.model, changed.why) == ("other", "forked")
    state = fold(events)
    assert state.turns_by_model["other"] == 2 and state.turns_by_model["m"] < 4
    first = next(event for event in events if isinstance(event, EvaluationFinished))
    move = next(event for event in own if isinstance(event, MoveChosen))
    assert (move.policy, move.parents) == ("person", [first.commit])
    assert [event.attempt for event in own if isinstance(event, AttemptStarted)] == [2]
    assert [event.why for event in own if isinstance(event, RunEnded)] == ["attempts"]
    assert check_run(folder).problems == []
    assert f"forked from run {source.name} at event {first.seq}" in (folder / "report.md").read_text()
    assert json.loads((folder / "summary.json").read_text())["forked_from"] == source.name


@pytest.mark.slow
def test_an_evaluation_that_was_open_runs_again_in_the_fork(home: Path) -> None:
    source = only_run(home)
    at = place_of(events_of(source), EvaluationStarted, 1)
    code, printed = harness_here(home, "fork", source.name, "--at", str(at), "--attempts", "1", "--plain")
    assert code == 0, printed
    (folder,) = others(home, source)
    events = events_of(folder)
    ended = next(event for event in events if isinstance(event, AttemptEnded) and event.seq > at)
    assert (ended.attempt, ended.why) == (2, "stopped")
    again = [event for event in events if isinstance(event, EvaluationFinished) and event.evaluation == "002-1"]
    assert [event.status for event in again] == ["scored"] and again[0].seq > at


@pytest.mark.slow
def test_an_ended_run_can_be_forked_at_its_last_event(home: Path) -> None:
    source = only_run(home)
    last = len(events_of(source)) - 1
    folder = create_fork(source, ForkRequest(str(last), {"attempts": 1}), load_settings())
    assert not fold(events_of(folder)).ended
    code, printed = harness_here(home, "resume", folder.name, "--plain")
    assert code == 0, printed
    assert len(fold(events_of(folder)).attempts) == 3 and check_run(folder).problems == []


@pytest.mark.parametrize("at", ["100000", "009-1", "-1", "first"])
def test_a_place_that_does_not_exist_is_refused(home: Path, at: str) -> None:
    source = only_run(home)
    code, _ = harness_here(home, "fork", source.name, f"--at={at}", "--plain")
    assert code == 2 and others(home, source) == []


def test_a_graded_run_is_not_forked(home: Path) -> None:
    source = only_run(home)
    (home / "grades").mkdir()
    (home / "grades" / f"{source.name}.json").write_text("{}")
    code, printed = harness_here(home, "fork", source.name, "--at", "5", "--plain")
    assert code == 2 and "graded" in printed and others(home, source) == []


def test_a_damaged_run_is_forked_before_the_damage_only(home: Path, tmp_path: Path) -> None:
    source = copy_of(only_run(home), tmp_path)
    lines = (source / "events.jsonl").read_bytes().splitlines(keepends=True)
    (source / "events.jsonl").write_bytes(b"".join([*lines[:20], b"{}\n", *lines[21:]]))
    code, printed = harness_here(home, "fork", str(source), "--at", "25", "--plain")
    assert code == 2 and "line 21" in printed and others(home, only_run(home)) == []
    folder = create_fork(source, ForkRequest("19"), load_settings())
    assert check_run(folder).intact > 20


def test_a_run_of_the_first_format_is_not_forked(home: Path, tmp_path: Path) -> None:
    source = copy_of(only_run(home), tmp_path)
    lines = (source / "events.jsonl").read_bytes().splitlines(keepends=True)
    first = {name: value for name, value in json.loads(lines[0]).items() if name != "format"}
    (source / "events.jsonl").write_bytes(json.dumps(first).encode() + b"\n")
    code, printed = harness_here(home, "fork", str(source), "--at", "0", "--plain")
    assert code == 2 and "format 1" in printed and others(home, only_run(home)) == []

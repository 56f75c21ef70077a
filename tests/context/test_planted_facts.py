"""Fifteen facts of different kinds over three attempts outlive five compactions of a small window."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from context.recall.index import Recall
from runs.events.registry import EpochStarted, ToolFinished
from tests.long_play import ASKED, Calls, Played, play, settings_of
from tests.playing import SOLUTION, call
from tests.servers.chat_server import Message

pytestmark = pytest.mark.xdist_group("facts")  # two tests of each session
REPORT = 'seq 1 40; [ "$2" = fail ] && { echo "KeyError: beak_$1"; exit 1; }; echo "CV auc 0.8$1"'
FACTS: dict[str, tuple[str, str]] = {
    "score of a program": ("CV auc 0.8311", "auc of report 311"),
    "score of another": ("CV auc 0.8612", "auc of report 612"),
    "unsolved error": ("KeyError: beak_77", "error of check 77"),
    "conclusion": ("the ticket prefix leaks the target", "which column leaks the target?"),
    "number in a conclusion": ("families of 7 or more never survive", "which families never survive?"),
    "decision": ("no target means, they overfit by 0.031", "why no target means?"),
    "to-do": ("compare folds by surname", "compare folds"),
    "note": ("test rows are from March", "when are the test rows from?"),
    "note of a later attempt": ("the scanner changed at id 1500", "where did the scanner change?"),
    "report of an attempt": ("a constant guess of seven", "what did the first attempt guess?"),
    "criticism": ("it ignores the borders", "what is weak about it?"),
    "lesson": ("never scale the pixels twice", "pixels scale lesson"),
    "file made by the shell": ("made_by_shell.py", "which file did the shell make?"),
    "idea of an evaluation": ("guess sevens everywhere", "idea of the first evaluation"),
    "constant in a file": ("CLIP_AT = 0.0417", "what value do we clip at?"),
}
"""What each fact looks like where it stands, and a question for it in plain words."""


def say(text: str, *calls: dict[str, Any]) -> tuple[str, Calls]:
    return text, list(calls)


def reading(step: int) -> tuple[str, Calls]:
    return say("", call("read_file", path="data/train.csv", offset=2 + step * 7 % 1_100, limit=24 + step % 5))


def run(number: int, how: str = "") -> dict[str, Any]:
    script = "report.sh" if not how else f"check_{number}.sh"
    return call("bash", command=f"sh {script} {number} {how}")


def script_of(fill: int) -> list[tuple[str, Calls]]:
    """The steps of the session: facts between `fill` readings each."""
    solution = call("write_file", path="solution.py", content=SOLUTION)
    return [
        say("", call("write_file", path="report.sh", content=REPORT), solution),
        say("I found that the ticket prefix leaks the target.", run(311)),
        say("", call("write_file", path="NOTES.md", content="test rows are from March\n")),
        say("", call("bash", command="echo 'BEAK = 1' > made_by_shell.py")),
        say("guess sevens everywhere", call("evaluate", command="python solution.py")),
        *(reading(n) for n in range(fill)),
        say("", call("finish", did="a constant guess of seven", criticism="it ignores the borders",
                     lessons=["never scale the pixels twice"])),
        say("", call("write_file", path="clip.py", content="CLIP_AT = 0.0417\n")),
        say("It seems that families of 7 or more never survive.", run(612)),
        say("", call("edit_file", path="solution.py", old="GUESS = 0", new="GUESS = 3"),
            call("evaluate", command="python solution.py")),
        *(reading(n) for n in range(fill, 2 * fill)),
        say("", call("bash", command="echo 'the scanner changed at id 1500' >> NOTES.md")),
        say("", call("finish", did="a guess of three")),
        say("", call("write_file", path="check_77.sh", content=REPORT), run(77, "fail")),
        *(reading(n) for n in range(2 * fill, 3 * fill)),
    ]  # fmt: skip


class Session:
    """The scripted model: it notes the conclusions that it can still see when it is asked for a checkpoint."""

    def __init__(self, steps: list[tuple[str, Calls]]) -> None:
        self.steps, self.place, self.window = steps, 0, []  # type: list[tuple[str, Calls]], int, list[dict[str, Any]]

    def __call__(self, request: dict[str, Any]) -> Message:
        if "checkpoint" not in json.dumps(request.get("tools") or []):
            return {"content": "ok", "reasoning_content": "ok"}
        self.window = messages = request["messages"]
        last = messages[-1]
        if last["role"] == "tool" and ASKED in last["content"]:
            said = [one["content"] for one in messages if one["role"] == "assistant" and len(one["content"] or "") > 30]
            todo = [] if "compare folds" in messages[1]["content"] else ["compare folds by surname"]
            decided = ["no target means, they overfit by 0.031"]
            calls = [call("checkpoint", done=said or ["Read rows."], decided=decided, todo=todo)]
            text = ""
        else:
            text, calls = self.steps[min(self.place, len(self.steps) - 1)]
            self.place += 1
        named = [{"id": f"c{self.place}_{len(messages)}_{n}", **one} for n, one in enumerate(calls)]
        return {"reasoning_content": "I weigh it. " * 60, "content": text, "tool_calls": named}


def session(home: Path, window: int, fill: int) -> tuple[Played, Session]:
    worker = Session(script_of(fill))
    turns = len(worker.steps) + 9
    return play(home, worker, turns, settings_of(home, window_tokens=window)), worker


@pytest.fixture(
    scope="module", params=[(32_000, 34), pytest.param((120_000, 120), marks=pytest.mark.slow)], ids=["32k", "120k"]
)
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Played, Session]:
    return session(tmp_path_factory.mktemp("facts"), *request.param)


def test_facts_are_in_the_window_or_one_recall_away(played: tuple[Played, Session]) -> None:
    run, worker = played
    epochs = [event.stage for event in run.events if isinstance(event, EpochStarted) and event.stage]
    window = json.dumps(worker.window, ensure_ascii=False)
    held = {name for name, (text, _) in FACTS.items() if text in window}
    recall = Recall(run.folder)
    recalled = {name for name, (text, question) in FACTS.items() if text in recall.search(question, 800, 3)}
    recall.close()
    print(f"{len(held)} of {len(FACTS)} in the window after {epochs}; left: {set(FACTS) - held}")
    assert len(epochs) >= 5
    assert len(held) >= 12
    assert set(FACTS) - held <= recalled


def test_no_kept_line_is_false_and_most_are_needed(played: tuple[Played, Session]) -> None:
    run, worker = played
    newest = {}
    for event in run.events:
        if isinstance(event, ToolFinished) and event.name == "bash":
            newest[event.seq] = event.content
    shown = [fact for event in run.events if isinstance(event, EpochStarted) for fact in event.facts]
    assert shown
    for fact in shown:
        match = re.fullmatch(r"`.+?` (?:printed|failed, not solved yet): (.+) \(event (\d+).*\)", fact)
        assert match and match[1] in newest[int(match[2])], fact
    needed = [fact for fact in shown if any(text in fact for text, _ in FACTS.values())]
    assert len(needed) >= 0.9 * len(shown)
    head = worker.window[1]["content"]
    files = dict(re.findall(r"^- ([\w./]+): \d+ B, sha256 (\w{12})(?:;.*)?$", head, re.MULTILINE))
    assert "made_by_shell.py" in files and "solution.py" in files

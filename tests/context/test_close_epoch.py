"""What replaces the turns that leave: a line per command, also after the output was masked before."""

from __future__ import annotations

import json

from context.compaction.close_epoch import MOST_COMMANDS, plan_close
from context.notebook import Notebook
from context.window import Window
from runs.events.registry import Call, CheckpointTaken, EpochStarted, Event, ModelReplied, ToolFinished

LONG = "\n".join(["exit 0 after 1.0 s", *map(str, range(200)), "rows 891", "columns 12"])


class Story:
    """A window and its notebook; each event gets its number."""

    def __init__(self) -> None:
        self.window, self.notebook, self.seq = Window(), Notebook(), 0
        self.add(EpochStarted(reason="attempt", system="s", tools="[]", user="first message"))

    def add(self, event: Event) -> None:
        self.seq += 1
        numbered = event.model_copy(update={"seq": self.seq})
        self.window.apply(numbered)
        self.notebook.apply(numbered)

    def turn(self, name: str, arguments: dict[str, object], result: str, said: str = "") -> int:
        """An exchange; returns the event of its result."""
        call = Call(id=f"c{self.seq}", name=name, arguments=json.dumps(arguments))
        function = {"name": name, "arguments": call.arguments}
        message = {"role": "assistant", "content": said, "tool_calls": [{"id": call.id, "function": function}]}
        self.add(ModelReplied(request=1, message=json.dumps(message), calls=[call]))
        self.add(ToolFinished(call=call.id, name=name, content=result))
        return self.seq

    def close(self, stage: str, *, dropped: int = 0, masked: int = 0) -> list[str]:
        """Close the epoch; returns the lines for the turns that left."""
        if stage == "checkpoint":
            self.add(CheckpointTaken(call="k", turn=1, done=["read the data"], closes=True))
        plan = plan_close(self.window, self.notebook, stage=stage, dropped=dropped, masked=masked)
        self.add(
            EpochStarted(
                reason="compaction", system="s", tools="[]", user="first message", kept=plan.kept, changed=plan.changed,
                stage=stage, stubs=plan.notebook.stubs, facts=plan.notebook.shown_facts,
            )  # type: ignore[arg-type]
        )  # fmt: skip
        return self.notebook.stubs


def test_commands_keep_a_line_after_a_checkpoint() -> None:
    story = Story()
    shown = story.turn("bash", {"command": "cat rows.txt"}, LONG, said="I look at the rows.")
    story.turn("read_file", {"path": "a.py"}, LONG)
    scored = story.turn("bash", {"command": "python train.py"}, "exit 0 after 9 s\nCV auc 0.8612")
    story.turn("bash", {"command": "ls"}, "exit 0 after 0 s\na.py")
    lines = story.close("checkpoint", dropped=3)
    assert lines == [f"- event {shown} bash `cat rows.txt`: exit 0 after 1.0 s; rows 891 / columns 12"]
    assert story.notebook.shown_facts == [f"`python train.py` printed: CV auc 0.8612 (event {scored})"]


def test_long_commands_keep_a_line_after_a_checkpoint_too() -> None:
    story = Story()
    begin = "cat > try.py <<E\n" + "import pandas as pd\n" * 20
    events = [story.turn("bash", {"command": f"{begin}print({k})\nE"}, f"exit 0 after 1.0 s\n{k} rows") for k in (3, 5)]
    lines = story.close("checkpoint", dropped=2)
    assert [line.partition(" bash `cat > try.py")[0] for line in lines] == [f"- event {event}" for event in events]


def test_line_of_a_masked_output_is_that_of_the_whole_one() -> None:
    story = Story()
    shown = story.turn("bash", {"command": "cat rows.txt"}, LONG)
    assert story.close("mask", masked=1) == []
    (line,) = story.close("checkpoint", dropped=1)
    assert line == f"- event {shown} bash `cat rows.txt`: exit 0 after 1.0 s / rows 891 / columns 12"


def test_only_the_newest_lines_of_commands_outlive_checkpoints() -> None:
    story = Story()
    for number in range(MOST_COMMANDS + 4):
        story.turn("bash", {"command": f"cat {number}.txt"}, LONG)
    again = story.turn("bash", {"command": "cat 9.txt"}, LONG.replace("891", "900"))
    lines = story.close("checkpoint", dropped=len(story.window.groups()))
    assert len(lines) == MOST_COMMANDS and "`cat 4.txt`" in lines[0]
    assert f"event {again} bash `cat 9.txt`: exit 0 after 1.0 s; rows 900" in lines[-1]
    assert sum("cat 9.txt" in line for line in lines) == 1
    story.turn("bash", {"command": "cat new.txt"}, LONG)
    assert "`cat 5.txt`" in story.close("checkpoint", dropped=1)[0]


def test_without_a_checkpoint_all_lines_stay_up_to_a_limit() -> None:
    story = Story()
    for number in range(300):
        story.turn("bash", {"command": f"cat {number}.txt"}, LONG, said=f"I look at file {number} now.")
        lines = story.close("automatic", dropped=1)
    assert len(lines) == 80 and "you said: I look at file 299 now." in lines[-2]

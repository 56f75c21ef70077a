"""What the tools answer in a run: results, and errors for the model's mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.tools.registry import specs, tools_bytes
from runs.events.registry import EvaluationFinished, ToolFinished
from tests.playing import SOLUTION, call, events_of, harness_here, only_run, reply
from tests.servers.chat_server import ChatServer, Message


def answers(home: Path, *calls: dict[str, Any]) -> list[str]:
    """The results of these calls, made one a turn in a run on digits."""

    def script(request: dict[str, Any]) -> Message:
        step = sum(message["role"] == "assistant" for message in request["messages"])
        return reply(f"step {step}", calls[step] if step < len(calls) else call("finish", did="all"), tag=str(step))

    with ChatServer(script, piece=1000) as server:
        options = ["--attempts", "1", "--model", "m", "--base-url", server.url, "--sandbox", "local", "--plain"]
        code, printed = harness_here(home, "run", "digits", *options)
    assert code == 0, printed
    return [event.content for event in events_of(only_run(home)) if isinstance(event, ToolFinished)]


def test_mistakes_of_the_model_are_answered_with_errors(digits_home: Path) -> None:
    results = answers(
        digits_home,
        call("kaggle_submit", file="x.csv"),
        call("bash", command="true", wait_seconds=-1),
        call("read_file", path="nowhere.txt"),
        call("read_file", path="../../../../etc/passwd"),
        call("write_file", path="data/train.csv", content="mine"),
        call("edit_file", path="nowhere.txt", old="a", new="b"),
        call("wait", jobs=["nobody"], seconds=5),
        call("kill", job="nobody"),
        call("evaluate", command="exit 3"),
        call("evaluate", command="true"),
        call("bash", command="echo a\0b"),
        call("evaluate", command="echo a\0b"),
    )
    assert "kaggle_submit" in results[0]
    assert "bash" in results[0]
    assert "wait_seconds" in results[1]
    assert "nowhere.txt" in results[2]
    assert results[3].startswith("error:")
    assert "passwd" not in results[3].replace("../../../../etc/passwd", "")
    assert "read-only" in results[4]
    assert results[5].startswith("error:")
    assert "there is no job nobody" in results[6]
    assert "there is no job nobody" in results[7]
    assert results[8].startswith("evaluation 001-1: failed\nthe command did not succeed: exit 3")
    assert results[9].startswith("evaluation 001-2: invalid")
    for name, answer in zip(("bash", "evaluate"), results[10:], strict=True):
        assert answer.startswith(f"error: arguments of {name} do not fit: command: Value error, a command cannot hold")


def test_files_are_written_read_and_edited(digits_home: Path) -> None:
    results = answers(
        digits_home,
        call("write_file", path="a/b.txt", content="one\ntwo\nthree\ntwo\n"),
        call("edit_file", path="a/b.txt", old="one", new="1"),
        call("edit_file", path="a/b.txt", old="two", new="2"),
        call("read_file", path="a/b.txt", offset=2, limit=1),
        call("bash", command="cat a/b.txt; echo err >&2"),
    )
    assert "18 bytes, sha256" in results[0] and "no line end" not in results[0]
    assert "16 bytes, sha256" in results[1]
    assert "occurs 2 times" in results[2]
    assert results[3].startswith("two\n[lines 2 to 2 of")
    assert results[4].startswith("exit 0 after")
    assert "1\ntwo" in results[4]
    assert "err" in results[4]


def test_harmless_differences_cost_no_turn(digits_home: Path) -> None:
    results = answers(
        digits_home,
        call("bash", cmd="echo begun; sleep 1; echo over", timeout=0.2, description="a look"),
        call("wait"),
        call("wait"),
        call("write_file", file_path="a.txt", text="one two"),
        call("edit_file", path="a.txt", old_str="one", new_str="1", replace_all=True),
        call("read_file", file_path="a.txt", path="a.txt"),
        call("read_file", file_path="nowhere.txt"),
        call("submit", path="submission.csv"),
        call("bash", **{"command": "true", **{f"key {number} {'x' * 300}": 1 for number in range(50)}}),
    )
    assert "still running as job 00001-0" in results[0]
    for told in ("`cmd` was read as `command`", "`timeout` was read as `wait_seconds`", "not killed", "`description`"):
        assert told in results[0].partition("<harness>")[2]
    assert "job 00001-0: exit 0" in results[1] and "over" in results[1]
    assert results[2].startswith("error: no job is running")
    assert "no line end" in results[3], "a parser may have taken it for layout"
    assert results[3].startswith("wrote a.txt: 7 bytes") and results[4].startswith("wrote a.txt: 5 bytes")
    assert "`replace_all`: ignored" in results[4]
    assert results[5].startswith("1 two") and "`file_path`: ignored" in results[5]
    assert "there is no file nowhere.txt" in results[6]
    assert "Not executed" in results[7] and "`evaluate`" in results[7].partition("The tools are")[0]
    assert results[8].startswith("exit 0") and len(results[8]) < 500


def test_tools_state_defaults_and_limits_in_their_schema() -> None:
    parameters = {spec.name: spec.properties for spec in specs()}
    assert parameters["bash"]["wait_seconds"]["default"] == 120
    assert parameters["read_file"]["limit"]["maximum"]
    for name, properties in parameters.items():
        for key, schema in properties.items():
            assert schema.get("description"), f"{name}.{key}"


def test_long_command_continues_as_a_job(digits_home: Path) -> None:
    results = answers(
        digits_home,
        call("bash", command="echo begun; sleep 1.5; echo done", wait_seconds=0.2),
        call("read_file", path=".jobs/00001-0/log"),
        call("wait", jobs=["00001-0"], seconds=30),
        call("bash", command="sleep 600", wait_seconds=0),
        call("kill", job="00004-0"),
        call("bash", command="sleep 0.2", wait_seconds=0),
        call("bash", command="sleep 1"),
    )
    assert "still running as job 00001-0" in results[0]
    assert "begun" in results[1]
    assert "job 00001-0: exit 0" in results[2]
    assert "done" in results[2]
    assert "killed" in results[4]
    assert "<harness>job 00006-0 has ended: exit 0" in results[6]


def test_background_processes_that_were_ended_are_counted(digits_home: Path) -> None:
    ended, plain = answers(
        digits_home, call("bash", command="sleep 61 & sleep 62 & echo on"), call("bash", command="echo one")
    )[:2]
    assert "2 left in the background" in ended
    assert "background" not in plain


def test_a_table_is_read_as_head_shows_it(digits_home: Path) -> None:
    make = "seq 20000 | sed 's/$/,score 0.5/' > t.csv"
    _, read, head = answers(
        digits_home, call("bash", command=make), call("read_file", path="t.csv"), call("bash", command="head -3 t.csv")
    )[:3]
    shown, _, note = read.partition("\n[lines ")
    assert shown.splitlines()[:3] == head.splitlines()[1:]
    assert shown.splitlines()[-1] == f"{len(shown.splitlines())},score 0.5"
    assert note == f"1 to {len(shown.splitlines())} of 20000]"


def test_read_past_the_end_states_the_length(digits_home: Path) -> None:
    results = answers(
        digits_home,
        call("bash", command="seq 5 > five.txt; : > nothing.txt"),
        call("read_file", path="five.txt", offset=6),
        call("read_file", path="five.txt", offset=5),
        call("read_file", path="nothing.txt"),
        call("read_file", path="five.txt", offset=10**20),
    )
    assert results[1] == "error: five.txt has 5 lines: offset 6 is past its end"
    assert results[2] == "5\n[lines 5 to 5 of 5]"
    assert results[3] == "[nothing.txt is empty]"
    assert "offset" in results[4]


def test_command_longer_than_the_kernel_limit_runs(digits_home: Path) -> None:
    results = answers(digits_home, call("bash", command=f"x='{'y' * 200_000}'\necho ${{#x}} bytes; exit 3"))
    assert results[0].startswith("exit 3 after")
    assert results[0].endswith("200000 bytes")


def test_long_output_shows_its_end_and_the_missing_bytes(digits_home: Path) -> None:
    results = answers(
        digits_home, call("bash", command="head -c 25000000 /dev/zero | tr '\\0' 'x' | fold -w 1000; echo done")
    )
    assert results[0].endswith("done\n\n[harness: the output was cut: 20065536 of 25025004 bytes are kept]")


def test_evaluation_sees_only_the_commit_and_the_data(digits_home: Path) -> None:
    results = answers(
        digits_home,
        call("write_file", path="solution.py", content=SOLUTION),
        call(
            "bash", command="ln -s /etc/hostname link.csv; mkdir -p sub/.git/hooks; echo x > sub/.git/hooks/pre-commit"
        ),
        call("evaluate", command="ls -a . sub; python solution.py"),
        call("evaluate", command="python solution.py; rm submission.csv; ln -s /etc/hostname submission.csv"),
    )
    assert results[2].startswith("evaluation 001-1: scored")
    assert results[3].startswith("evaluation 001-2: invalid")
    scored = [event for event in events_of(only_run(digits_home)) if isinstance(event, EvaluationFinished)]
    assert scored[0].score is not None
    assert scored[0].tree != ""


def test_every_tool_has_a_description_and_a_short_schema() -> None:
    wire = json.loads(tools_bytes())
    assert [one["function"]["name"] for one in wire] == [spec.name for spec in specs()]
    for one in wire:
        assert len(one["function"]["description"]) > 20
        assert one["function"]["parameters"]["type"] == "object"
    assert len(tools_bytes()) < 7_200

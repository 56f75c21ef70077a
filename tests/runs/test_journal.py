"""The journal loses nothing it acknowledged, reports what it dropped, and says what to do when it cannot continue."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_stories import created, new_run, small_run

from runs.events.registry import EvaluationFinished, Event, Reminded, ToolFinished, UnknownEvent, Waited, Warned
from runs.journal import (
    Journal,
    JournalBusy,
    JournalDamaged,
    JournalError,
    JournalMissing,
    JournalVersion,
    create_run,
    read_events,
)

ROOT = Path(__file__).parents[2]


def test_a_run_appears_with_its_first_event_inside(tmp_path: Path) -> None:
    first = create_run(tmp_path / "runs" / "r", created())
    assert (first.seq, first.at[-1]) == (0, "Z")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["r"]
    assert list(read_events(tmp_path / "runs" / "r")) == [first]


def test_a_run_is_not_made_over_another(tmp_path: Path) -> None:
    create_run(tmp_path / "r", created())
    with pytest.raises(JournalError, match="already exists"):
        create_run(tmp_path / "r", created())


def test_what_is_appended_is_read_back_whole_and_numbered(tmp_path: Path) -> None:
    with new_run(tmp_path / "r") as journal:
        recorded = [journal.append(event) for event in small_run()[1:]]
    assert [event.seq for event in recorded] == list(range(1, len(recorded) + 1))
    assert list(read_events(tmp_path / "r"))[1:] == recorded
    with Journal.open(tmp_path / "r") as journal:
        assert journal.past[1:] == recorded
        assert journal.torn is None


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_journal_has_no_numbers_that_json_lacks(number: float, tmp_path: Path) -> None:
    event = EvaluationFinished(evaluation="1", status="scored", commit="c", tree="t", score=0.5, noise=number)
    new_run(tmp_path / "run").append(event)
    line = (tmp_path / "run" / "events.jsonl").read_text().splitlines()[-1]
    json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} in the journal"))
    *_, read = read_events(tmp_path / "run")
    assert isinstance(read, EvaluationFinished)
    assert repr(read.noise) == repr(number)


def test_defaults_take_no_room_in_a_line(tmp_path: Path) -> None:
    with new_run(tmp_path / "r") as journal:
        journal.append(Waited(on="j1"))
    line = (tmp_path / "r" / "events.jsonl").read_text().splitlines()[-1]
    assert sorted(json.loads(line)) == ["at", "audience", "kind", "mono", "on", "prev", "seq"]
    assert '"audience":"people"' in line


def test_a_long_text_is_a_blob_written_once(tmp_path: Path) -> None:
    text = "Grüße\n" * 3000
    with new_run(tmp_path / "r") as journal:
        for call in "ab":
            journal.append(ToolFinished(call=call, name="bash", content=text))
    assert len(list((tmp_path / "r" / "blobs").iterdir())) == 1
    line = json.loads((tmp_path / "r" / "events.jsonl").read_text().splitlines()[-1])
    assert line["content"] == text[:200]
    last = list(read_events(tmp_path / "r"))[-1]
    assert isinstance(last, ToolFinished)
    assert last.content == text


@pytest.mark.parametrize("harm", ["missing", "altered"])
def test_a_blob_that_is_not_as_written_is_named(tmp_path: Path, harm: str) -> None:
    with new_run(tmp_path / "r") as journal:
        journal.append(Reminded(text="x" * 9000))
    (blob,) = (tmp_path / "r" / "blobs").iterdir()
    if harm == "missing":
        blob.unlink()
    else:
        blob.write_text("y" * 9000)
    with pytest.raises(JournalDamaged, match=blob.name):
        Journal.open(tmp_path / "r")


def test_half_a_surrogate_pair_survives(tmp_path: Path) -> None:
    texts = ["a\ud800b", "\udfff" * 9000]
    with new_run(tmp_path / "r") as journal:
        recorded = [journal.append(Reminded(text=text)) for text in texts]
    assert list(read_events(tmp_path / "r"))[1:] == recorded


def test_a_torn_last_line_is_dropped_and_reported(tmp_path: Path) -> None:
    with new_run(tmp_path / "r") as journal:
        journal.append(Warned(message="one"))
    path = tmp_path / "r" / "events.jsonl"
    for number, tail in enumerate([b'{"seq":2,"at":"2026', b"\0\0\0\n"], 1):
        whole = path.read_bytes()
        path.write_bytes(whole + tail)
        assert len(list(read_events(tmp_path / "r"))) == len(whole.splitlines())
        assert path.read_bytes() == whole + tail, "a viewer changes nothing"
        with Journal.open(tmp_path / "r") as journal:
            assert journal.torn == tmp_path / "r" / f"events.jsonl.torn-{number}"
            assert journal.torn.read_bytes() == tail
            journal.append(Warned(message="on we go"))
    assert [event.seq for event in read_events(tmp_path / "r")] == [0, 1, 2, 3]


def test_a_damaged_line_in_the_middle_stops_with_its_number(tmp_path: Path) -> None:
    with new_run(tmp_path / "r") as journal:
        for event in small_run()[1:]:
            journal.append(event)
    path = tmp_path / "r" / "events.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    for harm in [b"rubbish\n", b"\0\0\n", b"[]\n", b'{"seq":4,"kind":"reminded"}\n', b"", lines[2]]:
        path.write_bytes(b"".join([*lines[:4], harm, *lines[5:]]))
        with pytest.raises(JournalDamaged, match=r"line 5 .*harness check RUN --save DIR"):
            Journal.open(tmp_path / "r")
        with pytest.raises(JournalDamaged, match="line 5"):
            list(read_events(tmp_path / "r"))


def test_a_damaged_first_line_is_never_answered_with_an_empty_file(tmp_path: Path) -> None:
    new_run(tmp_path / "r").close()
    (tmp_path / "r" / "events.jsonl").write_text('{"seq":0,"kind":"run_created","format":2}\n')
    with pytest.raises(JournalDamaged, match="line 1 ") as damaged:
        Journal.open(tmp_path / "r")
    assert "--save" not in str(damaged.value)


def test_a_line_that_was_exchanged_for_another_is_noticed(tmp_path: Path) -> None:
    with new_run(tmp_path / "r") as journal:
        journal.append(Warned(message="genuine"))
        journal.append(Warned(message="second"))
    path = tmp_path / "r" / "events.jsonl"
    path.write_text(path.read_text().replace("genuine", "forged"))
    with pytest.raises(JournalDamaged, match="line 3 "):
        list(read_events(tmp_path / "r"))


def test_fields_and_values_of_a_newer_version_are_kept(tmp_path: Path) -> None:
    new_run(tmp_path / "r").close()
    with (tmp_path / "r" / "events.jsonl").open("a") as file:
        file.write('{"seq":1,"at":"","mono":1.0,"kind":"warned","message":"m","colour":"green"}\n')
        file.write('{"seq":2,"at":"","mono":1.0,"kind":"run_ended","why":"eclipse"}\n')
    known, unknown = list(read_events(tmp_path / "r"))[1:]
    assert isinstance(known, Warned) and known.unknown_fields == ("colour",)
    assert isinstance(unknown, UnknownEvent) and unknown.kind == "run_ended"


def test_event_0_of_a_newer_version_names_the_version_to_use(tmp_path: Path) -> None:
    new_run(tmp_path / "r").close()
    path = tmp_path / "r" / "events.jsonl"
    path.write_text(path.read_text().replace('"sandbox":"auto"', '"sandbox":"podman"'))
    with pytest.raises(JournalVersion, match="newer harness"):
        list(read_events(tmp_path / "r"))


def test_an_unknown_kind_is_kept(tmp_path: Path) -> None:
    new_run(tmp_path / "r").close()
    with (tmp_path / "r" / "events.jsonl").open("a") as file:
        file.write('{"seq":1,"at":"","mono":1.0,"kind":"from_tomorrow","colour":"green"}\n')
    with Journal.open(tmp_path / "r") as journal:
        unknown = journal.past[-1]
        assert journal.append(Warned(message="next")).seq == 2
    assert isinstance(unknown, UnknownEvent)
    assert unknown.model_dump()["colour"] == "green"


def test_a_run_of_another_format_is_refused_with_what_to_do(tmp_path: Path) -> None:
    create_run(tmp_path / "r", created())
    path = tmp_path / "r" / "events.jsonl"
    path.write_text('{"seq":0,"kind":"run_created","format":3,"harness_version":"9.1","new":1}\n')
    with pytest.raises(JournalVersion, match=r"format 3 \(written by harness 9.1\)"):
        Journal.open(tmp_path / "r")


def test_a_missing_run_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(JournalMissing, match="harness runs"):
            Journal.open(place)
        with pytest.raises(JournalMissing, match="harness runs"):
            list(read_events(place))


def test_a_second_process_on_the_same_run_is_refused_by_pid(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from runs.journal import Journal; j = Journal.open(pathlib.Path(sys.argv[1]));"
        "print('open', flush=True); sys.stdin.read()"
    )
    create_run(tmp_path / "r", created())
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "r")], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout and other.stdout.readline() == b"open\n"
        with pytest.raises(JournalBusy, match=f"pid {other.pid}"):
            Journal.open(tmp_path / "r")
        assert len(list(read_events(tmp_path / "r"))) == 1, "viewers need no lock"
        other.kill()
    Journal.open(tmp_path / "r").close()


FILL = """
import resource, sys, pathlib
from runs.events.registry import Warned, Reminded
from runs.journal import Journal, JournalFull
folder = pathlib.Path(sys.argv[1])
with Journal.open(folder) as journal:
    size = (folder / "events.jsonl").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5000, resource.RLIM_INFINITY))
    kept = 0
    for event in [Warned(message="x" * 100)] * 1000:
        try:
            journal.append(event)
            kept += 1
        except JournalFull as error:
            assert "free some space" in str(error), error
            break
    try:
        journal.append(Reminded(text="y" * 100_000))
        raise SystemExit("a blob fitted where none can")
    except JournalFull:
        pass
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    last = journal.append(Warned(message="room again"))
    print(kept, last.seq)
"""


def test_a_full_disk_stops_with_what_to_do_and_loses_nothing(tmp_path: Path) -> None:
    create_run(tmp_path / "r", created())
    done = subprocess.run([sys.executable, "-c", FILL, str(tmp_path / "r")], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    kept, last = map(int, done.stdout.split())
    assert 0 < kept < 1000
    events = list(read_events(tmp_path / "r"))
    assert (len(events), last) == (kept + 2, kept + 1)
    assert not list((tmp_path / "r" / "blobs").iterdir())


HURRY = """
import sys, pathlib
from runs.events.registry import Warned, Reminded
from runs.journal import Journal
with Journal.open(pathlib.Path(sys.argv[1])) as journal:
    while True:
        for event in (Warned(message="z" * 3000), Reminded(text="long " * 2000)):
            print(journal.append(event).seq, flush=True)
"""


@pytest.mark.parametrize("moment", [0.01, 0.05, 0.13])
def test_kill_9_in_the_middle_of_appends_loses_no_acknowledged_event(tmp_path: Path, moment: float) -> None:
    create_run(tmp_path / "r", created())
    with subprocess.Popen(
        [sys.executable, "-c", HURRY, str(tmp_path / "r")], cwd=ROOT, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout and writer.stdout.readline()
        time.sleep(moment)
        writer.send_signal(signal.SIGKILL)
        acknowledged = [1, *(int(line) for line in writer.stdout.read().splitlines() if line)]
    with Journal.open(tmp_path / "r") as journal:
        assert len(journal.past) > acknowledged[-1]
        assert journal.append(Warned(message="on")).seq == len(journal.past)


def test_ctrl_c_between_any_two_steps_of_an_append_leaves_a_usable_journal(tmp_path: Path) -> None:
    journal = new_run(tmp_path / "r")
    acknowledged = []
    for delay in range(1, 40):
        signal.signal(signal.SIGALRM, _interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, delay * 2e-5)
            while True:
                acknowledged.append(journal.append(Warned(message="w" * 500)))
        except KeyboardInterrupt:
            pass
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
    last = journal.append(Warned(message="still here"))
    journal.close()
    events = list(read_events(tmp_path / "r"))
    assert events[-1] == last
    assert all(events[event.seq] == event for event in acknowledged)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | st.sampled_from(["long " * 2000, "é" * 5000])
EVENTS = st.lists(
    st.builds(Warned, message=TEXTS)
    | st.builds(ToolFinished, call=TEXTS, name=TEXTS, content=TEXTS, failed=st.booleans(), attempt=st.integers(0, 9))
    | st.builds(lambda x: UnknownEvent(kind="novel", x=x), TEXTS),
    max_size=6,
)


@settings(max_examples=25, deadline=None)
@given(EVENTS, st.integers(0, 1_000_000))
def test_any_cut_leaves_a_prefix_and_appending_continues(events: list[Event], where: int) -> None:
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "r"
        with new_run(folder) as journal:
            recorded = [*journal.past, *(journal.append(event) for event in events)]
        path = folder / "events.jsonl"
        whole = path.read_bytes()
        first = whole.index(b"\n") + 1
        cut = first + where % (len(whole) - first + 1)
        path.write_bytes(whole[:cut])
        with Journal.open(folder) as journal:
            assert journal.past == recorded[: whole[:cut].count(b"\n")]
            assert (journal.torn is None) == whole[:cut].endswith(b"\n")
            last = journal.append(Warned(message="on"))
        assert list(read_events(folder)) == [*recorded[: last.seq], last]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=80) | st.sampled_from([b'{"seq":1,"kind":5}', b'{"seq":1,"kind":"nudged"}', b"{}"])))
def test_rubbish_raises_only_journal_errors(lines: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "r"
        create_run(folder, created())
        with (folder / "events.jsonl").open("ab") as file:
            file.write(b"".join(line + b"\n" for line in lines))
        before = (folder / "events.jsonl").read_bytes()
        try:
            Journal.open(folder).close()
        except JournalError:
            assert (folder / "events.jsonl").read_bytes() == before
        with suppress(JournalError):
            list(read_events(folder))


def test_a_cut_in_the_first_event_is_damage_not_an_empty_run(tmp_path: Path) -> None:
    create_run(tmp_path / "r", created())
    path = tmp_path / "r" / "events.jsonl"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(JournalDamaged, match="line 1"):
        Journal.open(tmp_path / "r")
    assert path.stat().st_size > 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_is_reported(tmp_path: Path) -> None:
    create_run(tmp_path / "r", created())
    (tmp_path / "r").chmod(0o500)
    with pytest.raises(JournalError, match="permissions"):
        Journal.open(tmp_path / "r")

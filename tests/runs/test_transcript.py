"""The transcript shows what happened and why, and marks unprotected scores."""

from __future__ import annotations

from run_stories import attempt, created, small_run, stamp

from runs.events.registry import (
    Call,
    Event,
    ModelReplied,
    Paused,
    Resumed,
    ToolFinished,
    UnknownEvent,
    Warned,
)
from runs.views.transcript import transcript


def render(events: list[Event], **how: object) -> str:
    return "".join(transcript(events, **how))  # type: ignore[arg-type]


def test_transcript_has_scores_turns_calls_and_cost() -> None:
    text = render(small_run())
    for part in (
        "# digits, run a-run",
        "demo model, not an LLM",
        "## Attempt 1: improve, from an empty workspace",
        "### Turn 1 (1,000 in (400 cached), 50 out, 3 s, $0.2500, 1 retries",
        "> First thought. Second thought.",
        "I try <b>trees</b>.",
        "**bash**\n```\npython train.py\nls -l\n```",
        "medal: gold to bronze (estimate from held-out rows)",
        "request 1 failed: 503 overloaded; retry in 2 s",
        "submission of record: the sample submission",
        "**Attempt 1 ended (finish): 0.971 ± 0.011 (labels unprotected); 1 turns",
        "- next: More trees.",
        "## Attempt 2: improve, from commit 000000000000",
        "**Best: 0.971 ± 0.011 (labels unprotected) in attempt 1, medal: gold to bronze",
    ):
        assert part in text, part


def test_every_score_of_an_unprotected_run_is_marked() -> None:
    for line in render(small_run()).splitlines():
        if "±" in line:
            assert "labels unprotected" in line
    assert "unprotected" not in render(small_run(protects_labels=True, sandbox="bubblewrap"))


def test_full_transcript_clips_nothing() -> None:
    short, full = render(small_run()), render(small_run(), full=True)
    assert "--full" in short
    assert "epoch 199 loss 0.005" not in short
    assert "epoch 199 loss 0.005" in full
    assert "--full" not in full
    huge = [*small_run()[:4], ToolFinished(call="x", name="bash", content="y" * 3_000_000 + "\n" * 5000 + "END")]
    assert "END\n```" in render([stamp(event, seq) for seq, event in enumerate(huge)], full=True)


def test_transcript_can_be_limited_to_one_attempt() -> None:
    text = render(small_run(), attempt=2)
    assert "# digits, run a-run" in text
    assert "## Attempt 2" in text
    assert "## Attempt 1" not in text
    assert "has no attempt 7; it has 2" in render(small_run(), attempt=7)


def test_pauses_resumes_warnings_and_unknown_kinds_are_shown() -> None:
    events = [
        created(),
        Warned(message="The disk is nearly full."),
        Paused(why="Ctrl-C"),
        Resumed(harness_version="0.2", torn=True),
        UnknownEvent(kind="from_tomorrow", colour="green"),  # type: ignore[call-arg]
    ]
    text = render([stamp(event, seq) for seq, event in enumerate(events)])
    for part in (
        "! The disk is nearly full.",
        "paused at",
        "Ctrl-C",
        "resumed at",
        "incomplete last line",
        "`from_tomorrow`",
    ):
        assert part in text, part


def test_lines_are_produced_while_events_are_read() -> None:
    consumed = []

    def read() -> object:
        for event in small_run():
            consumed.append(event)
            yield event

    first = next(iter(transcript(read())))  # type: ignore[arg-type]
    assert (first, len(consumed)) == ("# digits, run a-run\n", 1)


def test_code_fence_in_a_result_does_not_end_its_block() -> None:
    events = [
        *small_run()[:4],
        ModelReplied(request=9, message="no json", calls=[Call(id="q", name="bash", arguments="{oops", problem="bad")]),
        ToolFinished(call="q", name="bash", content="```\n# not a heading\n```"),
    ]
    text = render([stamp(event, seq) for seq, event in enumerate(events)])
    assert "````\n```\n# not a heading\n```\n````" in text
    assert "{oops" in text
    assert "not executed: bad" in text


def test_thinking_is_read_from_every_field_endpoints_use() -> None:
    for message in (
        '{"content":"<think>because</think>So."}',
        '{"content":"So.","reasoning":"because"}',
        '{"content":[{"type":"text","text":"So."}],"reasoning_details":[{"text":"be"},{"text":"cause"}]}',
    ):
        reply = ModelReplied(request=1, message=message)
        text = render([created(), *attempt(1, 0.5)[:1], reply])
        assert "> because\n" in text
        assert "\nSo.\n" in text

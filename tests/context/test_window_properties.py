"""Whatever happens, the projected history is one that a server accepts, and within an epoch it only grows."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from context.window import Window
from harness.parsing.repair_history import check_history
from runs.events.registry import Call, EpochStarted, Event, ModelReplied, Reminded, ToolFinished, Usage

texts = st.text(max_size=30)


@st.composite
def replies(draw: st.DrawFn) -> ModelReplied:
    """A reply with up to three calls whose ids may come again in later replies."""
    ids = draw(st.lists(st.integers(0, 10_000), max_size=3, unique=True))
    message = {"role": "assistant", "content": draw(texts), "reasoning_content": draw(texts)}
    functions = [{"id": f"c{n}", "type": "function", "function": {"name": "bash", "arguments": "{}"}} for n in ids]
    calls = [Call(id=f"c{n}", name="bash", arguments="{}") for n in ids]
    told = json.dumps({**message, "tool_calls": functions} if functions else message)
    return ModelReplied(request=1, message=told, calls=calls, usage=Usage(prompt=draw(st.integers(0, 9_000))))


epochs = st.builds(
    lambda user, kept, keeps: EpochStarted(
        reason="compaction", system="s", tools="[]", user=user, kept=kept, keeps_tail=keeps
    ),
    texts,
    st.integers(-1, 12),
    st.booleans(),
)
nudges = st.builds(lambda text, marked: Reminded(text=text, call="n" * marked), texts, st.booleans())


@st.composite
def stories(draw: st.DrawFn) -> list[Event]:
    """Events in any order; results come in the order of their calls, as the loop performs them, or for no call at all.
    Ids are as unique as the reader of replies makes them."""
    story: list[Event] = [EpochStarted(reason="attempt", system="s", tools="[]", user="u")]
    due: list[str] = []
    for number in range(draw(st.integers(0, 25))):
        event = draw(st.one_of(replies(), replies(), epochs, nudges, st.none(), st.none(), st.none()))
        if event is None:
            is_due = bool(due) and draw(st.integers(0, 4)) > 0
            event = ToolFinished(call=due.pop(0) if is_due else "unheard-of", name="bash", content=draw(texts))
        elif isinstance(event, Reminded) and event.call:
            event = Reminded(text=event.text, call=f"n{number}")
        elif isinstance(event, ModelReplied):
            renamed = json.loads(event.message)
            for one in renamed.get("tool_calls") or []:
                one["id"] = f"{one['id']}_{number}"
            calls = [call.model_copy(update={"id": f"{call.id}_{number}"}) for call in event.calls]
            event = event.model_copy(update={"message": json.dumps(renamed), "calls": calls})
            due = [call.id for call in calls]
        story.append(event)
    return story


def messages_of(window: Window) -> list[dict[str, object]]:
    return [json.loads(message) for message in (window.system, *window.messages)]


@settings(max_examples=200, deadline=None)
@given(stories())
def test_any_sequence_of_events_is_a_history_that_a_server_accepts(story: list[Event]) -> None:
    window = Window()
    for event in story:
        window.apply(event)
    # Results that are still due come before anything is sent.
    for call in list(window._open):
        window.apply(ToolFinished(call=call, name="bash", content="late"))
    assert check_history(messages_of(window)) == ()
    assert window.size == len(window.system) + len(window.tools) + sum(map(len, window.messages))
    assert len(window.messages) == len(window.roles) == len(window.seqs)
    assert window.roles == [json.loads(message)["role"] for message in window.messages]


@settings(max_examples=200, deadline=None)
@given(stories())
def test_what_could_have_been_sent_stays_a_prefix_within_its_epoch(story: list[Event]) -> None:
    window = Window()
    sent: list[bytes] = []
    for event in story:
        window.apply(event)
        if isinstance(event, EpochStarted):
            sent = []
        is_due = not window._open and window.roles[-1] != "assistant"
        if is_due:  # nothing is sent while a reply waits for its results, or for the harness's words
            assert window.messages[: len(sent)] == sent
            sent = list(window.messages)


@settings(max_examples=100, deadline=None)
@given(stories())
def test_groups_are_whole_exchanges_and_cover_the_tail(story: list[Event]) -> None:
    window = Window()
    for event in story:
        window.apply(event)
    groups = window.groups()
    for group in groups:
        assert window.roles[group.start] == "assistant"
        assert "assistant" not in window.roles[group.start + 1 : group.end]
        assert group.size == sum(len(message) for message in window.messages[group.start : group.end])
    assert not groups or groups[-1].end == len(window.messages)


def test_how_much_of_a_request_began_the_last_one_is_known_across_epochs() -> None:
    from runs.events.registry import ModelAsked

    window = Window()
    window.apply(EpochStarted(reason="attempt", system="s" * 100, tools="[]", user="card " * 50 + "state one"))
    first = window.size
    assert window.reused() == 0
    window.apply(ModelAsked(request=1, messages=1, size=first, digest=window.digest()))
    window.apply(ModelReplied(request=1, message='{"role":"assistant","content":"hi"}'))
    assert window.reused() == first
    window.apply(EpochStarted(reason="attempt", system="s" * 100, tools="[]", user="card " * 50 + "state two"))
    assert first - 20 < window.reused() < first
    window.apply(EpochStarted(reason="attempt", system="other", tools="[]", user="card " * 50 + "state two"))
    assert window.reused() == 0

"""Properties of the window: servers accept any projected history, and within an epoch it only grows."""

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
    """A reply with up to three calls; later replies may repeat their ids."""
    ids = draw(st.lists(st.integers(0, 10_000), max_size=3, unique=True))
    message = {"role": "assistant", "content": draw(texts), "reasoning_content": draw(texts)}
    functions = [{"id": f"c{n}", "type": "function", "function": {"name": "bash", "arguments": "{}"}} for n in ids]
    calls = [Call(id=f"c{n}", name="bash", arguments="{}") for n in ids]
    message_text = json.dumps({**message, "tool_calls": functions} if functions else message)
    return ModelReplied(request=1, message=message_text, calls=calls, usage=Usage(prompt=draw(st.integers(0, 9_000))))


epochs = st.builds(
    lambda user, kept, keeps: EpochStarted(
        reason="compaction", system="s", tools="[]", user=user, kept=kept, keeps_tail=keeps
    ),
    texts,
    st.integers(-1, 12),
    st.booleans(),
)
reminders = st.builds(lambda text, marked: Reminded(text=text, call="n" * marked), texts, st.booleans())


@st.composite
def event_lists(draw: st.DrawFn) -> list[Event]:
    """Events in any order. Results come in the order of their calls or belong to no call; ids are unique, as the reply
    parser makes them."""
    events: list[Event] = [EpochStarted(reason="attempt", system="s", tools="[]", user="u")]
    due: list[str] = []
    for number in range(draw(st.integers(0, 25))):
        event = draw(st.one_of(replies(), replies(), epochs, reminders, st.none(), st.none(), st.none()))
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
        events.append(event)
    return events


def messages_of(window: Window) -> list[dict[str, object]]:
    return [json.loads(message) for message in (window.system, *window.messages)]


@settings(max_examples=200, deadline=None)
@given(event_lists())
def test_any_events_give_a_history_that_servers_accept(events: list[Event]) -> None:
    window = Window()
    for event in events:
        window.apply(event)
    # Open calls are answered before the next request.
    for call in list(window._open):
        window.apply(ToolFinished(call=call, name="bash", content="late"))
    assert check_history(messages_of(window)) == ()
    assert window.size == len(window.system) + len(window.tools) + sum(map(len, window.messages))
    assert len(window.messages) == len(window.roles) == len(window.seqs)
    assert window.roles == [json.loads(message)["role"] for message in window.messages]


@settings(max_examples=200, deadline=None)
@given(event_lists())
def test_requests_of_an_epoch_are_prefixes_of_later_ones(events: list[Event]) -> None:
    window = Window()
    sent: list[bytes] = []
    for event in events:
        window.apply(event)
        if isinstance(event, EpochStarted):
            sent = []
        may_send = not window._open and window.roles[-1] != "assistant"
        if may_send:  # no request while calls are open or a reply has no answer
            assert window.messages[: len(sent)] == sent
            sent = list(window.messages)


@settings(max_examples=100, deadline=None)
@given(event_lists())
def test_groups_are_whole_exchanges_and_cover_the_tail(events: list[Event]) -> None:
    window = Window()
    for event in events:
        window.apply(event)
    groups = window.groups()
    for group in groups:
        assert window.roles[group.start] == "assistant"
        assert "assistant" not in window.roles[group.start + 1 : group.end]
        assert group.size == sum(len(message) for message in window.messages[group.start : group.end])
    assert not groups or groups[-1].end == len(window.messages)


def test_reused_bytes_are_counted_across_epochs() -> None:
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

"""Which calls of a reply run, how the others are answered, and what history carries."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.parsing.arguments import REPAIR_STEPS, read_object
from harness.parsing.reasoning import FIELDS
from harness.parsing.repair_history import check_history, repair_messages
from harness.parsing.reply import ReadReply, ToolSpec, canonical_message, read_reply

TEXT = {"type": "string"}


def spec(name: str, *required: str, back: bool = True, shown: bool = False) -> ToolSpec:
    parameters = {"type": "object", "properties": dict.fromkeys(required, TEXT), "required": list(required)}
    return ToolSpec(name, name, parameters, back, shown)


BASH, KILL = spec("bash", "command"), spec("kill", "job", back=False)
WRITE = spec("write_file", "path", "content", shown=True)
TOOLS = (BASH, KILL, WRITE, spec("job_list"))


def native(name: Any, arguments: Any, id: Any = "c1") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def read(*calls: Any, content: str = "", finish: str = "tool_calls", **more: Any) -> ReadReply:
    message = {"content": content, "tool_calls": list(calls), **{k: v for k, v in more.items() if k in FIELDS}}
    return read_reply(message, finish, TOOLS, **{k: v for k, v in more.items() if k not in FIELDS})


def xml(name: str, **parameters: str) -> str:
    inside = "".join(f'<parameter name="{key}">{value}</parameter>\n' for key, value in parameters.items())
    return f'<minimax:tool_call>\n<invoke name="{name}">\n{inside}</invoke>\n</minimax:tool_call>'


# ------------------------------------------------------------------------------------------------ as it should be


def test_valid_call_keeps_its_bytes() -> None:
    arguments = '{ "command" : "ls",  "rate": 1e3 }'
    reply = read(native("bash", arguments))
    assert (reply.calls[0].arguments, reply.calls[0].repair_step, reply.repaired) == (arguments, "native", False)


def test_repaired_replies_are_marked_so_that_raw_bytes_are_kept() -> None:
    for untidy in (native("Bash", '{"command":"a"}'), native("bash", '{"command":"a",}'), native("bash", "x", "")):
        assert read(untidy).repaired
    assert read(content=xml("bash", command="ls")).repaired
    assert read(native("bash", '{"command":"a"}'), native("bash", '{"command":"b"}')).repaired, "an id was renamed"
    assert not read(content="Just words.", finish="stop").repaired


def test_repair_steps_are_counted() -> None:
    reply = read(native("bash", '{"command":"a"}'), native("bash", '{"command":"b",}'), native("none", "{}"))
    assert reply.repair_steps == {"native": 1, "escaped": 1, "error": 1}
    assert set(reply.repair_steps) <= set(REPAIR_STEPS)


# ------------------------------------------------------------------------------------------------------------ ids


def test_generated_ids_are_reproducible() -> None:
    calls = [native("bash", '{"command":"a"}', ""), native("bash", '{"command":"a"}', None)]
    first, second = read(*calls, seed="7"), read(*calls, seed="7")
    assert [call.id for call in first.calls] == [call.id for call in second.calls]
    assert len({call.id for call in first.calls}) == 2
    assert {call.id for call in first.calls}.isdisjoint(call.id for call in read(*calls, seed="8").calls)


def test_id_in_history_is_not_reused() -> None:
    reply = read(native("bash", '{"command":"a"}'), native("bash", '{"command":"b"}'), taken=("c1", "c1_2"))
    assert [call.id for call in reply.calls] == ["c1_3", "c1_4"]


def test_generated_ids_have_the_form_of_the_family() -> None:
    calls = [native("bash", '{"command":"a"}', ""), native("bash", '{"command":"a"}', None)]
    mistral = [call.id for call in read(*calls, native("bash", "{}", "abcdefgh1"), family="mistral").calls]
    assert all(re.fullmatch("[A-Za-z0-9]{9}", one) for one in mistral) and len(set(mistral)) == 3
    again = [call.id for call in read(*calls, family="mistral", taken=mistral).calls]
    assert all(re.fullmatch("[A-Za-z0-9]{9}", one) for one in again) and set(again).isdisjoint(mistral)
    kimi = [call.id for call in read(*calls, family="kimi_k2", taken=("functions.bash:0",)).calls]
    assert kimi == ["functions.bash:1", "functions.bash:2"]


# ----------------------------------------------------------------------------------- what may be performed how untidily

UNTIDY = {
    "native": native("{name}", '{"{key}":"x"}'),
    "strict": native("{name}", {"{key}": "x"}),
    "trimmed": native("{name}", '```json\n{"{key}":"x"}\n```'),
    "escaped": native("{name}", '{"{key}":"x",}'),
    "prose_cut": native("{name}", '{"{key}":"x"} now'),
    "python_literal": native("{name}", "{'{key}':'x'}"),
    "json_repaired": native("{name}", '{{key}:"x"}'),
    "schema": native("{name}", '{"{key}":5}'),
}


def filled(value: Any, name: str, key: str) -> Any:
    return json.loads(json.dumps(value).replace("{name}", name).replace("{key}", key))


@pytest.mark.parametrize("repair_step", UNTIDY)
def test_irreversible_tool_accepts_only_the_first_three_repair_steps(repair_step: str) -> None:
    (bash,) = read(filled(UNTIDY[repair_step], "bash", "command")).calls
    assert (bash.repair_step, bash.problem) == (repair_step, "")
    (kill,) = read(filled(UNTIDY[repair_step], "kill", "job")).calls
    assert (kill.problem == "") is (repair_step in ("native", "strict", "trimmed"))
    assert json.loads(kill.arguments).keys() == {"job"}, "what was understood is shown to the model"


def test_text_call_never_runs_an_irreversible_tool() -> None:
    for reply in (read(content=xml("kill", job="j1")), read(reasoning=xml("kill", job="j1"))):
        assert reply.outcome == "tool_error"


def test_ambiguous_call_runs_only_if_its_result_shows_the_effect() -> None:
    repeats = "a</parameter>b"
    assert read(content=xml("write_file", path="p", content=repeats)).outcome == "salvaged"
    assert read(content=xml("bash", command=repeats)).outcome == "ambiguous"


def test_ambiguous_call_of_an_irreversible_tool_never_runs() -> None:
    post = ToolSpec("post", "", WRITE.parameters, is_reversible=False, shows_effect=True)
    message = {"content": "", "tool_calls": [native("post", '{"path":"a","content":"\\d"}')]}
    assert read_reply(message, "tool_calls", [post]).outcome == "tool_error"


@pytest.mark.parametrize("length", range(1, 40))
def test_truncated_call_never_runs(length: int) -> None:
    whole = '{"path":"a.py","content":"rm {x}, [y]\\n}"}'
    for finish in ("length", "stop", "tool_calls"):
        reply = read(native("write_file", whole[:length]), finish=finish)
        assert reply.outcome == "tool_error" and reply.calls[0].problem


def test_truncated_text_call_never_runs() -> None:
    whole = xml("bash", command="echo a > b")
    for length in range(whole.index("</parameter>") + 11):
        for finish in ("length", "stop"):
            assert not [call for call in read(content=whole[:length], finish=finish).calls if not call.problem]
            assert not [call for call in read(reasoning=whole[:length], finish=finish).calls if not call.problem]


def test_calls_quoted_in_a_file_never_run() -> None:
    quoted = xml("bash", command="rm -rf /")
    for before, after in (("", ""), ("x</parameter>", ""), ("", "</parameter>"), ("</invoke>", "<invoke>"), ("`", "`")):
        reply = read(content=xml("write_file", path="p", content=before + quoted + after))
        assert not [call for call in reply.calls if call.name == "bash" and not call.problem]


# ----------------------------------------------------------------------------------------------------- what is told


def test_unknown_tool_is_answered_with_the_nearest_names() -> None:
    (call,) = read(native("bsh", "{}")).calls
    assert "`bash`" in call.problem and "no tool `bsh`" in call.problem


def test_missing_argument_is_named() -> None:
    (call,) = read(native("write_file", '{"path":"a","text":"b"}')).calls
    assert "`content` (a string)" in call.problem and "`text`" in call.problem
    assert call.arguments == '{"path":"a","text":"b"}', "the model sees its own words"


def test_truncated_call_is_answered_with_advice() -> None:
    (call,) = read(native("write_file", '{"path":"a","content":"long'), finish="length").calls
    assert "smaller" in call.problem
    assert json.loads(call.arguments) == {"_invalid": '{"path":"a","content":"long'}


def test_copied_mark_of_invalid_arguments_is_rejected() -> None:
    assert read(native("job_list", '{"_invalid":"{"}')).outcome == "tool_error"


# -------------------------------------------------------------------------------------------------------- thinking


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reasoning_details", [{"type": "reasoning.text", "text": " a\n", "id": "x", "format": None}, {"text": "b "}]),
        ("reasoning_content", " a\n\nb "),
        ("reasoning", "\n a "),
    ],
)
def test_reasoning_returns_in_its_field_byte_for_byte(field: str, value: Any) -> None:
    assert canonical_message(read(native("bash", '{"command":"ls"}'), **{field: value}))[field] == value


def test_reasoning_can_return_in_another_field() -> None:
    reply = read(content="Done.", finish="stop", reasoning=" a\nb")
    assert canonical_message(reply, "reasoning_content")["reasoning_content"] == " a\nb"
    assert canonical_message(reply, "reasoning_details")["reasoning_details"][0]["text"] == " a\nb"
    assert canonical_message(reply, "content")["content"] == "<think>\n a\nb\n</think>\n\nDone."
    assert canonical_message(reply, "none") == {"role": "assistant", "content": "Done."}


def test_reasoning_stays_in_content_when_a_call_is_extracted() -> None:
    head = "<think>\n a </b>\n</think>\n\n"
    message = canonical_message(read(content=head + "Now.\n" + xml("bash", command="ls")))
    assert message["content"] == head + "Now."
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"command": "ls"}


def test_content_without_a_call_is_unchanged() -> None:
    assert canonical_message(read(content="  Well,\n\n", finish="stop"))["content"] == "  Well,\n\n"


def test_surrogate_halves_are_joined() -> None:
    reply = read(native("bash", '{"command":"echo \ud83d\ude00"}'), content="\ud83d\ude00 \ud83d")
    assert (reply.text, json.loads(reply.calls[0].arguments)) == ("😀 \ufffd", {"command": "echo 😀"})


# ------------------------------------------------------------------------------------------------------ whatever comes

plain = st.text(alphabet="abc \n\t\"'\\\\{}[]:,#/é", max_size=30)
UNTIDY_FORMS = {
    "strict": json.dumps,
    "indented": lambda given: json.dumps(given, indent=2),
    "raw": lambda given: json.dumps(given).replace("\\n", "\n").replace("\\t", "\t"),
    "last comma": lambda given: json.dumps(given)[:-1] + ",}",
    "prose": lambda given: "So: " + json.dumps(given) + " it is",
    "twice": lambda given: json.dumps(json.dumps(given)),
    "fenced": lambda given: f"```json\n{json.dumps(given)}\n```",
    "Python": repr,
    "bare keys": lambda given: json.dumps(given).replace('"path":', "path:").replace('"content":', "content:"),
    "no comma": lambda given: json.dumps(given).replace(', "content":', '\n"content":'),
    "comments": lambda given: '{ // a "file\n/* {} */' + json.dumps(given)[1:],
}


UNREPAIRED_FORMS = {
    "JavaScript": lambda given: f"{{path: {given['path']!r}, content: {given['content']!r},}}",
    "Python without a comma": lambda given: f"{{'path': {given['path']!r}\n'content': {given['content']!r}}}",
}


@pytest.mark.parametrize("form", UNREPAIRED_FORMS)
@settings(max_examples=60, deadline=None)
@given(path=plain, content=plain)
def test_arguments_of_forms_without_a_repair_step_are_never_misread(form: str, path: str, content: str) -> None:
    meant = {"path": path, "content": content}
    text = UNREPAIRED_FORMS[form](meant)
    for length in range(1, len(text) + 1):
        (call,) = read(native("write_file", text[:length])).calls
        assert call.problem or json.loads(call.arguments) == meant


def test_call_cut_inside_a_string_with_mixed_quotes_never_runs() -> None:
    """Where Python's and JSON's strings stand side by side, an open one may look like the closed one before it."""
    (call,) = read(native("write_file", """{'path': '"', 'content': "}""")).calls
    assert call.problem


@pytest.mark.parametrize("form", UNTIDY_FORMS)
@settings(max_examples=60, deadline=None)
@given(path=plain, content=plain)
def test_repaired_arguments_keep_their_values_and_prefixes_never_run(form: str, path: str, content: str) -> None:
    meant = {"path": path, "content": content}
    text = UNTIDY_FORMS[form](meant)
    (call,) = read(native("write_file", text)).calls
    assert (call.problem, json.loads(call.arguments)) == ("", meant)
    for length in range(1, len(text.removesuffix("\n```").removesuffix(" it is"))):
        (call,) = read(native("write_file", text[:length])).calls
        assert call.problem or json.loads(call.arguments) == meant


def test_long_strings_are_repaired_quickly() -> None:
    """The library that repairs JSON would take a quarter of a second for each of these."""
    text = json.dumps({"path": "a.py", "content": 'print("a")\n' * 3000})
    for untidy in (text.replace('"path"', "path"), text[:-1] + ',"tags":["x"}', text.replace(', "con', '\n"con')):
        begun = time.process_time()
        (call,) = read(native("write_file", untidy)).calls
        assert time.process_time() - begun < 0.05
        assert not call.problem and json.loads(call.arguments)["content"].count("print") == 3000


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
shards = st.lists(
    st.sampled_from(
        ['<minimax:tool_call>', '</minimax:tool_call>', '<invoke name="bash">', '<invoke name="write_file">',
         '</invoke>',
         '<parameter name="command">', '<parameter name="path">', '<parameter name="content">', '</parameter>', 'ls',
         '<think>', '</think>', '```json\n', '\n```', '{"name":"bash","arguments":', '{"command":"ls"}', '{"command":"',
         '"}', '}', ',', "'", '\\', '\n', ' ', 'invoke name="bash">', 'parameter>', '<function=bash>', '</function>',
         '<parameter=command>', '<tool_call>', '</tool_call>', '\ud83d', 'é', '{"a":NaN}',
         'null', '\\ud83d', '{"command":5,"x":"\\ud83d"}']
    ),
    max_size=14,
).map("".join)  # fmt: skip
texts = shards | st.text()
entries = st.builds(
    native,
    st.sampled_from(["bash", "Bash", "kill", "write_file", "", None, 3]) | texts,
    texts | anything,
    st.sampled_from(["c1", "", None, 7, "c 1"]) | texts,
)
messages = st.fixed_dictionaries(
    {},
    optional={
        "content": texts | anything,
        "tool_calls": st.lists(entries | anything, max_size=3) | anything,
        **dict.fromkeys(FIELDS, texts | anything),
    },
)
finishes = st.sampled_from(["stop", "length", "tool_calls", "", None])


@settings(max_examples=400, deadline=None)
@given(message=messages, finish=finishes)
def test_any_reply_is_read_into_a_valid_history(message: Any, finish: Any) -> None:
    reply = read_reply(message, finish, TOOLS)
    for call in reply.calls:
        assert call.id and call.name and isinstance(json.loads(call.arguments), dict)
    canonical = json.loads(json.dumps(canonical_message(reply)).encode())
    results = [{"role": "tool", "tool_call_id": call.id, "content": ""} for call in reply.calls]
    assert check_history([canonical, *results]) == ()
    again = read_reply(canonical, "tool_calls" if reply.calls else finish, TOOLS)
    told = [(call.id, call.name, call.arguments) for call in reply.calls]
    assert [(call.id, call.name, call.arguments) for call in again.calls][: len(told)] == told
    assert all(call.repair_step in ("native", "error") for call in again.calls)


@settings(max_examples=200, deadline=None)
@given(message=messages)
def test_only_complete_calls_of_a_truncated_reply_run(message: Any) -> None:
    reply = read_reply(message, "length", TOOLS)
    done = [call for call in reply.calls if not call.problem]
    assert all(call.repair_step != "in_thinking" for call in done)
    last = reply.calls[-1] if reply.calls else None
    if last in done and last is not None and last.repair_step != "in_content":
        assert REPAIR_STEPS.index(last.repair_step) <= REPAIR_STEPS.index("trimmed") or last.repair_step == "schema"


@settings(max_examples=300, deadline=None)
@given(text=texts)
def test_text_reads_as_an_object_or_none(text: str) -> None:
    reading = read_object(text)
    assert reading is None or isinstance(json.loads(json.dumps(reading.value, allow_nan=False)), dict)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"role": st.sampled_from(["user", "assistant", "tool", "odd"])},
            optional={
                "content": texts | st.none(),
                "tool_calls": st.lists(entries | st.none(), max_size=3) | st.none(),
                "tool_call_id": st.sampled_from(["c1", "c1_2", "", "x"]),
            },
        ),
        max_size=6,
    )
)
def test_repairing_a_history_twice_changes_nothing(history: list[dict[str, Any]]) -> None:
    mended = repair_messages(history)
    assert check_history(mended.messages) == ()
    assert repair_messages(mended.messages).messages == mended.messages


def test_deeply_nested_arguments_are_rejected() -> None:
    for text in ("[" * 100_000, '{"a":' * 100_000, "{'a':" * 5_000, '{"command":' + "(" * 5_000):
        assert read(native("bash", text)).outcome == "tool_error"

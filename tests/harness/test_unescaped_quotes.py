"""Arguments with unescaped quotation marks are read exactly or rejected."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.parsing.reply import ReadReply, ToolSpec, read_reply

TEXT = {"type": "string"}


def tool(name: str, *keys: str, shown: bool = True) -> ToolSpec:
    parameters = {"type": "object", "properties": dict.fromkeys(keys, TEXT), "required": list(keys)}
    return ToolSpec(name, name, parameters, is_reversible=True, shows_effect=shown)


TOOLS = (
    tool("bash", "command", shown=False),
    tool("write_file", "path", "content"),
    tool("edit_file", "path", "old", "new"),
)


def called(name: str, arguments: str) -> ReadReply:
    call = {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}
    return read_reply({"content": "", "tool_calls": [call]}, "tool_calls", TOOLS)


def done(reply: ReadReply) -> list[dict[str, str]]:
    return [json.loads(call.arguments) for call in reply.calls if not call.problem]


def with_bare_quotes(meant: dict[str, str], quote: str, *, indent: int | None = None) -> str:
    """The JSON of it as a model writes it that does not escape quotation marks."""
    text = json.dumps(meant, indent=indent).replace('\\"', "\0")
    return text.replace('"', quote).replace("\0", '"')


# A colon makes keys, so that the text could say something else as well; a backslash is escaped or not.
quoting = st.lists(
    st.sampled_from(
        ['"', "'", ",", " ", "\n", "a", "x = ", "{", "}", "[", "]", "#", "//", "+", ")", '"}', '",', '", "']
    )
).map("".join)


@pytest.mark.parametrize("quote", ['"', "'"])
@pytest.mark.parametrize("indent", [None, 1])
@settings(max_examples=150, deadline=None)
@given(old=quoting, new=quoting)
@example(old='a"#b', new="c")
@example(old='"}', new='{"}')
@example(old="", new='y" + "z')
@example(old='tr ", #', new="")
@example(old="", new='"""\'""')
@example(old="", new='""a""')
def test_edit_with_quotes_is_exact_or_rejected(quote: str, indent: int | None, old: str, new: str) -> None:
    meant = {"path": "a", "old": old, "new": new}
    reply = called("edit_file", with_bare_quotes(meant, quote, indent=indent))
    assert done(reply) in ([meant], [])


@settings(max_examples=150, deadline=None)
@given(command=quoting)
@example(command='find . -name "#*" -delete')
@example(command='rm -rf out/"}/tmp')
@example(command='""", ""')
def test_command_with_quotes_is_exact_or_rejected(command: str) -> None:
    for indent in (None, 1):
        assert done(called("bash", with_bare_quotes({"command": command}, '"', indent=indent))) in (
            [{"command": command}],
            [],
        )


def test_common_files_with_quotes_are_written_exactly() -> None:
    for content in (
        'print("a")\n',
        'df = pd.read_csv("train.csv", sep=",")\nprint(df["y"].mean())\n',
        '{\n  "lr": 0.1,\n  "path": "b"\n}\n',
        "print('it', \"is\")\n",
    ):
        meant = {"path": "a.py", "content": content}
        assert done(called("write_file", with_bare_quotes(meant, '"'))) == [meant]


def test_rejection_explains_how_to_escape_a_quotation_mark() -> None:
    (call,) = called("bash", '{"command": "rm -rf out/"}/tmp"}').calls
    assert '`\\"`' in call.problem and "cut off" not in call.problem


def test_file_with_too_many_readings_is_rejected_quickly() -> None:
    content = 'a "b" ' + '", "old": "' * 5_000
    begun = time.process_time()
    assert not done(called("edit_file", '{"new": "' + content + '"}'))
    assert time.process_time() - begun < 0.5


def test_unclosed_quotes_take_linear_time() -> None:
    opened = "{'path': 'a' 'content':'" + "\\'" * 100_000 + "x}"
    unclosed = {"content": "<function=bash><parameter=command>" * 5_000}
    begun = time.process_time()
    assert not done(called("write_file", opened))
    read_reply(unclosed, "stop", TOOLS)
    assert time.process_time() - begun < 0.5


def test_long_file_with_quotes_is_read_quickly() -> None:
    meant = {"path": "a.py", "content": 'print("a", "path")\n' * 50_000}
    begun = time.process_time()
    assert done(called("write_file", with_bare_quotes(meant, '"'))) == [meant]
    assert time.process_time() - begun < 1.0

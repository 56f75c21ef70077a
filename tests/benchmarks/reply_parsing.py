"""Prints how long reading a reply of 32 kB takes, as a ratio to `json.loads` of the same text.

python -m tests.benchmarks.reply_parsing
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from harness.parsing.reply import ToolSpec, read_reply

TEXT = {"type": "string"}
PARAMETERS = {"type": "object", "properties": {"path": TEXT, "content": TEXT}, "required": ["path", "content"]}
TOOLS = (ToolSpec("write_file", "", PARAMETERS, is_reversible=True, shows_effect=True),)
LINE = "total[\"a\"] = frame.loc[rows, 'b'].sum()  # über {all}, [c]\n"
FILE = LINE * (32_000 // len(LINE))
ARGUMENTS = {"path": "a.py", "content": FILE}


SLOW = ("bracket missing", "Python literal", "quotes not escaped")
"""Slower cases: Python parses literals, and larger defects go to a library or a search over all readings."""


def seconds(work: Callable[[], Any], times: int = 50) -> float:
    """The median time of one call."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return sorted(taken)[times // 2]


def native(arguments: Any) -> dict[str, Any]:
    """A reply with one call."""
    return {"content": "", "tool_calls": [{"id": "c1", "function": {"name": "write_file", "arguments": arguments}}]}


def xml(content: str) -> str:
    """The same call as text."""
    return (
        '<minimax:tool_call>\n<invoke name="write_file">\n<parameter name="path">a.py</parameter>\n'
        f'<parameter name="content">{content}</parameter>\n</invoke>\n</minimax:tool_call>'
    )


def main() -> int:
    """Print one line per kind of malformed reply. Returns 1 if any but those in `SLOW` takes 1 ms or more."""
    text = json.dumps(ARGUMENTS)
    cases: dict[str, Any] = {
        "valid": native(text),
        "an object": native(ARGUMENTS),
        "fenced": native(f"```json\n{text}\n```"),
        "encoded twice": native(json.dumps(text)),
        "raw newlines": native(text.replace("\\n", "\n")),
        "last comma": native(text[:-1] + ",}"),
        "prose behind": native(text + " now"),
        "cut off": native(text[:-2]),
        "plain text": {"content": FILE},
        "XML in content": {"content": xml(FILE)},
        "XML in thinking": {"content": "", "reasoning": xml(FILE)},
        "XML that quotes XML": {"content": xml(xml(FILE))},
        "JSON in a fence": {"content": f'```json\n{{"name":"write_file","arguments":{text}}}\n```'},
        "bare keys": native(text.replace('"path"', "path").replace('"content"', "content")),
        "missing comma": native(text.replace(', "content"', '\n"content"')),
        "comments": native("{ // the file\n" + text[1:]),
        "bracket missing": native('{"path":"a.py","tags":["x"' + ',"content":' + json.dumps(FILE) + "}"),
        "Python literal": native(repr(ARGUMENTS)),
        "quotes not escaped": native(text.replace('\\"', '"')),
    }
    base = seconds(lambda: json.loads(text))
    print(f"json.loads of {len(text)} characters: {base * 1e6:.0f} us")
    slowest = 0.0
    for name, message in cases.items():
        taken = seconds(lambda message=message: read_reply(message, "stop", TOOLS))  # type: ignore[misc]
        reply = read_reply(message, "stop", TOOLS)
        print(f"{name:22} {taken * 1e3:8.3f} ms  {taken / base:7.1f} x  {reply.outcome} {dict(reply.repair_steps)}")
        slowest = slowest if name in SLOW else max(slowest, taken)
    print(f"slowest of all but {', '.join(SLOW)}: {slowest * 1e3:.3f} ms (aim: under 1 ms)")
    return int(slowest >= 1e-3)


if __name__ == "__main__":
    sys.exit(main())

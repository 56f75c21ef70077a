"""Writes tool calls in the syntax of each dialect, as the chat templates of the models do."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

Calls = Sequence[tuple[str, Mapping[str, Any]]]
N = "]<]minimax[>["


def raw(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def objects(calls: Calls, arguments: str = "arguments") -> list[str]:
    return [json.dumps({"name": name, arguments: given}) for name, given in calls]


def minimax_m1(calls: Calls) -> str:
    return "<tool_calls>\n" + "\n".join(objects(calls)) + "\n</tool_calls>"


def minimax_m2(calls: Calls) -> str:
    def one(name: str, given: Mapping[str, Any]) -> str:
        inside = "".join(f'<parameter name="{key}">{raw(value)}</parameter>\n' for key, value in given.items())
        return f'<invoke name="{name}">\n{inside}</invoke>\n'

    return "<minimax:tool_call>\n" + "".join(one(*call) for call in calls) + "</minimax:tool_call>"


def minimax_m3(calls: Calls, n: str = N, inner: str = N) -> str:
    def one(name: str, given: Mapping[str, Any]) -> str:
        inside = "".join(f"{inner}<{key}>{element(value)}{inner}</{key}>" for key, value in given.items())
        return f'{n}<invoke name="{name}">{inside}{n}</invoke>\n'

    def element(value: Any) -> str:
        if isinstance(value, list):
            return "".join(f"{inner}<item>{raw(item)}{inner}</item>" for item in value)
        return raw(value)

    return f"{n}<tool_call>\n" + "".join(one(*call) for call in calls) + f"{n}</tool_call>"


def glm45(calls: Calls) -> str:
    def one(name: str, given: Mapping[str, Any]) -> str:
        pairs = (f"<arg_key>{key}</arg_key>\n<arg_value>{raw(value)}</arg_value>\n" for key, value in given.items())
        return f"<tool_call>{name}\n{''.join(pairs)}</tool_call>"

    return "\n".join(one(*call) for call in calls)


def glm47(calls: Calls) -> str:
    def one(name: str, given: Mapping[str, Any]) -> str:
        pairs = (f"<arg_key>{key}</arg_key><arg_value>{raw(value)}</arg_value>" for key, value in given.items())
        return f"<tool_call>{name}{''.join(pairs)}</tool_call>"

    return "".join(one(*call) for call in calls)


def deepseek_v3(calls: Calls) -> str:
    def one(name: str, given: Mapping[str, Any]) -> str:
        body = f"```json\n{json.dumps(given)}\n```"
        return f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n{body}<｜tool▁call▁end｜>"

    return "<｜tool▁calls▁begin｜>" + "\n".join(one(*call) for call in calls) + "<｜tool▁calls▁end｜>"


def deepseek_v31(calls: Calls) -> str:
    def one(name: str, given: Mapping[str, Any]) -> str:
        return f"<｜tool▁call▁begin｜>{name}<｜tool▁sep｜>{json.dumps(given)}<｜tool▁call▁end｜>"

    return "<｜tool▁calls▁begin｜>" + "".join(one(*call) for call in calls) + "<｜tool▁calls▁end｜>"


def dsml(calls: Calls, wrapper: str = "tool_calls", mark: str = "｜DSML｜") -> str:
    def one(name: str, given: Mapping[str, Any]) -> str:
        inside = "".join(
            f'<{mark}parameter name="{key}" string="{str(isinstance(value, str)).lower()}">{raw(value)}'
            f"</{mark}parameter>\n"
            for key, value in given.items()
        )
        return f'<{mark}invoke name="{name}">\n{inside}</{mark}invoke>\n'

    return f"<{mark}{wrapper}>\n" + "".join(one(*call) for call in calls) + f"</{mark}{wrapper}>"


def kimi_k2(calls: Calls) -> str:
    def one(index: int, name: str, given: Mapping[str, Any]) -> str:
        head = f"<|tool_call_begin|>functions.{name}:{index}<|tool_call_argument_begin|>"
        return f"{head}{json.dumps(given)}<|tool_call_end|>"

    inside = "".join(one(index, *call) for index, call in enumerate(calls))
    return f"<|tool_calls_section_begin|>{inside}<|tool_calls_section_end|>"


def kimi_k3(calls: Calls) -> str:
    def kind(value: Any) -> str:
        names = {str: "string", bool: "boolean", int: "number", float: "number", list: "array", dict: "object"}
        return names[type(value)]

    def one(index: int, name: str, given: Mapping[str, Any]) -> str:
        inside = "".join(
            f'<|open|>argument key="{escape(key)}" type="{kind(value)}"<|sep|>{raw(value)}<|close|>argument<|sep|>'
            for key, value in given.items()
        )
        return f'<|open|>call tool="{name}" index="{index}"<|sep|>{inside}<|close|>call<|sep|>'

    inside = "".join(one(index, *call) for index, call in enumerate(calls, 1))
    return f"<|open|>tools<|sep|>{inside}<|close|>tools<|sep|>"


def harmony(calls: Calls) -> str:
    start = "<|start|>assistant"
    return start.join(
        f"<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{json.dumps(given)}<|call|>"
        for name, given in calls
    )


def qwen_xml(calls: Calls) -> str:
    def one(name: str, given: Mapping[str, Any]) -> str:
        inside = "".join(f"<parameter={key}>\n{raw(value)}\n</parameter>\n" for key, value in given.items())
        return f"<tool_call>\n<function={name}>\n{inside}</function>\n</tool_call>"

    return "\n".join(one(*call) for call in calls)


def hermes(calls: Calls) -> str:
    return "\n".join(f"<tool_call>\n{one}\n</tool_call>" for one in objects(calls))


def granite(calls: Calls) -> str:
    return f"<|tool_call|>[{', '.join(objects(calls))}]"


def llama_json(calls: Calls) -> str:
    return "<|python_tag|>" + "; ".join(objects(calls, "parameters"))


def pythonic(calls: Calls) -> str:
    return "[" + ", ".join(f"{n}({', '.join(f'{k}={v!r}' for k, v in given.items())})" for n, given in calls) + "]"


def mistral(calls: Calls) -> str:
    return "".join(f"[TOOL_CALLS]{name}{json.dumps(given)}" for name, given in calls)


def mistral_args(calls: Calls) -> str:
    return "".join(f"[TOOL_CALLS]{name}[CALL_ID]abcdefghi[ARGS]{json.dumps(given)}" for name, given in calls)


def mistral_list(calls: Calls) -> str:
    return f"[TOOL_CALLS] [{', '.join(objects(calls))}]"


def step3(calls: Calls) -> str:
    def one(name: str, given: Mapping[str, Any]) -> str:
        inside = "".join(
            f'<steptml:parameter name="{key}">{raw(value)}</steptml:parameter>' for key, value in given.items()
        )
        head = "<｜tool_call_begin｜>function<｜tool_sep｜>"
        return f'{head}<steptml:invoke name="{name}">{inside}</steptml:invoke><｜tool_call_end｜>'

    return "<｜tool_calls_begin｜>" + "".join(one(*call) for call in calls) + "<｜tool_calls_end｜>"


def nemotron_json(calls: Calls) -> str:
    return f"<TOOLCALL>[{', '.join(objects(calls))}]</TOOLCALL>"


RAW: dict[str, Callable[[Calls], str]] = {
    "minimax_m2": minimax_m2,
    "minimax_m3": minimax_m3,
    "minimax_m3_outer_marks": lambda calls: minimax_m3(calls, inner=""),
    "minimax_m3_no_marks": lambda calls: minimax_m3(calls, "", ""),
    "glm45": glm45,
    "glm47": glm47,
    "deepseek_v32": lambda calls: dsml(calls, "function_calls"),
    "deepseek_v4": dsml,
    "deepseek_v41": lambda calls: dsml(calls, "calls", "｜DSML｜ "),
    "deepseek_v4_ascii_bars": lambda calls: dsml(calls, mark="|DSML|"),
    "deepseek_v4_double_bars": lambda calls: dsml(calls, mark="｜｜DSML｜｜"),
    "kimi_k3": kimi_k3,
    "qwen_xml": qwen_xml,
    "step3": step3,
}
"""Dialects with raw values."""

JSON: dict[str, Callable[[Calls], str]] = {
    "minimax_m1": minimax_m1,
    "deepseek_v3": deepseek_v3,
    "deepseek_v31": deepseek_v31,
    "kimi_k2": kimi_k2,
    "harmony": harmony,
    "hermes": hermes,
    "granite": granite,
    "llama_json": llama_json,
    "mistral": mistral,
    "mistral_args": mistral_args,
    "mistral_list": mistral_list,
    "nemotron_json": nemotron_json,
    "pythonic": pythonic,
}
"""Dialects whose values tell their own end."""

DIALECTS = RAW | JSON
THINKING: dict[str, tuple[str, str]] = {
    "think": ("<think>\n", "\n</think>\n\n"),
    "think_closed_only": ("", "\n</think>\n\n"),
    "mm_think": ("<mm:think>", "</mm:think>"),
    "mm_think_closed_only": ("", "\n</mm:think>"),
    "thinking": ("<thinking>\n", "\n</thinking>\n"),
    "bracket_think": ("[THINK]", "[/THINK]"),
    "kimi_k3": ("<|open|>think<|sep|>", "<|close|>think<|sep|><|open|>response<|sep|>"),
    "kimi_k3_closed_only": ("", "<|close|>think<|sep|><|open|>response<|sep|>"),
    "harmony": ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
}
"""The marks of thinking before an answer."""

"""Matches a call to a tool: finds the tool for a name, and converts arguments to the types of its schema."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.parsing.arguments import read_object
from harness.parsing.json_text import dumps

MOST_NAMED = 5
"""Unknown keys of a call that a note names."""


@dataclass(frozen=True)
class ToolSpec:
    """A tool as described to the model, and which repaired calls of it may be executed.

    `parameters` is a JSON schema of an object. `is_reversible`: its effect can be undone, so repaired calls run;
    otherwise only nearly valid ones do. `shows_effect`: its result shows the effect (a sha256), so ambiguous calls
    run too, if it is also reversible. `aliases` are other names that a parameter is accepted under.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    is_reversible: bool
    shows_effect: bool = False
    aliases: Mapping[str, str] = field(default_factory=dict)

    @property
    def properties(self) -> Mapping[str, Any]:
        """The schemas of the parameters by name."""
        result = self.parameters.get("properties")
        return result if isinstance(result, Mapping) else {}

    @property
    def required(self) -> tuple[str, ...]:
        """The names of the required parameters."""
        return tuple(self.parameters.get("required") or ())


@dataclass(frozen=True)
class Fit:
    """Arguments that fit a tool. `dropped`: a null was removed; `coerced`: a value or a key was changed. `note` tells
    the model which keys were read under another name or ignored."""

    value: dict[str, Any]
    dropped: bool = False
    coerced: bool = False
    is_ambiguous: bool = False
    problem: str = ""
    note: str = ""


MEANT = {
    "bash": "shell sh terminal run run_command run_shell execute execute_bash execute_command exec python ipython "
    "code_interpreter ls grep container_exec",
    "read_file": "cat view view_file open open_file head",
    "write_file": "create create_file save save_file new_file",
    "edit_file": "str_replace str_replace_editor str_replace_based_edit_tool replace replace_in_file edit patch "
    "apply_patch insert",
    "evaluate": "submit submission submit_solution score score_submission validate grade test_submission",
    "wait": "sleep poll wait_for job_output check_job",
    "kill": "cancel terminate stop_job kill_process",
    "recall": "search memory remember find lookup history",
    "checkpoint": "note notes todo todo_write save_progress summarize plan",
    "finish": "done complete end exit stop final_answer task_complete attempt_completion",
}
"""Names that other harnesses use for what a tool here does."""


def find_tool(name: str, tools: Sequence[ToolSpec]) -> ToolSpec | None:
    """Find the tool with this name, or the only one that the name can stand for.

    `Bash`, `bash</function>`, `functions.bash`, `bash:0` and `bashbash` all mean `bash`; `bashresearch` means nothing.
    """
    for tool in tools:
        if tool.name == name:
            return tool
    for spelling in _spellings(name):
        matches = [tool for tool in tools if _plain(tool.name) == spelling]
        if len(matches) == 1:
            return matches[0]
    return None


def nearest_names(name: str, tools: Sequence[ToolSpec]) -> list[str]:
    """The tool names nearest to an unknown name, by meaning first, then by spelling."""
    meant = [tool.name for tool in tools if name.strip().casefold() in MEANT.get(tool.name, "").split()]
    if meant:
        return meant
    plain = {_plain(tool.name): tool.name for tool in tools}
    close = difflib.get_close_matches(_plain(name), plain, n=3, cutoff=0.4)
    return [plain[item] for item in close]


def _spellings(name: str) -> list[str]:
    cleaned = name.strip().lstrip("<`\"'")
    leading = re.match(r"[\w.-]*", cleaned)
    whole = leading[0] if leading else ""
    plain = [_plain(whole), _plain(whole.rsplit(".", 1)[-1])]
    half = len(plain[0]) // 2
    if half and plain[0] == plain[0][:half] * 2:
        plain.append(plain[0][:half])
    return [item for item in plain if item]


def _plain(name: str) -> str:
    return re.sub(r"[_\-\s]", "", name).casefold()


# ------------------------------------------------------------------------------------------------------------ arguments


def fit(tool: ToolSpec, arguments: Mapping[str, Any]) -> Fit:
    """Convert every argument to the type of its schema, if its value is unmistakable.

    Arguments that the schema does not know stay unchanged, with a note. `problem` names missing and mistyped ones.
    """
    keys = _known_keys(tool, arguments)
    value: dict[str, Any] = {}
    dropped = coerced = ambiguous = False
    problems: list[str] = []
    for given, item in arguments.items():
        key = keys[given]
        schema = tool.properties.get(key, {})
        if _means_none(item, schema) and key not in tool.required:
            dropped = True
            continue
        change = coerce(item, schema)
        if not change.fits:
            problems.append(f"`{key}` must be {describe(schema)}, not {_preview(item)}")
        value[key] = change.value
        coerced = coerced or change.changed or key != given
        ambiguous = ambiguous or change.is_ambiguous
    missing = [key for key in tool.required if key not in value]
    if missing:
        problems.insert(0, _missing(tool, missing, value))
    return Fit(value, dropped, coerced, ambiguous, "; ".join(problems), _note(tool, keys))


@dataclass(frozen=True)
class Coerced:
    """A value after conversion: whether it `fits` its schema, and whether it was `changed` to fit."""

    value: Any
    fits: bool = True
    changed: bool = False
    is_ambiguous: bool = False


def coerce(value: Any, schema: Any) -> Coerced:
    """Convert one value to its schema. A value of the `enum` or of an allowed type stays unchanged."""
    if not isinstance(schema, Mapping):
        return Coerced(value)
    choices = schema.get("enum")
    if isinstance(choices, list) and choices:
        return _chosen(value, choices)
    wanted = types_of(schema)
    if not wanted:
        return Coerced(value)
    if any(_has_type(value, kind) for kind in wanted):
        return _items(value, schema)
    for kind in wanted:
        change = _CASTS[kind](value) if kind in _CASTS else None
        if change is not None:
            inner = _items(change.value, schema)
            return Coerced(inner.value, inner.fits, True, change.is_ambiguous or inner.is_ambiguous)
    return Coerced(value, fits=False)


def types_of(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """The type names a schema allows, through `type`, `anyOf` and `oneOf`; empty if it allows any."""
    kind = schema.get("type")
    if isinstance(kind, str):
        return (kind,)
    if isinstance(kind, list):
        return tuple(str(item) for item in kind)
    branches = [*(schema.get("anyOf") or ()), *(schema.get("oneOf") or ())]
    result = [types_of(branch) for branch in branches if isinstance(branch, Mapping)]
    return tuple(item for kinds in result for item in kinds) if all(result) else ()


def describe(schema: Any) -> str:
    """What a schema asks for, in words for the model."""
    if not isinstance(schema, Mapping):
        return "any value"
    if schema.get("enum"):
        return "one of " + ", ".join(dumps(item) for item in schema["enum"])
    names = {"string": "a string", "integer": "an integer", "number": "a number", "boolean": "true or false"}
    names |= {"array": "an array", "object": "an object", "null": "null"}
    return " or ".join(names.get(kind, kind) for kind in types_of(schema)) or "any value"


def _known_keys(tool: ToolSpec, arguments: Mapping[str, Any]) -> dict[str, str]:
    """Map each key to its parameter: `Command` to `command`, unless that is given as well."""
    keys = {given: given for given in arguments}
    for given in arguments:
        matches = [name for name in tool.properties if _plain(name) == _plain(given)]
        matches = matches or [tool.aliases[given]] if given in tool.aliases else matches
        if given not in tool.properties and len(matches) == 1 and matches[0] not in keys.values():
            keys[given] = matches[0]
    return keys


def _note(tool: ToolSpec, keys: Mapping[str, str]) -> str:
    """What the model is told of keys that were read as another one or ignored."""
    if not tool.properties:
        return ""
    notes = [
        f"`{given}` was read as `{key}`" + (": the command is not killed after it" if key == "wait_seconds" else "")
        for given, key in keys.items()
        if key != given and given in tool.aliases
    ]
    ignored = [key[:40] for key in keys.values() if key not in tool.properties]
    if ignored:
        shown = ", ".join(f"`{key}`" for key in ignored[:MOST_NAMED]) + (" ..." if ignored[MOST_NAMED:] else "")
        notes.append(f"`{tool.name}` has no {shown}: ignored")
    return "; ".join(notes)


def _means_none(value: Any, schema: Any) -> bool:
    """Whether a value stands for no value: null, or the word for it where no string is allowed."""
    wanted = types_of(schema) if isinstance(schema, Mapping) else ()
    if isinstance(schema, Mapping) and value in (schema.get("enum") or ()):
        return False
    if value is None:
        return bool(schema) and "null" not in wanted
    return isinstance(value, str) and value in ("None", "null", "") and bool(wanted) and "string" not in wanted


def _chosen(value: Any, choices: list[Any]) -> Coerced:
    if value in choices:
        return Coerced(value)
    plain = str(value).casefold().strip()
    matches = [choice for choice in choices if str(choice).casefold() == plain]
    if len(matches) == 1 and isinstance(value, (str, int, float, bool)):
        return Coerced(matches[0], changed=True)
    return Coerced(value, fits=False)


_TYPES: dict[str, Any] = {"string": str, "integer": int, "number": (int, float), "array": list, "object": dict}
_TYPES |= {"null": type(None), "boolean": bool}


def _has_type(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES.get(kind, object))


def _items(value: Any, schema: Mapping[str, Any]) -> Coerced:
    if isinstance(value, dict) and isinstance(schema.get("properties"), Mapping):
        return _fields(value, schema)
    if not isinstance(value, list) or not isinstance(schema.get("items"), Mapping):
        return Coerced(value)
    changes = [coerce(item, schema["items"]) for item in value]
    return Coerced(
        [change.value for change in changes],
        all(change.fits for change in changes),
        any(change.changed for change in changes),
        any(change.is_ambiguous for change in changes),
    )


def _fields(value: dict[str, Any], schema: Mapping[str, Any]) -> Coerced:
    """An object with its fields converted. Fields that stand for no value are left out if they may be."""
    fields, required = schema["properties"], schema.get("required") or ()
    given = {key: item for key, item in value.items() if key in required or not _means_none(item, fields.get(key, {}))}
    changes = {key: coerce(item, fields.get(key, {})) for key, item in given.items()}
    return Coerced(
        {key: change.value for key, change in changes.items()},
        all(change.fits for change in changes.values()),
        len(given) < len(value) or any(change.changed for change in changes.values()),
        any(change.is_ambiguous for change in changes.values()),
    )


def _as_string(value: Any) -> Coerced | None:
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        are_lines = all(item.endswith("\n") for item in value[:-1])
        return Coerced("".join(value) if are_lines else "\n".join(value), is_ambiguous=not are_lines)
    if isinstance(value, (list, dict)):
        return Coerced(dumps(value), is_ambiguous=True)
    return Coerced(dumps(value)) if isinstance(value, (bool, int, float)) else None


def _as_integer(value: Any) -> Coerced | None:
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d{1,18}(?:\.0*)?\s*", value):
        return Coerced(int(float(value)) if "." in value else int(value))
    return Coerced(int(value)) if isinstance(value, float) and value.is_integer() else None


def _as_number(value: Any) -> Coerced | None:
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?(?:\d{1,300}\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})?\s*", value):
        whole = re.fullmatch(r"\s*[+-]?\d{1,18}\s*", value)
        return Coerced(int(value) if whole else float(value))
    return None


def _as_boolean(value: Any) -> Coerced | None:
    words = {"true": True, "false": False, "1": True, "0": False}
    result = words.get(str(value).strip().casefold()) if isinstance(value, (str, int)) else None
    return None if result is None else Coerced(result)


def _as_array(value: Any) -> Coerced | None:
    if isinstance(value, str) and value.strip().startswith("["):
        # Wrapped in an object, so that the repair steps of arguments apply.
        reading = read_object('{"list":' + value + "}")
        result = reading.value.get("list") if reading and not reading.is_ambiguous else None
        return Coerced(result) if isinstance(result, list) else None
    return Coerced([value]) if isinstance(value, (str, int, float, dict)) and value != "" else None


def _as_object(value: Any) -> Coerced | None:
    reading = read_object(value) if isinstance(value, str) and value.strip().startswith("{") else None
    return Coerced(reading.value, is_ambiguous=reading.is_ambiguous) if reading else None


_CASTS = {
    "integer": _as_integer,
    "number": _as_number,
    "boolean": _as_boolean,
    "array": _as_array,
    "object": _as_object,
    "string": _as_string,
}


def _missing(tool: ToolSpec, missing: Sequence[str], given: Mapping[str, Any]) -> str:
    needs = ", ".join(f"`{key}` ({describe(tool.properties.get(key, {}))})" for key in missing)
    has = ", ".join(f"`{key}`" for key in given) or "nothing"
    return f"`{tool.name}` needs {needs}; given: {has}"


def _preview(value: Any) -> str:
    try:
        text = dumps(value)
    except (ValueError, TypeError, RecursionError):
        text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."

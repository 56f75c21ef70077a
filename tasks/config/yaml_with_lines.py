"""Read YAML and keep the position of every value, so that an error can name its line and column.

TaskError   a mistake in a task; its message has one line per problem, each with what to write instead
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tasks.errors import TaskError

MAX_BYTES = 1_000_000
"""A task file is a page of text; a larger file is not one."""

Location = Sequence[str | int]
"""Keys and list positions from the top of the file down to a value."""

_TEXT = "tag:yaml.org,2002:str"
_PLAIN = {f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool", "null")}
_DATE = "tag:yaml.org,2002:timestamp"


@dataclass(frozen=True)
class YamlFile:
    """A YAML mapping as plain values, its bytes, and the node tree with the position of each value."""

    path: Path
    content: bytes
    values: dict[str, Any]
    root: yaml.MappingNode

    def problem(self, location: Location, message: str, *, at_key: bool = False) -> str:
        """One line for the user: file, line and column of `location` (or of its key), and the message.

        If `location` does not exist in the file, the nearest enclosing value is named.
        """
        mark = self._mark(location, at_key)
        return f"{self.path}:{mark.line + 1}:{mark.column + 1} {message}"

    def _mark(self, location: Location, at_key: bool) -> yaml.Mark:
        node: yaml.Node = self.root
        mark = node.start_mark
        for step in location:
            key, child = _child(node, step)
            if child is None:
                break
            node = child
            mark = key.start_mark if at_key and key is not None else node.start_mark
        return mark


def read_yaml_file(path: Path) -> YamlFile:
    """Read the YAML mapping in a file. Raises TaskError for anything else."""
    content = _read(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise TaskError(f"{path}:{line} is not text in UTF-8. Save the file as UTF-8.") from None
    root = _compose(path, text)
    reader = _Reader(path)
    values = reader.value(root)
    if reader.problems:
        raise TaskError("\n".join(reader.problems))
    assert isinstance(root, yaml.MappingNode) and isinstance(values, dict)
    return YamlFile(path, content, values, root)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise TaskError(f"{path}: cannot be read ({reason}).") from None
    if len(content) > MAX_BYTES:
        raise TaskError(f"{path}: is larger than {MAX_BYTES:,} bytes, so it is not a task file. Name a task.yaml.")
    return content


def _compose(path: Path, text: str) -> yaml.MappingNode:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise TaskError(f"{where} is not valid YAML: {error.problem or error.context}.") from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise TaskError(f"{path}:{line} contains a character that YAML does not allow. Remove it.") from None
    except RecursionError:
        raise TaskError(f"{path}: is nested too deeply for a task file.") from None
    except (yaml.YAMLError, ValueError, ArithmeticError, LookupError) as error:
        raise TaskError(f"{path}: is not valid YAML ({type(error).__name__}).") from None
    if root is None:
        raise TaskError(f"{path}: is empty. `harness tasks digits` shows an example of a task file.")
    if not isinstance(root, yaml.MappingNode):
        mark = root.start_mark
        raise TaskError(f"{path}:{mark.line + 1}:{mark.column + 1} is not a mapping. Write lines like `id: my-task`.")
    return root


def _child(node: yaml.Node, step: str | int) -> tuple[yaml.Node | None, yaml.Node | None]:
    """The key node (None in a list) and the value node one step below `node`; (None, None) if there is none."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == step:
                return key, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return None, node.value[step]
    return None, None


class _Reader:
    """Converts nodes to plain values and collects what a task file may not contain."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[str] = []
        self._constructor = yaml.constructor.SafeConstructor()
        self._seen: set[int] = set()

    def value(self, node: yaml.Node) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        # An alias is the same node again. Aliases may contain themselves or grow exponentially.
        if id(node) in self._seen:
            return self._refuse(node, "uses an alias (`*name`), which a task file cannot contain. Write the value out.")
        self._seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item) for item in node.value]
        return self._mapping(node)

    def _mapping(self, node: yaml.Node) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, child in node.value:
            name = self.value(key) if isinstance(key, yaml.ScalarNode) else None
            if not isinstance(name, str):
                self._refuse(key, "is a key that is not text. Write a name, in quotes if need be.")
            elif name in values:
                self._refuse(key, f"key '{name}' is repeated. Remove one of the two.")
            else:
                values[name] = self.value(child)
        return values

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        if node.tag in (_TEXT, _DATE):
            return self._text(node)
        if node.tag in _PLAIN:
            try:
                return self._constructor.construct_object(node)
            except (yaml.YAMLError, ValueError, ArithmeticError, LookupError):
                return self._refuse(node, "is not a value that can be read. Put it in quotes if it is text.")
        return self._refuse(node, f"has the tag '{node.tag}', which a task file cannot contain. Remove it.")

    def _text(self, node: yaml.ScalarNode) -> Any:
        text = str(node.value)
        if any((ord(char) < 32 and char not in "\n\t") or 0xD800 <= ord(char) < 0xE000 for char in text):
            return self._refuse(node, "contains a control character. Remove it.")
        return text

    def _refuse(self, node: yaml.Node, message: str) -> None:
        mark = node.start_mark
        self.problems.append(f"{self.path}:{mark.line + 1}:{mark.column + 1} {message}")

"""`restore` and `diff`: the files of earlier evaluations."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import Field

from context.truncation.truncate import truncate
from harness.evaluation.evaluated_files import name_of
from harness.tools.tool import Arguments, Tool, ToolContext
from runs.versions.commits import StoredFile
from runs.versions.files import KEPT, LINK
from sandboxes.base import PathRefused

MOST_NAMED = 20
_FILE = re.compile(r"^diff --git a/(.+) b/(.+)$")


class Restore(Arguments):
    evaluation: str = Field(description="An evaluation, such as `003-1`.")
    path: str = Field(default="", description="Only this file or folder; without it all files.")


class Diff(Arguments):
    a: str = Field(description="An evaluation, such as `003-1`.")
    b: str = Field(default="", description="Another one; without it the workspace as it is now.")


@dataclass
class _Restored:
    """What a restore did with each file."""

    written: list[str] = field(default_factory=list)
    equal: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def _restore(context: ToolContext, arguments: Restore) -> str:
    done, folder = _Restored(), f"{KEPT}/{context.job_id}"
    for file in context.evaluated.files(arguments.evaluation, arguments.path):
        try:
            _restore_file(context, arguments.evaluation, file, folder, done)
        except PathRefused as refusal:
            done.skipped.append(f"{name_of(file)} ({refusal})")
    files = "1 file" if len(done.written) == 1 else f"{len(done.written)} files"
    parts = [f"restored {files} of evaluation {arguments.evaluation}: {_names(done.written)}"]
    parts += [f"equal already: {_names(done.equal)}"] if done.equal else []
    parts += [f"your versions are kept in {folder}/: {_names(done.kept)}"] if done.kept else []
    parts += [f"skipped: {_names(done.skipped)}"] if done.skipped else []
    return "\n".join([*parts, "other files of the workspace are unchanged"])


def _restore_file(context: ToolContext, evaluation: str, file: StoredFile, folder: str, done: _Restored) -> None:
    """Write one file through the sandbox; a file that is replaced goes into `folder` first. Raises `PathRefused`."""
    name, content = name_of(file), _content(context, evaluation, file)
    try:
        before = context.files.read(name)
    except FileNotFoundError:
        before = None
    if before == content:
        done.equal.append(name)
        return
    if before is not None:
        context.files.write(f"{folder}/{name}", before)
        done.kept.append(name)
    context.files.write(name, content)
    done.written.append(name)


def _content(context: ToolContext, evaluation: str, file: StoredFile) -> bytes:
    """The content to write: of a link within the workspace that of its target. Raises `PathRefused`."""
    if not name_of(file).isprintable():
        raise PathRefused("its name cannot be written here")
    if file.mode != LINK:
        return file.content
    link = file.content.decode("utf-8", "replace")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(name_of(file)), link))
    if target.startswith(("..", "/")):
        raise PathRefused("a link that leaves the workspace")
    try:
        (found,) = context.evaluated.files(evaluation, target)
    except ValueError:
        raise PathRefused(f"a link to {link}, which is not a file of this evaluation") from None
    if found.mode == LINK:
        raise PathRefused("a link to a link")
    return found.content


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return (", ".join(names[:MOST_NAMED]) or "none") + more


def _diff(context: ToolContext, arguments: Diff) -> str:
    patch = context.evaluated.diff(arguments.a, arguments.b)
    other = f"evaluation {arguments.b}" if arguments.b else "the workspace"
    heading = f"from evaluation {arguments.a} to {other}"
    if not patch:
        return f"{heading}: no difference"
    rest = "use `restore` with a path, or `diff` of other evaluations, to see the rest"
    return f"{heading}:\n{_count(patch)}\n\n{truncate(patch, context.settings.file_tokens, rest)}"


def _count(patch: str) -> str:
    """One line per changed file: its name, lines added and removed."""
    counts: dict[str, list[int]] = {}
    name, in_hunk = "", False
    for line in patch.split("\n"):
        if match := _FILE.match(line):
            name, in_hunk = match[2], False
            counts[name] = [0, 0]
        elif line.startswith("@@"):
            in_hunk = True
        elif in_hunk and name and line[:1] in ("+", "-"):
            counts[name][line[0] == "-"] += 1
    lines = [f"{path}: +{added} -{removed}" for path, (added, removed) in counts.items()]
    more = [f"and {len(lines) - MOST_NAMED} more files"] if len(lines) > MOST_NAMED else []
    return "\n".join([*lines[:MOST_NAMED], *more])


TOOLS = (Tool("restore", Restore, _restore, can_be_undone=True, shows_effect=True), Tool("diff", Diff, _diff))

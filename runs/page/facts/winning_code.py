"""The code behind the submission of record, coloured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup

from runs.page.facts.diffs import colour_file
from runs.page.facts.run_view import RunView
from runs.versions.commits import Versions
from runs.versions.errors import VersionsError
from runs.views.final_choice import members_of_record
from runs.views.format import one_line

FILE_BYTES, CODE_BYTES = 200_000, 700_000
"""The longest file of code that is shown, and all of them together: coloured they are about four times as long."""


def winning_code(view: RunView) -> list[dict[str, Any]]:
    """The code of each solution in the submission of record: its files, coloured."""
    with view.lock:
        found = [view.state.evaluations[name] for name in members_of_record(view.state)]
    left = CODE_BYTES
    members = []
    for evaluation in found:
        files, skipped, left = _files(view.folder, evaluation.commit, left)
        members.append(
            {
                "name": evaluation.id,
                "attempt": evaluation.attempt,
                "commit": evaluation.commit[:12],
                "command": one_line(evaluation.command, 400),
                "files": files,
                "skipped": skipped,
            }
        )
    return members


def _files(folder: Path, commit: str, left: int) -> tuple[list[tuple[str, Markup]], list[str], int]:
    files: list[tuple[str, Markup]] = []
    skipped: list[str] = []
    try:
        with Versions(folder / "repo.git").inspect(commit) as found:
            for file in found:
                content = b"" if file.is_link or file.size > min(FILE_BYTES, left) else file.read()
                if not content or b"\0" in content:
                    skipped.append(f"{file.path} ({file.size:,} bytes)")
                    continue
                left -= len(content)
                files.append((file.path, colour_file(file.path, content)))
    except VersionsError as error:
        skipped.append(f"the code cannot be read: {error}")
    return files, skipped, left

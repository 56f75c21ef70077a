"""The files of earlier evaluations: what `restore`, `diff` and `recall` read of commits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from harness.evaluation.steps.checkout import SOLUTION
from harness.run import Lane
from runs.state import Evaluation
from runs.versions.commits import StoredFile

SEARCHED = 10
"""The commits of this many evaluations, latest first, are searched for a file."""
MOST_NAMED = 12


@dataclass(frozen=True)
class EvaluatedFiles:
    """The commits of a run's evaluations, by the ids that the model knows."""

    lane: Lane

    def files(self, evaluation: str, path: str = "") -> Iterator[StoredFile]:
        """The files of an evaluation at or below `path`. Raises ValueError if there are none."""
        found = self.lane.run.versions.stored_files(self._known(evaluation).commit, path.strip("/").removeprefix("./"))
        first = next(found, None)
        if first is None:
            names = self.lane.run.versions.files(self._known(evaluation).commit)
            more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
            raise ValueError(
                f"evaluation {evaluation} has no file {path}; it has {', '.join(names[:MOST_NAMED])}{more}"
            )
        yield first
        yield from found

    def diff(self, before: str, after: str = "") -> str:
        """The changes from one evaluation to another (empty: to the workspace as it is) as a patch. Raises ValueError
        for an id that does not exist."""
        start = self._known(before).commit
        end = self._known(after).commit if after else self._workspace_commit(start)
        return self.lane.run.versions.diff(start, end)

    def last(self, path: str) -> tuple[str, int, bytes] | None:
        """The file of that path in the latest commit that has it: evaluation, its event number, content."""
        path = path.removeprefix("./").strip("/")
        for evaluation in list(reversed(self.lane.run.state.evaluations.values()))[:SEARCHED]:
            names = self.lane.run.versions.files(evaluation.commit)
            name = next((one for one in names if one == path or one.endswith(f"/{path}")), None)
            if name is not None:
                return evaluation.id, evaluation.started.seq, self.lane.run.versions.read(evaluation.commit, name)
        return None

    def _known(self, evaluation: str) -> Evaluation:
        found = self.lane.run.state.evaluations.get(evaluation.strip())
        if found is None:
            names = list(self.lane.run.state.evaluations)
            known = f"the latest are {', '.join(names[-MOST_NAMED:])}" if names else "there are none yet"
            raise ValueError(f"there is no evaluation {evaluation!r}; {known}")
        return found

    def _workspace_commit(self, other: str) -> str:
        """A commit of the workspace with the steps of `other`: only `evaluate` writes those, so they do not differ."""
        versions, workspace = self.lane.run.versions, self.lane.sandbox.paths.workspace
        replaced = {SOLUTION.encode(): versions.read(other, SOLUTION)}
        return versions.commit(workspace, "the workspace, to be compared", replaced=replaced).hash


def name_of(file: StoredFile) -> str:
    """The path of a stored file as text; bytes that are not UTF-8 become surrogates."""
    return os.fsdecode(file.path)

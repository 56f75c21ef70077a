"""The branches and tags of a run's repository, derived from its state, so that plain git shows the search."""

from __future__ import annotations

from runs.state import State
from runs.versions.commits import MAIN
from runs.views.final_choice import members_of_record


def refs_of(state: State) -> dict[str, str]:
    """All refs of a run and their commits, for `Versions.set_refs`.

    `evaluation/003-1` (tag) is an evaluated commit, `attempt/003` the last one of an attempt, and `main`, which HEAD
    names, the submission of record: its first member where it is an ensemble, missing while it is the sample.
    """
    evaluations = state.evaluations.values()
    refs = {f"refs/tags/evaluation/{evaluation.id}": evaluation.commit for evaluation in evaluations}
    refs |= {f"refs/heads/attempt/{evaluation.attempt:03d}": evaluation.commit for evaluation in evaluations}
    if members := members_of_record(state):
        refs[MAIN] = state.evaluations[members[0]].commit
    return refs

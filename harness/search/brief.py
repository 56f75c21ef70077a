"""What the model reads of a move: its prompt from `context/prompts/moves/`, with results, errors and diffs.

It is rendered once, when the attempt starts, and recorded with it, so that every epoch of the attempt shows the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import Template

from context.advice import PLATEAU
from context.memory import FAULTY, MOST_TOLD, render_evaluation, short_commit
from context.tokens import bytes_for
from context.truncation.truncate import truncate_output
from context.window import prompt
from harness.run import Run
from harness.search.leaders import leaders, were_compared
from harness.search.moves import Move
from runs.branches import branches_of, count_quiet, lines_of
from runs.state import Evaluation, State
from runs.versions.changes import describe_settings, is_settings_only
from runs.versions.errors import VersionsError
from runs.versions.files import PARENTS
from runs.views.format import duration_text
from sandboxes.base import read_log

DIFF_TOKENS, ERROR_TOKENS = 1_500, 1_000
LOOKED_BACK, MOST_LISTED = 30, 8
"""Attempts looked at for changes of settings only, and how many of them are listed."""


def compared_now(run: Run, move: Move) -> list[str]:
    """The two evaluations that an attempt about to start is asked to compare: once per plateau, else none."""
    is_due = move.kind in ("improve", "draft") and count_quiet(run.state) >= PLATEAU and not were_compared(run.state)
    return list(leaders(run.state) or ()) if is_due else []


def render_brief(run: Run, move: Move, wish: str = "", refusal: str = "", compared: Sequence[str] = ()) -> str:
    """The part of the first message that describes the move of an attempt about to start."""
    state = run.state
    parents = [evaluation_at(state, commit) for commit in move.parents]
    values = {
        "base": _name(parents[0]) if parents else "",
        "others": ", ".join(_name(one) for one in parents[1:]),
        "results": "\n".join(f"- {render_evaluation(one)}" for one in parents),
        "error": _error(run, parents[0]) if move.kind == "repair" else "",
        "diffs": _diffs(run, parents) if move.kind == "combine" else "",
        "time": duration_text(sum(one.result.seconds for one in parents)) if move.kind == "ensemble" else "",
    }
    parts = [Template(prompt(f"moves/{move.kind}")).substitute(values).strip()]
    if move.kind in ("improve", "draft") and (advice := _plateau_advice(run)):
        parts.append(advice)
    if compared:
        parts.append(_comparison(run, *compared))
    if move.focus:
        parts.append(f"Focus: {move.focus}")
    if refusal:
        parts.append(f"You asked to continue from evaluation {wish}. This was not done: {refusal}.")
    return "\n\n".join(parts)


def evaluation_at(state: State, commit: str) -> Evaluation:
    """The evaluation that made a commit."""
    return next(one for one in reversed(state.evaluations.values()) if one.commit == commit)


def parent_folders(state: State, parents: Sequence[str]) -> dict[str, str]:
    """The other parents' folders in the workspace, each with its commit."""
    return {f"{PARENTS}/{evaluation_at(state, commit).id}": commit for commit in parents[1:]}


def _name(evaluation: Evaluation) -> str:
    return f"commit {short_commit(evaluation.commit)} (evaluation {evaluation.id})"


def _error(run: Run, evaluation: Evaluation) -> str:
    result = evaluation.result
    if result.distrust_reason:
        return f"not trusted: {result.distrust_reason}"
    job = result.steps[-1].job if result.steps else evaluation.started.job
    log = truncate_output(read_log(run.sandbox, job), 0, ERROR_TOKENS, f"all of it: .jobs/{job}/log").strip()
    message = "" if evaluation.status in FAULTY and len(result.message) <= MOST_TOLD else result.message
    return "\n\n".join(filter(None, [message, f"```\n{log}\n```" if log else ""]))


def _diffs(run: Run, parents: Sequence[Evaluation]) -> str:
    """What each parent's branch changed since its first result."""
    branches, lines = branches_of(run.state), lines_of(run.state)
    sections = []
    for parent in parents:
        line = lines.get(branches[parent.attempt])
        root = line.results[0] if line else parent
        if root.commit == parent.commit:
            sections.append(f"Evaluation {parent.id} is the first of its branch: read its files.")
            continue
        patch = _clip(_diff(run, root.commit, parent.commit))
        sections.append(f"Evaluation {parent.id} against {root.id}, the first of its branch:\n\n```diff\n{patch}\n```")
    return "\n\n".join(sections)


def _diff(run: Run, before: str | None, after: str) -> str:
    try:
        return run.versions.diff(before, after)
    except VersionsError as error:
        return f"({error})"


def _clip(patch: str) -> str:
    limit = bytes_for(DIFF_TOKENS)
    data = patch.encode()
    if len(data) <= limit:
        return patch.strip("\n")
    kept = data[:limit].decode(errors="ignore").rpartition("\n")[0]
    return f"{kept}\n({len(data) - len(kept.encode()):,} bytes left out: read the files)"


def _plateau_advice(run: Run) -> str:
    count = count_quiet(run.state)
    if count < PLATEAU:
        return ""
    tried = settings_tried(run)
    settings = "Changes of settings only that were tried:\n" + "\n".join(f"- {line}" for line in tried) if tried else ""
    return Template(prompt("moves/plateau")).substitute(count=count, settings=settings).strip()


def _comparison(run: Run, best: str, other: str) -> str:
    commits = [run.state.evaluations[name].commit for name in (other, best)]
    values = {"best": best, "other": other, "patch": _clip(_diff(run, *commits))}
    return Template(prompt("moves/compare")).substitute(values).strip()


def settings_tried(run: Run) -> list[str]:
    """Recent attempts that changed nothing but settings, one line each."""
    lines = []
    for attempt in [one for one in run.state.attempts if one.ended and one.parent][-LOOKED_BACK:]:
        evaluations = run.state.evaluations_in(attempt.number)
        patch = _diff(run, attempt.parent, evaluations[-1].commit) if evaluations else ""
        if is_settings_only(patch):
            lines.append(f"attempt {attempt.number}: {describe_settings(patch)}")
    return lines[-MOST_LISTED:]

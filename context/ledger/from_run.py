"""What a run showed, as a fold over its record: for each action whether it brought a real gain.

Only validation scores are read. An action is credited with a paired gain only where one evaluation is a change of the
other: the patch between the two commits is then what made the difference. Two unrelated drafts differ in everything,
so their comparison says nothing about any one action.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from context.ledger.types import AVOID, DO, Evidence, Outcome, Proposal, RunRecord
from context.ledger.vocabulary import Vocabulary
from runs.branches import is_result, origins_of
from runs.state import Attempt, Evaluation, State
from runs.versions.errors import VersionsError

Patch = Callable[[str | None, str], str]
"""The patch from one commit (None: the empty one) to another."""
Log = Callable[[str], str]
"""The last lines that a job printed. They are only searched for known failures, never kept."""
_STRENGTH: Mapping[Outcome, int] = {"dry": 0, "against": 1, "gain": 2}


def record_of(state: State, patch: Patch, vocabulary: Vocabulary, log: Log = lambda job: "") -> RunRecord:
    """The record of an ended run. A commit that is gone shows nothing, nor do changes for data of an unknown kind."""
    created, lessons = state.created, state.lessons
    assert created is not None and lessons is not None
    vocabulary = vocabulary.within(lessons.modality)
    found: dict[str, Evidence] = {}
    changes = _of_changes(state, patch, vocabulary, log) if lessons.modality else ()
    for one in (*changes, *_of_failures(state, vocabulary, log)):
        kept = found.get(one.action)
        if kept is None or _rank(one) > _rank(kept):
            found[one.action] = one
    area, final = _scores(state)
    compared = _of_comparisons(state, patch, vocabulary) if lessons.modality else ()
    proposed = (*compared, *_proposals(state, found, vocabulary))
    return RunRecord(
        id=created.run_id,
        task=created.task_id,
        modality=lessons.modality,
        family=lessons.family,
        fingerprint=created.task_digest,
        metric=created.metric,
        seed=created.settings.seed,
        model=created.settings.model,
        harness=created.harness_version,
        snapshot=lessons.snapshot,
        used_ledger="ledger" in lessons.sources,
        lower_is_better=created.lower_is_better,
        attempts=len(state.attempts),
        area=area,
        final=final,
        at=state.last_at,
        evidence=tuple(found.values()),
        proposals=proposed,
        actions=vocabulary.named([*found, *(one.action for one in proposed)]),
        shown=tuple(lessons.shown),
        withheld=tuple(lessons.withheld),
    )


def _rank(evidence: Evidence) -> tuple[int, bool, float]:
    return _STRENGTH[evidence.outcome], evidence.gain is not None, evidence.gain or 0.0


@dataclass(frozen=True)
class _Change:
    """What an evaluation says about the change from the commit `before` to its own."""

    before: str | None
    outcome: Outcome
    reason: str
    gain: float | None = None
    noise: float | None = None


BLAMELESS = ("process.missing_package", "process.missing_file", "process.invalid_submission")
"""Failures that say nothing about the idea of a change."""
_OUTCOMES: Mapping[str, Outcome] = {"real": "gain", "worse": "against", "unclear": "dry"}


def _of_changes(state: State, patch: Patch, vocabulary: Vocabulary, log: Log) -> Iterable[Evidence]:
    for evaluation in state.evaluations.values():
        attempt = state.attempts[evaluation.attempt - 1] if 0 < evaluation.attempt <= len(state.attempts) else None
        change = _change_of(state, evaluation, attempt) if attempt else None
        if attempt is None or change is None or set(_process_actions(evaluation, vocabulary, log)) & set(BLAMELESS):
            continue
        try:
            text = patch(change.before, evaluation.commit)
        except (VersionsError, OSError):
            text = ""
        for action in vocabulary.of_change(text, f"{attempt.did}\n{_idea(evaluation)}"):
            yield Evidence(
                action=action,
                outcome=change.outcome,
                reason=change.reason,
                attempt=attempt.number,
                evaluation=evaluation.id,
                commit_before=change.before or "",
                commit_after=evaluation.commit,
                first_event=evaluation.started.seq,
                last_event=evaluation.result.seq,
                gain=change.gain,
                noise=change.noise,
            )


def _change_of(state: State, evaluation: Evaluation, attempt: Attempt) -> _Change | None:
    """What an evaluation says about what was changed for it; None: nothing, as with the first score of a run, or where
    it was only compared with work that it does not build on."""
    if evaluation.finished is None or evaluation.status in ("unscored", "sampled"):
        return None
    if evaluation.status != "scored":
        return _Change(_started_from(state, evaluation, attempt), "against", evaluation.status)
    for origin in origins_of(state, evaluation):
        verdict, gain, noise = _compared(state, evaluation, origin)
        if verdict and not is_result(evaluation):
            return _Change(origin.commit, "dry", "not trusted")
        if verdict in _OUTCOMES:
            return _Change(origin.commit, _OUTCOMES[verdict], verdict, gain, noise)
    return None


def _compared(state: State, evaluation: Evaluation, origin: Evaluation) -> tuple[str, float | None, float | None]:
    """Verdict, gain and its noise of an evaluation against the one it changed; an empty verdict if none is recorded."""
    result = evaluation.result
    if result.against == origin.id:
        return result.verdict, result.gain, result.gain_noise
    event = state.comparisons.get((evaluation.id, origin.id))
    return (event.verdict, event.gain, event.gain_noise) if event else ("", None, None)


def _started_from(state: State, evaluation: Evaluation, attempt: Attempt) -> str | None:
    """The commit that a failed evaluation is a change of."""
    earlier = [one for one in state.evaluations_in(attempt.number) if one.started.seq < evaluation.started.seq]
    return earlier[-1].commit if earlier else attempt.parent


def _idea(evaluation: Evaluation) -> str:
    return str(getattr(evaluation.started, "idea", ""))


def _of_failures(state: State, vocabulary: Vocabulary, log: Log) -> Iterable[Evidence]:
    """Failures of the process, and whether a later commit of the same attempt ended them."""
    for evaluation in state.evaluations.values():
        if evaluation.finished is None or evaluation.status not in ("failed", "timeout", "invalid"):
            continue
        later = [
            one
            for one in state.evaluations_in(evaluation.attempt)
            if one.started.seq > evaluation.started.seq and one.status == "scored"
        ]
        for action in _process_actions(evaluation, vocabulary, log):
            yield Evidence(
                action=action,
                outcome="gain" if later else "against",
                reason="gone after a commit" if later else evaluation.status,
                attempt=evaluation.attempt,
                evaluation=evaluation.id,
                commit_before=evaluation.commit,
                commit_after=later[0].commit if later else "",
                first_event=evaluation.started.seq,
                last_event=later[0].result.seq if later else evaluation.result.seq,
                is_process=True,
            )


def _process_actions(evaluation: Evaluation, vocabulary: Vocabulary, log: Log) -> list[str]:
    """The action about the process that a failure calls for."""
    if evaluation.finished is None or evaluation.status not in ("failed", "timeout", "invalid"):
        return []
    kind = "submission invalid" if evaluation.status == "invalid" else evaluation.status
    job = evaluation.result.steps[-1].job if evaluation.result.steps else evaluation.started.job
    printed = log(job) if evaluation.status == "failed" else ""
    return vocabulary.in_message(f"{kind} {evaluation.result.message}\n{printed}")


def _of_comparisons(state: State, patch: Patch, vocabulary: Vocabulary) -> Iterable[Proposal]:
    """What the model said sets the best apart from the runner-up of another branch, where the patch shows it too.

    Two branches differ in more than that, so it is words with both commits as their source, and no evidence of a gain.
    """
    for attempt in state.attempts:
        both = [state.evaluations[name] for name in attempt.compared if name in state.evaluations]
        if len(both) != 2 or not attempt.lessons:
            continue
        best, other = both
        try:
            shown = vocabulary.in_patch(patch(other.commit, best.commit))
        except (VersionsError, OSError):
            continue
        source = f"{best.id} ({best.commit[:10]}) against {other.id} ({other.commit[:10]})"
        for words in attempt.lessons:
            for action in [one for one in vocabulary.in_words(words) if one in shown][:1]:
                yield Proposal(action, " ".join(words.split()), attempt.number, DO, source)


def _proposals(state: State, found: Mapping[str, Evidence], vocabulary: Vocabulary) -> Iterable[Proposal]:
    """The model's lessons that are about an action with evidence in the very attempt that wrote them."""
    for attempt in state.attempts:
        for words in attempt.lessons:
            for action in vocabulary.in_words(words)[:1]:
                evidence = found.get(action)
                if evidence and evidence.attempt == attempt.number and evidence.outcome != "dry":
                    polarity = DO if evidence.outcome == "gain" else AVOID
                    yield Proposal(action, " ".join(words.split()), attempt.number, polarity)


def _scores(state: State) -> tuple[float | None, float | None]:
    """The best validation score so far, averaged over attempts from the first score on, and the best at the end."""
    pick = min if state.lower_is_better else max
    best: float | None = None
    curve = []
    for attempt in state.attempts:
        for one in state.evaluations_in(attempt.number):
            if one.status == "scored" and one.score is not None and not one.result.distrust_reason:
                best = one.score if best is None else pick(best, one.score)
        if best is not None:
            curve.append(best)
    return (sum(curve) / len(curve) if curve else None), best


def forbidden_words(terms: Iterable[str]) -> set[str]:
    """The names of a task and its data that no lesson may contain, without words that any task may use."""
    cleaned = {" ".join(term.lower().split()) for term in terms}
    return {term for term in cleaned if len(term) >= 3 and term not in GENERAL and not term.isdigit()}


GENERAL = frozenset((Path(__file__).parent / "general_words.txt").read_text(encoding="utf-8").split())
"""Words of any task: a column may be called so, and a lesson may use them."""

"""The report of a run, `report.md`: its result, what it cost, and how far the score can be trusted, on one page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from runs.events.registry import (
    Event,
    LessonsChosen,
    LessonsLearned,
    Paused,
    Resumed,
    RunCreated,
    SubmissionChosen,
    Warned,
)
from runs.files import replace_file
from runs.state import Attempt, Evaluation, State
from runs.usage.cache import CacheMeter
from runs.usage.cost import UsageTotals
from runs.usage.repair_steps import count_repair_steps, repair_line
from runs.views.control import control_text, forked_text, own_settings_text, steered_text
from runs.views.final_choice import (
    final_choice_section,
    members_of_record,
    origin_of_score,
    result_evaluation,
    why_best_not_submitted,
)
from runs.views.format import (
    DEMO_MODEL,
    ESTIMATE,
    LABELS_UNPROTECTED,
    duration_text,
    evaluation_medal,
    evaluation_text,
    is_protected,
    model_text,
    money_text,
    one_line,
    printable_lines,
    sandbox_text,
    score_text,
    status_text,
)


def write_report(folder: Path, state: State, events: Iterable[Event]) -> Path:
    """Write `report.md` into a run folder and return its path. `state` is the fold of `events`. Raises OSError."""
    path = folder / "report.md"
    replace_file(path, report(state, events).encode(errors="replace"))
    return path


def report(state: State, events: Iterable[Event]) -> str:
    """The report as Markdown. Reads the events once and keeps none of them."""
    totals, incidents, cache = UsageTotals(), _Incidents(), CacheMeter(keep=True)
    repair_steps: Counter[str] = Counter()
    for event in events:
        totals.add(event)
        incidents.add(event)
        cache.apply(event)
        repair_steps += count_repair_steps([event])
    if state.created is None:
        return "# No run\n\nThe journal is empty.\n"
    sections = [
        _head(state, state.created),
        _result(state),
        _attempts(state, totals),
        final_choice_section(state),
        _usage(totals, cache, repair_line(repair_steps), state),
        _notes(state, state.created, incidents),
    ]
    return printable_lines("\n".join(line for section in sections for line in section))


class _Incidents:
    """Interruptions and warnings, collected from the events."""

    def __init__(self) -> None:
        self.torn = 0
        self.control: list[str] = []
        self.pauses: list[str] = []
        self.warnings: dict[str, int] = {}

    def add(self, event: Event) -> None:
        if isinstance(event, Resumed):
            self.torn += event.torn
        elif isinstance(event, Paused):
            self.pauses.append(event.why)
        elif text := control_text(event):
            self.control.append(text)
        elif isinstance(event, Warned):
            self.warnings[event.message] = self.warnings.get(event.message, 0) + 1


def _head(state: State, created: RunCreated) -> Iterator[str]:
    direction = "lower is better" if created.lower_is_better else "higher is better"
    yield f"# {created.task_id}: {one_line(_result_line(state))}"
    yield ""
    yield f"- run: `{created.run_id}` (seed {created.settings.seed}, harness {created.harness_version})"
    yield f"- model: {model_text(created)}"
    yield f"- sandbox: {sandbox_text(created)}"
    yield f"- metric: {created.metric} ({direction})"
    if created.playbook:
        yield f"- playbook: `{created.playbook[:12]}`"
    if state.lessons:
        yield f"- lessons: {_lessons_line(state.lessons, state.learned)}"
    if state.control.forked:
        yield f"- **{forked_text(state.control.forked)}**: time, cost and attempts include those up to there"
        if own := own_settings_text(state.control.forked):
            yield f"- {own}"
    if steered := steered_text(state):
        yield f"- **{steered}**"
    yield f"- started {created.at}, last event {state.last_at}, {status_text(state)}"
    yield ""


def _lessons_line(chosen: LessonsChosen, learned: LessonsLearned | None) -> str:
    """What earlier runs taught this one, and what it leaves to later ones."""
    names = {"ledger": "the ledger", "knowledge": f"the shipped practices ({chosen.knowledge})"}
    sources = " and ".join(names[source] for source in chosen.sources if source in names)
    shown = (
        f"{len(chosen.shown)} shown from {sources}, snapshot `{chosen.snapshot[:12]}`" if chosen.text else "none shown"
    )
    parts = [f"{shown}{f' ({chosen.note})' if chosen.note else ''}"]
    if chosen.withheld:
        parts.append(f"{len(chosen.withheld)} withheld by chance")
    if learned and not learned.problem:
        parts.append(f"evidence about {learned.evidence} actions written, {len(learned.added)} new lessons")
    if learned and learned.problem:
        parts.append(f"none written: {learned.problem}")
    return one_line("; ".join(parts))


def _result_line(state: State) -> str:
    result = result_evaluation(state)
    if result is None:
        return "no scored submission"
    medal = evaluation_medal(result, state)
    return evaluation_text(result, state) + (f", {medal} ({ESTIMATE})" if medal else "")


def _result(state: State) -> Iterator[str]:
    yield "## Result"
    yield ""
    best = state.best
    if best is None:
        yield "No evaluation made a valid submission."
    else:
        yield f"- {'submitted' if 'record' in state.decisions else 'so far'}: {_result_line(state)}"
        if origin := origin_of_score(state):
            yield f"- its score comes from {one_line(origin)}"
        score = evaluation_text(best, state)
        yield f"- best of the search: {score}, attempt {best.attempt}, commit `{best.commit[:12]}`"
    if state.chosen:
        yield _record_line(state.chosen)
        if why := why_best_not_submitted(state):
            yield f"- **the submission of record is** {why}"
    if members := members_of_record(state):
        first = state.evaluations[members[0]]
        whose = "code" if len(members) == 1 else f"code of its first member, {first.id}"
        yield (
            f"- {whose}: commit `{first.commit[:12]}`, checked out by `git clone repo.git winner`; run it there with "
            f"the task's data in `data`: `{one_line(first.command)}`"
        )
    if state.thresholds:
        lines = state.thresholds
        levels = (("gold", lines.gold), ("silver", lines.silver), ("bronze", lines.bronze), ("median", lines.median))
        known = ", ".join(f"{word} {value:.10g}" for word, value in levels if value is not None)
        origin = f" (leaderboard of {lines.rows})" if lines.rows else ""
        yield f"- thresholds: {known}{origin}; the medal is an estimate until `harness score` grades the run"
    yield ""


def _record_line(chosen: SubmissionChosen) -> str:
    name = chosen.evaluation
    source = "built at the end" if name == "final" else f"evaluation `{name}`" if name else "the sample submission"
    return f"- submission of record: {source}, {one_line(chosen.why)} (sha256 `{chosen.sha256[:12]}`)"


def _attempts(state: State, totals: UsageTotals) -> Iterator[str]:
    yield "## Attempts"
    yield ""
    mark = "" if is_protected(state) else f" ({LABELS_UNPROTECTED})"
    yield f"| attempt | parent | commit | score{mark} | minutes | cost | ended | did |"
    yield "|---|---|---|---|---|---|---|---|"
    for attempt in state.attempts:
        yield "| " + " | ".join(_cell(text) for text in _attempt_row(attempt, state, totals)) + " |"
    yield ""


def _attempt_row(attempt: Attempt, state: State, totals: UsageTotals) -> list[str]:
    best = _best_of(state.evaluations_in(attempt.number), state.lower_is_better)
    spend = totals.attempts.get(attempt.number)
    mark = (
        ", of record"
        if any(state.evaluations[name].attempt == attempt.number for name in members_of_record(state))
        else ""
    )
    return [
        str(attempt.number),
        (attempt.parent or "")[:12] or "none",
        best.commit[:12] if best else "none",
        _score_cell(best) + mark,
        f"{spend.active_seconds / 60:.1f}" if spend else "",
        money_text(spend.cost, spend.is_estimated, state.is_cost_known) if spend else "",
        attempt.ended or "open",
        one_line(attempt.did, 120),
    ]


def _best_of(evaluations: list[Evaluation], lower_is_better: bool) -> Evaluation | None:
    """The evaluation with the best score, or the last one if none was scored."""
    scored = [(item.score, item) for item in evaluations if item.score is not None]
    if not scored:
        return evaluations[-1] if evaluations else None
    pick = min if lower_is_better else max
    return pick(scored, key=lambda pair: pair[0])[1]


def _score_cell(best: Evaluation | None) -> str:
    if best is None:
        return "none"
    if best.finished is None:  # a run that was paused in the middle of it
        return "open"
    mark = ", not trusted" if best.result.distrust_reason else ""
    return score_text(best.score, best.noise) + mark if best.score is not None else best.status


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _usage(totals: UsageTotals, cache: CacheMeter, repairs: str, state: State) -> Iterator[str]:
    total = totals.total
    yield "## Usage"
    yield ""
    yield f"- cost: {money_text(total.cost, total.is_estimated, state.is_cost_known)}"
    yield (
        f"- tokens: {total.prompt_tokens:,} in ({total.cached_share:.0%} cached), {total.completion_tokens:,} out, "
        f"{total.replies} replies to {total.requests} requests ({total.failures} failed, {total.retries} retried)"
    )
    yield (
        f"- time: {duration_text(total.active_seconds)} active: model {duration_text(total.model_seconds)}, "
        f"jobs and tools {duration_text(total.working_seconds)}, waiting for the endpoint "
        f"{duration_text(total.waiting_seconds)}, the harness itself {duration_text(total.own_seconds)}"
    )
    known = [turn for turn in cache.turns if turn.local is not None]
    prompt = sum(turn.prompt for turn in known)
    local = sum(turn.prompt * (turn.local or 0.0) for turn in known) / prompt if prompt else 0.0
    yield (
        f"- window: {cache.epochs} epochs, {cache.flushes} undeclared flushes; {total.cached_share:.1%} of the prompt "
        f"tokens cached according to the endpoint, {local:.1%} according to our count; {cache.alarms} cache alarms"
    )
    if repairs:
        yield f"- tool calls: {repairs}"
    if len(state.turns_by_model) > 1:
        yield "- turns per model: " + ", ".join(f"{model} {turns}" for model, turns in state.turns_by_model.items())
    yield f"- jobs: {total.jobs}, {duration_text(total.job_seconds)} together"
    yield ""


def _notes(state: State, created: RunCreated, incidents: _Incidents) -> Iterator[str]:
    yield "## Notes"
    yield ""
    if not created.protects_labels:
        yield (
            f"- **{LABELS_UNPROTECTED}**: the sandbox `{created.sandbox}` does not isolate, so the agent's code could "
            f"read the held-out labels; trust the scores less than those of an isolated run"
        )
    if created.is_demo:
        yield f"- **{DEMO_MODEL}**: this run was played by a script"
    if created.settings.models:
        yield f"- pretrained weights were mounted: `{created.settings.models}`"
    if created.packages:
        named = {
            "environment": created.settings.environment,
            "image": created.image,
            "runtime": created.settings.runtime,
            "Python": created.python,
        }
        where = "".join(f" ({name} `{value}`)" for name, value in named.items() if value)
        yield f"- installed for the agent{where}: {', '.join(created.packages)}"
    yield f"- resumed {state.resumes} times; {incidents.torn} incomplete last lines of the journal dropped"
    yield f"- {state.breaches} requests did not extend the one before in the same epoch"
    for text in incidents.control:
        yield f"- {text}"
    for why in incidents.pauses:
        yield f"- paused: {one_line(why)}"
    for message, times in incidents.warnings.items():
        yield f"- warning: {one_line(message)}" + (f" ({times} times)" if times > 1 else "")
    yield ""

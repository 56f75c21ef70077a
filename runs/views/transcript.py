"""The transcript of a run as Markdown, for people who ask why it did something, what it cost, and if a score is valid.

Long texts are clipped unless `full` is set. Lines come event by event, so memory use does not grow with the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from runs.events.registry import (
    AttemptEnded,
    AttemptStarted,
    CacheAlarm,
    Call,
    CheckpointTaken,
    EndpointChanged,
    EndpointProbed,
    EpochStarted,
    EvaluationFinished,
    EvaluationStarted,
    Event,
    JobFinished,
    LanesChanged,
    ModelFailed,
    ModelReplied,
    MoveChosen,
    Paused,
    Reminded,
    Resumed,
    RunCreated,
    RunEnded,
    SubmissionChosen,
    TaskDescribed,
    ThresholdsKnown,
    ToolFinished,
    UnknownEvent,
    Warned,
)
from runs.state import State
from runs.views.control import CONTROL, control_text, steered_text
from runs.views.final_choice import result_evaluation, why_best_not_submitted
from runs.views.format import (
    DEMO_MODEL,
    ESTIMATE,
    duration_text,
    evaluation_medal,
    evaluation_text,
    marked_score,
    model_text,
    money_text,
    one_line,
    sandbox_text,
)
from runs.views.messages import arguments_text, split_thinking

SHORT_LINES, SHORT_CHARACTERS = 12, 1_200
SHORT_THINKING = 300


def transcript(events: Iterable[Event], attempt: int | None = None, full: bool = False) -> Iterator[str]:
    """Lines of the transcript, each with its newline.

    `attempt` limits it to the head of the run and that attempt; with `full`, nothing is clipped.
    """
    state = State()
    renderer = _Renderer(state, full)
    for event in events:
        state.apply(event)
        if attempt is None or event.attempt == attempt or isinstance(event, RunCreated):
            yield from (f"{line}\n" for line in renderer.render(event))
    if attempt is None or state.attempts[attempt - 1 : attempt]:
        yield from (f"{line}\n" for line in renderer.close())
    else:
        yield f"\nThis run has no attempt {attempt}; it has {len(state.attempts)}.\n"


class _Renderer:
    """Renders one event after another; `state` already includes the event."""

    def __init__(self, state: State, full: bool) -> None:
        self.state = state
        self.full = full
        self._attempt = 0

    def render(self, event: Event) -> Iterator[str]:
        handler = _HANDLERS.get(type(event))
        lines = list(handler(self, event)) if handler else []
        if lines and event.attempt and event.attempt != self._attempt:
            if self._attempt and not isinstance(event, AttemptStarted):
                yield from ("", f"--- attempt {event.attempt} ---")  # attempts are played at once
            self._attempt = event.attempt
        yield from lines
        if event.unknown_fields and not isinstance(event, UnknownEvent):
            yield f"event {event.seq}: {', '.join(event.unknown_fields)} written by a newer version"

    def close(self) -> Iterator[str]:
        state = self.state
        if state.created is None:
            return
        spend = money_text(state.cost, state.is_cost_estimated, state.is_cost_known)
        usage = f"{spend}, {duration_text(state.active_seconds)} active"
        yield ""
        if state.best is None:
            yield f"**So far: no valid submission; {usage}**"
            return
        if why := why_best_not_submitted(state):
            yield f"**The submission of record is {why}**"
        result = result_evaluation(state) or state.best
        medal = evaluation_medal(result, state)
        estimate = f", medal: {medal} ({ESTIMATE})" if medal else ""
        name = "Submitted" if "record" in state.decisions else "Best"
        yield f"**{name}: {evaluation_text(result, state)} in attempt {result.attempt}{estimate}; {usage}**"

    def _create(self, event: RunCreated) -> Iterator[str]:
        better = "lower" if event.lower_is_better else "higher"
        yield f"# {event.task_id}, run {event.run_id}"
        yield ""
        yield f"- model: {model_text(event)}"
        yield f"- sandbox: {sandbox_text(event)}"
        yield f"- metric: {event.metric}, {better} is better; seed {event.settings.seed}; started {event.at}"
        if event.is_demo:
            yield f"- the model's replies below are scripted: {DEMO_MODEL}"

    def _describe(self, event: TaskDescribed) -> Iterator[str]:
        yield from self._block("task card", event.card)

    def _know_thresholds(self, event: ThresholdsKnown) -> Iterator[str]:
        levels = (("gold", event.gold), ("silver", event.silver), ("bronze", event.bronze), ("median", event.median))
        known = ", ".join(f"{word} {value:.10g}" for word, value in levels if value is not None)
        yield f"- thresholds (never shown to the model): {known}"

    def _start_attempt(self, event: AttemptStarted) -> Iterator[str]:
        names = {e.commit: f" ({e.id})" for e in self.state.evaluations.values()}
        bases = (f"commit {parent[:12]}{names.get(parent, '')}" for parent in event.parents)
        base = " and ".join(bases) or "an empty workspace"
        yield ""
        yield f"## Attempt {event.attempt or len(self.state.attempts)}: {event.move}, from {base} ({event.at})"
        if self.full and event.brief:
            yield from self._block("the move, as the model reads it", event.brief)

    def _choose_move(self, event: MoveChosen) -> Iterator[str]:
        yield ""
        yield f"move of attempt {event.next}, chosen by {event.policy}: {event.move} ({'; '.join(event.reasons)})"
        if event.refusal:
            yield f"the model asked to continue from evaluation {event.wish}; refused: {one_line(event.refusal)}"

    def _change_lanes(self, event: LanesChanged) -> Iterator[str]:
        yield from ("", f"! attempts played at once from now on: {event.parallel} ({one_line(event.why)})")

    def _start_epoch(self, event: EpochStarted) -> Iterator[str]:
        if event.stage:
            yield ""
            yield f"--- window reduced ({event.reason}, {event.stage}): {one_line(event.why)} ---"
        if self.full:
            yield from self._block(f"window head ({event.reason}): system", event.system)
            yield from self._block("window head: tools", event.tools)
            yield from self._block("window head: user", event.user)
            if event.tail:
                yield from self._block("window tail, repaired", event.tail)

    def _probe(self, event: EndpointProbed) -> Iterator[str]:
        yield f"- endpoint probed ({event.when}):"
        yield from (f"  - {finding}" for finding in event.findings)

    def _change_endpoint(self, event: EndpointChanged) -> Iterator[str]:
        yield f"- **the run continues with {event.model} at {event.base_url}**: {one_line(event.why)}"

    def _reply(self, event: ModelReplied) -> Iterator[str]:
        text, thinking = split_thinking(event.message)
        tokens = f"{event.usage.prompt:,} in ({event.usage.cached:,} cached), {event.usage.completion:,} out"
        cost = money_text(event.cost, event.usage.estimated, self.state.is_cost_known)
        usage = f"{tokens}, {duration_text(event.seconds)}, {cost}"
        retries = f", {event.retries} retries" if event.retries else ""
        yield ""
        yield f"### Turn {self.state.turns} ({usage}{retries}; event {event.seq})"
        if thinking.strip():
            shown = thinking if self.full else one_line(thinking, SHORT_THINKING)
            yield ""
            yield from (f"> {line}".rstrip() for line in shown.strip().splitlines())
        if text.strip():
            yield ""
            yield from self._clip(text.strip())
        if event.finish_reason not in ("", "stop", "tool_calls"):
            yield f"(finish reason: {event.finish_reason})"
        for call in event.calls:
            yield from self._call(call)
        if event.raw and self.full:
            yield from self._block("reply as received, before it was repaired", event.raw)

    def _call(self, call: Call) -> Iterator[str]:
        yield ""
        repair = "" if call.repair_step == "native" else f" (repaired: {call.repair_step})"
        yield f"**{call.name}**{repair}"
        yield from self._fence(arguments_text(call.arguments))
        if call.problem:
            yield f"not executed: {one_line(call.problem.removeprefix('Not executed: '))}"

    def _fail(self, event: ModelFailed) -> Iterator[str]:
        then = f"retry in {duration_text(event.again_in)}" if event.again_in is not None else "not retried"
        yield ""
        yield f"! request {event.request} failed: {one_line(event.error)}; {then} ({event.at})"

    def _remind(self, event: Reminded) -> Iterator[str]:
        yield from self._block("reminder by the harness", event.text)

    def _finish_tool(self, event: ToolFinished) -> Iterator[str]:
        mark = ", failed" if event.failed else ""
        yield from self._block(f"result of {event.name}{mark} (event {event.seq})", event.content)

    def _finish_job(self, event: JobFinished) -> Iterator[str]:
        if self.full or event.ended != "exited" or event.exit_code:
            code = "" if event.exit_code is None else f", code {event.exit_code}"
            yield ""
            yield f"job {event.job}: {event.ended}{code} after {duration_text(event.seconds)}"

    def _take_checkpoint(self, event: CheckpointTaken) -> Iterator[str]:
        yield ""
        yield f"checkpoint (event {event.seq}):"
        for name, texts in (("done", event.done), ("decided", event.decided), ("to do", event.todo)):
            yield from (f"- {name}: {one_line(text, SHORT_CHARACTERS)}" for text in texts)
        yield from (f"- open to-do restored by the harness: {one_line(text)}" for text in event.completed)

    def _alarm(self, event: CacheAlarm) -> Iterator[str]:
        yield from ("", f"! cache: {event.message}")

    def _start_evaluation(self, event: EvaluationStarted) -> Iterator[str]:
        yield from ("", f"evaluation {event.evaluation} of commit {event.commit[:12]}: `{one_line(event.command)}`")

    def _finish_evaluation(self, event: EvaluationFinished) -> Iterator[str]:
        evaluation = self.state.evaluations[event.evaluation]
        medal = evaluation_medal(evaluation, self.state)
        parts = [f"**{event.status}: {evaluation_text(evaluation, self.state)}**"]
        parts += ["best so far"] if evaluation.became_best else []
        parts += [f"medal: {medal} ({ESTIMATE})"] if medal else []
        parts += [f"shown to the model: {event.shown_score}"] if event.shown_score else []
        parts += [one_line(event.message)] if event.message else []
        yield ""
        yield f"evaluation {event.evaluation} {', '.join([*parts, duration_text(event.seconds)])}"

    def _choose(self, event: SubmissionChosen) -> Iterator[str]:
        source = f"evaluation {event.evaluation}" if event.evaluation else "the sample submission"
        yield ""
        yield f"submission of record: {source} ({one_line(event.why)})"

    def _end_attempt(self, event: AttemptEnded) -> Iterator[str]:
        attempt = self.state.attempts[event.attempt - 1]
        number, cost = attempt.number, money_text(attempt.cost, is_known=self.state.is_cost_known)
        scored = [e for e in self.state.evaluations_in(number) if e.score is not None]
        pick = min if self.state.lower_is_better else max
        best = pick(scored, key=lambda e: e.score or 0.0) if scored else None
        is_open = any(e.finished is None for e in self.state.evaluations_in(number))
        none = "no score yet" if is_open else "no score"
        score = marked_score(best.score, best.noise, self.state) if best else none
        yield ""
        yield (
            f"**Attempt {number} ended ({event.why}): {score}; {attempt.turns} turns, "
            f"{duration_text(attempt.active_seconds)}, {cost}**"
        )
        notes = (("did", event.did), ("criticism", event.criticism), ("next", event.next))
        for name, text in (*notes, *(("lesson", lesson) for lesson in event.lessons)):
            if text:
                yield f"- {name}: {text if self.full else one_line(text, SHORT_CHARACTERS)}"
        if event.killed_jobs:
            yield f"- jobs still running were killed: {', '.join(event.killed_jobs)}"

    def _resume(self, event: Resumed) -> Iterator[str]:
        torn = ", an incomplete last line of the journal was dropped" if event.torn else ""
        yield ""
        yield f"--- resumed at {event.at} by harness {event.harness_version}{torn} ---"

    def _pause(self, event: Paused) -> Iterator[str]:
        yield ""
        yield f"--- paused at {event.at}: {one_line(event.why)} ---"

    def _control(self, event: Event) -> Iterator[str]:
        yield ""
        yield f"--- {event.at}: {control_text(event)} ---"

    def _warn(self, event: Warned) -> Iterator[str]:
        yield ""
        yield f"! {event.message if self.full else one_line(event.message, SHORT_CHARACTERS)}"

    def _end_run(self, event: RunEnded) -> Iterator[str]:
        yield ""
        steered = steered_text(self.state)
        yield f"--- run ended at {event.at}: {event.why}{f', {steered}' if steered else ''} ---"

    def _unknown(self, event: UnknownEvent) -> Iterator[str]:
        yield ""
        yield f"event {event.seq} of unknown kind `{event.kind}`, written by a newer version"
        if self.full:
            yield from self._fence(event.model_dump_json())

    def _block(self, title: str, text: str) -> Iterator[str]:
        yield ""
        yield f"{title}:"
        yield from self._fence(text)

    def _fence(self, text: str) -> Iterator[str]:
        fence = "```"
        while fence in text:
            fence += "`"
        yield fence
        yield from self._clip(text)
        yield fence

    def _clip(self, text: str) -> Iterator[str]:
        lines = text.split("\n")
        if self.full or (len(text) <= SHORT_CHARACTERS and len(lines) <= SHORT_LINES):
            yield from lines
            return
        shown = text[:SHORT_CHARACTERS].split("\n")[:SHORT_LINES]
        yield from shown
        left = len(text) - len("\n".join(shown))
        yield f"… ({left:,} more characters, shown with --full)"


_HANDLERS: dict[type[Event], Callable[[_Renderer, Any], Iterator[str]]] = {
    RunCreated: _Renderer._create,
    TaskDescribed: _Renderer._describe,
    ThresholdsKnown: _Renderer._know_thresholds,
    EndpointChanged: _Renderer._change_endpoint,
    EndpointProbed: _Renderer._probe,
    AttemptStarted: _Renderer._start_attempt,
    LanesChanged: _Renderer._change_lanes,
    EpochStarted: _Renderer._start_epoch,
    ModelReplied: _Renderer._reply,
    ModelFailed: _Renderer._fail,
    Reminded: _Renderer._remind,
    ToolFinished: _Renderer._finish_tool,
    JobFinished: _Renderer._finish_job,
    CheckpointTaken: _Renderer._take_checkpoint,
    CacheAlarm: _Renderer._alarm,
    EvaluationStarted: _Renderer._start_evaluation,
    EvaluationFinished: _Renderer._finish_evaluation,
    SubmissionChosen: _Renderer._choose,
    AttemptEnded: _Renderer._end_attempt,
    MoveChosen: _Renderer._choose_move,
    Resumed: _Renderer._resume,
    Paused: _Renderer._pause,
    Warned: _Renderer._warn,
    RunEnded: _Renderer._end_run,
    UnknownEvent: _Renderer._unknown,
    **dict.fromkeys(CONTROL, _Renderer._control),
}

"""An attempt: a move applied to a parent commit, turn by turn, until `finish` or a limit."""

from __future__ import annotations

from typing import Literal

from context.loop_detection import END, TEXT_REPLIES
from context.window import prompt
from harness import budget, compact, errors, fallback, leasing, request
from harness.evaluation import submission
from harness.notes import keep_notes, place_notes
from harness.run import Lane, Run, working_on
from harness.search.start import set_up_workspace, start_attempt
from harness.timing.notes import is_overtime
from harness.tools import registry
from harness.tools.notes import Finish
from runs.events.registry import AttemptEnded, EpochStarted, Reminded
from runs.state import Attempt
from runs.versions.errors import VersionsError
from sandboxes.base import JobStatus, SandboxError

Why = Literal["finish", "turns", "time", "window", "poisoned", "budget", "stopped", "unusable_replies", "loop"]

MOST_CHANGED = 12
"""Changed files of an evaluation that the memory names."""


def play(lane: Lane) -> bool:
    """Play one attempt to its end, or continue the open one; False if no budget allows another."""
    attempt = begin(lane)
    if attempt is None:
        return False
    with working_on(lane.number, attempt.number):
        while lane.state.attempt:
            why = end_reason(lane) or limit_window(lane)
            if why:
                end(lane, why)
            else:
                turn(lane)
    return True


def turn(lane: Lane) -> None:
    """One reply of the model and the calls in it."""
    if not lane.state.pending:
        if lane.state.needs_reminder:
            remind(lane)
        if fallback.reconnect(lane):
            open_epoch(lane, "resume", keeps_tail=True)
        request.ask(lane)
    # `finish` ends the attempt, so the other calls of the same reply come first.
    for pending in sorted(lane.state.pending.values(), key=lambda pending: pending.call.name == "finish"):
        lane.run.step()
        finish = registry.perform(lane, pending)
        if finish is not None:
            end(lane, "finish", finish)
            return


def remind(lane: Lane) -> None:
    """Answer a reply without a call. The text is the result of a marked call: a user message would cost the prompt
    cache and all earlier reasoning."""
    loops = lane.notebook.loops
    is_loop = loops.text_replies and loops.text_replies % TEXT_REPLIES == 0
    repeated = f"\n<harness>{loops.warning()}</harness>" if is_loop else ""
    words = prompt("unread_call" if lane.state.unread_dialect else "reminder")
    lane.record(Reminded(text=words + repeated, call=f"harness_{lane.state.turn}"))


def begin(lane: Lane) -> Attempt | None:
    """Start an attempt unless one is open, and return it; None if no budget allows another.

    An attempt without a turn is set up again: a crash may have come between its start and its workspace.
    """
    if lane.state.attempt is None and not start_attempt(lane):
        return None
    attempt = lane.state.attempt
    assert attempt is not None
    if attempt.turns == 0:
        leasing.check_gpus(lane)
        set_up_workspace(lane, attempt)
        place_notes(lane, attempt.move)
    if lane.state.epoch is None:
        open_epoch(lane, "attempt", keeps_tail=False)
    return attempt


def open_epoch(lane: Lane, reason: Literal["attempt", "resume"], *, keeps_tail: bool) -> None:
    """Start a window epoch."""
    lane.record(
        EpochStarted(
            reason=reason,
            system=prompt("system"),
            tools=lane.run.tools.decode(),
            user=compact.first_message(lane, lane.notebook),
            keeps_tail=keeps_tail,
        )
    )


def end_reason(lane: Lane) -> Why | None:
    """Why the open attempt must end now, if it must."""
    attempt = lane.state.attempt
    assert attempt is not None
    if lane.state.pending:
        return None
    if why := budget_end_reason(lane.run):
        return why
    if attempt.turns >= lane.run.settings.attempt_turns:
        return "turns"
    if is_overtime(lane):
        return "time"
    if lane.state.given_up == "poisoned":
        return "poisoned"
    return "loop" if lane.notebook.loops.level >= END else None


def budget_end_reason(run: Run) -> Why | None:
    """Why the budget of the run ends every attempt, if it does."""
    why = budget.spent_budget(run.state, run.active_seconds())
    if why is None:
        return None
    return why if why in ("stopped", "unusable_replies") else "budget"


def limit_window(lane: Lane) -> Why | None:
    """Compact the window if that is due; `window` if it is too large all the same."""
    if lane.state.pending:
        return None
    is_refused = lane.state.given_up == "too_large"
    if not is_refused:
        compact.consider(lane)
    is_over = is_refused or lane.window.tokens() > compact.limit(lane)
    if is_over and lane.state.attempt and lane.state.attempt.turns == 0:
        # Another attempt would begin with the same first message: stop instead of looping.
        errors.fail(
            f"the task and the memory alone take about {lane.window.tokens()} tokens, and this endpoint's window "
            f"leaves room for {compact.limit(lane)}. Set context_tokens and output_tokens in its table in config.toml "
            "or in models.toml, then resume; if window_tokens of this run is the limit, start a new run with a larger "
            "one"
        )
    return "window" if is_over else None


def end(lane: Lane, why: Why, words: Finish | None = None, *, has_failed: bool = False) -> None:
    """End the open attempt: kill its jobs, keep its words and files. `has_failed`: its sandbox may kill none."""
    killed = []
    for job in sorted(lane.state.open_jobs):
        try:
            view = lane.sandbox.kill(job)
        except SandboxError:
            if not has_failed:
                raise
            view = JobStatus(job, "lost")
        if view.ended == "exited":
            lane.run.note_ended(view)
        else:
            killed.append(job)
    said = words or Finish()
    attempt = lane.state.attempt
    assert attempt is not None
    keep_notes(lane)
    lane.record(
        AttemptEnded(
            why=why,
            did=said.did,
            criticism=said.criticism,
            next=said.next,
            lessons=said.lessons,
            continue_from=said.continue_from.strip(),
            killed_jobs=killed,
            done=[text for taken in lane.notebook.checkpoints for text in taken.done],
            facts=lane.notebook.facts.lines(),
            ideas={e.id: lane.notebook.ideas.get(e.id, "") for e in lane.run.state.evaluations_in(attempt.number)},
            changed=_changed_files(lane, attempt),
            attempt=attempt.number,
        )
    )
    submission.keep_attempt(lane.run, attempt.number)
    submission.write_summaries(lane.run)


def _changed_files(lane: Lane, attempt: Attempt) -> dict[str, list[str]]:
    """The files that each evaluation of an attempt changed since the commit before it."""
    changed, before = {}, attempt.parent
    for evaluation in lane.run.state.evaluations_in(attempt.number):
        try:
            names = lane.run.versions.changed(before, evaluation.commit)
        except VersionsError as error:
            names = [f"not known: {error}"]
        more = [f"and {len(names) - MOST_CHANGED} more"] if len(names) > MOST_CHANGED else []
        changed[evaluation.id] = [*names[:MOST_CHANGED], *more]
        before = evaluation.commit
    return changed

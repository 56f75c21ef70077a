"""Drafts of changes that no person wrote: the model proposes them, or they come from lessons about the process.

A draft is a stored version of the playbook that nothing uses. `harness evolve propose VERSION` fixes its trial.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from context.ledger.database import NAME
from context.ledger.ledger import Ledger
from context.ledger.types import ANY, Choice
from context.playbook.proposals import (
    LONGEST_ANSWER,
    Draft,
    ProposalRefused,
    Proposed,
    changed_by,
    question,
    read_answer,
    read_drafts,
    rule_of,
    store_draft,
)
from context.playbook.versions import Playbook, PlaybookError, differences, load_playbook, store_playbook
from context.window import message_bytes
from harness import errors
from harness.commands.evolve_runs import recorded_measures, task_names
from harness.config import resolve
from harness.settings import Settings
from runs.run_settings import RunSettings
from runs.views.format import money_text, one_line, printable, printable_lines

if TYPE_CHECKING:
    from harness.endpoint.client import Model

FOLDER = Path("evolve") / "drafts"
ANSWERS = 3
"""How many answers of the model are read at most; it is told why the earlier ones were refused."""
PATIENCE_SECONDS = 120.0
MOST_TRIED = 20
"""Earlier trials and drafts that the model is shown."""


def drafts(home: Path) -> list[Draft]:
    """All drafts, oldest first."""
    return read_drafts(home / FOLDER)


def ask(assignments: Sequence[str], settings: Settings, tried: Sequence[tuple[str, str]]) -> int:
    """Ask the configured model for one change and store it as a draft.

    `tried`: for each earlier trial the version that it tried, and a line about it.
    """
    playbook = load_playbook(settings.home)
    known = [*tried, *_waiting(settings.home, {version for version, _ in tried})]
    run, model = _open(assignments, settings)
    try:
        question = _question(playbook, run, settings, [line for _, line in known])
        found = _first_legal(model, question, playbook, task_names(settings), {version for version, _ in known})
    finally:
        model.close()
    if found is None:
        errors.say(f"{run.model} proposed no legal change in {ANSWERS} answers: ask again, or write one yourself")
        return errors.ENDPOINT
    proposed, changed = found
    _store(settings.home, playbook, changed, proposed, "model", run.model)
    return errors.DONE


def _waiting(home: Path, tried: Collection[str]) -> list[tuple[str, str]]:
    """Drafts without a trial, as `tried` of `ask`."""
    return [
        (draft.version, f"{draft.changed}: {draft.why} ({draft.measure}; waits for a trial)")
        for draft in drafts(home)
        if draft.version not in tried
    ]


def _open(assignments: Sequence[str], settings: Settings) -> tuple[RunSettings, Model]:
    """The configured endpoint, probed as for a run. Raises `UsageError`, `ModelError`."""
    from harness.endpoint.client import RetryPolicy, open_model
    from harness.endpoint.probe_result import apply_probe
    from harness.startup.check_endpoint import check_endpoint, profile_of
    from harness.startup.create_run import plays_demo

    resolved = resolve(settings, None, {}, assignments)
    run, endpoint = resolved.settings, resolved.endpoint
    if plays_demo(run):
        errors.fail("no model is configured: set model and base_url in config.toml, or with --set NAME=VALUE")
    checked = check_endpoint(run, endpoint, settings)
    profile = apply_probe(profile_of(run, endpoint, False, settings.home), checked.probe)
    patience = RetryPolicy(stall=run.model_stall_seconds)
    key = settings.key_of(run.key_variable)
    return run, open_model(profile, run.base_url, key, patience=patience, extras=endpoint.extras)


def _first_legal(
    model: Model, asked: str, playbook: Playbook, names: Collection[str], known: Collection[str]
) -> tuple[Proposed, Playbook] | None:
    """The first answer that is a legal change and no known version, with the changed playbook; the model is told why
    others are not taken."""
    messages = [message_bytes("user", asked)]
    for _ in range(ANSWERS):
        reply = model.complete(b"", b"[]", messages, patience_seconds=PATIENCE_SECONDS)
        cost = money_text(reply.cost, reply.usage.estimated, model.profile.prices.is_known)
        errors.say(f"{model.profile.model} answered: {reply.usage.prompt + reply.usage.completion:,} tokens, {cost}")
        try:
            proposed = read_answer(reply.text)
            changed = changed_by(proposed, playbook, names)
            if changed.name in known:
                raise ProposalRefused("the same change was proposed before")
            return proposed, changed
        except PlaybookError as error:
            why = printable(str(error))
            errors.say(f"refused: {why}")
            said = message_bytes("assistant", reply.text[:LONGEST_ANSWER] or "(nothing)")
            messages += [said, message_bytes("user", f"That is refused: {why}. Answer with one JSON object again.")]
    return None


def from_lessons(settings: Settings) -> int:
    """Store a draft for each lesson about the process that the rules do not contain yet."""
    playbook, count = load_playbook(settings.home), 0
    known = {draft.version for draft in drafts(settings.home)}
    for choice in _process_lessons(settings.home):
        proposed = rule_of(choice, playbook)
        if proposed is None:
            continue
        changed = changed_by(proposed, playbook, task_names(settings))
        if changed.name not in known:
            _store(settings.home, playbook, changed, proposed, "lesson", choice.lesson.key)
            count += 1
    print(f"{count} new drafts: lessons about the process that happened in two runs or more and are not a rule yet")
    return errors.DONE


def find_draft(home: Path, name: str) -> Draft | None:
    """The draft with this version, or the beginning of it."""
    found = [draft for draft in drafts(home) if name and draft.version.startswith(name)]
    return found[0] if len(found) == 1 else None


def show(old: Playbook, new: Playbook) -> None:
    """Print what differs between two versions."""
    for name in differences(old, new):
        before, after = _lines(old, name), _lines(new, name)
        patch = difflib.unified_diff(before, after, f"old {name}", f"new {name}", lineterm="", n=1)
        print(printable_lines("\n".join(patch)))


def _lines(playbook: Playbook, name: str) -> list[str]:
    if name in playbook.texts:
        return playbook.texts[name].split("\n")
    return [f"{name} = {playbook.settings[name]}"] if name in playbook.settings else [f"{name} has its default"]


def _store(home: Path, old: Playbook, new: Playbook, proposed: Proposed, origin: str, source: str) -> None:
    store_playbook(home, old)
    store_playbook(home, new)
    draft = Draft(
        version=new.name,
        base=old.name,
        origin="model" if origin == "model" else "lesson",
        source=source,
        changed=proposed.prompt or proposed.setting,
        measure=proposed.measure,
        why=" ".join(proposed.why.split()),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    store_draft(home / FOLDER, draft)
    print(f"draft {draft.version}: changes {draft.changed}; {draft.measure} should fall, as {printable(draft.why)}")
    show(old, new)
    print(f"If it makes sense, fix its trial: harness evolve propose {draft.version} --task NAME=LOW:HIGH\n")


def _process_lessons(home: Path) -> list[Choice]:
    """Lessons about the process, most frequent first."""
    if not (home / NAME).is_file():
        return []
    with Ledger(home / NAME, read_only=True) as ledger:
        found = [one for one in ledger.records(ANY, ANY) if one.record.is_eligible]
    return sorted(found, key=lambda one: (-one.record.played[0], one.lesson.key))


def _question(playbook: Playbook, run: RunSettings, settings: Settings, tried: Sequence[str]) -> str:
    lessons = [
        f"{one.lesson.words} (happened in {one.record.played[0]} runs)"
        for one in _process_lessons(settings.home)
        if one.record.played[0] > 0
    ]
    lines = [one_line(line, 300) for line in tried[-MOST_TRIED:]]
    return question(playbook, run, recorded_measures(settings), lessons, lines)

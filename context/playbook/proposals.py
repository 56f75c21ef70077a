"""Proposals that no person wrote: one change of the playbook by the model, or by a lesson about the process.

Such a text is not trusted: it is bounded and checked here, stored as a version that nothing uses, and shown to a
person, who decides whether to try it. A trial decides whether it is kept.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from string import Template
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from context.ledger.lint import markup_in, names_any
from context.ledger.types import Choice
from context.playbook.trial import MEASURES
from context.playbook.versions import Playbook, PlaybookError, check_texts, read_record
from runs.run_settings import RunSettings

QUESTION = Path(__file__).parent / "proposal.md"
LONGEST, LONGEST_WHY, LONGEST_PROMPT = 2_000, 600, 8_000
"""Characters of a new passage, of its reason, and of a whole prompt after the change."""
LONGEST_ANSWER = 20_000
SETTINGS = ("temperature", "top_p", "top_k", "attempt_hours", "attempt_turns", "finalists")
"""Settings that may be proposed. `search` is not one of them: it can name a file with code."""
NOT_OFFERED = ("user", "lessons", "reminder", "unread_call")
"""Prompts that are little more than placeholders, or marks of who speaks."""
LEAST_RUNS = 2
"""Runs in which something must have gone wrong before a lesson about it is proposed as a rule."""


class ProposalRefused(PlaybookError):
    """A proposal is not a legal change; the message says why."""


class Proposed(BaseModel):
    """The answer of the model: one passage of one prompt, or one setting."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    prompt: str = Field(default="", max_length=60)
    old: str = Field(default="", max_length=LONGEST)
    new: str = Field(default="", max_length=LONGEST)
    setting: str = Field(default="", max_length=60)
    value: int | float | None = None
    measure: str
    why: str = Field(min_length=1, max_length=LONGEST_WHY)


class Draft(BaseModel):
    """A proposal that was stored as a version of the playbook and not tried yet. `source`: a model or a lesson."""

    model_config = ConfigDict(frozen=True)

    version: str
    base: str
    origin: Literal["model", "lesson"]
    source: str
    changed: str
    measure: str
    why: str
    created_at: str = ""


def read_answer(text: str) -> Proposed:
    """The proposal in a reply, which may stand between other words. Raises `ProposalRefused`."""
    if len(text) > LONGEST_ANSWER:
        raise ProposalRefused(f"the answer is longer than {LONGEST_ANSWER:,} characters")
    found = _objects(text)
    if len(found) != 1:
        count = f"{len(found)} JSON objects: choose one change" if found else "no complete JSON object"
        raise ProposalRefused(f"the answer holds {count}")
    try:
        return Proposed.model_validate(found[0])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ProposalRefused(f"{where or 'the JSON object'}: {first['msg']}") from None


def _objects(text: str) -> list[dict[str, Any]]:
    """The different JSON objects in a text, but for those within others. Strings may hold line breaks."""
    decoder, found, start = json.JSONDecoder(strict=False), [], text.find("{")
    while start >= 0:
        end = start + 1
        with contextlib.suppress(ValueError, RecursionError):
            value, end = decoder.raw_decode(text, start)
            found += [value] if value not in found else []
        start = text.find("{", end)
    return found


def changed_by(proposed: Proposed, playbook: Playbook, names: Collection[str] = ()) -> Playbook:
    """The playbook with the proposed change. `names`: those of tasks, in lower case, which no rule may contain.

    Raises `ProposalRefused` for anything but one legal change.
    """
    if proposed.measure not in MEASURES:
        raise ProposalRefused(f"measure: choose one of {', '.join(MEASURES)}")
    if bool(proposed.prompt) == bool(proposed.setting):
        raise ProposalRefused("change either one prompt or one setting")
    for name, text in (("new", proposed.new), ("why", proposed.why)):
        if why := _problem(text, names):
            raise ProposalRefused(f"{name}: it {why}")
    if proposed.setting:
        return _with_setting(proposed, playbook)
    changed = Playbook({**playbook.texts, proposed.prompt: _edited(proposed, playbook)}, playbook.settings)
    check_texts({proposed.prompt: changed.texts[proposed.prompt]}, proposed.prompt)
    if changed.texts[proposed.prompt].split() == playbook.texts[proposed.prompt].split():
        raise ProposalRefused("it changes nothing")
    return changed


def rule_of(choice: Choice, playbook: Playbook) -> Proposed | None:
    """A lesson about the process as a rule at the end of the system prompt; None if it stands there already, or too
    few runs speak for it."""
    happened, mended, _ = choice.record.played
    words = choice.lesson.words.rstrip(".")
    if happened < LEAST_RUNS or words in playbook.texts["system"]:
        return None
    why = f"it happened in {happened} runs and was mended later in {mended}"
    return Proposed(prompt="system", new=f"- {words}.", measure="failed_attempts", why=why)


def question(
    playbook: Playbook,
    settings: RunSettings,
    measured: Sequence[tuple[str, dict[str, float]]],
    lessons: Sequence[str],
    tried: Sequence[str],
) -> str:
    """What the model is asked. `measured`: for each recorded run its version and measures."""
    values = {name: playbook.settings.get(name, getattr(settings, name)) for name in SETTINGS}
    head = [f"| version | {' | '.join(MEASURES)} |", "|---" * (len(MEASURES) + 1) + "|"]
    rows = [" | ".join([version, *(f"{numbers[name]:.3g}" for name in MEASURES)]) for version, numbers in measured]
    offered = {name: text for name, text in playbook.texts.items() if name not in NOT_OFFERED}
    return Template(QUESTION.read_text(encoding="utf-8")).substitute(
        rules="\n\n".join(f"Text `{name}`:\n\n{_quoted(text)}" for name, text in sorted(offered.items())),
        version=playbook.name,
        settings="\n".join(
            f"- {name}: {'default' if value is None else value}. {RunSettings.model_fields[name].description}"
            for name, value in values.items()
        ),
        measures="\n".join([*head, *(f"| {row} |" for row in rows)]) if rows else "No run has been recorded yet.",
        meanings="\n".join(f"- {name}: {meaning}" for name, meaning in MEASURES.items()),
        lessons="\n".join(f"> {line}" for line in lessons) or "None yet.",
        tried="\n".join(f"> {line}" for line in tried) or "None yet.",
        longest=f"{LONGEST:,}",
    )


def _with_setting(proposed: Proposed, playbook: Playbook) -> Playbook:
    name = proposed.setting
    if name not in SETTINGS:
        raise ProposalRefused(f"setting: choose one of {', '.join(SETTINGS)}")
    try:
        value = getattr(RunSettings.model_validate({name: proposed.value}), name)
    except ValidationError as error:
        raise ProposalRefused(f"{name}: {error.errors()[0]['msg']}") from None
    if value is None or value == playbook.settings.get(name, RunSettings.model_fields[name].default):
        raise ProposalRefused("it changes nothing")
    return Playbook(playbook.texts, {**playbook.settings, name: value})


def _edited(proposed: Proposed, playbook: Playbook) -> str:
    name, old = proposed.prompt, proposed.old.strip()
    text = playbook.texts.get(name)
    if text is None or name in NOT_OFFERED:
        raise ProposalRefused(f"prompt: choose one of {', '.join(sorted(set(playbook.texts) - set(NOT_OFFERED)))}")
    if old and text.count(old) != 1:
        raise ProposalRefused(f"old: it must occur once in {name}, and occurs {text.count(old)} times")
    new = text.replace(old, proposed.new.strip()) if old else f"{text}\n{proposed.new.strip()}"
    if len(new) > LONGEST_PROMPT:
        raise ProposalRefused(f"{name} would be longer than {LONGEST_PROMPT:,} characters")
    return new.strip()


def _problem(text: str, names: Collection[str]) -> str:
    if not "".join(text.split("\n")).replace("\t", " ").isprintable():
        return "holds characters that cannot be printed"
    if found := markup_in(text):
        return f"contains {found}"
    return "names a task" if names_any(text, names) else ""


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.split("\n"))


def store_draft(folder: Path, draft: Draft) -> None:
    """Write a draft beside the others."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{draft.version}.json").write_text(draft.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_drafts(folder: Path) -> list[Draft]:
    """All drafts, oldest first."""
    found = [read_record(Draft, path) for path in folder.glob("*.json")]
    return sorted(found, key=lambda draft: (draft.created_at, draft.version))

"""What a run reads of the ledger: lessons as quoted data, each with its record. Code renders every number."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from context.ledger import rules
from context.ledger.types import ANY, Choice, Selection
from context.tokens import bytes_for
from context.window import prompt


def render_lessons(selection: Selection, modality: str) -> str:
    """The lessons of a run as Markdown; empty if there are none."""
    if not selection.shown:
        return ""
    return "\n".join([_head(selection, modality), *(render_choice(choice) for choice in selection.shown)])


def render_choice(choice: Choice) -> str:
    """One lesson in one line: what to do, why, and its record."""
    lesson = choice.lesson
    situation = f" ({lesson.situation})" if lesson.situation else ""
    reason = f" Why: {lesson.reason}" if lesson.reason else ""
    line = f"> {'do' if lesson.polarity > 0 else 'avoid'}: {lesson.words}{situation}."
    return f"{line}{reason} [{record_text(choice)}]".replace("..", ".")


def record_text(choice: Choice) -> str:
    """The record of a lesson as a reader understands it."""
    record, lesson = choice.record, choice.lesson
    tried, gains, failed = record.played
    parts = []
    if lesson.origin in ("pack", "import"):
        parts.append("general practice" if lesson.origin == "pack" else "imported")
    runs = f"{tried} run{'s' if tried > 1 else ''}{' of this task' if lesson.task else ''}"
    if tried > 0 and lesson.modality == ANY:
        parts.append(f"happened in {runs}, mended later in {gains}")
    elif tried > 0:
        low, high = rules.interval(gains, tried)
        what = f"real gain in {gains}" if lesson.polarity > 0 else f"failed in {failed}"
        where = f", {record.own_gains} of them in tasks like this" if gains > 0 and not lesson.task else ""
        interval = f" (90 % interval {low:.2f} to {high:.2f})" if lesson.polarity > 0 else ""
        parts.append(f"tried in {runs}, {what}{where}{interval}")
    elif parts:
        parts.append("not tried here yet")
    if choice.slot == "explore":
        parts.append("shown by chance")
    return "; ".join(parts)


def fits(modality: str, base_rate: float = 0.0) -> Callable[[Sequence[Choice]], bool]:
    """A test whether a list of lessons is short enough for the first message."""

    def is_short(choices: Sequence[Choice]) -> bool:
        text = render_lessons(Selection(shown=choices, base_rate=base_rate), modality)
        return len(text.encode()) <= bytes_for(rules.MOST_TOKENS)

    return is_short


def _head(selection: Selection, modality: str) -> str:
    """The heading; its paragraph about the rate only if there are runs that know one."""
    paragraphs = [text for text in prompt("lessons").strip().split("\n\n") if selection.runs or "$rate" not in text]
    head = "\n\n".join(paragraphs).replace("$modality", modality.replace("_", " "))
    return head.replace("$rate", f"{selection.base_rate:.2f}") + "\n"

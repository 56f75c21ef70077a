"""Steps as the model declares them: read at the border, checked against the commit, every fault in one answer."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from harness.evaluation.steps import patterns
from harness.evaluation.steps.checkout import RULE, SETTINGS, Contents
from runs.events.registry import Step

SUBMISSION = "submission.csv"
MAX_STEPS, MAX_PATTERNS = 20, 50
_IGNORED = frozenset(("name", "description", "comment"))
_WORD = re.compile(r"[^\s'\"=;|&<>()]+")


class StepsRefused(ValueError):
    """The steps of a solution cannot be run; the message lists every fault."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("not evaluated:\n" + "\n".join(f"- {fault}" for fault in faults))
        self.faults = tuple(faults)


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Patterns = Annotated[list[str], BeforeValidator(_as_list)]


class StepArguments(BaseModel):
    """One step as the model writes it. DVC's words for the three are understood too."""

    model_config = ConfigDict(frozen=True, extra="allow")

    command: str = Field(
        description="Run in a clean sandbox with ./data and `uses`.",
        validation_alias=AliasChoices("command", "cmd"),
    )
    uses: Patterns | None = Field(
        None,
        description="Files, folders or globs it reads: code, and what earlier steps made. Left out: all.",
        validation_alias=AliasChoices("uses", "deps"),
    )
    makes: Patterns | None = Field(
        None,
        description="Files, folders or globs it writes and later steps use. Last step: submission.csv.",
        validation_alias=AliasChoices("makes", "outs"),
    )


def read_steps(arguments: Sequence[StepArguments]) -> tuple[list[Step], list[str]]:
    """The steps with normalised patterns, the last one with `submission.csv`; and what is wrong with them."""
    faults: list[str] = []
    if not arguments:
        faults.append("`steps` is empty: give one step at least, or `command`")
    if len(arguments) > MAX_STEPS:
        faults.append(f"{len(arguments)} steps are too many: at most {MAX_STEPS}")
    steps = [_read_step(number, one, faults) for number, one in enumerate(arguments[:MAX_STEPS], 1)]
    for number, one in enumerate(arguments[:-1], 1):
        if not one.makes:
            faults.append(f"step {number} makes nothing: name the files that later steps use in its `makes`")
    if steps:
        _check_last(steps, faults)
    return steps, faults


def one_step(command: str) -> list[Step]:
    """The steps of a solution that is one command: it uses all code and makes `submission.csv`."""
    return [Step(command=command, makes=[SUBMISSION])]


def canonical(steps: Sequence[Step]) -> str:
    """The text of `solution.json`: equal for steps that mean the same."""
    plain = [
        {
            "command": step.command,
            **({} if step.uses is None else {"uses": sorted(set(step.uses))}),
            "makes": sorted(set(step.makes)),
        }
        for step in steps
    ]
    return json.dumps({"steps": plain}, indent=1, ensure_ascii=False) + "\n"


def parse_solution(text: str) -> list[Step]:
    """The steps in a `solution.json`. Raises ValueError if it is none."""
    try:
        return [Step.model_validate(one) for one in json.loads(text)["steps"]]
    except (ValidationError, TypeError, KeyError, ValueError) as error:
        raise ValueError("this is no solution.json of an evaluation") from error


def joined_command(steps: Sequence[Step]) -> str:
    """All steps as one command line, which does the same in a checkout."""
    if len(steps) == 1:
        return steps[0].command
    return " && ".join(f"(\n{s.command}\n)" if re.search(r"[\n;|&#]", s.command) else s.command for s in steps)


def _read_step(number: int, one: StepArguments, faults: list[str]) -> Step:
    if unknown := sorted(set(one.model_extra or {}) - _IGNORED):
        faults.append(f"step {number}: {', '.join(unknown)} is not known; a step has command, uses and makes")
    if not one.command.strip() or "\0" in one.command:
        faults.append(f"step {number} has no command" if "\0" not in one.command else f"step {number} has a NUL")
    uses = None if one.uses is None else _normalised(number, "uses", one.uses, faults)
    makes = _normalised(number, "makes", one.makes or [], faults)
    for pattern in makes:
        if patterns.is_below(pattern, "data", ".jobs"):
            faults.append(f"step {number} makes {pattern}: `data` and `.jobs` are read-only")
    return Step(command=one.command, uses=uses, makes=makes)


def _normalised(number: int, key: str, given: Sequence[str], faults: list[str]) -> list[str]:
    result = []
    if len(given) > MAX_PATTERNS:
        faults.append(f"step {number}: `{key}` has {len(given)} entries; use folders and globs, at most {MAX_PATTERNS}")
    for pattern in given[:MAX_PATTERNS]:
        try:
            result.append(patterns.normalise(pattern))
        except ValueError as error:
            faults.append(f"step {number} {key} {pattern[:100]!r}, which {error}")
    return result


def _check_last(steps: list[Step], faults: list[str]) -> None:
    if not steps[-1].makes:
        steps[-1] = steps[-1].model_copy(update={"makes": [SUBMISSION]})
    elif not patterns.Matcher(steps[-1].makes)(SUBMISSION):
        early = [str(n) for n, step in enumerate(steps, 1) if patterns.Matcher(step.makes)(SUBMISSION)]
        where = f"; step {early[-1]} makes it: put that one last" if early else ": add it to its `makes`"
        faults.append(f"the last step must make {SUBMISSION}{where}")


# --------------------------------------------------------------------------------------------- against the commit


def masked(steps: Sequence[Step], contents: Contents) -> frozenset[str]:
    """Settings of a commit that a step makes again: no step may read the commit's copy."""
    is_made = patterns.Matcher(pattern for step in steps for pattern in step.makes)
    return frozenset(
        path for path in contents.held if "." + path.rpartition(".")[2].lower() in SETTINGS and is_made(path)
    )


def used_files(step: Step, paths: Sequence[str]) -> list[str]:
    """Which of these paths a step uses: those its patterns match, and those its command names."""
    if step.uses is None:
        return sorted(paths)
    named = {word.removeprefix("./") for word in _WORD.findall(step.command)}
    is_used = patterns.Matcher(step.uses)
    return sorted(path for path in paths if path in named or is_used(path))


def check_steps(steps: Sequence[Step], contents: Contents) -> list[str]:
    """The faults of steps on a commit: links, code that a step would replace, files that nobody makes, cycles."""
    hidden = masked(steps, contents)
    held = [path for path in contents.held if path not in hidden]
    links = {path for path, why in contents.left_out.items() if why == "a link"}
    faults = []
    for number, step in enumerate(steps, 1):
        for pattern in step.makes:
            if link := next((link for link in sorted(links) if patterns.matches(link, pattern)), ""):
                faults.append(f"step {number} makes {pattern}, but {link} is a link in the workspace: remove it")
            elif patterns.is_literal(pattern) and pattern in held:
                faults.append(f"step {number} makes {pattern}, which is code of the commit: write to another file")
        faults += [fault for pattern in step.uses or () if (fault := _unmade(number, pattern, steps, held, contents))]
    return faults


def _unmade(number: int, pattern: str, steps: Sequence[Step], held: Sequence[str], contents: Contents) -> str:
    """Why a pattern of `uses` names nothing; empty if the commit has it or an earlier step makes it."""
    if patterns.is_below(pattern, "data") or any(patterns.matches(pattern, path) for path in held):
        return ""
    makers = [at for at, step in enumerate(steps, 1) if any(patterns.may_overlap(pattern, made) for made in step.makes)]
    if any(at < number for at in makers):
        return ""
    if number in makers:
        return f"step {number} uses {pattern}, which it makes itself: make it in an earlier step"
    if makers:
        later = makers[0]
        if _depends(later, number, steps):
            return f"steps {number} and {later} make a cycle: {number} uses {pattern} of {later}, which needs {number}"
        return f"step {number} uses {pattern}, which only step {later} makes: put that step before it"
    if left := next((path for path in contents.left_out if patterns.matches(pattern, path)), ""):
        return (
            f"step {number} uses {pattern}, but no evaluation holds {left} ({contents.left_out[left]}): add a step "
            f"that makes it from ./data, with {pattern} in its `makes`"
        )
    return f"step {number} uses {pattern}: the commit has no such file ({RULE}), and no earlier step makes it"


def _depends(later: int, earlier: int, steps: Sequence[Step]) -> bool:
    """Whether a step uses, through others, what an earlier one makes."""
    todo, seen = [later], set()
    while todo:
        at = todo.pop()
        if at in seen:
            continue
        seen.add(at)
        uses = steps[at - 1].uses
        for other, step in enumerate(steps, 1):
            if uses is not None and any(patterns.may_overlap(use, made) for use in uses for made in step.makes):
                todo.append(other)
    return earlier in seen

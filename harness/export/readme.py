"""The README of an exported run: what it is, its scores, where it comes from, and how to run it."""

from __future__ import annotations

from collections.abc import Iterator

from harness.evaluation.steps.declare import joined_command
from harness.export.record import UNKNOWN_PARTS, Record
from runs.state import Evaluation
from runs.views.final_choice import origin_of_score, result_evaluation
from runs.views.format import (
    ESTIMATE,
    evaluation_medal,
    evaluation_text,
    medal_text,
    model_text,
    one_line,
    printable_lines,
    sandbox_text,
)

COMBINED = (
    "The harness combined them (a weighted vote of labels, or a weighted mean of numbers or ranks). The code with "
    "which it did that is in `reproduce/`."
)


def readme(record: Record) -> str:
    """The README as Markdown."""
    sections = (_head(record), _scores(record), _parts(record), _use(record), _provenance(record))
    return printable_lines("\n".join(line for section in sections for line in section))


def _head(record: Record) -> Iterator[str]:
    yield f"# The submission of {record.created.run_id}"
    yield ""
    yield f"Code that a run of `harness` wrote for the task {one_line(record.created.task_id)}."
    yield f"`sh run.sh` makes its submission again, as `submission.csv`{'' if record.is_exact else ': but read below'}."
    yield ""
    if not record.is_exact:
        yield f"**{UNKNOWN_PARTS}**"
        yield ""


def _scores(record: Record) -> Iterator[str]:
    state, created = record.state, record.created
    direction = "lower is better" if created.lower_is_better else "higher is better"
    yield "## Scores"
    yield ""
    yield f"- metric: {one_line(created.metric)} ({direction}); ± is one standard error"
    if result := result_evaluation(state):
        medal = evaluation_medal(result, state)
        word = "submitted" if "record" in state.decisions else "so far"
        yield f"- {word}: {evaluation_text(result, state)}" + (f", {medal} ({ESTIMATE})" if medal else "")
        if origin := origin_of_score(state):
            yield f"- its score comes from {one_line(origin)}"
    for member in record.members:
        yield f"- evaluation {member.id}: {_member_text(record, member)} on held-out rows in the search"
    if lines := state.thresholds:
        levels = (("gold", lines.gold), ("silver", lines.silver), ("bronze", lines.bronze), ("median", lines.median))
        yield "- medal lines: " + ", ".join(f"{word} {value:.10g}" for word, value in levels if value is not None)
    yield f"- the medal is an estimate; `harness score {created.run_id}` grades the submission where answers are known"
    yield ""


def _member_text(record: Record, member: Evaluation) -> str:
    state = record.state
    medal = medal_text(member.score, state.thresholds, state.lower_is_better, member.noise)
    return evaluation_text(member, state) + (f", {medal}" if medal else "")


def _parts(record: Record) -> Iterator[str]:
    yield "## What it is made of"
    yield ""
    yield f"{one_line(record.chosen.why)[:1].upper()}{one_line(record.chosen.why)[1:]}."
    if record.is_combined and record.is_exact:
        yield COMBINED
    yield ""
    yield "| code | data | weight | commit | command |"
    yield "|---|---|---|---|---|"
    for part in record.parts:
        member = record.state.evaluations[part.evaluation]
        command = one_line(joined_command(record.steps_of(member)), 100).replace("|", "\\|")
        cells = (f"`code/{member.id}`", f"`data/{part.split}`", f"{part.weight:.4g}", f"`{member.commit[:12]}`")
        yield f"| {' | '.join(cells)} | `{command}` |"
    yield ""
    yield "- `code/`: the files of each evaluation's commit that the harness ran; `solution.json` has all steps."
    yield "- `data/`: links to the data that the code saw as `./data`, each a split of the labelled rows:"
    for split in record.splits:
        yield f"  - `{split}`: `{record.data_of(split) / 'public'}`"
    yield "- `rows/`: which rows of a split are the task's own test rows. No held-out or private label is here."
    yield ""


def _use(record: Record) -> Iterator[str]:
    created = record.created
    yield "## Run it"
    yield ""
    yield "```sh"
    yield "sh run.sh"
    yield "```"
    yield ""
    yield (
        "It runs the code of each row above in `work/`, combines the results, writes `submission.csv`, and says "
        f"whether that is the submission of record, byte for byte (sha256 `{record.chosen.sha256}`)."
    )
    yield ""
    environment = record.environment()
    if environment:
        yield f"It uses the environment of the run, `{environment}`. On another machine, or when that is gone:"
    else:
        yield "Make an environment with the packages of the run first:"
    yield ""
    yield "```sh"
    yield f"python3 -m venv .venv && .venv/bin/pip install -r {_requirements(record)}"
    yield "```"
    yield ""
    image = f", image {one_line(created.image)}" if created.image else ""
    python = one_line(created.python) or "(not recorded)"
    yield (
        f"The run had Python {python} in the sandbox {sandbox_text(created)}{image}. `run.sh` is not a sandbox: read "
        "the code before you run it. Code that names `/workspace` or `/home` finds these in a container only. All "
        "steps of an evaluation run in one folder. The number of threads is that of the run, as far as it is on "
        "record. Another machine, other packages, or code that is random or depends on time may give other bytes."
    )
    yield ""
    yield (
        "The links in `data/` lead to the folder in which the harness keeps its data, and `harness rm` removes that "
        "with the last run of the task: to keep the data, replace each link with a copy (`cp -rL`)."
    )
    yield ""


def _requirements(record: Record) -> str:
    return "environment.lock" if record.lock() else "requirements.txt"


def _provenance(record: Record) -> Iterator[str]:
    created = record.created
    yield "## Provenance"
    yield ""
    yield f"- run: `{created.run_id}`, started {created.at}, folder `{record.folder}`"
    yield f"- model: {one_line(model_text(created))}"
    yield f"- seed: {created.settings.seed}"
    yield f"- harness: {created.harness_version}"
    yield f"- evaluations: {', '.join(f'{one.id} (commit `{one.commit}`)' for one in record.members)}"
    yield f"- submission of record: sha256 `{record.chosen.sha256}`, {one_line(record.chosen.why)}"
    yield ""

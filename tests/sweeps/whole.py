"""What every sweep must hold to, whatever is killed: each run ended once, and nothing was lost or done twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from harness.sweep.store import Store
from runs.events.registry import AttemptStarted, JobFinished, ModelReplied, RunCreated, RunEnded
from tests.playing import events_of

QUICK = ("sandbox=local", "fold_share=0", "finalists=1", "kept_back_share=0", "attempts=1", "no_knowledge=true")
SET = [word for setting in QUICK for word in ("--set", setting)]


def check_whole(home: Path, name: str, attempts: int = 1) -> None:
    """Every run ended once, and nothing in it was lost or done twice."""
    for row in Store(home, name).plan().rows:
        events = events_of(home / "runs" / row.run_id)
        counts = Counter(type(event) for event in events)
        assert (counts[RunCreated], counts[RunEnded], counts[AttemptStarted]) == (1, 1, attempts), row.key
        assert [event.seq for event in events] == list(range(len(events)))
        jobs = [event.job for event in events if isinstance(event, JobFinished)]
        assert len(jobs) == len(set(jobs))
        calls = [one.id for event in events if isinstance(event, ModelReplied) for one in event.calls]
        assert len(calls) == len(set(calls))

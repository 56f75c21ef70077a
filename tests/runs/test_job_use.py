"""What the jobs of a run used of the machine, as far as the journal tells it."""

from __future__ import annotations

from runs.events.registry import FoldFinished, JobFinished, StepResult
from runs.usage.job_use import JobUse, use_texts


def use_of(*events: JobFinished | FoldFinished) -> JobUse:
    use = JobUse()
    for event in events:
        use.apply(event)
    return use


def test_seconds_of_cpu_and_gpu_are_weighted_by_the_time_of_the_jobs() -> None:
    use = use_of(
        JobFinished(
            job="a", ended="exited", seconds=100, cpu_seconds=400, peak_bytes=10**9, gpu_percent=50.0, gpu_bytes=7
        ),
        JobFinished(job="b", ended="exited", seconds=300, cpu_seconds=0, peak_bytes=3 * 10**9, gpu_percent=10.0),
    )
    assert (use.jobs, use.seconds, use.cores, use.peak_bytes) == (2, 400, 1.0, 3 * 10**9)
    assert (use.gpu_share, use.gpu_bytes) == (0.2, 7)


def test_a_job_whose_use_is_not_known_counts_in_no_mean() -> None:
    known = JobFinished(job="a", ended="exited", seconds=100, cpu_seconds=200)
    unknown = JobFinished(job="b", ended="exited", seconds=900)
    assert use_of(known, unknown).cores == 2.0
    assert use_texts(use_of(unknown)) == []


def test_large_sizes_are_written_without_an_exponent() -> None:
    job = JobFinished(
        job="a", ended="exited", seconds=1, peak_bytes=220_000_000, gpu_percent=50.0, gpu_bytes=141 * 10**9
    )
    assert use_texts(use_of(job)) == ["peak memory 220 MB", "GPU utilization 50%", "peak GPU memory 141 GB"]


def test_steps_of_other_folds_count_unless_they_came_from_the_cache() -> None:
    ran = StepResult(job="a", seconds=10, cpu_seconds=20, peak_bytes=5)
    cached = StepResult(job="b", seconds=50, peak_bytes=9, cached_from="001-1")
    use = use_of(FoldFinished(evaluation="002-1", fold="fold1", status="scored", steps=[ran, cached]))
    assert (use.jobs, use.cpu_seconds, use.peak_bytes) == (1, 20, 5)

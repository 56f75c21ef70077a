"""The facts about the 82 competitions are complete and consistent, and name their sources."""

from __future__ import annotations

import pytest

from tasks.metrics.medals import is_above_median, medal_of
from tasks.metrics.registry import METRICS as OURS
from tasks.mlebench.facts import SPLITS, all_with_notes, competitions, in_split
from tasks.mlebench.task_yaml import METRICS, description


def test_the_splits_have_their_sizes() -> None:
    assert [len(in_split(name)) for name in ("low", "lite", "medium", "high", "dev", "all")] == [22, 22, 38, 15, 7, 75]
    assert set(SPLITS) == {"low", "lite", "medium", "high", "dev", "all"}


@pytest.mark.parametrize("name", sorted(competitions()))
def test_thresholds_are_in_order_and_win_their_medals(name: str) -> None:
    one = competitions()[name]
    lines = one.thresholds
    sign = -1 if one.lower_is_better else 1
    assert sign * lines.gold >= sign * lines.silver >= sign * lines.bronze >= sign * lines.median
    # A score has 5 digits; where the threshold has more, one step of the last digit reaches it for certain.
    best = lines.gold if round(lines.gold, 5) == lines.gold else lines.gold + sign * 1e-5
    assert medal_of(best, lines, one.lower_is_better) == "gold"
    assert lines.rows is not None and lines.rows > 10
    assert bool(one.confirmed_by) or one.confirmed in ("leaderboard", "none")
    assert all(len(value) == 32 for value in one.md5.values())


def test_thresholds_of_all_but_one_competition_come_from_leaderboards() -> None:
    tables = [one.id for one in competitions().values() if one.confirmed != "leaderboard"]
    assert tables == ["ventilator-pressure-prediction"]
    assert competitions()["aptos2019-blindness-detection"].thresholds.rows == 2929
    assert competitions()["mlsp-2013-birds"].thresholds.rows == 81


@pytest.mark.parametrize(
    ("name", "score", "medal", "is_above"),
    [
        # Each of these verdicts is another one with thresholds rounded to 5 digits.
        ("hms-harmful-brain-activity-classification", 0.29081, "silver", True),
        ("hms-harmful-brain-activity-classification", 0.35332, "silver", True),
        ("hms-harmful-brain-activity-classification", 0.37538, "bronze", True),
        ("hms-harmful-brain-activity-classification", 0.47383, None, False),
        ("icecube-neutrinos-in-deep-ice", 0.97731, "silver", True),
        ("icecube-neutrinos-in-deep-ice", 1.00789, "bronze", True),
        ("icecube-neutrinos-in-deep-ice", 1.01996, None, False),
        ("vesuvius-challenge-ink-detection", 0.77993, "gold", True),
        ("vesuvius-challenge-ink-detection", 0.72525, "silver", True),
        ("vesuvius-challenge-ink-detection", 0.66003, "bronze", True),
        ("vesuvius-challenge-ink-detection", 0.41844, None, False),
        ("google-quest-challenge", 0.3572, None, False),
        ("google-quest-challenge", 0.35721, None, True),
        ("invasive-species-monitoring", 0.96999, None, True),
        ("invasive-species-monitoring", 0.96998, None, False),
        ("random-acts-of-pizza", 0.5996, None, True),
        ("random-acts-of-pizza", 0.59959, None, False),
        ("learning-agency-lab-automated-essay-scoring-2", 0.82827, None, True),
        ("petfinder-pawpularity-score", 17.70298, None, True),
        ("petfinder-pawpularity-score", 17.70299, None, False),
        ("plant-pathology-2021-fgvc8", 0.75445, None, True),
        ("smartphone-decimeter-2022", 3.328, None, True),
    ],
)
def test_verdicts_at_exact_thresholds(name: str, score: float, medal: str | None, is_above: bool) -> None:
    one = competitions()[name]
    assert medal_of(score, one.thresholds, one.lower_is_better) == medal
    assert is_above_median(score, one.thresholds, one.lower_is_better) == is_above


def test_notes_name_existing_competitions_and_mark_known_issues() -> None:
    import yaml

    from tasks.mlebench.facts import FOLDER

    notes = yaml.safe_load((FOLDER / "notes.yaml").read_text(encoding="utf-8"))
    assert set(notes) <= set(competitions())
    low = {one.id for one in in_split("low") if one.is_known_broken}
    assert low == {
        "jigsaw-toxic-comment-classification-challenge",
        "random-acts-of-pizza",
        "ranzcr-clip-catheter-line-classification",
        "tabular-playground-series-dec-2021",
        "tabular-playground-series-may-2022",
    }
    siim = all_with_notes()["siim-isic-melanoma-classification"]
    assert any(note.kind == "leak" and "TFRecords" in note.text and not note.listed for note in siim.notes)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("invasive-species-monitoring", "unpacked"),
        ("siim-isic-melanoma-classification", "withheld"),
        ("random-acts-of-pizza", "order"),
    ],
)
def test_differences_from_the_benchmark_are_noted(name: str, text: str) -> None:
    assert any(text in note.text for note in all_with_notes()[name].notes)


def test_every_native_competition_has_a_summary_and_a_metric_for_held_out_rows() -> None:
    for one in all_with_notes().values():
        if one.is_native:
            assert one.about, one.id
            ours = OURS[METRICS[one.metric]]
            assert ours.lower_is_better == one.lower_is_better, one.id
            assert "gold" not in one.about and "leaderboard" not in one.about


def test_descriptions_are_complete_and_contain_no_thresholds() -> None:
    for one in in_split("low"):
        text = description(one)
        for part in ("## Goal", "## Data", "## Evaluation", "## Submission"):
            assert part in text, one.id
        assert len(text) > 500 and f"Scored by: {one.metric}. {one.metric}" not in text, one.id
        assert not {"gold", "silver", "bronze", "medal", "leaderboard", "private"} & set(text.lower().split()), one.id
        lines = (one.thresholds.gold, one.thresholds.silver, one.thresholds.bronze, one.thresholds.median)
        assert not [line for line in lines if len(str(line)) > 4 and str(line) in text], one.id

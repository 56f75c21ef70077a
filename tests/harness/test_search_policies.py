"""Search policies on hand-made states: which move follows from what."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.search.greedy import Greedy
from harness.search.load import COPY, absolute, keep_copy, load_policy
from harness.search.moves import KINDS, Move
from harness.search.start import problem_of
from harness.search.state import Result, SearchState, Trial
from harness.search.tree import Tree
from harness.search.wish import choose, refusal
from runs.state import State
from tests.benchmarks.landscapes import GROUPS, Landscape
from tests.benchmarks.scripted_search import Engineer as ScriptedEngineer
from tests.benchmarks.scripted_search import Game, Play, play


def scored(
    number: int, value: float, kind: str = "improve", branch: int = 0, *, gain: bool = False, share: float = 0.5
) -> Trial:
    """An attempt with one result; its commit is its number."""
    branch = branch or number
    parents = () if kind == "draft" else (str(branch),)
    result = Result(f"{number:03d}-1", str(number), number, branch, value, gain, share, gain or number == 1, 60.0)
    return Trial(number, kind, parents, branch, number * 10.0, number * 10.0 + 9, (result,))  # type: ignore[arg-type]


def failed(number: int, kind: str = "draft", branch: int = 0, parents: tuple[str, ...] = ()) -> Trial:
    """An attempt whose evaluation failed."""
    return Trial(number, kind, parents, branch or number, number * 10.0, number * 10.0 + 9, (), str(number))  # type: ignore[arg-type]


THREE = (
    scored(1, 0.80, "draft"),
    scored(2, 0.70, "draft"),
    scored(3, 0.60, "draft"),
)


def quiet(count: int, branch: int = 1, first: int = 4, value: float = 0.5) -> tuple[Trial, ...]:
    """Attempts on a branch that bring nothing."""
    return tuple(scored(first + index, value, branch=branch) for index in range(count))


def test_tree_begins_with_three_drafts_also_beside_open_ones() -> None:
    open_draft = Trial(1, "draft", (), 1, 0.0)
    assert Tree().choose(SearchState(), 0).kind == "draft"
    assert Tree().choose(SearchState((open_draft,), lanes=2), 0).kind == "draft"
    assert Tree().choose(SearchState(THREE, expected=100.0), 0).kind == "improve"


def test_attempts_that_begin_alike_are_told_to_differ() -> None:
    first = Tree().choose(SearchState(), 0)
    beside = Tree().choose(SearchState((Trial(1, "draft", (), 1, 0.0), Trial(2, "draft", (), 2, 0.0)), lanes=3), 0)
    assert first.focus == "" and "attempt 1, 2" in beside.focus and "number 3" in beside.focus
    trial = Trial(4, "improve", ("1",), 1, 50.0)
    move = Tree().choose(SearchState((*THREE, trial), gone=0.9, seconds_left=100.0, expected=100.0), 0)
    assert move.parents == ("1",) and "attempt 4" in move.focus and "ends in time" in move.focus


def test_tree_drafts_once_where_few_attempts_are_expected() -> None:
    assert Tree().choose(SearchState((scored(1, 0.8, "draft"),), expected=6.0), 0) == Move(
        "improve",
        ("1",),
        reasons=("branch 1 is one of the best 1 of 1 open branches", "0 attempts in it without a gain"),
    )


def test_tree_repairs_a_failure_once() -> None:
    trials = (*THREE, failed(4, "improve", 1, ("1",)))
    assert Tree().choose(SearchState(trials), 0).parents == ("4",)
    assert Tree().choose(SearchState(trials), 0).kind == "repair"
    again = (*trials, failed(5, "repair", 1, ("4",)))
    assert Tree().choose(SearchState(again), 0).kind == "improve"


def test_tree_chooses_parents_by_score_though_no_verdict_called_it_a_gain() -> None:
    trials = (*THREE, scored(4, 0.81, branch=1))
    chosen = {Tree().choose(SearchState(trials, expected=100.0), seed).parents[0] for seed in range(40)}
    assert chosen == {"4", "2"}, "the tops of the two best branches"


def test_tree_leaves_a_branch_after_eight_attempts_without_a_gain() -> None:
    state = SearchState((*THREE, *quiet(8)), gone=0.2, expected=100.0)
    assert {Tree().choose(state, seed).parents[0] for seed in range(40)} == {"2", "3"}
    with_gain = SearchState((*THREE, *quiet(7), scored(11, 0.5, branch=1, gain=True)), gone=0.2, expected=100.0)
    assert "1" in {Tree().choose(with_gain, seed).parents[0] for seed in range(40)}


def test_tree_drafts_again_when_every_branch_is_closed() -> None:
    trials = (*THREE, *quiet(8), *quiet(8, 2, 20), *quiet(8, 3, 30))
    assert Tree().choose(SearchState(trials, gone=0.2, expected=100.0), 0).kind == "draft"
    assert Tree().choose(SearchState(trials, gone=0.75, expected=100.0), 0).kind == "improve", "too late for a draft"


def test_tree_combines_when_quiet_and_no_pair_twice() -> None:
    donor = scored(4, 0.75, branch=2, share=0.9)
    trials = (*THREE, donor, *quiet(8, 1, 5))
    move = Tree().choose(SearchState(trials, gone=0.4, expected=100.0), 0)
    assert (move.kind, move.parents) == ("combine", ("1", "4"))
    assert Tree().choose(SearchState(trials, gone=0.2, expected=100.0), 0).kind == "improve", "too early"
    tried = (*trials, Trial(20, "combine", ("1", "4"), 1, 500.0, 510.0))
    later = (*tried, *quiet(8, 1, 60))
    assert Tree().choose(SearchState(later, gone=0.6, expected=100.0), 0).kind == "improve", "the only pair was tried"
    weak = (*THREE, scored(4, 0.75, branch=2, share=0.6), *quiet(8, 1, 5))
    assert Tree().choose(SearchState(weak, gone=0.4, expected=100.0), 0).kind == "improve", "no donor has gained"


def test_a_combination_halves_the_count_of_quiet_attempts() -> None:
    donors = (scored(4, 0.75, branch=2, share=0.9), scored(5, 0.65, branch=3, share=0.9))
    combined = scored(14, 0.5, "combine", branch=1)
    trials = (*THREE, *donors, *quiet(8, 1, 6), combined)
    after = Tree().choose(SearchState(trials, gone=0.4, expected=100.0), 0)
    assert after.kind == "improve"
    assert Tree().choose(SearchState((*trials, *quiet(3, 1, 15)), gone=0.5, expected=100.0), 0).kind == "combine"


def test_tree_blends_the_tops_once_when_the_last_share_begins_and_it_fits() -> None:
    state = SearchState(THREE, gone=0.86, seconds_left=1000.0, expected=100.0)
    move = Tree().choose(state, 0)
    assert (move.kind, move.parents) == ("ensemble", ("1", "2", "3"))
    short = SearchState(THREE, gone=0.86, seconds_left=250.0, expected=100.0)
    assert Tree().choose(short, 0).parents == ("1", "2"), "only the two best fit"
    shorter = SearchState(THREE, gone=0.86, seconds_left=200.0, expected=100.0)
    assert Tree().choose(shorter, 0).kind == "improve"
    begun = (*THREE, Trial(4, "ensemble", ("1", "2", "3"), 1, 100.0))
    move = Tree().choose(SearchState(begun, gone=0.9, seconds_left=1000.0, expected=100.0), 0)
    assert (move.kind, move.parents) == ("improve", ("1",))


def test_without_scores_the_latest_valid_result_is_improved() -> None:
    trials = (scored(1, 1.0, "draft"), scored(2, 2.0, branch=1))
    assert Tree().choose(SearchState(trials, is_scored=False), 0).parents == ("2",)


def test_greedy_improves_the_promoted_best() -> None:
    trials = (scored(1, 0.8, "draft"), scored(2, 0.81, branch=1))
    assert Greedy().choose(SearchState(), 0).kind == "draft"
    assert Greedy().choose(SearchState(trials), 0).parents == ("1",)
    assert Greedy(by_score=True).choose(SearchState(trials), 0).parents == ("2",)


def test_the_models_wish_wins_on_an_open_branch() -> None:
    state = SearchState((*THREE, *quiet(7)), wish="003-1", expected=100.0)
    assert choose(Tree(), state, 0).parents == ("3",)
    closed = SearchState((*THREE, *quiet(8)), wish="001-1", expected=100.0)
    assert "no gain" in refusal(closed)
    assert choose(Tree(), closed, 0).parents != ("1",)
    unknown = SearchState(THREE, wish="009-1", wish_problem="there is no such evaluation", expected=100.0)
    assert refusal(unknown) == "there is no such evaluation"
    assert choose(Tree(), unknown, 0) == Tree().choose(unknown, 0)


@st.composite
def states(draw: st.DrawFn) -> SearchState:
    """Any state that attempts can lead to."""
    trials: list[Trial] = []
    for number in range(1, draw(st.integers(0, 25)) + 1):
        known = [trial.branch for trial in trials if trial.results]
        kind = draw(st.sampled_from(["draft", "improve", "repair", "combine", "ensemble"])) if known else "draft"
        branch = draw(st.sampled_from(known)) if known and kind != "draft" else number
        parents = () if kind == "draft" else (str(branch),) if kind in ("improve", "repair") else (str(branch), "1")
        began, length = draw(st.floats(0, 1000)), draw(st.one_of(st.none(), st.floats(0, 500)))
        values = draw(st.lists(st.floats(-1, 1), max_size=2))
        results = tuple(
            Result(f"{number}-{i}", f"{number}.{i}", number, branch, value, *draw(st.tuples(st.booleans())), 0.9)
            for i, value in enumerate(values)
        )
        ended = None if length is None else began + length
        broken = "" if results or ended is None else f"{number}.x"
        trials.append(Trial(number, kind, parents, branch, began, ended, results, broken))  # type: ignore[arg-type]
    share, left = draw(st.floats(0, 1)), draw(st.floats(0, 1e5))
    return SearchState(tuple(trials), share, left, draw(st.floats(0, 300)), lanes=2)


@given(states(), st.integers(0, 1000))
@settings(max_examples=150, deadline=None)
def test_every_policy_gives_a_legal_move_and_gives_it_again(state: SearchState, seed: int) -> None:
    known = {result.commit for result in state.results} | {trial.failed_commit for trial in state.trials}
    for policy in (Tree(), Greedy(), Greedy(by_score=True)):
        move = policy.choose(state, seed)
        assert move.kind in KINDS and not move.problem() and set(move.parents) <= known - {""}
        assert policy.choose(state, seed) == move
        assert move.reasons


def test_a_move_with_the_wrong_number_of_parents_or_an_unknown_commit_has_a_problem() -> None:
    assert not problem_of(Move("draft"), State())
    for move in (Move("combine"), Move("draft", ("1",)), Move("improve"), Move("ensemble", ("1",)), Move("guess")):  # type: ignore[arg-type]
        assert problem_of(move, State())
    without_comma = Move("draft", reasons=("only one")), Move("improve", ("a" * 40))  # type: ignore[arg-type]
    for move in (*without_comma, Move("draft", focus=None), Move("draft", reasons=(1,)), Move("draft", None)):  # type: ignore[arg-type]
        assert "tuples of texts" in problem_of(move, State())
    assert "no commit 1" in problem_of(Move("improve", ("1",)), State())
    assert problem_of("improve", State())  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ a user's own policy


def readme_example() -> str:
    text = (Path(__file__).parents[2] / "harness" / "search" / "README.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]


def test_the_example_of_the_readme_plays(tmp_path: Path) -> None:
    example = readme_example()
    assert len(example.splitlines()) <= 20
    file = tmp_path / "policy.py"
    file.write_text(example)
    policy = load_policy(f"{file}:Halves")
    assert play("plain", 1, policy, Game(12)) < 2.0
    assert policy.choose(SearchState(THREE, gone=0.6), 0).parents == ("1",)


def test_a_run_uses_its_copy_of_the_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.py").write_text(readme_example())
    name = absolute("policy.py:Halves")
    assert name == f"{tmp_path}/policy.py:Halves"
    folder = tmp_path / "run"
    folder.mkdir()
    keep_copy(name, folder)
    (tmp_path / "policy.py").unlink()
    assert (folder / COPY).is_file()
    assert load_policy(name, folder).choose(SearchState(), 0).kind == "draft"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "mcts"),
        ("", "nowhere.py:Policy"),
        ("x = 1", "policy.py:Policy"),
        ("raise RuntimeError('no')", "policy.py:Policy"),
        ("class Policy:\n    pass", "policy.py:Policy"),
        ("class Policy:\n    def __init__(self, needed): pass", "policy.py:Policy"),
        ("syntax error", "policy.py:Policy"),
    ],
)
def test_a_policy_that_cannot_be_used_is_a_user_error(
    text: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if text:
        (tmp_path / "policy.py").write_text(text)
    with pytest.raises(UsageError) as caught:
        load_policy(name)
    assert name.split(":")[0] in str(caught.value)


# ------------------------------------------------------------------------------------------------------- a small play


def test_a_play_uses_all_moves_and_seeds_repeat_it() -> None:
    plays = [Play(ScriptedEngineer(Landscape(seed, "combine"), seed), Tree(), Game(60), seed) for seed in range(4)]
    regrets = [one.regret() for one in plays]
    assert {move for one in plays for move in one.moves} == set(KINDS)
    again = Play(ScriptedEngineer(Landscape(3, "combine"), 3), Tree(), Game(60), 3)
    assert again.regret() == regrets[3] and again.moves == plays[3].moves


def test_tree_leaves_less_regret_than_greedy_on_a_fixed_set_of_tasks() -> None:
    """Fixed seeds, so this is no matter of luck; `tests/benchmarks/search.py` measures it on 600 tasks a group."""
    total = {
        name: sum(play(group, 500 + seed, policy, Game(80)) for group in GROUPS for seed in range(12))
        for name, policy in (("tree", Tree()), ("greedy", Greedy()))
    }
    assert total["tree"] < 0.95 * total["greedy"]

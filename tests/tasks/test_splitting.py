"""The draw of held-out rows is the same everywhere, keeps strata and groups, and never takes what must stay."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tasks.splitting import draw_groups, draw_rows, how_many, order


@given(
    counts=st.lists(st.integers(1, 60), min_size=1, max_size=8).filter(lambda counts: sum(counts) >= 60),
    seed=st.text(max_size=5),
)
def test_a_draw_never_takes_a_label_whole(counts: list[int], seed: str) -> None:
    labels = [str(label) for label, count in enumerate(counts) for _ in range(count)]
    taken = draw_rows(labels, seed, stratify=True)
    assert taken == draw_rows(labels, seed, stratify=True)
    assert {labels[at] for at in set(range(len(labels))) - taken} == set(labels)
    assert 0 < len(taken) <= how_many(len(labels))


def test_rows_without_a_label_are_never_held_out() -> None:
    labels = [None if at % 3 else str(at) for at in range(300)]
    assert all(labels[at] is not None for at in draw_rows(labels, "s", stratify=False))
    groups = [str(at // 3) for at in range(300)]
    full: list[str | None] = [str(at) for at in range(300)]
    full[0] = None
    assert not draw_groups(groups, full, "s") & {0, 1, 2}


def test_orders_are_the_same_on_every_machine() -> None:
    assert order(8, "seed") == [4, 0, 1, 3, 7, 6, 2, 5]

"""The search tree drawn beside the list of attempts, as `git log --graph` does: a column per open line of work."""

from __future__ import annotations

from dataclasses import dataclass

from runs.state import State


@dataclass(frozen=True)
class Edge:
    """A line from a parent's row and column to its child's. `joins`: the child has other parents too."""

    from_row: int
    from_column: int
    to_row: int
    to_column: int
    joins: bool


@dataclass(frozen=True)
class Graph:
    """The column of each attempt (by row, the first attempt in row 0) and the edges between them."""

    columns: list[int]
    edges: list[Edge]

    @property
    def width(self) -> int:
        """How many columns there are."""
        return max(self.columns, default=0) + 1


def parents_of(state: State) -> dict[int, list[int]]:
    """The attempts that each attempt starts from, by number."""
    owners = {evaluation.commit: evaluation.attempt for evaluation in state.evaluations.values()}
    return {
        attempt.number: [owners[one] for one in attempt.parents if owners.get(one, attempt.number) < attempt.number]
        for attempt in state.attempts
    }


def graph_of(state: State) -> Graph:
    """Give each attempt a column: an attempt keeps its column until its last child, which takes it over."""
    parents = parents_of(state)
    last_child = {parent: child for child, found in parents.items() for parent in found[:1]}
    last_use = {parent: child for child, found in parents.items() for parent in found}
    busy_until: list[int] = []
    column_of: dict[int, int] = {}
    edges: list[Edge] = []
    for number, found in parents.items():
        first = found[0] if found else None
        if first is not None and last_child[first] == number and last_use[first] <= number:
            column = column_of[first]
        else:
            column = next((place for place, until in enumerate(busy_until) if until < number), len(busy_until))
        if column == len(busy_until):
            busy_until.append(0)
        busy_until[column] = max(busy_until[column], last_use.get(number, number))
        column_of[number] = column
        edges += [
            Edge(parent - 1, column_of[parent], number - 1, column, joins=place > 0)
            for place, parent in enumerate(found)
        ]
    return Graph([column_of[attempt.number] for attempt in state.attempts], edges)


def path_of(edge: Edge, row_height: float, column_width: float) -> str:
    """The edge as an SVG path: down the parent's column, then over to the child."""
    x1, x2 = ((column + 0.5) * column_width for column in (edge.from_column, edge.to_column))
    y1, y2 = ((row + 0.5) * row_height for row in (edge.from_row, edge.to_row))
    if x1 == x2:
        return f"M{x1:g} {y1:g}V{y2:g}"
    turn = y2 - row_height * 0.75
    straight = f"V{turn:g}" if turn > y1 else ""
    return f"M{x1:g} {y1:g}{straight}C{x1:g} {y2:g} {x1:g} {y2:g} {x2:g} {y2:g}"

"""Whether a solution fits something on all rows and then validates on what came of it.

The source is followed in the order in which it would run: functions where they are called, a loop's body once. What a
learner gives out that saw all rows is followed by name, and told only where a split or one of its folds takes it: a
scaler fitted inside of a fold, or for the final model alone, is as it should be.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

FITTED = {"fit", "fit_transform", "fit_resample"}
GIVES = {"fit_transform", "fit_resample", "transform"}
LEARNERS = (
    "Scaler", "Encoder", "Imputer", "PCA", "SelectKBest", "SelectPercentile", "Vectorizer", "SMOTE", "Selector",
    "PowerTransformer", "QuantileTransformer", "TruncatedSVD", "OverSampler", "RFE", "RFECV", "ColumnTransformer",
    "Pipeline", "make_pipeline", "make_column_transformer",
)  # fmt: skip
HARMLESS = {"LabelEncoder", "OrdinalEncoder", "OneHotEncoder"}
"""They learn which words there are, and nothing of any row's label or place among others."""
SPLITS = {"train_test_split", "cross_val_score", "cross_val_predict", "cross_validate"}
SPLITTERS = ("Fold", "ShuffleSplit", "TimeSeriesSplit", "LeaveOneOut", "PredefinedSplit")
SEARCHES = ("SearchCV",)
MEANS = {"mean", "transform", "agg", "median"}
TARGETS = {"y", "target", "label"}
PARTS = {"iloc", "loc", "values"}
DEEPEST, LONGEST = 8, 20_000


@dataclass(frozen=True)
class Origin:
    """Where something saw all rows: the line, and what it was."""

    line: int
    what: str


@dataclass(frozen=True)
class Early:
    """Something fitted before the split that takes it."""

    origin: Origin
    split: int


def fitted_early(tree: ast.Module, targets: Sequence[str] = ()) -> list[Early]:
    """What is fitted on all rows before rows are held out of it, in the order of the lines."""
    walk = _Walk(tree, {*TARGETS, *targets})
    walk.block(tree.body, walk.top)
    return sorted(walk.found, key=lambda one: (one.origin.line, one.split))


Names = dict[str, Origin]
Comprehension = ast.ListComp | ast.GeneratorExp | ast.SetComp | ast.DictComp


@dataclass
class _Walk:
    """One walk through the source. `top` are names of the module, `is_split` says that rows have been parted."""

    tree: ast.Module
    targets: set[str]
    top: Names = field(default_factory=dict)
    found: set[Early] = field(default_factory=set)
    is_split: bool = False
    split_line: int = 0

    def __post_init__(self) -> None:
        nodes = list(ast.walk(self.tree))
        defined = [node for node in nodes if isinstance(node, ast.FunctionDef)]
        names = [node.name for node in defined]
        self.functions = {node.name: node for node in defined if names.count(node.name) == 1}
        self.made: dict[str, str] = {}
        for node in nodes:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                self.made |= {ast.unparse(target): _called(node.value) for target in node.targets}
        self.fitted: Names = {}
        self.calls: list[str] = []
        self.steps = 0
        self.in_fold = 0

    # ------------------------------------------------------------------------------------------------- statements

    def block(self, body: Iterable[ast.stmt], names: Names) -> Origin | None:
        """Follow statements; what they return, if that saw all rows."""
        given: Origin | None = None
        for statement in body:
            self.steps += 1
            if self.steps < LONGEST:
                given = self.statement(statement, names) or given
        return given

    def statement(self, node: ast.stmt, names: Names) -> Origin | None:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)):
            return None
        if isinstance(node, ast.Return):
            return self.value(node.value, names)
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            origin = self.value(node.value, names)
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                self.assign(target, origin, names)
            return None
        if isinstance(node, (ast.For, ast.While)):
            return self.loop(node, names)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.value(child, names)
            elif isinstance(child, ast.withitem):
                self.value(child.context_expr, names)
        blocks = [getattr(node, part, []) for part in ("body", "orelse", "finalbody")]
        blocks += [handler.body for handler in getattr(node, "handlers", [])]
        given = [self.block(body, names) for body in blocks]
        return next(filter(None, given), None)

    def loop(self, node: ast.For | ast.While, names: Names) -> Origin | None:
        """A loop over folds is where things may be fitted, and where what saw all rows does its harm."""
        before, self.split_line = self.split_line, 0
        origin = self.value(node.iter if isinstance(node, ast.For) else node.test, names)
        is_fold = isinstance(node, ast.For) and self.split_line > 0
        self.split_line = self.split_line or before
        if isinstance(node, ast.For):
            self.assign(node.target, origin, names)
        self.in_fold += is_fold
        given = self.block(node.body, names)
        self.in_fold -= is_fold
        return self.block(node.orelse, names) or given

    def assign(self, target: ast.expr, origin: Origin | None, names: Names) -> None:
        if isinstance(target, (ast.Tuple, ast.List)):
            for one in target.elts:
                self.assign(one, origin, names)
        elif isinstance(target, ast.Subscript):  # a column or some rows of it
            if origin:
                names[_root(target)] = origin
        elif origin:
            names[ast.unparse(target)] = origin
        else:
            names.pop(ast.unparse(target), None)

    # ------------------------------------------------------------------------------------------------ expressions

    def value(self, node: ast.AST | None, names: Names) -> Origin | None:
        """Follow an expression; where what it gives saw all rows."""
        if node is None or isinstance(node, ast.Lambda):
            return None
        if isinstance(node, ast.Call):
            return self.call(node, names)
        if isinstance(node, Comprehension):
            return self.comprehension(node, names)
        if isinstance(node, ast.Subscript) and self.in_fold and (origin := self.look_up(node.value, names)):
            self.tell(origin, self.split_line)
        if isinstance(node, (ast.Name, ast.Attribute)) and (origin := self.look_up(node, names)):
            return origin
        given = [self.value(child, names) for child in ast.iter_child_nodes(node)]
        return next(filter(None, given), None)

    def comprehension(
        self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp | ast.DictComp, names: Names
    ) -> Origin | None:
        before, self.split_line = self.split_line, 0
        given = [self.value(one.iter, names) for one in node.generators]
        is_fold, self.split_line = self.split_line > 0, self.split_line or before
        self.in_fold += is_fold
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        given += [self.value(part, names) for part in parts]
        self.in_fold -= is_fold
        return next(filter(None, given), None)

    def look_up(self, node: ast.expr, names: Names) -> Origin | None:
        text = _root(node)
        return names.get(text) or self.top.get(text)

    def tell(self, origin: Origin, line: int) -> None:
        self.found.add(Early(origin, line))

    def call(self, node: ast.Call, names: Names) -> Origin | None:
        name = _called(node)
        receiver = node.func.value if isinstance(node.func, ast.Attribute) else None
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        given = [self.value(argument, names) for argument in arguments]
        origin = next(filter(None, given), None)
        whose = self.class_of(receiver)
        if name in self.functions and not whose.endswith((*LEARNERS, *SPLITTERS, *SEARCHES)):
            return self.inline(self.functions[name], node, given)
        is_split = name in SPLITS or (name == "split" and whose.endswith(SPLITTERS))
        if is_split or (name in FITTED and whose.endswith(SEARCHES)):
            self.split(node, origin)
            return None
        if receiver is not None and whose.endswith(LEARNERS) and whose not in HARMLESS and name in FITTED | GIVES:
            return self.learn(node, receiver, whose, name)
        if receiver is not None and name in MEANS and self.is_mean_of_target(receiver) and not self.is_parted:
            return Origin(node.lineno, "means of the target")
        return origin or (self.value(receiver, names) if receiver is not None else None)

    @property
    def is_parted(self) -> bool:
        return self.is_split or self.in_fold > 0

    def split(self, node: ast.Call, origin: Origin | None) -> None:
        self.is_split, self.split_line = True, node.lineno
        if origin:
            self.tell(origin, node.lineno)

    def learn(self, node: ast.Call, receiver: ast.expr, whose: str, name: str) -> Origin | None:
        key = ast.unparse(receiver)
        before = self.value(receiver, {}) if isinstance(receiver, ast.Call) else None
        if name in FITTED:
            self.fitted.pop(key, None)
            if self.is_parted:
                return None
            self.fitted[key] = Origin(node.lineno, whose)
        return before or self.fitted.get(key)

    def class_of(self, receiver: ast.expr | None) -> str:
        """The class of which something is, as far as it is made by a call or assigned one."""
        if isinstance(receiver, ast.Call):
            name = _called(receiver)
            if name in FITTED and isinstance(receiver.func, ast.Attribute):  # Scaler().fit(X).transform(X)
                return self.class_of(receiver.func.value)
            return name
        return self.made.get(ast.unparse(receiver), "") if receiver is not None else ""

    def inline(self, function: ast.FunctionDef, node: ast.Call, given: Sequence[Origin | None]) -> Origin | None:
        if function.name in self.calls or len(self.calls) >= DEEPEST:
            return next(filter(None, given), None)
        parameters = [one.arg for one in (*function.args.posonlyargs, *function.args.args) if one.arg != "self"]
        passed = [*zip(parameters, given[: len(node.args)], strict=False)]
        passed += [(one.arg or "", value) for one, value in zip(node.keywords, given[len(node.args) :], strict=True)]
        self.calls.append(function.name)
        found = self.block(function.body, {name: origin for name, origin in passed if origin})
        self.calls.pop()
        return found

    def is_mean_of_target(self, receiver: ast.expr) -> bool:
        """`rows.groupby(…)["y"]`, `rows.groupby(…).y`."""
        if isinstance(receiver, ast.Subscript) and isinstance(receiver.slice, ast.Constant):
            column: object = receiver.slice.value
        elif isinstance(receiver, ast.Attribute):
            column = receiver.attr
        else:
            return False
        return column in self.targets and isinstance(receiver.value, ast.Call) and _called(receiver.value) == "groupby"


def _called(node: ast.Call) -> str:
    function = node.func
    return (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )


def _root(node: ast.expr) -> str:
    """What an expression takes a part of: `X` of `X[a]`, of `X.iloc[a]`; else its text."""
    while isinstance(node, ast.Subscript) or (
        isinstance(node, ast.Attribute) and node.attr in ("iloc", "loc", "values")
    ):
        node = node.value
    return ast.unparse(node)

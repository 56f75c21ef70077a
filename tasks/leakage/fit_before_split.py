"""Find what a solution fits on all rows before it splits them for validation.

The source is followed in the order in which it would run: functions where they are called, the body of a loop once.
The output of a learner that saw all rows is followed by name, and reported only where a split or one of its folds
takes it. A scaler fitted inside a fold, or for the final model only, is not reported.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

FIT_METHODS = {"fit", "fit_transform", "fit_resample"}
OUTPUT_METHODS = {"fit_transform", "fit_resample", "transform"}
LEARNERS = (
    "Scaler", "Encoder", "Imputer", "PCA", "SelectKBest", "SelectPercentile", "Vectorizer", "SMOTE", "Selector",
    "PowerTransformer", "QuantileTransformer", "TruncatedSVD", "OverSampler", "RFE", "RFECV", "ColumnTransformer",
    "Pipeline", "make_pipeline", "make_column_transformer",
)  # fmt: skip
HARMLESS = {"LabelEncoder", "OrdinalEncoder", "OneHotEncoder"}
"""They learn only which categories exist, nothing about labels or distributions."""
SPLITS = {"train_test_split", "cross_val_score", "cross_val_predict", "cross_validate"}
SPLITTERS = ("Fold", "ShuffleSplit", "TimeSeriesSplit", "LeaveOneOut", "PredefinedSplit")
SEARCHES = ("SearchCV",)
MEANS = {"mean", "transform", "agg", "median"}
TARGETS = {"y", "target", "label"}
MAX_CALL_DEPTH, MAX_STATEMENTS = 8, 20_000


@dataclass(frozen=True)
class Origin:
    """The line where something was fitted on all rows, and what it was."""

    line: int
    what: str


@dataclass(frozen=True)
class EarlyFit:
    """Something fitted before the split that takes it; `split` is the line of the split."""

    origin: Origin
    split: int


def find_early_fits(tree: ast.Module, targets: Sequence[str] = ()) -> list[EarlyFit]:
    """What is fitted on all rows before rows are held out, in the order of the lines.

    `targets` are names of target columns: their means by group count as fitted.
    """
    walk = _Walk(tree, {*TARGETS, *targets})
    walk.block(tree.body, walk.module_names)
    return sorted(walk.fits, key=lambda fit: (fit.origin.line, fit.split))


Names = dict[str, Origin]
Comprehension = ast.ListComp | ast.GeneratorExp | ast.SetComp | ast.DictComp


@dataclass
class _Walk:
    """One walk through the source.

    `module_names` maps names to the origin of their values, where that saw all rows. `is_split`: a split was passed.
    `in_fold` counts the loops over folds around the current statement.
    """

    tree: ast.Module
    targets: set[str]
    module_names: Names = field(default_factory=dict)
    fits: set[EarlyFit] = field(default_factory=set)
    is_split: bool = False
    split_line: int = 0

    def __post_init__(self) -> None:
        nodes = list(ast.walk(self.tree))
        functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
        names = [node.name for node in functions]
        self.functions = {node.name: node for node in functions if names.count(node.name) == 1}
        self.class_of_name: dict[str, str] = {}
        for node in nodes:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                self.class_of_name |= {ast.unparse(target): _callee(node.value) for target in node.targets}
        self.fitted: Names = {}
        self.calls: list[str] = []
        self.steps = 0
        self.in_fold = 0

    # ------------------------------------------------------------------------------------------------- statements

    def block(self, body: Iterable[ast.stmt], names: Names) -> Origin | None:
        """Follow statements; the origin of what they return."""
        returned: Origin | None = None
        for statement in body:
            self.steps += 1
            if self.steps < MAX_STATEMENTS:
                returned = self.statement(statement, names) or returned
        return returned

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
        blocks = [getattr(node, name, []) for name in ("body", "orelse", "finalbody")]
        blocks += [handler.body for handler in getattr(node, "handlers", [])]
        return _first([self.block(body, names) for body in blocks])

    def loop(self, node: ast.For | ast.While, names: Names) -> Origin | None:
        """Inside a loop over folds things may be fitted, and values that saw all rows leak."""
        before, self.split_line = self.split_line, 0
        origin = self.value(node.iter if isinstance(node, ast.For) else node.test, names)
        is_fold = isinstance(node, ast.For) and self.split_line > 0
        self.split_line = self.split_line or before
        if isinstance(node, ast.For):
            self.assign(node.target, origin, names)
        self.in_fold += is_fold
        returned = self.block(node.body, names)
        self.in_fold -= is_fold
        return self.block(node.orelse, names) or returned

    def assign(self, target: ast.expr, origin: Origin | None, names: Names) -> None:
        if isinstance(target, (ast.Tuple, ast.List)):
            for element in target.elts:
                self.assign(element, origin, names)
        elif isinstance(target, ast.Subscript):  # a column or some of its rows
            if origin:
                names[_root(target)] = origin
        elif origin:
            names[ast.unparse(target)] = origin
        else:
            names.pop(ast.unparse(target), None)

    # ------------------------------------------------------------------------------------------------ expressions

    def value(self, node: ast.AST | None, names: Names) -> Origin | None:
        """Follow an expression; the origin of its value, where that saw all rows."""
        if node is None or isinstance(node, ast.Lambda):
            return None
        if isinstance(node, ast.Call):
            return self.call(node, names)
        if isinstance(node, Comprehension):
            return self.comprehension(node, names)
        if isinstance(node, ast.Subscript) and self.in_fold and (origin := self.look_up(node.value, names)):
            self.fits.add(EarlyFit(origin, self.split_line))
        if isinstance(node, (ast.Name, ast.Attribute)) and (origin := self.look_up(node, names)):
            return origin
        return _first([self.value(child, names) for child in ast.iter_child_nodes(node)])

    def comprehension(self, node: Comprehension, names: Names) -> Origin | None:
        before, self.split_line = self.split_line, 0
        origins = [self.value(generator.iter, names) for generator in node.generators]
        is_fold, self.split_line = self.split_line > 0, self.split_line or before
        self.in_fold += is_fold
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        origins += [self.value(part, names) for part in parts]
        self.in_fold -= is_fold
        return _first(origins)

    def look_up(self, node: ast.expr, names: Names) -> Origin | None:
        text = _root(node)
        return names.get(text) or self.module_names.get(text)

    def call(self, node: ast.Call, names: Names) -> Origin | None:
        name = _callee(node)
        receiver = node.func.value if isinstance(node.func, ast.Attribute) else None
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        origins = [self.value(argument, names) for argument in arguments]
        origin = _first(origins)
        owner = self.class_of(receiver)
        if name in self.functions and not owner.endswith((*LEARNERS, *SPLITTERS, *SEARCHES)):
            return self.inline(self.functions[name], node, origins)
        is_split = name in SPLITS or (name == "split" and owner.endswith(SPLITTERS))
        if is_split or (name in FIT_METHODS and owner.endswith(SEARCHES)):
            self.split(node, origin)
            return None
        if (
            receiver is not None
            and owner.endswith(LEARNERS)
            and owner not in HARMLESS
            and name in FIT_METHODS | OUTPUT_METHODS
        ):
            return self.fit(node, receiver, owner, name)
        if receiver is not None and name in MEANS and self.is_mean_of_target(receiver) and not self.rows_are_split:
            return Origin(node.lineno, "means of the target")
        return origin or (self.value(receiver, names) if receiver is not None else None)

    @property
    def rows_are_split(self) -> bool:
        return self.is_split or self.in_fold > 0

    def split(self, node: ast.Call, origin: Origin | None) -> None:
        self.is_split, self.split_line = True, node.lineno
        if origin:
            self.fits.add(EarlyFit(origin, node.lineno))

    def fit(self, node: ast.Call, receiver: ast.expr, owner: str, name: str) -> Origin | None:
        key = ast.unparse(receiver)
        before = self.value(receiver, {}) if isinstance(receiver, ast.Call) else None
        if name in FIT_METHODS:
            self.fitted.pop(key, None)
            if self.rows_are_split:
                return None
            self.fitted[key] = Origin(node.lineno, owner)
        return before or self.fitted.get(key)

    def class_of(self, receiver: ast.expr | None) -> str:
        """The class of an object made by a call, or assigned from one; empty if unknown."""
        if isinstance(receiver, ast.Call):
            name = _callee(receiver)
            if name in FIT_METHODS and isinstance(receiver.func, ast.Attribute):  # Scaler().fit(X).transform(X)
                return self.class_of(receiver.func.value)
            return name
        return self.class_of_name.get(ast.unparse(receiver), "") if receiver is not None else ""

    def inline(self, function: ast.FunctionDef, node: ast.Call, origins: Sequence[Origin | None]) -> Origin | None:
        """Follow a function where it is called; the origin of what it returns."""
        if function.name in self.calls or len(self.calls) >= MAX_CALL_DEPTH:
            return _first(origins)
        parameters = [arg.arg for arg in (*function.args.posonlyargs, *function.args.args) if arg.arg != "self"]
        passed = [*zip(parameters, origins[: len(node.args)], strict=False)]
        keywords = zip(node.keywords, origins[len(node.args) :], strict=True)
        passed += [(keyword.arg or "", origin) for keyword, origin in keywords]
        self.calls.append(function.name)
        returned = self.block(function.body, {name: origin for name, origin in passed if origin})
        self.calls.pop()
        return returned

    def is_mean_of_target(self, receiver: ast.expr) -> bool:
        """Whether this is `rows.groupby(…)["y"]` or `rows.groupby(…).y`."""
        if isinstance(receiver, ast.Subscript) and isinstance(receiver.slice, ast.Constant):
            column: object = receiver.slice.value
        elif isinstance(receiver, ast.Attribute):
            column = receiver.attr
        else:
            return False
        return column in self.targets and isinstance(receiver.value, ast.Call) and _callee(receiver.value) == "groupby"


def _first(origins: Iterable[Origin | None]) -> Origin | None:
    return next(filter(None, origins), None)


def _callee(node: ast.Call) -> str:
    """The name of the called function or method; empty for any other expression."""
    function = node.func
    return (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )


def _root(node: ast.expr) -> str:
    """The name of which an expression takes a part: `X` of `X[a]` and `X.iloc[a]`; else its text."""
    while isinstance(node, ast.Subscript) or (
        isinstance(node, ast.Attribute) and node.attr in ("iloc", "loc", "values")
    ):
        node = node.value
    return ast.unparse(node)

"""Code that fits on all rows before the split is found in whatever form; correct code raises no finding."""

from __future__ import annotations

import pytest

from tasks.leakage.code import check_code

LEAKS = {
    "a method's own scaler": """
        class Model:
            def run(self, X, y):
                self.s = StandardScaler()
                X = self.s.fit_transform(X)
                a, b = train_test_split(X)
        Model().run(X, y)
    """,
    "a function below": """
        def main():
            X = prepare(load())
            for a, b in KFold(5).split(X):
                fit(X[a])
        def prepare(X):
            return StandardScaler().fit_transform(X)
        main()
    """,
    "repeated folds": """
        X = StandardScaler().fit_transform(X)
        for a, b in RepeatedStratifiedKFold(n_splits=5).split(X, y):
            model.fit(X[a], y[a])
    """,
    "cross_validate": """
        X = SelectKBest(k=10).fit_transform(X, y)
        cross_validate(model, X, y)
    """,
    "a search": """
        X = PCA(5).fit(X).transform(X)
        search = GridSearchCV(model, grid)
        search.fit(X, y)
    """,
    "target means": """
        means = train.groupby("city").label.mean()
        train["city"] = train.city.map(means)
        kf = KFold(5)
        for a, b in kf.split(train):
            model.fit(train.iloc[a], y[a])
    """,
    "target means in place": """
        train["mean"] = train.groupby("city")["price"].transform("mean")
        print(cross_val_score(model, train, y))
    """,
    "folds of numbers": """
        scaler = StandardScaler()
        scaler.fit(X)
        Z = scaler.transform(X)
        for a, b in StratifiedKFold(5).split(np.zeros(len(y)), y):
            model.fit(Z[a], y[a])
    """,
    "copies of rare rows": """
        X, y = SMOTE().fit_resample(X, y)
        X_train, X_valid, y_train, y_valid = train_test_split(X, y)
    """,
    "a loop over keywords": """
        X = prepared(rows=X)
        scores = [score(model, X[a], X[b]) for a, b in folds.split(X)]
        def prepared(rows):
            with quiet():
                return MinMaxScaler().fit_transform(rows)
        folds = KFold(3)
    """,
    "a notebook": "%matplotlib inline\nX = StandardScaler().fit_transform(X)\na, b = train_test_split(X)\n",
}

CORRECT = {
    "a helper above the loop": """
        def fit_one(part):
            scaler = StandardScaler()
            scaler.fit(part)
            return scaler
        for a, b in KFold(5).split(X):
            fit_one(X[a])
    """,
    "a scaler in each fold": """
        def scaled(X, a, b):
            scaler = StandardScaler().fit(X[a])
            return scaler.transform(X[a]), scaler.transform(X[b])
        skf = StratifiedKFold(5)
        for a, b in skf.split(X, y):
            one, other = scaled(X, a, b)
            model.fit(one, y[a])
    """,
    "a pipeline": """
        pipe = make_pipeline(StandardScaler(), LogisticRegression())
        print(cross_val_score(pipe, X, y))
        pipe.fit(X, y)
    """,
    "a pipeline fitted before it is scored": """
        pipe = Pipeline([("scale", StandardScaler()), ("model", Ridge())])
        pipe.fit(X, y)
        print(cross_val_score(pipe, X, y))
    """,
    "the final model first": """
        def final(X, T):
            scaler = StandardScaler()
            Z = scaler.fit_transform(X)
            return Ridge().fit(Z, y).predict(scaler.transform(T))
        def validated(X):
            for a, b in KFold(5).split(X):
                Ridge().fit(StandardScaler().fit_transform(X[a]), y[a])
        predictions = final(X, T)
        validated(X)
    """,
    "names of classes": """
        y = LabelEncoder().fit_transform(train.label)
        for a, b in KFold(5).split(X, y):
            model.fit(X[a], y[a])
    """,
    "words as numbers": """
        X = OrdinalEncoder().fit_transform(X)
        print(cross_val_score(model, X, y))
    """,
    "split first": """
        X_train, X_valid = train_test_split(X)
        scaler = StandardScaler()
        X_train = scaler.fit_transform(X_train)
        X_valid = scaler.transform(X_valid)
    """,
    "means within folds": """
        for a, b in KFold(5).split(train):
            means = train.iloc[a].groupby("city").label.mean()
            X = train.iloc[b].city.map(means)
    """,
    "a text is split": """
        words = StandardScaler().fit_transform(X)
        parts = name.split(words)
    """,
    "a model of one's own": """
        class Net:
            def fit(self, X, y):
                self.scaler = StandardScaler()
                self.net = train(self.scaler.fit_transform(X), y)
                return self
            def predict(self, X):
                return self.net(self.scaler.transform(X))
        for a, b in KFold(5).split(X):
            Net().fit(X[a], y[a]).predict(X[b])
        Net().fit(X, y)
    """,
    "a function that calls itself": """
        def walk(X, depth):
            return X if depth == 0 else walk(walk(X, depth - 1), depth - 1)
        for a, b in KFold(5).split(walk(X, 9)):
            walk(X[a], 3)
    """,
}


def kinds_of(source: str) -> list[str]:
    import textwrap

    return [finding.kind for finding in check_code(textwrap.dedent(source), targets=["price"])]


@pytest.mark.parametrize("name", LEAKS)
def test_a_fit_before_the_split_is_found(name: str) -> None:
    assert kinds_of(LEAKS[name]) == ["fitted before the split"]


@pytest.mark.parametrize("name", CORRECT)
def test_correct_code_raises_no_finding(name: str) -> None:
    assert kinds_of(CORRECT[name]) == []


def test_the_finding_has_both_lines() -> None:
    (finding,) = check_code("s = StandardScaler()\nX = s.fit_transform(X)\nscores = cross_val_score(m, X, y)\n")
    assert finding.message == "solution.py:2 fits StandardScaler on all rows, line 3 splits"


def test_mutually_recursive_functions_are_followed_to_a_limit() -> None:
    names = [f"f{n}" for n in range(30)]
    text = "".join(f"def {name}(X):\n" + "".join(f"    {other}(X)\n" for other in names) for name in names)
    assert check_code(text + "f0(X)\n") == []

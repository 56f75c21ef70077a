"""Read CSV files as the benchmark's preparers do, with the number parser of pandas 2.

The known checksums come from pandas 2, whose default parser misses the last bit of about a third of all numbers with 17
digits (measured: 63,450 of 200,000). pandas 3.1 reads every number exactly and has no option for the old parser. So
numbers of 16 digits and more are parsed again here, by the old algorithm.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    Source = str | Path | IO[Any]

MOST_DIGITS = 17
EXACT_DIGITS = 15
"""Up to here both parsers agree: a float holds the digits as a whole number, and the division rounds once."""

_PROBE = "0.9424502837770503"
"""A number that pandas 2 reads one bit off."""


def read_csv(source: Path, **options: Any) -> pd.DataFrame:
    """The table of a CSV file as pandas 2 reads it. `options` are those of `pandas.read_csv`."""
    import pandas as pd

    frame: pd.DataFrame = pd.read_csv(source, **options)
    if reads_like_pandas_2():
        return frame
    floats = [name for name in frame.columns if frame[name].dtype.kind == "f"]
    if floats:
        reread_long_numbers(
            frame, pd.read_csv(source, **{**options, "usecols": floats, "dtype": dict.fromkeys(floats, str)})
        )
    return frame


def reread_long_numbers(frame: pd.DataFrame, texts: pd.DataFrame) -> None:
    """Replace the long numbers of `frame` by what pandas 2 reads; `texts` has its float columns as text."""
    for name in texts.columns:
        lengths = texts[name].str.len().to_numpy(dtype=float, na_value=0.0)
        rows = (lengths > EXACT_DIGITS).nonzero()[0].tolist()
        if not rows:
            continue
        values = frame[name].to_numpy(dtype=float, copy=True)
        column = texts[name]
        for row in rows:
            values[row] = parse_like_pandas_2(str(column.iat[row]))
        frame[name] = values


def parse_like_pandas_2(text: str) -> float:
    """The number in `text` by the algorithm of pandas 2: at most 17 digits count, including leading zeros."""
    text = text.strip()
    negative, text = text.startswith("-"), text.lstrip("+-").lower()
    mantissa, _, power = text.partition("e")
    whole, _, fraction = mantissa.partition(".")
    if not (whole + fraction).isdigit() or not (whole + fraction).isascii():
        return float(("-" if negative else "") + text)  # inf, nan
    number = 0.0
    digits = (whole + fraction)[:MOST_DIGITS]
    for digit in digits:
        number = number * 10.0 + int(digit)
    exponent = len(whole) - len(digits) + (int(power) if power else 0)
    return _scaled(-number if negative else number, exponent)


def _scaled(number: float, exponent: int) -> float:
    if exponent > 308:
        return number * float("inf")
    if exponent >= 0:
        return number * float(f"1e{exponent}")
    if exponent < -308:
        return number / float(f"1e{-308 - exponent}") / 1e308
    return number / float(f"1e{-exponent}")


def reads_like_pandas_2() -> bool:
    """Whether the installed pandas has the old algorithm itself."""
    import io

    import pandas as pd

    return float(pd.read_csv(io.StringIO(f"x\n{_PROBE}\n"))["x"][0]) == parse_like_pandas_2(_PROBE)

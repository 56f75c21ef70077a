"""Reads and checks the durations, amounts and counts that people type."""

from __future__ import annotations

import argparse
import math
import re


def hours(text: str) -> float:
    """Hours from `24`, `24h`, `90m`, `1.5h` or `2d`."""
    found = re.fullmatch(r"\s*([^\s a-zA-Z]+)\s*([dhms]?)\s*", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration: write 24, 24h or 90m")
    number = _positive(found[1], f"{text!r} is not a duration above zero: write 24, 24h or 90m")
    return number * {"d": 24.0, "h": 1.0, "": 1.0, "m": 1 / 60, "s": 1 / 3600}[found[2]]


def dollars(text: str) -> float:
    """Dollars above zero, with or without the sign."""
    return _positive(
        text.strip().removeprefix("$"), f"{text!r} is not an amount above zero: write dollars, such as 20 or 0.50"
    )


def speed(text: str) -> float:
    """A factor above zero."""
    return _positive(text, f"{text!r} is not a number above zero")


def count(text: str) -> int:
    """A whole number above zero."""
    return _whole(text, least=1)


def seed_count(text: str) -> int | None:
    """A whole number above zero, or None for -1, which means all as in MLE-bench's own script."""
    return None if text.strip() == "-1" else count(text)


def natural(text: str) -> int:
    """A whole number, zero included."""
    return _whole(text, least=0)


def gpu_count(text: str) -> int | str:
    """`all`, `none`, or a whole number."""
    if text.strip() in ("all", "none"):
        return text.strip()
    try:
        return natural(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of GPUs: write 2, all or none") from None


def _positive(text: str, complaint: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(complaint) from None
    if not math.isfinite(number) or number <= 0:
        raise argparse.ArgumentTypeError(complaint)
    return number


def _whole(text: str, least: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text.strip()) or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to 999999999")
    return int(text)

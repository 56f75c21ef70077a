"""`harness tasks --metrics`: the metrics a task may name, with direction, what they need, and their other names."""

from __future__ import annotations

from harness import errors


def show_metrics() -> int:
    """Print every metric on its own line, with its meaning and other names below it."""
    from tasks.metrics.registry import ALIASES, METRICS

    others: dict[str, list[str]] = {}
    for alias, name in ALIASES.items():
        others.setdefault(name, []).append(alias)
    print(f"{'metric':26}{'better':8}{'a prediction is':20}noise from")
    for metric in METRICS.values():
        name = metric.name + (f"[@{metric.parameter.upper()}]" if metric.parameter else "")
        needs = KINDS.get(metric.predictions, metric.needs.removesuffix("s"))
        print(f"{name:26}{metric.direction:8}{needs:20}{metric.noise_method}")
        print(f"    {metric.doc}")
        if metric.name in others:
            print(f"    also: {', '.join(others[metric.name])}")
    print("Names are understood in any spelling: AUC, log-loss, Root Mean Squared Error, MAP@5.")
    return errors.DONE


KINDS = {
    "probabilities": "probability",
    "non_negative": "number from 0 up",
    "binary": "0 or 1",
    "whole": "whole number",
    "lists": "labels, best first",
    "masks": "run lengths",
}
"""What a prediction is, where the metric accepts only some values."""

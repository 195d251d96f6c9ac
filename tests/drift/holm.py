"""The adjustment of p-values for their number by its definition (Holm 1979)."""

from collections.abc import Sequence


def adjust_by_holm(p_values: Sequence[float]) -> list[float]:
    """Return the adjusted p-values: the i-th smallest of k, from 0, times k - i; they never decrease in that order."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for i, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        largest = max(largest, p_values[place] * (len(p_values) - i))
        adjusted[place] = min(1.0, largest)
    return adjusted

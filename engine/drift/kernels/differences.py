"""Differences of values, integers and floats alike, as floats."""

from typing import Any

import numpy as np

from engine.drift.kernels.lazy import helper


@helper()
def subtract_ascending(low: Any, high: Any) -> Any:
    """Return high - low >= 0 as a float."""
    # a difference of int64 that needs 64 bits wraps around to a negative number, 2^64 too small
    width = np.float64(high - low)
    return width + 18446744073709551616.0 if width < 0 else width


@helper()
def subtract_as_float(value: Any, centre: Any) -> Any:
    """Return value - centre as a float."""
    # the difference of int64 is exact; where it wraps around, which its sign shows, floats are subtracted
    exact = np.float64(value - centre)
    return exact if (exact >= 0) == (value >= centre) else np.float64(value) - np.float64(centre)

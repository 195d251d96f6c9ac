"""Copy the present values of an array, given a bit mask of which are present."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.lazy import kernel


def _copy_present_in_numpy(
    values: NDArray[Any], valid: NDArray[np.uint8], first_bit: int, present: NDArray[Any]
) -> int:
    bits = np.unpackbits(valid, bitorder="little")[first_bit : first_bit + len(values)]
    found = values[bits.view(np.bool_)]
    present[: len(found)] = found
    return len(found)


@kernel(
    "i8(const f8[::1], const u1[::1], i8, f8[::1])",
    "i8(const i8[::1], const u1[::1], i8, i8[::1])",
    "i8(const f4[::1], const u1[::1], i8, f4[::1])",
    small=_copy_present_in_numpy,
    work=lambda values, *_: len(values) / 20,
)
def copy_present(values: NDArray[Any], valid: NDArray[np.uint8], first_bit: int, present: NDArray[Any]) -> int:
    """Copy the values that are present, in their order, and return their number.

    Parameters
    ----------
    values
        Present and missing values.
    valid, first_bit
        A bit mask from `first_bit` on, the lowest bit of a byte first: which values are present.
    present
        Output, one element longer than `values`; the rest may be written too.
    """
    k = 0
    for i in range(len(values)):
        bit = np.uint64(first_bit + i)
        # always written; the next value overwrites it unless it is present
        present[k] = values[i]
        k += int((valid[bit >> np.uint64(3)] >> (bit & np.uint64(7))) & np.uint64(1))
    return k

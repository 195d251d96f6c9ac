"""Joint counts for all columns: the number of rows per group and bin, in one pass."""

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.lazy import kernel
from engine.drift.kernels.tree_splits import Codes

Ints = NDArray[np.int64]


def _count_joint_in_numpy(bins: Codes, starts: Ints, groups: Ints, counts: Ints) -> None:
    for column, start in enumerate(starts):
        end = counts.shape[1] if column + 1 == len(starts) else starts[column + 1]
        cell = groups * (end - start) + bins[:, column]
        counts[:, start:end] = np.bincount(cell, minlength=len(counts) * (end - start)).reshape(len(counts), -1)


@kernel(
    "void(u1[:,::1], i8[::1], i8[::1], i8[:,::1])",
    small=_count_joint_in_numpy,
    work=lambda bins, *_: bins.size / 200,
)
def count_joint(bins: Codes, starts: Ints, groups: Ints, counts: Ints) -> None:
    """Count rows by group and bin.

    Parameters
    ----------
    bins
        The bin of each row in each column, shape (rows, columns).
    starts
        Where the bins of each column start among those of all, shape (columns,).
    groups
        The group of each row, shape (rows,).
    counts
        Output, zeros at first, shape (groups, bins of all columns).
    """
    for row in range(bins.shape[0]):
        group = groups[row]
        for column in range(bins.shape[1]):
            counts[group, starts[column] + bins[row, column]] += 1

"""The paths of rows down the trees of the drift model: the leaf of each row, and the effect of another code."""

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.lazy import kernel
from engine.drift.kernels.tree_splits import Codes
from engine.drift.threads import parallel_map

_ROWS_PER_BLOCK = 512
"""Number of rows that go down a tree together: their codes stay in the processor's fastest cache."""

Trees = tuple[NDArray[np.int32], NDArray[np.bool_], NDArray[np.int32], NDArray[np.float64]]
"""Four arrays whose first axis is the tree. Columns: the column by which a node splits, -1 for no node. Lefts: per
node, a mask of the codes that go left. Children: per node, the left and the right child, where leaf n is coded as -1 -
n; a child that is a node has a larger number. Values: the log odds that a leaf adds. Node 0 is the root; a tree without
nodes has one leaf, leaf 0."""

Leaves = NDArray[np.uint8]
"""The number of each row's leaf, by tree and row."""


@kernel("u1[::1](u1[:,::1], i4[::1], b1[:,::1], i4[:,::1])", work=None)
def find_leaves_of_tree(
    codes: Codes, column: NDArray[np.int32], left: NDArray[np.bool_], child: NDArray[np.int32]
) -> Leaves:
    """Return the leaf of each row in one tree.

    Parameters
    ----------
    codes
        Rows x columns.
    column, left, child
        One tree of `Trees`.
    """
    # the rows of a block go down together, node by node, because a single row would wait for memory at each node;
    # `active` are the rows that have not reached a leaf, and `ends` has the leaf of each row
    active, nodes = np.empty(_ROWS_PER_BLOCK, np.uint32), np.empty(_ROWS_PER_BLOCK, np.uint32)
    ends = np.full(_ROWS_PER_BLOCK, -1, np.int32)
    leaves = np.empty(len(codes), np.uint8)
    for start in range(0, len(codes), _ROWS_PER_BLOCK):
        size = min(_ROWS_PER_BLOCK, len(codes) - start)
        k = size if column[0] >= 0 else 0
        for i in range(k):
            active[i], nodes[i] = i, 0
        while k:
            kept = 0
            for i in range(k):
                row, node = active[i], nodes[i]
                goes_right = np.uint32(not left[node, codes[start + row, column[node]]])
                following = child[node, goes_right]
                ends[row] = following
                # always written; the next row overwrites it unless it is kept
                active[kept], nodes[kept] = row, np.uint32(following & 0x7FFFFFFF)
                kept += int(following >= 0)
            k = kept
        for i in range(size):
            leaves[start + i] = -1 - ends[i]
    return leaves


def find_leaves(codes: Codes, model: Trees) -> Leaves:
    """Return the leaf of each row in each tree: trees x rows."""
    columns, lefts, children, _ = model
    leaves = np.empty((len(columns), len(codes)), np.uint8)

    def fill(tree: int) -> None:
        leaves[tree] = find_leaves_of_tree(codes, columns[tree], lefts[tree], children[tree])

    parallel_map(fill, range(len(columns)))
    return leaves


def predict_log_odds(model: Trees, leaves: Leaves) -> NDArray[np.float64]:
    """Return the log odds that each tree adds to each row: trees x rows."""
    return np.take_along_axis(model[3], leaves, axis=1)


@kernel("f8[::1](u1[:,::1], i4[:,::1], b1[:,:,::1], i4[:,:,::1], f8[:,::1], u1[:,::1], i8, i8)", work=None)
def rotate_column(
    codes: Codes,
    columns: NDArray[np.int32],
    lefts: NDArray[np.bool_],
    children: NDArray[np.int32],
    values: NDArray[np.float64],
    leaves: Leaves,
    rotated: int,
    shift: int,
) -> NDArray[np.float64]:
    """Return how the log odds of each row change if, in one column, it gets the code of the row `shift` rows before it.

    Only rows that meet a node splitting by this column are evaluated again, from the first such node on. Rows that go
    the same way there with both codes are skipped, unless another such node may follow.

    Parameters
    ----------
    codes
        Rows x columns.
    columns, lefts, children, values
        See `Trees`.
    leaves
        What `find_leaves` returns.
    rotated
        The column. The row before the first one is the last one.
    shift
        At most the number of rows.
    """
    rows, nodes = len(codes), columns.shape[1]
    before, after = np.zeros(rows), np.zeros(rows)
    first_of_node, first_of_leaf = np.empty(nodes, np.int64), np.empty(nodes + 1, np.int64)
    for tree in range(len(columns)):
        splits = False
        for node in range(nodes):
            splits |= columns[tree, node] == rotated
        if not splits:
            continue
        # per node and leaf, the first node on its path that splits by the column, -1 for none
        first_of_node[0], repeated = -1, False
        for node in range(nodes):
            if columns[tree, node] < 0:
                break
            first = first_of_node[node]
            if columns[tree, node] == rotated:
                repeated |= first >= 0
                first = first if first >= 0 else node
            for side in range(2):
                following = children[tree, node, side]
                if following >= 0:
                    first_of_node[following] = first
                else:
                    first_of_leaf[-1 - following] = first
        for row in range(rows):
            leaf = np.int64(leaves[tree, row])
            before[row] += values[tree, leaf]
            place = first_of_leaf[leaf]
            if place >= 0:
                other = row - shift if row >= shift else row - shift + rows
                way, other_way = lefts[tree, place, codes[row, rotated]], lefts[tree, place, codes[other, rotated]]
                if way != other_way or repeated:
                    while place >= 0:
                        asked = columns[tree, place]
                        code = codes[other if asked == rotated else row, asked]
                        place = np.int64(children[tree, place, 0 if lefts[tree, place, code] else 1])
                    leaf = -1 - place
            after[row] += values[tree, leaf]
    return after - before

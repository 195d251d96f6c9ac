"""Collect from all partitions the few values that decide how columns can be read.

Some columns cannot be read by their type alone: texts may all be numbers, unsigned 64-bit integers may exceed signed
ones. The decision needs the first value with some property, or the smallest or largest value. Applying the same
expressions to the values found in all partitions gives those of all rows.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import polars as pl

from engine.drift.spark.parts import PartitionedRows, pack_expressions, pack_frame, unpack_expressions, unpack_frame

Selections = Sequence[tuple[str, Sequence[bytes]]]
"""Per column, its name and the packed expressions of the values to collect."""


def collect_values(rows: PartitionedRows, selections: Mapping[str, Sequence[pl.Expr]]) -> pl.DataFrame:
    """Return selected values of columns, null where there is no such value.

    Parameters
    ----------
    selections
        Per column, expressions that each give a single value. Applied to the values that it selected from parts of the
        rows, an expression must select the same value as from all rows, or an equivalent one.
    """
    packed = [(name, pack_expressions(expressions)) for name, expressions in selections.items()]
    found = rows.run_on_parts(selections, partial(_select_in_part, packed), partial(_merge_selected, packed))
    return unpack_frame(found[0]) if found else rows.show_types(selections)


def _select_in_part(selections: Selections, blocks: Iterator[pl.DataFrame]) -> list[tuple[int, bytes]]:
    found: list[pl.DataFrame] = []
    for block in blocks:
        found = [_select_values(selections, pl.concat([*found, block]))]
    return [(0, pack_frame(one)) for one in found]


def _merge_selected(selections: Selections, _: int, results: Iterable[bytes]) -> bytes:
    found: list[pl.DataFrame] = []
    for result in results:
        found = [_select_values(selections, pl.concat([*found, unpack_frame(result)]))]
    return pack_frame(found[0])


def _select_values(selections: Selections, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the values that the expressions select, one per row, in their columns."""
    columns = [
        pl.concat([frame.select(one.alias(name)).to_series() for one in unpack_expressions(packed)])
        for name, packed in selections
    ]
    rows = max(map(len, columns))
    return pl.DataFrame([column.extend_constant(None, rows - len(column)) for column in columns])

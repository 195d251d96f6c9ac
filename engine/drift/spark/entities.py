"""Choose one row per entity of a Spark DataFrame, on its executors."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import polars as pl

from engine.drift.profiles.entity_choice import choose_entity_rows, choose_lowest
from engine.drift.spark.parts import PartitionedRows, pack_expressions, pack_frame, unpack_expressions, unpack_frame

SHARES = 64
"""Number of shares of the entities, by their hashes, that are merged separately."""

_MOST_WAITING = 1 << 20
"""Number of chosen rows of blocks that wait before those of one entity are compared; or twice the number of
entities."""


def choose_entity_rows_of_parts(rows: PartitionedRows, reading: Mapping[str, pl.Expr], entity: str) -> pl.DataFrame:
    """Return one row per entity, like `choose_entity_rows`."""
    names = list(dict.fromkeys([*reading, entity]))
    packed = list(zip(reading, pack_expressions(reading.values()), strict=True))
    chosen = rows.run_on_parts(names, partial(_choose_in_part, packed, entity), merge_chosen)
    if not chosen:
        return choose_entity_rows(rows.show_types(names).lazy(), reading, entity)
    return pl.concat(map(unpack_frame, chosen.values())).sort("entity")


def _choose_in_part(
    packed: list[tuple[str, bytes]], entity: str, blocks: Iterator[pl.DataFrame]
) -> Iterator[tuple[int, bytes]]:
    choice = EntityChoice(packed, entity)
    for block in blocks:
        choice.add(block)
    yield from choice.divide()


class EntityChoice:
    """Chooses one row per entity in a part of the rows; `packed` holds the columns' expressions."""

    def __init__(self, packed: Sequence[tuple[str, bytes]], entity: str) -> None:
        self._reading = {name: unpack_expressions([expression])[0] for name, expression in packed}
        self._entity = entity
        self._waiting: list[pl.DataFrame] = []
        self._entities = self._rows = 0

    def add(self, block: pl.DataFrame) -> None:
        """Add the next rows."""
        self._waiting.append(choose_entity_rows(block.lazy(), self._reading, self._entity))
        self._rows += len(self._waiting[-1])
        if self._rows > max(_MOST_WAITING, 2 * self._entities):
            self._waiting = [choose_lowest(pl.concat(self._waiting).lazy())]
            self._entities = self._rows = len(self._waiting[0])

    def divide(self) -> Iterator[tuple[int, bytes]]:
        """Yield the chosen rows, packed, by share of the entities; nothing if there were no rows."""
        if not self._waiting:
            return
        chosen = choose_lowest(pl.concat(self._waiting).lazy())
        shares = chosen.with_columns(share=pl.col("entity") % SHARES).partition_by(
            "share", as_dict=True, include_key=False
        )
        for (share,), of_share in shares.items():
            yield share, pack_frame(of_share)


def merge_chosen(_: int, results: Iterable[bytes]) -> bytes:
    chosen: list[pl.DataFrame] = []
    for result in results:
        chosen = [choose_lowest(pl.concat([*chosen, unpack_frame(result)]).lazy())]
    return pack_frame(chosen[0])

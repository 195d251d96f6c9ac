"""Choose one row per entity of a Spark DataFrame, on its executors."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

import polars as pl

from engine.drift.profiles.entity_choice import choose_entity_rows, choose_lowest
from engine.drift.spark.parts import PartitionedRows, pack_expressions, pack_frame, unpack_expressions, unpack_frame

_SHARES = 64
"""Shares of the entities, by their hashes: each is merged for itself."""

_MOST_WAITING = 1 << 20
"""Chosen rows of blocks that wait until those of one entity are compared; or twice the number of entities."""


def choose_entity_rows_of_parts(rows: PartitionedRows, reading: Mapping[str, pl.Expr], entity: str) -> pl.DataFrame:
    """Return one row per entity, as `choose_entity_rows` does."""
    names = list(dict.fromkeys([*reading, entity]))
    packed = list(zip(reading, pack_expressions(reading.values()), strict=True))
    chosen = rows.run_on_parts(names, partial(_choose_in_part, packed, entity), _merge_chosen)
    if not chosen:
        return choose_entity_rows(rows.show_types(names).lazy(), reading, entity)
    return pl.concat(map(unpack_frame, chosen.values())).sort("entity")


def _choose_in_part(
    packed: list[tuple[str, bytes]], entity: str, blocks: Iterator[pl.DataFrame]
) -> Iterator[tuple[int, bytes]]:
    reading = {name: unpack_expressions([expression])[0] for name, expression in packed}
    waiting: list[pl.DataFrame] = []
    entities = rows = 0
    for block in blocks:
        waiting.append(choose_entity_rows(block.lazy(), reading, entity))
        rows += len(waiting[-1])
        if rows > max(_MOST_WAITING, 2 * entities):
            waiting = [choose_lowest(pl.concat(waiting).lazy())]
            entities = rows = len(waiting[0])
    if waiting:
        chosen = choose_lowest(pl.concat(waiting).lazy())
        shares = chosen.with_columns(share=pl.col("entity") % _SHARES).partition_by(
            "share", as_dict=True, include_key=False
        )
        for (share,), of_share in shares.items():
            yield share, pack_frame(of_share)


def _merge_chosen(_: int, results: Iterable[bytes]) -> bytes:
    chosen: list[pl.DataFrame] = []
    for result in results:
        chosen = [choose_lowest(pl.concat([*chosen, unpack_frame(result)]).lazy())]
    return pack_frame(chosen[0])

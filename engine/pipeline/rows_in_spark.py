"""Refuses measurements of rows that stay in Spark, if they need all rows here in one order, or too many passes.

They are refused by name before computations: an evaluation that silently lacked them would look complete.
"""

from collections.abc import Iterator

from engine.data import Table
from engine.errors import DataError
from engine.formatting.lists import join_words
from engine.pipeline.context import BuildContext
from engine.spec.resources.evaluation_stores import EvaluationStoreSpec


def require_measurable_rows(store: str, table: Table, context: BuildContext, *, reference: bool = False) -> None:
    """Raise a DataError if a store declares a measurement that is impossible for a table whose rows stay in Spark.

    `reference` is True if the table is the reference.
    """
    if table.spark is None:
        return
    spec = context.project.evaluation_stores[store]
    if lacking := [*_list_unmeasurable(spec), *([] if reference else _list_unmeasurable_of_batch(spec))]:
        raise DataError(
            f"evaluation store {store!r}: {join_words(lacking, 'and')} cannot be computed where rows stay with Spark, "
            f"and dataset {table.name!r} has {table.spark.count:,}: leave out what is named, evaluate fewer rows, or "
            "raise collect_rows of the connection if this machine can hold them"
        )


def require_packable_rows(table: Table) -> None:
    """Raise a DataError if the rows of a table stay in Spark, since a bundle has its rows in a file."""
    if table.spark is not None:
        raise DataError(
            f"dataset {table.name!r} has {table.spark.count:,} rows, which stay with Spark, and no bundle holds them: "
            "take it out of include: datasets, so that it is read where the bundle is deployed"
        )


def _list_unmeasurable(spec: EvaluationStoreSpec) -> Iterator[str]:
    if spec.segments and spec.estimates:
        yield "estimates beside segments"
    if spec.segments and spec.segment_search:
        yield "find_segments beside segments"


def _list_unmeasurable_of_batch(spec: EvaluationStoreSpec) -> Iterator[str]:
    if spec.model and spec.metrics:
        yield "metrics"

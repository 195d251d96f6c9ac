"""The declared segments of a store, with the values of variables in their conditions."""

from typing import TYPE_CHECKING

from engine.data import Table
from engine.errors import DataError
from engine.pipeline.context import BuildContext
from engine.spec.resources.evaluation_stores import SegmentCondition
from engine.spec.segments import MAX_SEGMENT_VALUES, MIN_SEGMENT_ROWS
from engine.spec.sql.row_conditions import bind_row_condition

if TYPE_CHECKING:
    from engine.data.segments import SegmentRules
    from engine.evaluation.segments.found import SearchSettings

CONDITIONS_VERSION = "2"
"""Version of the meaning of conditions: it changes whenever a condition selects other rows of the same table."""


def find_segment_rules(store: str, context: BuildContext) -> "SegmentRules | None":
    """Return the segments of a store; None if it declares none."""
    declared = context.project.evaluation_stores[store].segments
    if not declared:
        return None
    from engine.data.segments import SegmentRules

    place = ("evaluation_stores", store, "segments")
    conditions = {
        one.name: (i, _bind_condition(one, context))
        for i, one in enumerate(declared)
        if isinstance(one, SegmentCondition)
    }
    return SegmentRules(
        columns={
            one: context.project.value_position(*place, i) for i, one in enumerate(declared) if isinstance(one, str)
        },
        conditions={name: query for name, (_, query) in conditions.items()},
        places={name: context.project.value_position(*place, i, "where") for name, (i, _) in conditions.items()},
    )


def _bind_condition(segment: SegmentCondition, context: BuildContext) -> str:
    try:
        return bind_row_condition(segment.where, context.project.names)
    except (ValueError, KeyError) as problem:
        raise DataError(f"segment {segment.name!r}: its condition cannot be computed: {problem}") from None


def has_conditions(store: str, context: BuildContext) -> bool:
    """Return whether numbers of a store depend on conditions: declared ones, or those of its segment search."""
    spec = context.project.evaluation_stores[store]
    return spec.segment_search is not None or any(isinstance(one, SegmentCondition) for one in spec.segments)


def find_search_settings(store: str, context: BuildContext) -> "SearchSettings | None":
    """Return the settings of a store's segment search; None without a search."""
    from engine.evaluation.segments.found import SearchSettings

    spec = context.project.evaluation_stores[store]
    if spec.segment_search is None:
        return None
    return SearchSettings(
        **spec.segment_search.model_dump(),
        seed=spec.drift.seed,
        confidence=spec.drift.confidence,
        cost_matrix=context.project.models[spec.model].cost_matrix if spec.model else None,
    )


def require_segment_columns(store: str, table: Table, context: BuildContext) -> None:
    """Raise a DataError, with its place in the spec, unless a batch has the columns of the segments."""
    if rules := find_segment_rules(store, context):
        rules.require_columns(table)
    if search := context.project.evaluation_stores[store].segment_search:
        from engine.data.segments import SegmentRules

        place = ("evaluation_stores", store, "find_segments", "columns")
        positions = {one: context.project.value_position(*place, i) for i, one in enumerate(search.columns)}
        SegmentRules(columns=positions).require_columns(table)


def count_segment_tests(store: str, batch: Table, context: BuildContext) -> list[str]:
    """Return a note on the largest number of segments and tests of a store; none without segments."""
    rules = find_segment_rules(store, context)
    if rules is None:
        return []
    spec = context.project.evaluation_stores[store]
    model = context.project.models[spec.model] if spec.model else None
    of_model = model.features.include if model else None
    left_out = {*spec.drift.columns.exclude, batch.entity, *((model.target, *model.features.exclude) if model else ())}
    columns = sum(name not in left_out for name in of_model or batch.frame.collect_schema())
    # besides its values, a column has a segment of all others and one of the rows without a value
    segments = len(rules.columns) * (MAX_SEGMENT_VALUES + 2) + len(rules.conditions)
    note = (
        f"at most {segments:,} segments of at most {columns:,} columns make at most {segments * columns:,} tests of "
        f"columns beside those of the whole; segments share half of the level, {(1 - spec.drift.confidence) / 2:.3g}; "
        f"those with fewer than {MIN_SEGMENT_ROWS} rows on a side are not tested"
    )
    return [note]

"""The segments that a store declares, with the variables of their conditions filled in."""

from engine.data.segments import SegmentRules
from engine.pipeline.context import BuildContext
from engine.spec.resources.evaluation_stores import SegmentCondition
from engine.spec.sql.row_conditions import bind_row_condition


def find_segment_rules(store: str, context: BuildContext) -> SegmentRules | None:
    """Return the segments of a store; None if it declares none."""
    declared = context.project.evaluation_stores[store].segments
    if not declared:
        return None
    place = ("evaluation_stores", store, "segments")
    conditions = {
        one.name: (i, bind_row_condition(one.where, context.project.names))
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

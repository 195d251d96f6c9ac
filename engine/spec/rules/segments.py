"""Rules of segments: unique names, conditions on single rows, and checks only of existing segments."""

from engine.spec.diagnostics import Findings
from engine.spec.metrics.names import MetricName, parse_metric_name
from engine.spec.resources.checks import RangeCheck, TypicalCheck
from engine.spec.resources.evaluation_stores import SegmentCondition
from engine.spec.rules.draft import Draft, report_problem
from engine.spec.rules.sql import find_shift_problems
from engine.spec.segments import FOUND, SegmentNames
from engine.spec.sql.row_conditions import find_row_condition_problems
from engine.spec.variables.references import find_references


def check_segments(draft: Draft, findings: Findings) -> None:
    """Check the names and conditions of segments, and the segments named in checks."""
    variables = draft.declared_names("variables")
    for text in draft.texts_read_as("where"):
        draft.variables.used_names.update(one.parts[0] for one in find_references(text.value) if one.parts)
        problems = [*find_row_condition_problems(text.value, variables), *find_shift_problems(text.value, draft)]
        for problem in problems:
            report_problem(findings, text, problem)
    for name, store in draft.spec.evaluation_stores.items():
        seen: dict[str, int] = {}
        for i, one in enumerate(store.segments):
            called = one.name if isinstance(one, SegmentCondition) else one
            if called in seen:
                path = ("evaluation_stores", name, "segments")
                at = draft.value_position(*path, i)
                also = draft.value_position(*path, seen[called])
                findings.error(
                    at, "duplicate-name", f'segment "{called}" is declared twice', "remove one of them", also=also
                )
            seen.setdefault(called, i)
            columns = SegmentNames([other for other in store.segments if isinstance(other, str)], [])
            if isinstance(one, SegmentCondition) and columns.can_be(called):
                at = draft.value_position("evaluation_stores", name, "segments", i, "name")
                message = f'segment "{called}" has the same name as a segment created from a column'
                findings.error(at, "duplicate-name", message, "choose another name")
            if "*" in called:
                at = draft.value_position("evaluation_stores", name, "segments", i)
                findings.error(at, "name", f'the name of segment "{called}" contains *, which is reserved for patterns')
            if called.startswith(FOUND):
                at = draft.value_position("evaluation_stores", name, "segments", i)
                message = f'the name of segment "{called}" starts with {FOUND!r}, which is reserved for found segments'
                findings.error(at, "name", message, f"choose another name; the condition is the text after {FOUND!r}")
    _check_segments_of_checks(draft, findings)


def _check_segments_of_checks(draft: Draft, findings: Findings) -> None:
    for section in ("datasets", "evaluation_stores"):
        for owner, resource in getattr(draft.spec, section).items():
            names = SegmentNames.of_store(resource) if section == "evaluation_stores" else SegmentNames([], [])
            for name, check in resource.checks.items():
                if not isinstance(check, RangeCheck | TypicalCheck) or check.segment is None:
                    continue
                at = draft.value_position(section, owner, "checks", name, "segment")
                metric = parse_metric_name(check.metric)
                if section == "datasets":
                    message = "a dataset has no segments"
                    findings.error(at, "needs-key", message, "put this check into an evaluation store")
                elif not (names.columns or names.conditions or names.found):
                    message = "this store has no segments"
                    findings.error(at, "needs-key", message, "add segments: [column], or remove segment")
                elif not names.can_be(check.segment):
                    message = f'the store has no segment "{check.segment}"'
                    findings.error(at, "unknown-name", message, names.suggest(check.segment))
                elif isinstance(metric, MetricName) and metric.segment is not None:
                    message = f"{check.metric} already names a segment"
                    findings.error(at, "metric-member", message, "remove segment, or the segment in the metric")

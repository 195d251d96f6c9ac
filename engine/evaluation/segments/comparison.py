"""Compare the segments of a batch: rows are measured separately, drift is judged together with that of the whole.

The whole has half of the level and the segments share the other half (`engine.drift.significance.hierarchy`). The
intervals of performance hold together too: with k segments that are large enough, each has the confidence 1 - (1 -
confidence) / k (Bonferroni).
"""

from __future__ import annotations  # types of drift in annotations must not be evaluated: drift loads them lazily

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from engine import drift
from engine.evaluation.performance.estimation import EstimateSettings, estimate_batch
from engine.evaluation.record import MetricValue
from engine.evaluation.segments.metrics import write_segment_metric
from engine.evaluation.snapshots.snapshot import Snapshot
from engine.spec.metrics.catalogue import ESTIMATED_BY_TASK, PERFORMANCE_METRICS, SEGMENT_DRIFTS
from engine.spec.metrics.names import MetricName
from engine.spec.segments import MIN_SEGMENT_ROWS


@dataclass(frozen=True, slots=True)
class ComparedSegment:
    """A segment with enough rows on both sides.

    Attributes
    ----------
    pairs
        The profiles of reference and batch: of the columns, and of the predictions if both sides have predictions.
    """

    name: str
    reference: Snapshot
    batch: Snapshot
    pairs: Sequence[tuple[drift.Profile, drift.Profile]]


def share_confidence(confidence: float, rows: Sequence[int]) -> float:
    """Return the confidence of the intervals in each of several segments, given the rows of all of them."""
    large = sum(count >= MIN_SEGMENT_ROWS for count in rows)
    return 1 - (1 - confidence) / max(1, large)


def pair_segments(reference: Snapshot, batch: Snapshot) -> list[ComparedSegment]:
    """Return the segments with enough rows on both sides."""
    found = []
    for name, reference_side in reference.segments.items():
        batch_side = batch.segments.get(name)
        if batch_side is None or min(reference_side.columns.rows, batch_side.columns.rows) < MIN_SEGMENT_ROWS:
            continue
        pairs = [_pair_profiles(reference_side.columns, batch_side.columns)]
        if reference_side.predictions is not None and batch_side.predictions is not None:
            pairs.append(_pair_profiles(reference_side.predictions, batch_side.predictions))
        found.append(ComparedSegment(name, reference_side, batch_side, pairs))
    return found


def _pair_profiles(reference: drift.Profile, batch: drift.Profile) -> tuple[drift.Profile, drift.Profile]:
    if (reference.entities is None) == (batch.entities is None):
        return reference, batch
    return reference.without_entities(), batch.without_entities()


def estimate_segment(segment: ComparedSegment, settings: EstimateSettings, *, moved: bool) -> dict[str, MetricValue]:
    """Return the estimated performance in a segment, with an interval at the confidence of the segment's performance.

    `moved` states whether the segment drifted.
    """
    reference, batch = segment.pairs[0]
    found = estimate_batch(
        segment.batch.scored_rows,
        segment.reference.scored_rows,
        replace(settings, confidence=segment.batch.confidence or settings.confidence),
        roles={name: role for name, role in reference.roles.items() if name in batch.columns},
        entity=None if reference.entities is None else segment.reference.entity,
        moved=moved,
        unscored=segment.batch.unscored,
    )
    return {name: value for name, value in found.metrics.items() if name.startswith("estimated_")}


def describe_segments(
    reference: Snapshot,
    batch: Snapshot,
    compared: Sequence[tuple[ComparedSegment, Sequence[drift.Drift]]],
    changes: Mapping[str, Mapping[str, MetricValue]],
    estimates: EstimateSettings | None = None,
) -> dict[str, MetricValue]:
    """Return the metrics of all segments by their names, `segment.<name>.<metric>`.

    A segment with too few rows has the same metrics, without values but with the reason.

    Parameters
    ----------
    compared
        The segments with enough rows, each with the comparisons of its pairs.
    changes
        By segment, the change of each performance metric from that of the reference.
    estimates
        Settings for estimating the performance; None for no estimates.
    """
    metrics: dict[str, MetricValue] = {}
    done = {segment.name: (segment, drifts) for segment, drifts in compared}
    for name in dict.fromkeys([*reference.segments, *batch.segments]):
        if name in done:
            metrics |= describe_compared(*done[name], changes[name], estimates)
            continue
        batch_side, reference_side = batch.segments.get(name), reference.segments.get(name)
        rows, before = (0 if side is None else side.columns.rows for side in (batch_side, reference_side))
        found = {"row_count": MetricValue(float(rows)), **_describe_too_small(rows, before, reference, batch)}
        if estimates is not None:
            found |= {f"estimated_{one}": found["segment_drift"] for one in ESTIMATED_BY_TASK[estimates.task]}
        metrics |= {write_segment_metric(name, metric): value for metric, value in found.items()}
    return metrics


def describe_compared(
    segment: ComparedSegment,
    drifts: Sequence[drift.Drift],
    changes: Mapping[str, MetricValue],
    estimates: EstimateSettings | None = None,
) -> dict[str, MetricValue]:
    """Return the metrics of a compared segment by name; see `describe_segments`."""
    found = {"row_count": MetricValue(float(segment.batch.columns.rows)), **_describe_drift(drifts)}
    found |= {
        metric: value
        for metric, value in segment.batch.performance.items()
        if metric in ("labelled_share", *PERFORMANCE_METRICS)
    }
    found |= changes
    if estimates is not None:
        found |= estimate_segment(segment, estimates, moved=bool(found["segment_drift"].value))
    return {write_segment_metric(segment.name, metric): value for metric, value in found.items()}


def _describe_drift(drifts: Sequence[drift.Drift]) -> dict[str, MetricValue]:
    of_columns, *of_predictions = drifts
    main = [one.columns.get("probability", one.columns["prediction"]) for one in of_predictions]
    metrics = {
        str(MetricName(statistic, name)): _read_statistic(column, statistic)
        for name, column in of_columns.columns.items()
        for statistic in SEGMENT_DRIFTS
    }
    metrics |= {
        str(MetricName("prediction_drift", statistic)): _read_statistic(one, statistic)
        for one in main
        for statistic in SEGMENT_DRIFTS
    }
    judged = [one for each in drifts for one in each.columns.values() if one.drift is not None]
    if not judged:
        reason = next(
            (one.reasons["drift"] for one in of_columns.columns.values()), "there is no column that is compared"
        )
        nothing = MetricValue(None, reason=reason, counts_as_ok=True)
        return {**dict.fromkeys(("segment_drift", "drifted_columns", "drifted_share"), nothing), **metrics}
    largest = max(judged, key=lambda one: one.drift or 0.0)
    p_values = [one.drift_p for one in judged if one.drift_p is not None]
    share = of_columns.drifted_share
    return {
        "segment_drift": MetricValue(largest.drift, p_value=min(p_values, default=None)),
        "drifted_columns": MetricValue(float(of_columns.drifted_columns)),
        "drifted_share": MetricValue(share, reason=None if share is not None else "no column has a verdict"),
        **metrics,
    }


def _read_statistic(column: drift.ColumnDrift, statistic: str) -> MetricValue:
    value: float | None = getattr(column, statistic)
    p_value = column.drift_p if statistic == "drift" else None
    return MetricValue(
        value, p_value=p_value, reason=column.reasons.get(statistic), counts_as_ok=column.undecidable and value is None
    )


def _describe_too_small(rows: int, before: int, reference: Snapshot, batch: Snapshot) -> dict[str, MetricValue]:
    if not reference.segments:
        reason = "the reference keeps no segments: it was measured before the store declared them as they are now"
        return dict.fromkeys(_list_names(reference, batch), MetricValue(None, reason=reason))
    reason = (
        f"too small: {rows:,} rows in the batch and {before:,} in the reference; a segment needs {MIN_SEGMENT_ROWS} on "
        "each side"
    )
    return dict.fromkeys(_list_names(reference, batch), MetricValue(None, reason=reason, counts_as_ok=True))


def _list_names(reference: Snapshot, batch: Snapshot) -> list[str]:
    """Return the names of a segment's metrics, for a segment without values."""
    names = ["segment_drift", "drifted_columns", "drifted_share"]
    names += [str(MetricName(one, column)) for column in reference.columns.columns for one in SEGMENT_DRIFTS]
    if reference.predictions is not None and batch.predictions is not None:
        names += [str(MetricName("prediction_drift", one)) for one in SEGMENT_DRIFTS]
    measured = [name for name in batch.performance if name in ("labelled_share", *PERFORMANCE_METRICS)]
    names += measured
    names += [
        str(MetricName(change, name))
        for change in ("performance_change", "performance_change_relative")
        for name in measured
        if name in reference.performance and name != "labelled_share"
    ]
    return names


def select_segment_columns(side: Snapshot, names: Sequence[str]) -> Snapshot:
    """Return a side with only some columns, also in its segments."""
    segments = {name: select_segment_columns(one, names) for name, one in side.segments.items()}
    columns = replace(side.columns, columns={name: side.columns.columns[name] for name in names})
    return replace(side, columns=columns, segments=segments)

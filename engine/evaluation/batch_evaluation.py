"""Evaluation of a batch: its drift from a reference and a model's performance on it, assembled into one record.

The result depends on the arguments alone. Ids, times and what is read from the store are passed in, so the same
arguments give the same evaluation.
"""

from __future__ import annotations  # keeps annotations with types of drift unevaluated: drift loads them lazily

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, inf
from typing import Any

from engine import drift
from engine.evaluation.changes import change_between
from engine.evaluation.detail import ColumnDetail, ColumnImportance, Histogram, PredictionDetail
from engine.evaluation.estimation import EstimateSettings, Estimation, estimate_batch
from engine.evaluation.evaluation_identity import EvaluationIdentity, build_empty_evaluation, measure_repetition
from engine.evaluation.found_segments import SearchSettings, describe_found, propose_segments
from engine.evaluation.labelled_rows import compare_labelled_rows
from engine.evaluation.observation import Observation
from engine.evaluation.record import Evaluation, MetricValue
from engine.evaluation.segments import describe_segments, pair_segments
from engine.evaluation.snapshot import Snapshot
from engine.spec.metrics.catalogue import METRICS, PERFORMANCE_METRICS
from engine.spec.metrics.names import MetricName
from engine.spec.resources.evaluation_stores import DriftSettings


def evaluate_batch(
    identity: EvaluationIdentity,
    batch: Observation,
    reference: Snapshot,
    settings: DriftSettings,
    *,
    model_importance: Mapping[str, float] | None = None,
    own_metrics: Mapping[str, MetricValue] | None = None,
    estimates: EstimateSettings | None = None,
    search: SearchSettings | None = None,
) -> Evaluation:
    """Compare a batch with a reference and assemble the evaluation.

    Parameters
    ----------
    identity
        Names, fingerprints and time of the evaluation.
    batch, reference
        The two sides, which must have been measured with the same roles.
    model_importance
        The model's importance by feature, to be kept beside that of the drift model.
    own_metrics
        Custom metrics of the batch, already computed.
    estimates
        How to estimate the performance; None if it is not to be estimated.
    search
        How to search for segments; None if they are not to be searched for.
    """
    mine, theirs, notes_of_entity = _unite_entities(batch.snapshot, reference)
    entity = None if theirs.entities is None else reference.entity
    sampled = reference.sample.columns
    roles = {
        name: role
        for name, role in theirs.roles.items()
        if name in mine.columns and mine.columns[name].role is role and name in sampled
    }
    drift_model = drift.domain_classifier(
        reference.sample,
        batch.snapshot.sample,
        roles,
        entity=entity,
        confidence=settings.confidence,
        max_rows=settings.max_rows,
        seed=settings.seed,
        drawn_from=(reference.columns.rows, batch.rows),
    )
    # columns, drift model and predictions are one family of tests: without drift, at most a share of 1 - confidence of
    # all evaluations has any alarm
    pairs = [(theirs, mine)]
    if reference.predictions is not None and batch.snapshot.predictions is not None:
        pairs.append((reference.predictions, batch.snapshot.predictions))
    p_values = [] if drift_model.p_value is None else [drift_model.p_value]
    segments = pair_segments(reference, batch.snapshot)
    proposals = None if search is None else propose_segments(reference, batch.snapshot, roles, search, entity=entity)
    found = None if proposals is None else len(proposals.proposed)
    weight, *weights = drift.weigh_groups(len(segments), found)
    parts = [drift.ComparedGroup(one.pairs, weight=share) for one, share in zip(segments, weights, strict=False)]
    if proposals:
        parts += proposals.arrange_groups(weights[len(segments) :])
    whole = drift.ComparedGroup(pairs, p_values, weight)
    ((compared, *predictions), adjusted), *judged = drift.compare_groups(
        [whole, *parts], confidence=settings.confidence
    )
    if adjusted:
        drift_model = replace(drift_model, p_value=adjusted[0], significant=adjusted[0] < 1 - settings.confidence)
    tests = ceil(whole.tests / weight)  # as many as the whole would have to share all of the level among
    of_segments = describe_segments(
        reference,
        batch.snapshot,
        [(segment, drifts) for segment, (drifts, _) in zip(segments, judged, strict=False)],
        {one.name: _performance_changes(one.reference, one.batch) for one in segments},
        estimates,
    )
    of_found: dict[str, MetricValue] = {}
    notes_of_search: list[str] = []
    if proposals:
        of_found, notes_of_search = describe_found(
            proposals,
            judged[len(segments) :][:found],
            _performance_changes,
            estimates,
            1 - settings.confidence,
        )
    predicted = _describe_predictions(reference, batch.snapshot, predictions, settings.confidence, tests)
    labelled, labelled_notes = compare_labelled_rows(
        batch.labelled, batch.snapshot.performance.get("labelled_share"), settings.confidence
    )
    estimation = Estimation()
    if estimates is not None:
        estimation = estimate_batch(
            batch.snapshot.scored_rows,
            reference.scored_rows,
            estimates,
            roles=roles,
            entity=entity,
            moved=drift_model.significant,
            unscored=batch.snapshot.unscored,
        )
    nothing = _explain_nothing_compared(reference.columns.rows, batch.rows, len(compared.columns))
    metrics: dict[str, MetricValue] = {
        "row_count": MetricValue(float(batch.rows)),
        **measure_repetition(identity),
        **_data_drift_metrics(drift_model, data_present=bool(roles) and not nothing),
        **_drifted_metrics(compared, nothing),
        **_column_drift_metrics(compared),
        **_absent_column_metrics(reference),
        **predicted.metrics,
        **labelled,
        **batch.snapshot.performance,
        **_performance_changes(reference, batch.snapshot),
        **estimation.metrics,
        **batch.advantage,
        **of_segments,
        **of_found,
        **(own_metrics or {}),
    }
    absent = [f"column {name!r} is not compared: {one.reason}" for name, one in reference.absent.items()]
    notes = [
        *([f"{nothing}: nothing was compared or measured"] if nothing else []),
        *reference.notes,
        *absent,
        *notes_of_entity,
        *compared.notes,
        *drift_model.notes,
        *predicted.notes,
        *batch.notes,
        *labelled_notes,
        *estimation.notes,
        *notes_of_search,
    ]
    return replace(
        build_empty_evaluation(identity),
        rows_read=batch.rows,
        rows_used=batch.rows,
        reference_rows=reference.columns.rows,
        metrics=metrics,
        columns=_column_details(compared, theirs, mine, settings.confidence, tests),
        left_out={**reference.left_out, **batch.left_out},
        importance=ColumnImportance(dict(drift_model.importance), dict(model_importance or {})),
        prediction=predicted.detail,
        performance=replace(batch.performance_detail, estimate=estimation.detail),
        reference_performance={
            name: MetricValue(metric.value, metric.low, metric.high)
            for name, metric in reference.performance.items()
            if metric.value is not None
        },
        notes=tuple(notes),
    )


def _unite_entities(batch: Snapshot, reference: Snapshot) -> tuple[drift.Profile, drift.Profile, list[str]]:
    """Return the profiles of batch and reference, both with or both without an entity, and a note if one lacks it."""
    mine, theirs = batch.columns, reference.columns
    if (mine.entities is None) == (theirs.entities is None):
        return mine, theirs, []
    side, entity = ("batch", reference.entity) if mine.entities is None else ("reference", batch.entity)
    note = f"the {side} has no column {entity!r}, the entity: p-values count every row as independent"
    return mine.without_entities(), theirs.without_entities(), [note]


def _explain_nothing_compared(reference_rows: int, batch_rows: int, columns: int) -> str | None:
    """Return which side has no rows, or that there are no columns; None where something is compared."""
    if reference_rows and batch_rows:
        return None if columns else "there is no column to compare"
    return "the batch has no rows" if not batch_rows else "the reference has no rows"


def _data_drift_metrics(drift_model: drift.DomainClassifierResult, *, data_present: bool) -> dict[str, MetricValue]:
    """Return the metrics of the classifier that tells rows of the batch from rows of the reference.

    `data_present` tells that both sides have rows and columns: if there are no numbers, there are only too few rows.
    """
    reason = drift_model.reason
    significant = drift_model.significant
    metrics = {
        "data_drift": MetricValue(
            drift_model.accuracy, drift_model.low, drift_model.high, drift_model.p_value, reason=reason
        ),
        "data_drift_low": MetricValue(drift_model.accuracy_low, reason=reason),
        "data_drift_auc": MetricValue(drift_model.auc, reason=reason),
        "data_drift_p": MetricValue(drift_model.p_value, reason=reason),
        "data_drift_significant": MetricValue(None if significant is None else float(significant), reason=reason),
    }
    return {
        name: replace(metric, counts_as_ok=metric.value is None and data_present) for name, metric in metrics.items()
    }


def _drifted_metrics(compared: drift.Drift, nothing: str | None) -> dict[str, MetricValue]:
    """Return how many columns have drifted, and their share; none where no column has a verdict.

    `nothing` says why nothing was compared, if so.
    """
    columns = compared.columns.values()
    if nothing or all(column.drift is None for column in columns):
        reason = nothing or f"no column has a verdict: {next(column.reasons['drift'] for column in columns)}"
        few = not nothing and all(column.undecidable for column in columns)
        return dict.fromkeys(("drifted_columns", "drifted_share"), MetricValue(None, reason=reason, counts_as_ok=few))
    return {
        "drifted_columns": MetricValue(float(compared.drifted_columns)),
        "drifted_share": MetricValue(compared.drifted_share),
    }


def _column_drift_metrics(compared: drift.Drift) -> dict[str, MetricValue]:
    """Return the metrics `statistic.column` of every column."""
    # the end of a name, ".column", is made once per column, not once per metric
    columns = [(str(MetricName("", name)), column) for name, column in compared.columns.items()]
    metrics = {
        f"{statistic}{of_column}": metric
        for of_column, column in columns
        for statistic, metric in _statistic_metrics(column)
    }
    return metrics | {f"type_changed{of_column}": _type_change_metric(column) for of_column, column in columns}


def _absent_column_metrics(reference: Snapshot) -> dict[str, MetricValue]:
    """Return the metrics of the columns that the reference should have: none has a value."""
    return {
        str(MetricName(metric.name, name)): MetricValue(None, reason=f"the reference does not have it: {one.reason}")
        for name, one in reference.absent.items()
        for metric in METRICS
        if metric.scope == "store" and metric.member == "column" and one.role in metric.roles
    }


def _type_change_metric(column: drift.ColumnDrift) -> MetricValue:
    """Return 1 if the column's family of types has changed, with the reason in words; else 0, or None if it is gone."""
    if column.type_change or column.measured:
        return MetricValue(float(bool(column.type_change)), reason=column.type_change or None)
    return MetricValue(None, reason=column.reasons["drift"])


def _statistic_metrics(column: drift.ColumnDrift) -> Iterator[tuple[str, MetricValue]]:
    """Give each statistic of one column as a metric."""
    for name, value in (("drift", column.drift), ("drift_low", column.drift_low), ("drift_p", column.drift_p)):
        p_value = column.drift_p if name == "drift" else None
        reason = column.reasons.get(name)
        yield name, MetricValue(value, p_value=p_value, reason=reason, counts_as_ok=column.undecidable)
    for statistic, value in column.statistics.items():
        low, high = column.bounds.get(statistic, (None, None))
        yield statistic, MetricValue(value, low, high, reason=column.reasons.get(statistic))


def _column_details(
    compared: drift.Drift, reference: drift.Profile, batch: drift.Profile, confidence: float, tests: int
) -> dict[str, ColumnDetail]:
    """Return what the evaluation keeps of every column beside its metrics."""
    detectable = drift.detectable_drifts(reference, batch, confidence, tests)
    return {
        name: ColumnDetail(
            role="numerical" if column.role is drift.Role.NUMERICAL else "categorical",
            significant=column.significant,
            histogram=_build_histogram(column.histogram),
            detectable=None if column.drift is None else _infinite_if_none(detectable.get(name)),
        )
        for name, column in compared.columns.items()
    }


def _build_histogram(drawn: Mapping[str, Sequence[Any]]) -> Histogram:
    return Histogram(**{name: tuple(part) for name, part in drawn.items()})


def _infinite_if_none(detectable: float | None) -> float:
    return inf if detectable is None else detectable


def _keep_statistics(detail: ColumnDetail, column: drift.ColumnDrift) -> ColumnDetail:
    """Return a detail with the statistics of its column, which are not metrics of the evaluation."""
    metrics = dict(_statistic_metrics(column))
    return replace(
        detail,
        statistics={name: metric.value for name, metric in metrics.items()},
        reasons={name: metric.reason for name, metric in metrics.items() if metric.reason is not None},
    )


@dataclass(frozen=True, slots=True)
class _PredictionDrift:
    """The drift of predictions: metrics, detail, and notes."""

    metrics: dict[str, MetricValue]
    detail: PredictionDetail | None = None
    notes: tuple[str, ...] = ()


def _describe_predictions(
    reference: Snapshot, batch: Snapshot, compared: Sequence[drift.Drift], confidence: float, tests: int
) -> _PredictionDrift:
    """Return the drift of the predictions, and the share of each class with its relative change.

    `compared` holds the comparison of the predictions, if both sides have some.

    For a regression, deciles of the reference's predictions take the place of classes. `fugacity` is the relative
    change of a share: (share in the batch - share in the reference) / share in the reference.
    """
    if unscored := batch.unscored or (reference.unscored and f"unknown for the reference: {reference.unscored}"):
        nothing = MetricValue(None, reason=unscored, failed=True)
        names = [m.name for m in METRICS if m.scope == "store" and m.member == "column" and m.name != "type_changed"]
        return _PredictionDrift({str(MetricName("prediction_drift", name)): nothing for name in names})
    if not compared or reference.predictions is None or batch.predictions is None:
        return _PredictionDrift({})
    [of_predictions] = compared
    # A probability carries more information than a class: where there is one, its drift is the prediction drift.
    main = of_predictions.columns.get("probability", of_predictions.columns["prediction"])
    metrics = {str(MetricName("prediction_drift", statistic)): metric for statistic, metric in _statistic_metrics(main)}
    details = _column_details(of_predictions, reference.predictions, batch.predictions, confidence, tests)
    detail = PredictionDetail(details["prediction"], details.get("probability"))
    if detail.probability is not None:
        detail = replace(detail, prediction=_keep_statistics(detail.prediction, of_predictions.columns["prediction"]))
    for label, before, now in _predicted_shares(detail.prediction.histogram):
        lacking = "the batch has no predictions" if now is None else "the reference has no predictions"
        metrics[str(MetricName("predicted_share", label))] = MetricValue(
            now, reason=None if now is not None else lacking
        )
        metrics[str(MetricName("reference_predicted_share", label))] = MetricValue(
            before, reason=None if before is not None else lacking
        )
        metrics[str(MetricName("fugacity", label))] = (
            MetricValue((now - before) / before)
            if before and now is not None
            else MetricValue(None, reason=f"the reference never predicts {label}" if before == 0 else lacking)
        )
    return _PredictionDrift(metrics, detail, of_predictions.notes)


def _predicted_shares(histogram: Histogram) -> Iterator[tuple[str, float | None, float | None]]:
    """Give each predicted class, or decile of the reference, with its share in the reference and in the batch.

    A side without any prediction has no shares.
    """
    before, now = histogram.reference, histogram.batch
    labels = range(1, len(before) + 1) if histogram.labels is None else histogram.labels
    rows_before, rows_now = sum(before), sum(now)
    for label, count_before, count_now in zip(labels, before, now, strict=True):
        yield (
            str(label),
            count_before / rows_before if rows_before else None,
            count_now / rows_now if rows_now else None,
        )


def _performance_changes(reference: Snapshot, batch: Snapshot) -> dict[str, MetricValue]:
    """Return the change of each performance metric from the reference's value, absolute and relative.

    The rows of the reference are not kept, so nothing can be paired: the intervals of the changes treat both sides as
    independent, which makes them too wide where the sides share rows or entities, never too narrow.
    """
    changes: dict[str, MetricValue] = {}
    for name, old in reference.performance.items():  # not over a set, whose order differs from process to process
        new = batch.performance.get(name)
        if new is None or name not in PERFORMANCE_METRICS:
            continue
        absolute, relative = (
            str(MetricName("performance_change", name)),
            str(MetricName("performance_change_relative", name)),
        )
        if old.value is None or new.value is None:
            lacking = old if old.value is None else new
            side = "the reference" if old.value is None else "the batch"
            unknown = replace(lacking, reason=f"unknown for {side}: {lacking.reason}")
            changes[absolute] = changes[relative] = unknown
            continue
        comparable = reference.confidence == batch.confidence
        before = old if comparable else MetricValue(old.value, reason=_explain_other_confidence(reference))
        changes[absolute] = change_between(new, before, "absolute")
        changes[relative] = (
            change_between(new, before, "relative")
            if old.value
            else MetricValue(None, reason=f"the reference's {name} is 0")
        )
    return changes


def _explain_other_confidence(reference: Snapshot) -> str:
    if reference.confidence is None:
        return "no interval: the reference was measured by an earlier version, without intervals"
    return f"no interval: that of the reference has another confidence, {reference.confidence:g}"

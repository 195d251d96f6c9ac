"""Explains unknown metric names: suggests the probable name, or lists the existing ones."""

import re
from collections.abc import Collection

from engine.formatting.hints import find_similar
from engine.spec.metrics.catalogue import ESTIMATED_BY_TASK, METRICS, METRICS_BY_NAME, list_members, list_statistics
from engine.spec.metrics.definition import MEMBER_NAMES, MEMBER_SAMPLES, MetricScope
from engine.spec.metrics.dss_names import find_own_name
from engine.spec.metrics.lookup import find_metric_definition
from engine.spec.metrics.names import MetricName
from engine.spec.metrics.performance_metrics import NOT_ESTIMATED
from engine.spec.problem import Problem

METRIC_ALIASES = {
    "auc": "roc_auc",
    "roc": "roc_auc",
    "auc_roc": "roc_auc",
    "auroc": "roc_auc",
    "auprc": "average_precision",
    "f1_score": "f1",
    "mean_absolute_error": "mae",
    "mean_squared_error": "mse",
    "root_mean_squared_error": "rmse",
    "mean_absolute_percentage_error": "mape",
    "matthews_corrcoef": "mcc",
    "expected_calibration_error": "calibration_error",
    "population_stability_index": "psi",
    "wasserstein_distance": "wasserstein",
    "earth_movers_distance": "wasserstein",
    "average_precision_score": "average_precision",
    "pr_auc": "average_precision",
    "jensen_shannon": "js",
    "jensenshannon": "js",
    "kolmogorov_smirnov": "ks",
    "logloss": "log_loss",
    "brier_score": "brier",
    "r2_score": "r2",
    "rows": "row_count",
    "count": "row_count",
    "null_count": "missing_count",
    "null_share": "missing_share",
    "unique_count": "distinct_count",
    "stddev": "std",
    "concept_drift": "performance_change",
    "dataset_drift": "drifted_share",
}


def explain_unknown_metric(
    text: str, name: MetricName, scope: MetricScope, task: str | None, custom_metrics: Collection[str]
) -> Problem:
    """Return the problem of a name with an unknown statistic; for the arguments, see `MetricOwner`."""
    other: MetricScope = "store" if scope == "dataset" else "dataset"
    where = {"dataset": "a dataset", "store": "an evaluation store"}
    if (other, name.statistic) in METRICS_BY_NAME:
        message = f"{name.statistic} is a metric of {where[other]}, but this is {where[scope]}"
    elif name.statistic in ("estimate", "estimated") and (scope, f"estimated_{name.member}") in METRICS_BY_NAME:
        message, help_ = f"unknown metric {text!r}", f'did you mean "estimated_{name.member}"?'
        return Problem(0, len(text), "unknown-metric", message, help_)
    elif name.statistic.removeprefix("estimated_") in NOT_ESTIMATED:
        message = f"{name.statistic.removeprefix('estimated_')} cannot be estimated from the errors of single rows"
        there = ", ".join(f"estimated_{one}" for one in ESTIMATED_BY_TASK["regression"])
        return Problem(0, len(name.statistic), "unknown-metric", message, f"for a regression there are {there}")
    else:
        message = f"unknown metric {name.statistic!r}"
    if foreign := find_own_name(text, scope):
        own = foreign[0] if foreign[1] is None else str(MetricName(*foreign))
        return Problem(0, len(text), "unknown-metric", f"unknown metric {text!r}", f'did you mean "{own}"?')
    alias = METRIC_ALIASES.get(name.statistic.casefold().replace("-", "_").replace(" ", "_"))
    if not alias and (meant := _find_member_without_dot(text, scope, task)):
        return Problem(0, len(text), "unknown-metric", f"unknown metric {text!r}", f'did you mean "{meant}"?')
    close = (
        alias
        if (scope, alias) in METRICS_BY_NAME
        else find_similar(
            text if text in custom_metrics else name.statistic, [*list_statistics(scope), *custom_metrics]
        )
    )
    if close is None:
        help_ = f"the metrics of {where[scope]} are {_list_metrics_by_member(scope, task, custom_metrics)}"
    elif close in custom_metrics:
        help_ = f'did you mean "{close}"?'
    else:
        has_member = name.wildcard or name.member is not None
        member = METRICS_BY_NAME[scope, close].member
        rest = "" if member is None else text[len(name.statistic) :] if has_member else f".{MEMBER_SAMPLES[member]}"
        help_ = f'did you mean "{close}{rest}"?'
    return Problem(0, len(name.statistic), "unknown-metric", message, help_)


def _find_member_without_dot(text: str, scope: MetricScope, task: str | None) -> MetricName | None:
    """Return the name meant by `drift_income`, `psi age`, `ks[age]` or `income_drift`; None for other texts."""
    statistics = sorted((m.name for m in METRICS if m.scope == scope and m.member), key=len, reverse=True)
    any_of = "|".join(map(re.escape, statistics))
    before = re.fullmatch(rf"({any_of})(?:[_\s:/-]+(?:of\s+)?(.+)|\[(.+)\]|\((.+)\))", text, re.DOTALL)
    behind = re.fullmatch(rf"([^.]+?)[_\s:/-]+({any_of})", text, re.DOTALL)
    if before:
        meant = MetricName(before[1], before[2] or before[3] or before[4])
    elif behind:
        meant = MetricName(behind[2], behind[1])
    else:
        return None
    from difflib import SequenceMatcher

    if any(
        SequenceMatcher(None, text, known).ratio() > 0.85 for known in {*list_statistics(scope)} - {meant.statistic}
    ):
        return None  # rather a misspelt name, such as drift_lo
    allowed = list_members(METRICS_BY_NAME[scope, meant.statistic])
    possible = allowed is None or meant.member in allowed
    return meant if possible and find_metric_definition(meant, scope).exists_for(task) else None


def _list_metrics_by_member(scope: MetricScope, task: str | None, custom_metrics: Collection[str]) -> str:
    """List the metrics that exist for a task (any task if it is "any"), grouped by what follows their dot."""
    groups: dict[str | None, list[str]] = {None: list(custom_metrics)}
    for metric in METRICS:
        if metric.name.startswith("estimated_"):
            continue  # one for each performance metric: they would hide all others
        if metric.scope == scope and metric.exists_for(task):
            groups.setdefault(metric.member, []).append(metric.name)
    return "; ".join(
        f"with a dot and a {MEMBER_NAMES[member]}: {', '.join(names)}" if member else ", ".join(names)
        for member, names in groups.items()
        if names
    )

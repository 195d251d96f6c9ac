"""Metric names, written `statistic` or `statistic.member`: parsing them, and looking them up in the catalogue.

The member is a column, a class, or another statistic: `data_drift`, `psi.card_age`, `psi."a.b"`, `drift.*`,
`prediction_drift.psi`, `performance_change.roc_auc`. A problem is returned instead of raised, because `validate`
collects all of them and knows their positions in the file.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from engine.formatting.hints import find_similar
from engine.spec.dss_metric_names import find_own_name
from engine.spec.metric_catalogue import (
    CHALLENGER_METRICS,
    ESTIMATED_BY_TASK,
    METRICS,
    NOT_ESTIMATED,
    PERFORMANCE_METRICS,
    SEGMENT_METRICS,
    MetricDefinition,
    MetricScope,
)
from engine.spec.problem import Problem
from engine.spec.segments import SegmentNames

__all__ = [
    "METRICS",
    "MetricDefinition",
    "MetricName",
    "MetricScope",
    "find_metric_definition",
    "list_members",
    "list_statistics",
    "normalize_metric_name",
    "parse_metric_name",
    "resolve_metric_name",
]


@dataclass(frozen=True, slots=True)
class MetricName:
    """The parts of a metric name. `member` is None for a wildcard, and if there is no dot."""

    statistic: str
    member: str | None = None
    wildcard: bool = False
    segment: str | None = None

    def __str__(self) -> str:
        """Return the name in normal form, which `parse_metric_name` turns into the same parts."""
        within = "" if self.segment is None else f"{_SEGMENT}{_quote_part(self.segment)}."
        if self.wildcard:
            return f"{within}{self.statistic}.*"
        if self.member is None:
            return f"{within}{self.statistic}"
        return f"{within}{self.statistic}.{_quote_part(self.member)}"


_SEGMENT = "segment."
_SEGMENT_METRICS_SHOWN = [
    name
    for name in SEGMENT_METRICS
    if name not in PERFORMANCE_METRICS and not name.startswith(("performance_", "estimated_"))
]


def _quote_part(part: str) -> str:
    """Return a part of a metric name, in double quotes where it has to be."""
    plain = re.fullmatch(r'[^\s".*](?:[^".*\x00-\x1f\x7f]*[^\s".*])?', part)
    return part if plain else '"' + part.replace('"', '""') + '"'


_METRICS_BY_NAME = {(metric.scope, metric.name): metric for metric in METRICS}

_WHOLE_NAMES: dict[MetricScope, str] = {"dataset": "dataset", "store": "batch"}
_MEMBER_NAMES: dict[str, str] = {
    "column": "column",
    "class": "class",
    "statistic": "statistic",
    "performance": "performance metric",
}
_MEMBER_SAMPLES = {"column": "<column>", "class": "<class>", "statistic": "psi", "performance": "roc_auc"}
_METRIC_ALIASES = {
    "auc": "roc_auc",
    "roc": "roc_auc",
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


def list_statistics(scope: MetricScope) -> list[str]:
    """Return the names of all statistics of a scope, in the order of the catalogue."""
    return [metric.name for metric in METRICS if metric.scope == scope]


def list_members(metric: MetricDefinition) -> list[str] | None:
    """Return what may follow the dot of a metric, or None if that depends on the data."""
    if metric.member == "statistic":
        return [m.name for m in METRICS if m.scope == "store" and m.member == "column"]
    if metric.member == "performance":
        return list(PERFORMANCE_METRICS)
    return None


def parse_metric_name(text: str) -> MetricName | Problem:
    """Parse a metric name, without checking that the statistic exists."""
    if text.startswith(_SEGMENT):
        return _parse_segment_metric(text)
    statistic, dot, member = text.partition(".")
    if not statistic.strip():
        return Problem(0, max(1, len(text)), "bad-metric", "a metric must be written statistic or statistic.column")
    if statistic != statistic.strip() or '"' in statistic or "*" in statistic:
        near = statistic.rstrip("_*")
        message = f"{statistic!r} is not a statistic: quotes and * are allowed only after the dot"
        help_ = f'did you mean "{near}.*"?' if near in list_statistics("store") else None
        return Problem(0, len(statistic), "bad-metric", message, help_)
    if not dot:
        return MetricName(statistic)
    at = len(statistic) + 1
    if member == "*":
        return MetricName(statistic, wildcard=True)
    if re.fullmatch(r'"(?:[^"]|"")+"', member):
        return MetricName(statistic, member[1:-1].replace('""', '"'))
    if not member:
        message, help_ = _explain_missing_member(statistic)
        return Problem(at, 1, "bad-metric", message, help_)
    plain = MetricName(statistic, member)
    if str(plain) == text:
        return plain
    message, help_ = f"the column {member!r} must be in double quotes", f"write {plain}"
    if member.startswith('"'):
        message = f"{member} is not a column in double quotes"
        help_ = f'end it with a quote, and double each quote inside: {statistic}."a""b"'
    return Problem(at, len(member), "bad-metric", message, help_)


def _parse_segment_metric(text: str) -> MetricName | Problem:
    """Parse `segment.<name>.<metric>`, where the name is in double quotes if it contains a dot."""
    found = re.fullmatch(r'segment\.(?:"((?:[^"]|"")+)"|([^".]+))\.(.+)', text, re.DOTALL)
    if found is None or found[3].startswith(_SEGMENT):
        message = "the metric of a segment must be written segment.NAME.METRIC"
        return Problem(0, max(1, len(text)), "bad-metric", message, 'such as segment."country = IT".roc_auc')
    segment = found[1].replace('""', '"') if found[1] else found[2]
    inner = parse_metric_name(found[3])
    if isinstance(inner, Problem):
        return inner._replace(offset=inner.offset + found.start(3))
    return replace(inner, segment=segment)


def _explain_missing_member(statistic: str) -> tuple[str, str]:
    """Return message and help for a metric name that ends with its dot."""
    found = [metric for metric in METRICS if metric.name == statistic]
    if found and found[0].member is None:
        return "nothing follows the dot", f"write {statistic}"
    what = _MEMBER_NAMES[str(found[0].member)] if found else "column"
    return f"the {what} is missing after the dot", f"write {statistic}.<{what}>, or {statistic}.* for every {what}"


def normalize_metric_name(text: str) -> str:
    """Return a metric name in normal form: `psi.x` for `psi."x"`. A text that is not a metric name is unchanged."""
    name = parse_metric_name(text)
    return str(name) if isinstance(name, MetricName) else text


def resolve_metric_name(
    text: str,
    scope: MetricScope,
    *,
    task: str | None = "any",
    custom_metrics: Collection[str] = (),
    challenged: bool = True,
    estimated: bool = True,
    segments: SegmentNames | None = None,
    in_segment: bool = False,
) -> MetricName | Problem:
    """Look up a metric name in the catalogue, and check that it is complete and fits the model.

    Parameters
    ----------
    text
        The name as written in the spec.
    scope
        Whether the metric is one of a dataset or of an evaluation store.
    task
        The task of the store's model; None if the store has no model, "any" if that is not known.
    custom_metrics
        Names of the custom metrics of the dataset or store, which take precedence over the catalogue.
    challenged
        Whether the store has a challenger, or that is not known.
    estimated
        Whether the store estimates performance, or that is not known.
    segments
        The segments of the store, if they are known.
    in_segment
        Whether the metric is that of a segment, which is named elsewhere.
    """
    if text in custom_metrics:
        return MetricName(text)
    name = parse_metric_name(text)
    if isinstance(name, Problem):
        return name
    if name.segment is not None:
        if scope == "dataset":
            return Problem(0, len(text), "unknown-metric", "a dataset has no segments", "check it in a store")
        if segments is not None and not segments.can_be(name.segment):
            message = f'the store has no segment "{name.segment}"'
            return Problem(0, len(text), "unknown-name", message, segments.suggest(name.segment))
        inner = str(replace(name, segment=None))
        rest = {"task": task, "challenged": challenged, "estimated": estimated, "in_segment": True}
        found = resolve_metric_name(inner, scope, **rest)  # type: ignore[arg-type] # arguments of this function
        if isinstance(found, Problem):
            at = max(0, len(text) - len(inner))
            return found._replace(offset=min(len(text) - 1, found.offset + at))
        return name
    if scope == "store" and (in_segment or name.statistic == "segment_drift"):
        if in_segment and (scope, name.statistic) in _METRICS_BY_NAME and name.statistic not in SEGMENT_METRICS:
            message = f"{name.statistic} is measured of the whole batch only"
            shown = ", ".join(_SEGMENT_METRICS_SHOWN)
            help_ = f"in a segment there are {shown}, and performance with its change and its estimates"
            return Problem(0, len(text), "unknown-metric", message, help_)
        if not in_segment:
            message = "segment_drift is measured in segments only"
            return Problem(0, len(text), "unknown-metric", message, "add segment: NAME, or write data_drift")
    metric = _METRICS_BY_NAME.get((scope, name.statistic))
    size = len(name.statistic)
    if metric is None:
        return _explain_unknown_metric(text, name, scope, task, custom_metrics)
    if metric.member is None and (name.member is not None or name.wildcard):
        return Problem(
            size,
            len(text) - size,
            "metric-member",
            f"{metric.name} describes the whole {_WHOLE_NAMES[scope]} and takes no column",
            f"write {metric.name}",
        )
    if metric.member is not None and name.member is None and not name.wildcard:
        sample = _MEMBER_SAMPLES[metric.member]
        return Problem(
            0,
            size,
            "metric-member",
            f"{metric.name} needs a {_MEMBER_NAMES[metric.member]} after a dot",
            f"write {metric.name}.{sample}, or {metric.name}.* for all",
        )
    allowed = list_members(metric)
    if allowed is not None and name.member is not None and name.member not in allowed:
        close = find_similar(_METRIC_ALIASES.get(name.member, name.member), allowed)
        return Problem(
            size + 1,
            len(text) - size - 1,
            "unknown-metric",
            f"{metric.name} has no {_MEMBER_NAMES[str(metric.member)]} {name.member!r}",
            f'did you mean "{metric.name}.{close}"?'
            if close
            else f"after {metric.name}. write one of {', '.join(allowed)}",
        )
    found = _check_task(text, name, task)
    if name.statistic == "found_segments" and segments is not None and not segments.found:
        message = "found_segments counts what a search finds, but this store does not search"
        return Problem(0, len(text), "needs-key", message, "add find_segments: true to the store, or remove the metric")
    if name.statistic in CHALLENGER_METRICS and not challenged and isinstance(found, MetricName):
        message = f"{text} needs a challenger, but this store has none"
        help_ = "add challenger:, the model to compare with that of the store, or remove the metric"
        return Problem(0, len(text), "metric-needs-model", message, help_)
    if is_estimate(name.statistic) and not estimated and isinstance(found, MetricName):
        message = f"{text} needs estimates, but this store makes none"
        return Problem(0, len(text), "needs-key", message, "add estimates: auto to the store, or remove the metric")
    return found


def is_estimate(statistic: str) -> bool:
    """Return whether a metric of the catalogue is one that a store has only with `estimates`."""
    return statistic.startswith(("estimated_", "estimate_"))


def _explain_unknown_metric(
    text: str, name: MetricName, scope: MetricScope, task: str | None, custom_metrics: Collection[str]
) -> Problem:
    other: MetricScope = "store" if scope == "dataset" else "dataset"
    where = {"dataset": "a dataset", "store": "an evaluation store"}
    if (other, name.statistic) in _METRICS_BY_NAME:
        message = f"{name.statistic} is a metric of {where[other]}, but this is {where[scope]}"
    elif name.statistic in ("estimate", "estimated") and (scope, f"estimated_{name.member}") in _METRICS_BY_NAME:
        message, help_ = f"unknown metric {text!r}", f'did you mean "estimated_{name.member}"?'
        return Problem(0, len(text), "unknown-metric", message, help_)
    elif name.statistic.removeprefix("estimated_") in NOT_ESTIMATED:
        message = f"{name.statistic.removeprefix('estimated_')} cannot be estimated: the errors of rows do not tell it"
        there = ", ".join(f"estimated_{one}" for one in ESTIMATED_BY_TASK["regression"])
        return Problem(0, len(name.statistic), "unknown-metric", message, f"for a regression there are {there}")
    else:
        message = f"unknown metric {name.statistic!r}"
    if foreign := find_own_name(text, scope):
        own = foreign[0] if foreign[1] is None else str(MetricName(*foreign))
        return Problem(0, len(text), "unknown-metric", f"unknown metric {text!r}", f'did you mean "{own}"?')
    alias = _METRIC_ALIASES.get(name.statistic.casefold().replace("-", "_").replace(" ", "_"))
    if not alias and (meant := _find_member_without_dot(text, scope, task)):
        return Problem(0, len(text), "unknown-metric", f"unknown metric {text!r}", f'did you mean "{meant}"?')
    close = (
        alias
        if (scope, alias) in _METRICS_BY_NAME
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
        member = _METRICS_BY_NAME[scope, close].member
        rest = "" if member is None else text[len(name.statistic) :] if has_member else f".{_MEMBER_SAMPLES[member]}"
        help_ = f'did you mean "{close}{rest}"?'
    return Problem(0, len(name.statistic), "unknown-metric", message, help_)


def _find_member_without_dot(text: str, scope: MetricScope, task: str | None) -> MetricName | None:
    """Return what `drift_income`, `psi age`, `ks[age]` or `income_drift` stand for; None for other texts."""
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
    return None if isinstance(resolve_metric_name(str(meant), scope, task=task), Problem) else meant


def _list_metrics_by_member(scope: MetricScope, task: str | None, custom_metrics: Collection[str]) -> str:
    """List the metrics that exist for a task (any task if it is "any"), grouped by what follows their dot."""
    groups: dict[str | None, list[str]] = {None: list(custom_metrics)}
    for metric in METRICS:
        if metric.name.startswith("estimated_"):
            continue  # one for each performance metric: they would hide all others
        if metric.scope == scope and (not metric.tasks or task == "any" or task in metric.tasks):
            groups.setdefault(metric.member, []).append(metric.name)
    return "; ".join(
        f"with a dot and a {_MEMBER_NAMES[member]}: {', '.join(names)}" if member else ", ".join(names)
        for member, names in groups.items()
        if names
    )


def _check_task(text: str, name: MetricName, task: str | None) -> MetricName | Problem:
    metric = (
        find_metric_definition(name, "store")
        if ("store", name.statistic) in _METRICS_BY_NAME
        else find_metric_definition(name, "dataset")
    )
    if not metric.tasks or task == "any" or task in metric.tasks:
        return name
    if task is None:
        message = f"{text} needs a model, but this store has none"
        return Problem(
            0, len(text), "metric-needs-model", message, "declare model: for the store, or remove the metric"
        )
    tasks = " or ".join(metric.tasks)
    message = f"{text} exists for {tasks} only, but the task of the model is {task}"
    prefix = "" if name.member is None else f"{name.statistic}."
    if metric.name.startswith("estimated_"):
        existing = [f"estimated_{one}" for one in ESTIMATED_BY_TASK[task]]
        return Problem(0, len(text), "metric-needs-task", message, f"for {task} there are {', '.join(existing)}")
    existing = [m.name for m in METRICS if m.scope == "store" and m.labels and m.member is None and task in m.tasks]
    help_ = f"for {task} there are {', '.join(prefix + metric for metric in existing)}"
    return Problem(0, len(text), "metric-needs-task", message, help_)


def find_metric_definition(name: MetricName, scope: MetricScope) -> MetricDefinition:
    """Return the entry of the catalogue for a metric.

    `prediction_drift.psi` has the range of psi, and `performance_change.roc_auc` the direction of roc_auc. A custom
    metric has neither range nor direction.
    """
    metric = _METRICS_BY_NAME.get((scope, name.statistic))
    if metric is None:
        return MetricDefinition(name.statistic, scope, "A custom metric.")
    if name.member is None or metric.member not in ("statistic", "performance"):
        return metric
    inner = _METRICS_BY_NAME["store", name.member]
    # The difference of two values in [low, high] lies in [low - high, high - low].
    if metric.member == "statistic":
        return replace(inner, name=metric.name, member="statistic", tasks=metric.tasks, roles=())
    if metric.name == "challenger":
        return replace(inner, name=metric.name, member="performance")
    bounded = inner.low is not None and inner.high is not None and metric.name != "performance_change_relative"
    width = inner.high - inner.low if bounded and inner.high is not None and inner.low is not None else None
    worse = metric.worse or inner.worse  # a higher advantage is better by every metric
    return replace(metric, worse=worse, tasks=inner.tasks, low=None if width is None else -width, high=width)

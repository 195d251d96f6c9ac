"""Metric names, written `statistic` or `statistic.member`: from a text to its parts and back.

The member is a column, a class, or another statistic: `data_drift`, `psi.card_age`, `psi."a.b"`, `drift.*`,
`prediction_drift.psi`, `performance_change.roc_auc`. A problem is returned instead of raised, because `validate`
collects all of them and knows their positions in the file.
"""

import re
from dataclasses import dataclass, replace

from engine.spec.metrics.catalogue import METRICS, list_statistics
from engine.spec.metrics.definition import MEMBER_NAMES
from engine.spec.problem import Problem

_SEGMENT = "segment."


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


def _quote_part(part: str) -> str:
    """Return a part of a metric name, in double quotes where it has to be."""
    plain = re.fullmatch(r'[^\s".*](?:[^".*\x00-\x1f\x7f]*[^\s".*])?', part)
    return part if plain else '"' + part.replace('"', '""') + '"'


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
    what = MEMBER_NAMES[str(found[0].member)] if found else "column"
    return f"the {what} is missing after the dot", f"write {statistic}.<{what}>, or {statistic}.* for every {what}"


def normalize_metric_name(text: str) -> str:
    """Return a metric name in normal form: `psi.x` for `psi."x"`. A text that is not a metric name is unchanged."""
    name = parse_metric_name(text)
    return str(name) if isinstance(name, MetricName) else text

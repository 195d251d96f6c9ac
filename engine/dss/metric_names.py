"""Translate the metrics of DSS into metrics of the spec."""

from engine.spec.metrics.definition import MetricScope
from engine.spec.metrics.dss_names import find_own_name
from engine.spec.metrics.names import MetricName
from engine.spec.metrics.owner import MetricOwner


def translate_metric(id_: str, scope: MetricScope) -> str | None:
    """Return the engine's name of a DSS metric; None if there is none.

    Parameters
    ----------
    scope
        Whether the metric is one of a `dataset` or of a `store`.
    """
    own = find_own_name(id_, scope)
    if own is None:
        return None
    found = own[0] if own[1] is None else str(MetricName(*own))
    resolved = MetricOwner(scope).resolve(found)
    return found if isinstance(resolved, MetricName) else None

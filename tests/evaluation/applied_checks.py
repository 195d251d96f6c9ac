"""Checks that are applied to values as they are given here, without an evaluation."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from pydantic import TypeAdapter

from engine.errors import Position
from engine.evaluation.checks.application import apply_check
from engine.evaluation.checks.target import CheckTarget, PastMetrics
from engine.evaluation.record import CheckResult, MetricValue
from engine.outcome import CheckOutcome
from engine.spec.code_folder import CodeFolder
from engine.spec.resources.checks import Check

OK, EMPTY, WARNING, ERROR = CheckOutcome.OK, CheckOutcome.EMPTY, CheckOutcome.WARNING, CheckOutcome.ERROR

NOW = datetime(2026, 1, 1, tzinfo=UTC)

SEVERITY = [OK, WARNING, ERROR]

Values = Mapping[str, float | None]

DECLARED: TypeAdapter[Any] = TypeAdapter(Check)


def apply(
    declared: dict[str, Any],
    metrics: Mapping[str, MetricValue] | Values,
    *past: Values,
    folder: Path = Path(),
    **target: Any,
) -> list[CheckResult]:
    check: Check = DECLARED.validate_python({"kind": "range", **declared})

    def as_metrics(values: Mapping[str, Any]) -> dict[str, MetricValue]:
        return {name: one if isinstance(one, MetricValue) else MetricValue(one) for name, one in values.items()}

    known = CheckTarget(
        "mes",
        NOW,
        as_metrics(metrics),
        [PastMetrics(NOW, as_metrics(one)) for one in past],
        CodeFolder(folder),
        str,
        **{"evaluation": "e1", **target},
    )
    return apply_check("it", check, known, Position("spec.yaml"))


def one(declared: dict[str, Any], value: Any, *past: float | None, **target: Any) -> CheckResult:
    (found,) = apply({"metric": "m", **declared}, {"m": value}, *({"m": was} for was in past), **target)
    return found


numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)

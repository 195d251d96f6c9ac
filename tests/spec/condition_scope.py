"""What the conditions of these tests may name, and the values that it has."""

from datetime import date

from engine.spec.conditions import ConditionScope
from engine.spec.metrics.owner import MetricOwner

SCOPE = ConditionScope(
    steps=["Build MES", "MES_Warn"],
    later=["Clean up"],
    checks=["data drift < 0.45", "auc holds"],
    metrics=[MetricOwner("store", "binary_classification", frozenset({"gain"}))],
    variables={"quarter": "Q4", "strict": True, "limit": 3, "day": date(2017, 10, 1), "nothing": None},
    starters=["manual", "watch", "each night"],
)

#!/usr/bin/env bash
#
# What surprises: for a group in which no row is positive, fairlearn's true_positive_rate
# is 0 and its false_negative_rate is 0 as well, though they add up to 1 wherever they
# exist. So equal_opportunity_difference and equalized_odds_difference of a model without
# a single error are 1, the most unfair there is, and the ratios 0. The same holds for
# false_positive_rate in groups without a negative row. Nothing warns, and the
# documentation of these functions does not say so; scikit-learn's recall_score warns.
#
# Whom it concerns: whoever watches fairness by the day or the week: of a small group,
# some days have no positive row. Of a model that treats all alike, every third day is
# as unfair as can be here; and a false_negative_rate of 0 looks like a good one.
#
# Expected: NaN for a rate that does not exist, and the difference of the other groups.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    fairlearn==0.15.0 pandas==3.1.1 scikit-learn==1.9.1 scipy==1.17.1 numpy==2.4.6

"$tmp/venv/bin/python" -W error - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from fairlearn.metrics import (
    MetricFrame,
    count,
    equal_opportunity_difference,
    equalized_odds_difference,
    equalized_odds_ratio,
    false_negative_rate,
    true_positive_rate,
)

DAYS, LIMIT = 60, 0.5
random = np.random.default_rng(1)
group = np.repeat(["a", "b", "c"], [1000, 1000, 10])

print(", ".join(f"{name} {version(name)}" for name in ("fairlearn", "scikit-learn", "pandas")))
outcome = np.where(group == "c", 0, random.random(len(group)) < 0.1).astype(int)
measures = {"true_positive_rate": true_positive_rate, "false_negative_rate": false_negative_rate, "rows": count}
print("  a model without an error:")
by_group = MetricFrame(metrics=measures, y_true=outcome, y_pred=outcome, sensitive_features=group).by_group
print("    " + by_group.to_string(index_names=False).replace("\n", "\n    "))
found = [
    float(measure(outcome, outcome, sensitive_features=group))
    for measure in (equal_opportunity_difference, equalized_odds_difference, equalized_odds_ratio)
]
print(f"    equal opportunity difference {found[0]}, equalized odds difference {found[1]}, ratio {found[2]}")


def compute_difference(outcome, answer):
    """The largest less the smallest true positive rate of the groups that have one."""
    rows = [(group == name) & (outcome == 1) for name in np.unique(group)]
    rates = [answer[chosen].mean() for chosen in rows if chosen.any()]
    return max(rates) - min(rates)


alarms = right = empty = 0
for _ in range(DAYS):
    outcome = (random.random(len(group)) < 0.1).astype(int)
    answer = outcome * (random.random(len(group)) < 0.9)
    empty += not outcome[group == "c"].any()
    alarms += equal_opportunity_difference(outcome, answer, sensitive_features=group) > LIMIT
    right += compute_difference(outcome, answer) > LIMIT
print(f"  {DAYS} days of a model that finds nine in ten of the positive rows of each group:")
print(f"    {empty} days without a positive row in group c")
print(f"    {alarms} days with a difference above {LIMIT}, {right} among the groups that have a rate")
both = by_group.loc["c", ["true_positive_rate", "false_negative_rate"]].tolist()
if not (both == [0, 0] and found == [1, 1, 0] and alarms == empty + right and empty > 10):
    sys.exit("CHANGED: the rate of a group without a positive row is not 0 any more")
PY

#!/usr/bin/env bash
#
# What surprises: one NaN that is observed by a Histogram of Python's prometheus_client
# makes its _sum NaN until the process ends, and is not counted: neither the bucket
# +Inf nor _count grows. So a rate of _sum by _count, the usual average, is NaN in every
# alert rule from then on, and an alert "average > 0.5" cannot fire; while the number
# of observations, by which one would notice, looks as if nothing had come. A Summary
# does count it. Nothing warns.
#
# Whom it concerns: whoever observes scores, errors or amounts: models give NaN.
#
# Expected: an error, or at least that it is counted, as by Summary: the bucket +Inf is
# the one of all observations.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check prometheus-client==0.26.0

"$tmp/venv/bin/python" -W error - <<'PY'
import math
import sys
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Histogram, Summary

SCORES = [0.2, float("nan"), 0.9]
LATER = [0.5] * 1000
registry = CollectorRegistry()
histogram = Histogram("score", "Scores of a model.", buckets=(0.5, 1), registry=registry)
summary = Summary("score_summary", "Scores of a model.", registry=registry)


def read(name, **labels):
    return registry.get_sample_value(name, labels)


print(f"prometheus_client {version('prometheus-client')}")
seen = []
for name, scores in ((f"{SCORES}", SCORES), (f"{len(LATER):,} times {LATER[0]}", LATER)):
    for score in scores:
        histogram.observe(score)
        summary.observe(score)
    count, inf, total = read("score_count"), read("score_bucket", le="+Inf"), read("score_sum")
    print(f"  after {name}: Histogram _count {count:.0f}, bucket +Inf {inf:.0f}, _sum {total}; "
          f"Summary _count {read('score_summary_count'):.0f}, _sum {read('score_summary_sum')}")
    seen.append((count, inf, math.isnan(total), read("score_summary_count")))
if seen != [(2, 2, True, 3), (1002, 1002, True, 1003)]:
    sys.exit(f"CHANGED: {seen}")
PY

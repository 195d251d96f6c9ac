#!/usr/bin/env bash
#
# What surprises: if two meters have an instrument of the same name, OpenTelemetry's
# exporter for Prometheus mixes up the labels of the second. It keeps the label names of
# the meter that comes first, and fills them with the label values of the second, one
# after the other: 7 failures of the model "churn" in the country "de" become 7 failures
# of a model "de". What does not fit is dropped, so that two series may become one and the
# same, with two values. Nothing warns. With the same attributes in both meters, and with
# different ones within one meter, all labels are right; of the latter its makers were
# told in 2025 (open-telemetry/opentelemetry-python, issue 4418), and mended it.
#
# Whom it concerns: services whose parts, or libraries, have a meter each, as is
# recommended, and count "failures" or "requests" in more than one of them. An alert on
# model="churn" has no data, and stays silent.
#
# Expected: each value with its own attributes, and an empty label where it has none.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    opentelemetry-sdk==1.45.2 opentelemetry-exporter-prometheus==0.66b2 prometheus-client==0.26.0

"$tmp/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

FIRST = ("serving", {"model": "fraud"}, 1)
CHURN = {"model": "churn", "country": "de"}
CASES = {
    "one meter, different attributes": ([FIRST, ("serving", CHURN, 7)], False),
    "two meters, the same attributes": ([FIRST, ("batch", {"model": "churn"}, 7)], False),
    "two meters, different attributes": ([FIRST, ("batch", CHURN, 7)], True),
    "two meters, two versions of a model": (
        [FIRST, *(("batch", {"model": "churn", "version": number}, 7) for number in ("1", "2"))],
        True,
    ),
}


def export(additions):
    """The labels that are not empty and the value of each series, as Prometheus reads them."""
    registry = CollectorRegistry()
    provider = MeterProvider(metric_readers=[PrometheusMetricReader(disable_target_info=True, registry=registry)])
    for meter, attributes, count in additions:
        provider.get_meter(meter).create_counter("failures").add(count, attributes)
    families = list(text_string_to_metric_families(generate_latest(registry).decode()))
    provider.shutdown()
    samples = [sample for family in families for sample in family.samples]
    return [({name: value for name, value in one.labels.items() if value}, one.value) for one in samples]


names = ("opentelemetry-sdk", "opentelemetry-exporter-prometheus", "prometheus-client")
print(", ".join(f"{name} {version(name)}" for name in names))
changed = []
for case, (additions, expected) in CASES.items():
    found = export(additions)
    right = [({**attributes, "otel_scope_name": meter}, count) for meter, attributes, count in additions]
    print(f"  {case}: {'right' if found == right else 'wrong'}")
    for meter, attributes, count in additions:
        print(f"    counted  {count} {attributes} by meter {meter}")
    for labels, count in found:
        print(f"    exported {count:.0f} {labels}")
    if (found != right) != expected:
        changed.append(case)
if changed:
    sys.exit(f"CHANGED: {'; '.join(changed)}")
PY

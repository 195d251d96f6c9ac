"""Prometheus metrics of a node's deployments, read from node.db at each request."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from engine.errors import StoreError
from engine.server.metric_labels import shorten_label
from engine.service.deployments.deployed_state import describe_found, find_deployed
from engine.store.node import Node

STATES = ("HEALTHY", "ERROR", "UNKNOWN")


class DeploymentCollector(Collector):
    """Collects the metrics of all deployments; if node.db cannot be read, there are none."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families."""
        state = GaugeMetricFamily(
            "engine_deployment_state", "1 for the state that a deployment is in.", labels=["deployment", "state"]
        )
        revision = GaugeMetricFamily(
            "engine_deployment_revision", "The number of the revision that is active.", labels=["deployment"]
        )
        updated = GaugeMetricFamily(
            "engine_deployment_last_update_timestamp_seconds",
            "When an operation on a deployment last ended with this outcome.",
            labels=["deployment", "outcome"],
        )
        readable = GaugeMetricFamily("engine_node_readable", "1 if node.db could be read.")
        try:
            found = [find_deployed(self._node, row.name) for row in self._node.list_deployments()]
            ends = {
                one.row.name: {str(each.state): each.ended for each in self._node.operations.list_all(one.row.name)}
                for one in found
                if one is not None
            }
        except StoreError:
            readable.add_metric([], 0.0)
            yield readable
            return
        readable.add_metric([], 1.0)
        for one in filter(None, found):
            name = shorten_label(one.row.name)
            now = describe_found(one.row.name, "", one).state
            for each in STATES:
                state.add_metric([name, each.lower()], float(each == now))
            if one.row.active_revision is not None:
                revision.add_metric([name], float(one.row.active_revision))
            for outcome, moment in ends[one.row.name].items():
                if moment is not None:
                    updated.add_metric([name, outcome.lower()], moment.timestamp())
        yield from (readable, state, revision, updated)

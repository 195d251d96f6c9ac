"""Metrics of the answers of `engine status`, read from the states of served projects at each request."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from engine.errors import EngineError
from engine.server.metric_labels import shorten_label
from engine.server.served_status import describe_served
from engine.service.control import ServerControl
from engine.store import utc_now
from engine.store.node import Node

WORST = "worst"


class StatusCollector(Collector):
    """Collects the answers for all served projects, as far as they can be read; other metrics show failures."""

    def __init__(self, control: ServerControl, node: Node | None) -> None:
        self._control, self._node = control, node

    def collect(self) -> Iterator[Metric]:
        """Yield the metric family."""
        well = GaugeMetricFamily(
            "engine_status_well",
            "1 if an answer of engine status is well: deployment, model, execution, data, and the worst of them.",
            labels=["project", "answer"],
        )
        try:
            for name, status in describe_served(self._control, self._node, utc_now()):
                for answer, found in status.answers.items():
                    well.add_metric([shorten_label(name), answer], float(found.well))
                if status.answers:
                    well.add_metric([shorten_label(name), WORST], float(status.well))
        except EngineError:
            pass  # engine_state_readable and engine_node_readable show it
        yield well

"""The metrics of the server for Prometheus, in its text format or as OpenMetrics.

Most are read from the states at each request, so they include changes by other processes; counters count since the
start of the server (see `run_counts.py`). Metrics of evaluations are included only if their store displays them: a
model with 2,000 columns would otherwise make tens of thousands of series.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from threading import Lock

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from engine import __version__
from engine.errors import StoreError
from engine.outcome import CheckOutcome, Outcome, worst_check_outcome
from engine.server.deployment_metrics import DeploymentCollector
from engine.server.health import find_next_times, list_failing_triggers
from engine.server.metric_labels import shorten_label
from engine.server.run_counts import SECONDS_BOUNDS, RunCounts
from engine.server.status_metrics import StatusCollector
from engine.service.control import ServedProject, ServerControl
from engine.spec import ProjectSpec
from engine.spec.metrics.displayed import list_displayed_metrics
from engine.store import FireState, Store
from engine.store.node import Node

OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
FINAL_OUTCOMES = (Outcome.SUCCESS, Outcome.WARNING, Outcome.FAILED, Outcome.ABORTED)
FINAL_STATES = (FireState.DONE, FireState.COALESCED, FireState.SKIPPED)
METRICS_PER_STORE = 50


class ServerMetrics:
    """The metrics of a server, from its control and the states of its projects; counters start with this object."""

    def __init__(self, control: ServerControl, started: datetime, node: Node | None) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_ServerCollector(control, started))
        if node is not None:
            self._registry.register(DeploymentCollector(node))
        self._registry.register(StatusCollector(control, node))
        ProcessCollector(registry=self._registry)

    def write(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics and their content type: OpenMetrics if the Accept header asks for it."""
        kinds = [part.partition(";")[0].strip() for part in accept.lower().split(",")]
        if "application/openmetrics-text" in kinds:
            return bytes(generate_openmetrics(self._registry)), OPENMETRICS_TYPE  # type: ignore[no-untyped-call]  # theirs
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4


class _ServerCollector(Collector):
    """Collects all metrics of one answer together, so that they are consistent."""

    def __init__(self, control: ServerControl, started: datetime) -> None:
        self._control = control
        self._started = started
        self._counts: dict[str, RunCounts] = {}
        self._lock = Lock()

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("engine_build", "The version of the engine.", {"version": __version__})
        tick = GaugeMetricFamily(
            "engine_tick_age_seconds", "How long ago the loop of the server began its last tick.", unit="seconds"
        )
        tick.add_metric([], self._control.measure_tick_age())
        yield tick
        families = _Families()
        with self._lock:
            for project in self._control.list_projects():
                self._collect_project(project, families)
        yield from families

    def _collect_project(self, project: ServedProject, families: "_Families") -> None:
        families.leader.add_metric([shorten_label(project.name)], float(project.leader))
        valid = project.spec is not None and not project.spec_problems
        families.spec_valid.add_metric([shorten_label(project.name)], float(valid))
        counts = self._count_project(project)
        readable = counts is not None
        if project.store is not None:
            try:
                found = _StateFamilies(project, project.store)
            except StoreError:
                readable = False
            else:
                found.add_to(families)
        families.state_readable.add_metric([shorten_label(project.name)], float(readable and not project.store_problem))
        if project.spec is not None and counts is not None:
            families.add_counts(project.name, project.spec, counts)
        for one in find_next_times(project, self._control):
            if one.times:
                labels = [shorten_label(project.name), shorten_label(one.scenario), shorten_label(one.trigger)]
                families.next_fire.add_metric(labels, one.times[0].timestamp())

    def _count_project(self, project: ServedProject) -> RunCounts | None:
        """Return the present counts of a project; if its state cannot be read, the last known ones."""
        try:
            if project.store is not None and project.name not in self._counts:
                self._counts[project.name] = RunCounts(project.store, self._started)
            if project.store is not None:
                self._counts[project.name].update(project.store)
        except StoreError:
            pass  # engine_state_readable shows it
        return self._counts.get(project.name)


class _Families:
    """The metric families of all projects; iterating yields them in the order of their definition."""

    def __init__(self) -> None:
        project, of_scenario = ["project"], ["project", "scenario"]
        self.leader = GaugeMetricFamily(
            "engine_leader", "1 if this server runs the project, 0 if it is a standby.", labels=project
        )
        self.spec_valid = GaugeMetricFamily(
            "engine_spec_valid", "1 if the spec file is valid; 0 if an earlier one is in use.", labels=project
        )
        self.state_readable = GaugeMetricFamily(
            "engine_state_readable",
            "1 if the state could be read and written, so all metrics are here.",
            labels=project,
        )
        self.runs = CounterMetricFamily(
            "engine_runs", "Runs that have ended since the server started.", labels=[*of_scenario, "outcome"]
        )
        self.run_seconds = HistogramMetricFamily(
            "engine_run_seconds", "How long these runs took.", labels=of_scenario, unit="seconds"
        )
        self.running = GaugeMetricFamily("engine_runs_running", "Runs that have not ended.", labels=of_scenario)
        self.last_end = GaugeMetricFamily(
            "engine_last_run_end_timestamp_seconds",
            "When a run last ended with this outcome.",
            labels=[*of_scenario, "outcome"],
            unit="seconds",
        )
        self.fires = CounterMetricFamily(
            "engine_fires",
            "Occurrences of triggers that are over: their run has ended, or there was none.",
            labels=[*of_scenario, "trigger", "state"],
        )
        self.fires_open = GaugeMetricFamily(
            "engine_fires_open", "Occurrences of triggers whose run has not ended.", labels=[*of_scenario, "state"]
        )
        self.next_fire = GaugeMetricFamily(
            "engine_next_fire_timestamp_seconds",
            "When a trigger fires next.",
            labels=[*of_scenario, "trigger"],
            unit="seconds",
        )
        self.trigger_failing = GaugeMetricFamily(
            "engine_trigger_failing", "1 if a trigger cannot be evaluated at present.", labels=[*of_scenario, "trigger"]
        )
        self.paused = GaugeMetricFamily(
            "engine_scenario_paused", "1 if the triggers of a scenario are paused.", labels=of_scenario
        )
        self.undelivered = GaugeMetricFamily(
            "engine_messages_undelivered", "Messages that are still to be sent.", labels=["project", "channel"]
        )
        self.refused = GaugeMetricFamily(
            "engine_messages_refused",
            "Messages that their recipients have refused for good, and nobody has dropped.",
            labels=["project", "channel"],
        )
        self.evaluation = GaugeMetricFamily(
            "engine_evaluation_metric",
            "The metrics that a store displays, of its newest evaluation.",
            labels=["project", "store", "metric"],
        )
        self.evaluated = GaugeMetricFamily(
            "engine_evaluation_timestamp_seconds",
            "When the newest evaluation of a store was made.",
            labels=["project", "store"],
            unit="seconds",
        )
        self.checks = GaugeMetricFamily(
            "engine_check_outcome",
            "1 for the outcome of a check on the newest evaluation, 0 for the others.",
            labels=["project", "store", "check", "outcome"],
        )

    def __iter__(self) -> Iterator[Metric]:
        return iter(vars(self).values())

    def add_counts(self, project: str, spec: ProjectSpec, counts: RunCounts) -> None:
        """Add the counters; what has not happened yet has 0, so that the first time is an increase."""
        known = dict.fromkeys((name, outcome) for name in spec.scenarios for outcome in map(str, FINAL_OUTCOMES))
        for scenario, outcome in [*known, *(counts.runs.keys() - known.keys())]:
            self.runs.add_metric(
                [shorten_label(project), shorten_label(scenario), outcome.lower()], counts.runs[scenario, outcome]
            )
        for (scenario, outcome), ended in counts.last_ends.items():
            self.last_end.add_metric(
                [shorten_label(project), shorten_label(scenario), outcome.lower()], ended.timestamp()
            )
        for scenario, classes in counts.classes.items():
            bounds = [*map(repr, SECONDS_BOUNDS), "+Inf"]
            cumulated = [(bound, float(sum(classes[: i + 1]))) for i, bound in enumerate(bounds)]
            self.run_seconds.add_metric(
                [shorten_label(project), shorten_label(scenario)], cumulated, counts.seconds[scenario]
            )
        triggers = dict.fromkeys(
            (name, trigger.name, state)
            for name, scenario in spec.scenarios.items()
            for trigger in scenario.triggers
            for state in map(str, FINAL_STATES)
        )
        for scenario, trigger, state in [*triggers, *(counts.fires.keys() - triggers.keys())]:
            labels = [shorten_label(project), shorten_label(scenario), shorten_label(trigger), state.lower()]
            self.fires.add_metric(labels, counts.fires[scenario, trigger, state])


class _StateFamilies:
    """The values from the state of a project, all read before any is added, so that after an error none is shown."""

    def __init__(self, project: ServedProject, store: Store) -> None:
        self._name = shorten_label(project.name)
        self._spec = project.spec
        self._running = store.operation.list_running()
        self._open = store.fires.list_open()
        self._failing = {(one.scenario, one.trigger) for one in list_failing_triggers(store, project.spec)}
        self._paused = {pause.scenario for pause in store.pauses.list_active()}
        self._undelivered = {one.channel: one for one in store.outbox.summarize_undelivered()}
        self._evaluations = {}
        self._outcomes = {}
        for name in project.spec.evaluation_stores if project.spec else ():
            metrics = _list_metrics(project.spec, name) if project.spec else []
            for evaluation in store.evaluations.history(name, 1, metrics=metrics):
                self._evaluations[name] = evaluation
                self._outcomes[name] = store.checks.list_outcomes(name, [evaluation.id]).get(evaluation.id, {})

    def add_to(self, families: _Families) -> None:
        self._add_runs(families)
        self._add_triggers(families)
        self._add_messages(families)
        self._add_evaluations(families)

    def _add_runs(self, families: _Families) -> None:
        running = [run.scenario for run in self._running]
        for scenario in dict.fromkeys([*self._list_scenarios(), *running]):
            families.running.add_metric([self._name, shorten_label(scenario)], running.count(scenario))

    def _add_triggers(self, families: _Families) -> None:
        found = [(fire.scenario, fire.state) for fire in self._open]
        for scenario, state in dict.fromkeys(found):
            labels = [self._name, shorten_label(scenario), state.lower()]
            families.fires_open.add_metric(labels, found.count((scenario, state)))
        for name, declared in self._spec.scenarios.items() if self._spec else ():
            families.paused.add_metric([self._name, shorten_label(name)], float(name in self._paused))
            for trigger in declared.triggers:
                labels = [self._name, shorten_label(name), shorten_label(trigger.name)]
                families.trigger_failing.add_metric(labels, float((name, trigger.name) in self._failing))

    def _add_messages(self, families: _Families) -> None:
        declared = self._spec.channels if self._spec else {}
        for channel in dict.fromkeys([*declared, *self._undelivered]):
            labels, one = [self._name, shorten_label(channel)], self._undelivered.get(channel)
            families.undelivered.add_metric(labels, one.waiting if one else 0)
            families.refused.add_metric(labels, one.refused if one else 0)

    def _add_evaluations(self, families: _Families) -> None:
        for store, evaluation in self._evaluations.items():
            labels = [self._name, shorten_label(store)]
            families.evaluated.add_metric(labels, evaluation.created.timestamp())
            for metric, measured in evaluation.metrics.items():
                if measured.value is not None:
                    families.evaluation.add_metric([*labels, shorten_label(metric)], measured.value)
            for check, outcomes in self._outcomes[store].items():
                worst = worst_check_outcome(outcomes)
                for outcome in CheckOutcome:
                    families.checks.add_metric(
                        [*labels, shorten_label(check), outcome.lower()], float(outcome is worst)
                    )

    def _list_scenarios(self) -> Iterable[str]:
        return self._spec.scenarios if self._spec else ()


def _list_metrics(spec: ProjectSpec, store: str) -> list[str]:
    """Return the metrics that a store displays, at most METRICS_PER_STORE."""
    return list_displayed_metrics(spec.evaluation_stores[store])[:METRICS_PER_STORE]

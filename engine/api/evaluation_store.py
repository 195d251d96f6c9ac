"""An evaluation store for Python: its evaluations as frames, and the actions check, compare and remove."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from engine import spec
from engine.acting_user import describe_acting_user
from engine.api import tabulation
from engine.api.evaluation_selection import choose_evaluation, load_previous, select_evaluations, select_origin
from engine.api.lookup import check_last
from engine.api.project_tables import ProjectTables
from engine.api.result_table import ResultTable
from engine.errors import UsageError
from engine.evaluation.record import CheckResult, Evaluation
from engine.pipeline.context import StateContext
from engine.scenarios.context import RunContext
from engine.spec.metrics.displayed import list_displayed_metrics
from engine.spec.metrics.owner import MetricOwner
from engine.spec.problem import Problem
from engine.spec.resources.evaluation_stores import EvaluationStoreSpec as Declared
from engine.store import CheckPoint, Removal
from engine.views.checks import select_latest
from engine.views.store_view import describe_store

if TYPE_CHECKING:
    import polars as pl

    from engine.api.replay import TriedValues


@dataclass(frozen=True, slots=True, repr=False)
class EvaluationStore:
    """An evaluation store (MES).

    An evaluation is identified by its name (the newest with that name), its id, or the last part of its id. By default,
    the newest evaluation is used; a pulled one only if there is no other. Every method raises UsageError for an unknown
    name, and StoreError if the state cannot be used.
    """

    name: str
    project: spec.ProjectSpec
    open_state: Callable[[], AbstractContextManager[StateContext]]
    open_session: Callable[[], AbstractContextManager[RunContext]]

    def __repr__(self) -> str:
        return f"EvaluationStore({self.name!r}, project={self.project.name!r})"

    @property
    def spec(self) -> Declared:
        """The store's declaration in the spec."""
        return self.project.evaluation_stores[self.name]

    @property
    def displayed(self) -> list[str]:
        """The metrics that are shown by default: those of `display:`, else the summary of drift."""
        return list_displayed_metrics(self.spec)

    def evaluations(
        self,
        metrics: Sequence[str] | None = None,
        last: int | None = None,
        *,
        intervals: bool = False,
        superseded: bool = False,
        origin: str | None = None,
    ) -> "pl.DataFrame":
        """Return the evaluations by their time, oldest first, one row each; with `last`, only the newest ones.

        Parameters
        ----------
        metrics
            The metrics to return; by default those of `display:`. `drift.*` means the drift of all columns. A metric
            with the name of another column, such as `rows`, is in the column `metrics.rows`.
        intervals
            Whether each metric with confidence intervals is followed by `low.<metric>` and `high.<metric>`.
        superseded
            Whether to include evaluations that a later one of the same time and model has superseded.
        origin
            Only evaluations pulled from this deployment; by default all.

        Returns
        -------
        name, labels.<key>…, time (as declared), time.start, time.end (UTC), created (UTC), rows, the metrics,
        checks.<name>… (the latest outcome), id, same_data_as, superseded_by (ids of other evaluations), origin (the
        deployment that it was pulled from). The columns of times, other evaluations and origins exist only if an
        evaluation has them.
        """
        return self.tabulate_evaluations(
            metrics, last, intervals=intervals, superseded=superseded, origin=origin
        ).to_frame()

    def tabulate_evaluations(
        self,
        metrics: Sequence[str] | None = None,
        last: int | None = None,
        *,
        intervals: bool = False,
        superseded: bool = False,
        origin: str | None = None,
    ) -> ResultTable:
        """Return the same table as `evaluations`, without polars."""
        named = [metrics] if isinstance(metrics, str) else metrics
        wanted = self.displayed if named is None else [self._parse_metric(metric) for metric in named]
        with self.open_state() as context:
            where = select_origin(origin, superseded=superseded)
            found = context.store.evaluations.history(self.name, check_last(last), metrics=wanted, where=where)
            if origin is not None and not found:
                raise UsageError(f"{self.name}: nothing was pulled from {origin!r}; engine pull SPEC {origin} does it")
            only = None if last is None else [one.id for one in found]
            outcomes = context.store.checks.list_outcomes(self.name, only)
        return tabulation.tabulate_evaluations(describe_store(self.name, wanted, found, outcomes), intervals=intervals)

    def _parse_metric(self, text: str) -> str:
        task = self.project.models[self.spec.model].task if self.spec.model else None
        found = MetricOwner("store", task, self.spec.metrics).resolve(text)
        if isinstance(found, Problem):
            raise UsageError(f"{found.message}; {found.help}" if found.help else found.message)
        return text if text in self.spec.metrics else str(found)

    def evaluation(self, name: str | None = None) -> Evaluation:
        """Return one evaluation with all its details."""
        with self.open_state() as context:
            return self._load_evaluation(name, context)

    def _load_evaluation(self, name: str | None, context: StateContext) -> Evaluation:
        return context.store.evaluations.get(choose_evaluation(self.name, name, context))

    def count(self, *, superseded: bool = False, origin: str | None = None) -> int:
        """Return the number of evaluations, with `superseded` including superseded ones.

        With `origin`, only those pulled from this deployment are counted.
        """
        with self.open_state() as context:
            return context.store.evaluations.count(self.name, select_origin(origin, superseded=superseded))

    def starts_anew(self, last: int | None = None) -> list[Evaluation]:
        """Return those of the `last` evaluations that start a new history because of a new model, without details.

        There are none if the history continues across models.
        """
        if self.spec.continues_across_models:
            return []
        with self.open_state() as context:
            found = context.store.evaluations.history(self.name, check_last(last), metrics=[])
        seen = {one.fingerprints.model for one in found[:1]}
        anew = []
        for one in found:
            if one.fingerprints.model not in seen:
                anew.append(one)
            seen.add(one.fingerprints.model)
        return anew

    def metrics(self, evaluation: str | Evaluation | None = None) -> "pl.DataFrame":
        """Return every metric of an evaluation: metric, value, low, high, p_value, reason."""
        return tabulation.tabulate_metrics(self._as_evaluation(evaluation)).to_frame()

    def columns(self, evaluation: str | Evaluation | None = None) -> "pl.DataFrame":
        """Return the columns of an evaluation, the most drifted first.

        Returns
        -------
        column, role, drift, drift_p, significant, reference and batch (each as a text), drift_importance,
        model_importance, reason (why drift has no value), every statistic.
        """
        return tabulation.tabulate_columns(self._as_evaluation(evaluation)).to_frame()

    def challenger(self, evaluation: str | Evaluation | None = None) -> "pl.DataFrame":
        """Return the comparison of the challenger with the model of the store, one row per performance metric.

        The columns are those of `engine.api.tabulation.tabulate_challenger`. The frame is empty if the evaluation has
        no challenger.
        """
        return tabulation.tabulate_challenger(self._as_evaluation(evaluation)).to_frame()

    def estimates(self, evaluation: str | Evaluation | None = None) -> "pl.DataFrame":
        """Return the estimated and the real performance, one row per performance metric.

        The columns are those of `engine.api.tabulation.tabulate_estimates`. The frame is empty unless the store
        declares `estimates`.
        """
        return tabulation.tabulate_estimates(self._as_evaluation(evaluation)).to_frame()

    def segments(self, evaluation: str | Evaluation | None = None, metric: str | None = None) -> "pl.DataFrame":
        """Return the segments of an evaluation, the worst first, with drift and a performance metric.

        The columns are those of `engine.api.tabulation.tabulate_segments`. The frame is empty unless the store declares
        `segments`.
        """
        return tabulation.tabulate_segments(self._as_evaluation(evaluation), metric).to_frame()

    def _as_evaluation(self, evaluation: str | Evaluation | None) -> Evaluation:
        return evaluation if isinstance(evaluation, Evaluation) else self.evaluation(evaluation)

    def checks(self, evaluation: str | None = None, last: int | None = None) -> "pl.DataFrame":
        """Return the check results, of one evaluation if given, oldest first; with `last`, only the newest.

        Returns
        -------
        created (UTC), evaluation (its name), check, metric, outcome, counts_as, value, bounds, reason, run,
        evaluation_id, detectable (the value that would have failed an OK check in 4 of 5 batches of this size).
        """
        return ProjectTables(self.project, self.open_state).checks(self.name, evaluation, last).to_frame()

    def latest_checks(self, evaluation: str | None = None) -> list[CheckPoint]:
        """Return the latest results of each check of an evaluation, oldest first."""
        with self.open_state() as context:
            id_ = choose_evaluation(self.name, evaluation, context)
            return select_latest(context.store.checks.history(self.name, evaluation=id_))

    def check(self, evaluation: str | None = None) -> list[CheckResult]:
        """Apply the present checks of the spec to an evaluation; record and return the results.

        A pulled evaluation is refused, because its results come from its deployment.
        """
        from engine.pipeline.checks import apply_checks

        with self.open_session() as context:
            found = self._load_evaluation(evaluation, context)
            if found.origin is not None:
                raise UsageError(
                    f"evaluation {found.name!r} was pulled from the deployment {found.origin!r}, and has the results "
                    "of its checks from there; its report shows what the checks of this spec say"
                )
            chosen = replace(context, built={self.name: found.id})
            return list(apply_checks(self.name, chosen).results)

    def replay(self, tried: "TriedValues | None" = None) -> "pl.DataFrame":
        """Apply the present checks, also with tried settings, to all evaluations; record nothing.

        Parameters
        ----------
        tried
            Settings to try, by check and key: `{"data drift < 0.45": {"soft_max": 0.5}}`. `except.<metric>.<key>` is a
            bound of an exception; None removes a bound. A check with tried settings has two rows, for the declared and
            the tried settings.

        Returns
        -------
        check, tried, evaluations, error, warning, empty, ok, not_measured, alarms (evaluations in which the check
        counts as WARNING or ERROR), first, last (names of the first and last alarm), metrics (the most frequent ones in
        alarms), bounds, reason (why there was no value, the first time).

        Raises
        ------
        UsageError
            There is no evaluation yet, or a tried setting is not possible.
        """
        from engine.api.replay import replay_target

        with self.open_session() as context:
            return replay_target(self.name, tried or {}, context).to_frame()

    def compare(self, evaluation: str | None = None, reference: str | None = None) -> Evaluation:
        """Compare an evaluation with another reference. The comparison is computed now and not stored.

        Parameters
        ----------
        reference
            Another evaluation, `dataset:<name>`, or `model_test` (the model's held-out rows); by default the evaluation
            before this one.

        Returns
        -------
        An evaluation that is not stored; `columns` and `metrics` convert it to frames.

        Raises
        ------
        DataError, ModelError
            The reference cannot be read, or lacks columns of the evaluation.
        """
        from engine.pipeline.evaluations import comparison

        with self.open_session() as context:
            found = self._load_evaluation(evaluation, context)
            if reference is None:
                return comparison.compare_with_evaluation(found, load_previous(self.name, found.id, context), context)
            if reference == "model_test" or reference.startswith("dataset:"):
                return comparison.compare_with_rows(found, reference, context)
            return comparison.compare_with_evaluation(found, self._load_evaluation(reference, context), context)

    def report(self, path: Path | str | None = None, evaluation: str | None = None) -> Path:
        """Write an evaluation as a page, or as its chart if the path ends in .png; return the path.

        Parameters
        ----------
        path
            By default `STORE-EVALUATION.html` in the working folder; missing folders are created.

        Raises
        ------
        DeliveryError
            The file cannot be written.
        """
        from engine.pipeline import reports

        with self.open_session() as context:
            facts = reports.collect_report_facts(self._load_evaluation(evaluation, context), context)
            target = Path(f"{facts.file_name}.html" if path is None else path)
            reports.write_report(facts, target, context)
        return target

    def before(self, evaluation: str | None = None) -> Evaluation:
        """Return the evaluation before this one, of the same model unless the history continues across models."""
        with self.open_state() as context:
            return load_previous(self.name, choose_evaluation(self.name, evaluation, context), context)

    def select(
        self,
        *names: str,
        labels: Mapping[str, str] | None = None,
        before: datetime | None = None,
        origin: str | None = None,
    ) -> list[Evaluation]:
        """Return the evaluations that meet all given conditions, without details, oldest first.

        Superseded ones are included; pulled ones only if their id or `origin` is given.

        Parameters
        ----------
        names
            Names, ids or last parts of ids; one of them must match.
        labels
            Required values of labels.
        before
            The time of an evaluation, or else its creation, must be before this moment; without a time zone, in UTC.
        origin
            The deployment that the evaluations were pulled from.

        Raises
        ------
        UsageError
            There is no evaluation with a name, or none with a label or with its value.
        """
        with self.open_state() as context:
            return select_evaluations(self.name, names, labels, before, origin, context)

    def remove(self, *evaluations: str | Evaluation) -> tuple[str, ...]:
        """Remove evaluations with their files, record who removed them, and return their ids.

        Parameters
        ----------
        evaluations
            Evaluations from `select`, names (all evaluations with that name), or ids.

        Raises
        ------
        UsageError
            There is no such evaluation; nothing is removed.
        StoreError
            A run is writing to the store.
        """
        named = [one for one in evaluations if isinstance(one, str)]
        chosen = [one for one in evaluations if isinstance(one, Evaluation)] + (self.select(*named) if named else [])
        with self.open_session() as context, context.lock(f"evaluation store {self.name}", wait=False):
            stored = context.store.evaluations.name_ids([one.id for one in chosen])
            for one in chosen:
                if one.store != self.name or one.id not in stored:
                    raise UsageError(f"evaluation {one.name!r} ({one.id}) is not in evaluation store {self.name!r}")
            return context.store.evaluations.remove_ids(self.name, [one.id for one in chosen], describe_acting_user())

    def removals(self) -> list[Removal]:
        """Return the removals of evaluations, oldest first: names, user and time."""
        with self.open_state() as context:
            return context.store.evaluations.list_removals(self.name)

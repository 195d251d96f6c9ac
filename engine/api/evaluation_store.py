"""An evaluation store for Python: its evaluations as frames, and the actions check, compare and remove."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import polars as pl

from engine import spec
from engine.api import comparison, frames
from engine.api.lookup import find_by_id, unknown_name
from engine.current_user import describe_current_user
from engine.errors import UsageError
from engine.evaluation.record import CheckResult, Evaluation
from engine.scenarios.context import Context
from engine.scenarios.replay import CheckReplay, replay_checks
from engine.scenarios.session import DEFAULT_METRICS
from engine.scenarios.steps import run_checks
from engine.spec.metric_names import normalize_metric_name, resolve_metric_name
from engine.spec.problem import Problem
from engine.spec.resources.evaluation_stores import EvaluationStoreSpec as Declared
from engine.spec.resources.scenarios import RunChecksStep
from engine.store import Removal


@dataclass(frozen=True, slots=True, repr=False)
class EvaluationStore:
    """An evaluation store (MES).

    An evaluation is named by its name (the newest of that name), by its id, or by the last part of its id. If none is
    named, the newest evaluation is taken. Every method raises UsageError for an unknown name, and StoreError if the
    state cannot be used.
    """

    name: str
    project: spec.ProjectSpec
    open_session: Callable[[], AbstractContextManager[Context]]

    def __repr__(self) -> str:
        return f"EvaluationStore({self.name!r}, project={self.project.name!r})"

    @property
    def spec(self) -> Declared:
        """The store's declaration in the spec."""
        return self.project.evaluation_stores[self.name]

    @property
    def displayed(self) -> list[str]:
        """The metrics that are shown by default: those of `display:`, else the summary of drift."""
        return list(map(normalize_metric_name, self.spec.display.metrics)) or DEFAULT_METRICS

    def evaluations(
        self, metrics: Sequence[str] | None = None, last: int | None = None, *, intervals: bool = False
    ) -> pl.DataFrame:
        """Return the evaluations, oldest first, one row each; with `last`, only the newest ones.

        Parameters
        ----------
        metrics
            The metrics to return; by default those of `display:`. `drift.*` is the drift of every column.
        intervals
            Whether each metric that has confidence intervals is followed by their ends, `low.<metric>` and
            `high.<metric>`.

        Returns
        -------
        name, labels.<key>…, created (UTC), rows, the metrics, checks.<name>… (the latest outcome), id.
        """
        wanted = self.displayed if metrics is None else [self._parse_metric(metric) for metric in metrics]
        with self.open_session() as context:
            found = context.store.list_evaluations(self.name, last, metrics=wanted)
            outcomes = context.store.list_check_outcomes(self.name)
        return frames.tabulate_evaluations(found, wanted, outcomes, intervals=intervals)

    def _parse_metric(self, text: str) -> str:
        task = self.project.models[self.spec.model].task if self.spec.model else None
        found = resolve_metric_name(text, "store", task=task, custom_metrics=self.spec.metrics)
        if isinstance(found, Problem):
            raise UsageError(f"{found.message}; {found.help}" if found.help else found.message)
        return text if text in self.spec.metrics else str(found)

    def evaluation(self, name: str | None = None) -> Evaluation:
        """Return one evaluation with all its details."""
        with self.open_session() as context:
            return self._load_evaluation(name, context)

    def _load_evaluation(self, name: str | None, context: Context) -> Evaluation:
        return context.store.get_evaluation(self._resolve_id(name, context))

    def _resolve_id(self, name: str | None, context: Context) -> str:
        evaluations = context.store.list_evaluations(self.name, metrics=[])
        if not evaluations:
            raise self._no_evaluations()
        # oldest first, so that a name gets the id of its newest evaluation
        ids = {evaluation.name: evaluation.id for evaluation in evaluations}
        if name is None:
            return evaluations[-1].id
        if name in ids:
            return ids[name]
        try:
            return find_by_id("evaluation", name, {evaluation.id: evaluation.id for evaluation in evaluations})
        except UsageError:
            raise unknown_name("evaluation", name, list(ids)[::-1]) from None

    def _no_evaluations(self) -> UsageError:
        return UsageError(f"evaluation store {self.name!r} has no evaluations yet: make one with `engine run`")

    def metrics(self, evaluation: str | Evaluation | None = None) -> pl.DataFrame:
        """Return every metric of an evaluation: metric, value, low, high, p_value, reason."""
        return frames.tabulate_metrics(self._as_evaluation(evaluation))

    def columns(self, evaluation: str | Evaluation | None = None) -> pl.DataFrame:
        """Return the columns of an evaluation, the most drifted first.

        Returns
        -------
        column, role, drift, drift_p, significant, reference and batch (each as a text), drift_importance,
        model_importance, reason (why drift has no value), every statistic.
        """
        return frames.tabulate_columns(self._as_evaluation(evaluation))

    def _as_evaluation(self, evaluation: str | Evaluation | None) -> Evaluation:
        return evaluation if isinstance(evaluation, Evaluation) else self.evaluation(evaluation)

    def checks(self, evaluation: str | None = None, last: int | None = None) -> pl.DataFrame:
        """Return the results of the checks, oldest first; with `last`, only the newest. Of one evaluation, if named.

        Returns
        -------
        created (UTC), evaluation (its name), check, metric, outcome, counts_as, value, bounds, reason, run,
        evaluation_id.
        """
        with self.open_session() as context:
            only = None if evaluation is None else self._resolve_id(evaluation, context)
            names = {one.id: one.name for one in context.store.list_evaluations(self.name, metrics=[])}
            return frames.tabulate_checks(context.store.list_check_points(self.name, last=last, evaluation=only), names)

    def check(self, evaluation: str | None = None) -> list[CheckResult]:
        """Apply the checks, as the spec declares them now, to an evaluation; record and return the results."""
        with self.open_session() as context:
            # The step checks the evaluation that "this run has built": here, the one that was asked for.
            chosen = replace(context, built={self.name: self._resolve_id(evaluation, context)})
            return run_checks.run(RunChecksStep(name="check", target=self.name), chosen).checks

    def replay(self, settings: Mapping[str, object] | None = None) -> list[CheckReplay]:
        """Apply the checks, as the spec declares them now, to every stored evaluation; nothing is recorded.

        Parameters
        ----------
        settings
            Other values to try for keys of checks, such as `{"drift.soft_max": 0.15}` for the check `drift`. A text is
            read as the spec would read it.

        Returns
        -------
        One entry per check, in the order of the spec.

        Raises
        ------
        SpecError
            A value is not allowed, such as a soft bound beyond the hard one.
        UsageError
            There is no such check.
        """
        paths = {self._find_setting(name): _write_yaml(value) for name, value in (settings or {}).items()}
        tried = self.project.with_settings(paths)
        with self.open_session() as context:
            if context.store.find_newest_evaluation(self.name) is None:
                raise self._no_evaluations()
            return replay_checks(self.name, replace(context, project=tried))

    def _find_setting(self, name: str) -> tuple[str, ...]:
        """Return the path in the spec of a key of a check, which is named `check.key`."""
        check, dot, key = next(
            ((one, ".", name[len(one) + 1 :]) for one in self.spec.checks if name.startswith(f"{one}.")),
            name.rpartition("."),
        )
        if not dot or not key:
            raise UsageError(f"{name!r} is not CHECK.KEY, such as {next(iter(self.spec.checks), 'drift')}.soft_max")
        if check not in self.spec.checks:
            raise unknown_name("check", check, list(self.spec.checks))
        return ("evaluation_stores", self.name, "checks", check, key)

    def compare(self, evaluation: str | None = None, reference: str | None = None) -> Evaluation:
        """Compare an evaluation with another reference. The comparison is computed now and not stored.

        Parameters
        ----------
        reference
            Another evaluation, `dataset:<name>`, or `model_test` (the model's held-out rows); by default the evaluation
            before this one.

        Returns
        -------
        An evaluation that is in no store; `columns` and `metrics` make frames of it.

        Raises
        ------
        DataError, ModelError
            The reference cannot be read, or lacks columns of the evaluation.
        """
        with self.open_session() as context:
            found = self._load_evaluation(evaluation, context)
            if reference is None:
                return comparison.compare_with_evaluation(found, self._load_previous(found.id, context), context)
            if reference == "model_test" or reference.startswith("dataset:"):
                return comparison.compare_with_rows(found, reference, context)
            return comparison.compare_with_evaluation(found, self._load_evaluation(reference, context), context)

    def before(self, evaluation: str | None = None) -> Evaluation:
        """Return the evaluation before this one."""
        with self.open_session() as context:
            return self._load_previous(self._resolve_id(evaluation, context), context)

    def _load_previous(self, id_: str, context: Context) -> Evaluation:
        evaluations = context.store.list_evaluations(self.name, metrics=[])
        index = [evaluation.id for evaluation in evaluations].index(id_)
        if not index:
            raise UsageError(
                f"there is no evaluation before {evaluations[0].name!r}; name the reference, such as dataset:NAME"
            )
        return context.store.get_evaluation(evaluations[index - 1].id)

    def find(
        self, *names: str, labels: Mapping[str, str] | None = None, before: datetime | None = None
    ) -> list[Evaluation]:
        """Return the evaluations for which all of this holds, oldest first, without their metrics and details.

        Parameters
        ----------
        names
            Names or ids, of which any is enough; without one, all evaluations.
        labels
            Labels with their values; an evaluation needs all of them.
        before
            The evaluation was created before this time. A time without a zone is UTC.
        """
        with self.open_session() as context:
            found = context.store.list_evaluations(self.name, metrics=[])
        for name in names:
            if not any(name in (one.name, one.id) for one in found):
                raise unknown_name("evaluation", name, [one.name for one in reversed(found)])
        for key in labels or {}:
            if not any(key in one.labels for one in found):
                raise unknown_name("label", key, [label for one in found for label in one.labels])
        until = before if before is None or before.tzinfo else before.replace(tzinfo=UTC)
        return [
            one
            for one in found
            if (not names or one.name in names or one.id in names)
            and all(one.labels.get(key) == value for key, value in (labels or {}).items())
            and (until is None or one.created < until)
        ]

    def remove(
        self, *names: str, labels: Mapping[str, str] | None = None, before: datetime | None = None
    ) -> tuple[str, ...]:
        """Remove the evaluations that `find` returns, with their files; record who removed them, and return their ids.

        Raises
        ------
        UsageError
            Nothing is named; or there is no such name or label.
        """
        if not names and not labels and before is None:
            raise UsageError("name the evaluations to remove, or their labels, or a time")
        return self._remove(self.find(*names, labels=labels, before=before))

    def remove_all(self) -> tuple[str, ...]:
        """Remove every evaluation of the store as `remove` does, and return their ids."""
        return self._remove(self.find())

    def _remove(self, chosen: Sequence[Evaluation]) -> tuple[str, ...]:
        ids = [one.id for one in chosen]
        with self.open_session() as context, context.lock(f"evaluation store {self.name}"):
            return context.store.remove_evaluations(self.name, ids, describe_current_user())

    def removals(self) -> list[Removal]:
        """Return the removals of evaluations, oldest first: names, user and time."""
        with self.open_session() as context:
            return context.store.list_removals(self.name)


def _write_yaml(value: object) -> str:
    """Return a value as YAML, of which JSON is a part; a text stays as it is."""
    return value if isinstance(value, str) else json.dumps(value)

"""Validates the spec against the data before computations: unknown columns, checks that match nothing.

`engine validate` reads no data, so it cannot check column names. Here the schemas of the datasets are known, and all
metrics of a reused evaluation. A certain failure is an error; a setting without effect is a warning.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress

from engine import drift
from engine.data import Table, column_type
from engine.errors import EngineError, ModelError, Position
from engine.evaluation.record import Evaluation
from engine.evaluation.segments.metrics import write_segment_metric
from engine.formatting.hints import did_you_mean
from engine.pipeline.context import BuildContext
from engine.pipeline.evaluation_times import name_next_evaluation
from engine.pipeline.models import find_active_version, use_model
from engine.pipeline.references.evaluations import find_reference_evaluations
from engine.pipeline.references.schemas import read_reference_schema
from engine.spec.diagnostics import Findings
from engine.spec.metrics.definition import MetricScope
from engine.spec.metrics.lookup import find_metric_definition
from engine.spec.metrics.names import normalize_metric_name, parse_metric_name
from engine.spec.problem import Problem
from engine.spec.resources.checks import Check, PythonCheck, RangeCheck, TypicalCheck, select_active_checks
from engine.spec.resources.evaluation_stores import (
    DatasetReference,
    EvaluationReference,
    RollingReference,
    SamePeriodReference,
)
from engine.spec.resources.models import Model, ScoredModel, TrainModel
from engine.spec.resources.scenarios import AnyStep
from engine.spec.validation.validator import SpecPath


def validate_target(target: str, evaluation: Evaluation | None, context: BuildContext, findings: Findings) -> None:
    """Validate the columns named in the spec against the data that a step with this target reads.

    Parameters
    ----------
    evaluation
        The reused evaluation, if any: only its metrics will exist.
    """
    project = context.project
    datasets, models = {target} & project.datasets.keys(), {target} & project.models.keys()
    if target in project.evaluation_stores:
        store = project.evaluation_stores[target]
        datasets |= {store.dataset}
        models |= {model for model in (store.model, store.challenger) if model}
        validate_store(target, evaluation, context, findings)
    for model in sorted(models):
        spec = project.models[model]
        built = model == target and not getattr(spec, "frozen", False)
        # The training data of an active model may be missing, unless the step builds the model itself.
        if isinstance(spec, TrainModel) and (built or find_active_version(model, context)[0] is None):
            validate_model(model, context, findings)
            datasets |= {spec.dataset}
    for dataset in sorted(datasets):
        validate_dataset(dataset, context, findings)
    if target in project.evaluation_stores:
        reference = project.evaluation_stores[target].reference
        datasets |= {reference.dataset} if isinstance(reference, DatasetReference) else set()
    for dataset in sorted(datasets):
        validate_reading(dataset, context, findings)


def report_findings(step: AnyStep, context: BuildContext) -> None:
    """Log the findings of `engine plan` about the columns of a step, once per call of the engine."""
    findings = Findings()
    for target in step.targets:
        if target not in context.built:  # otherwise the step that built it logged them
            with suppress(EngineError):  # the step has succeeded; the next step reports what cannot be opened now
                validate_target(target, None, context, findings)
    for found in findings.sorted_by_position():
        at = found.position
        text = f"{at.file}:{at.line}:{at.column}: {found.message}{f'; {found.help}' if found.help else ''}"
        if context.logged.add(text, found.message):
            context.log.warning(text)


def validate_dataset(name: str, context: BuildContext, findings: Findings) -> None:
    """Add a finding for each check of a missing column."""
    schema = context.datasets.open(name).frame.collect_schema()
    roles = {
        column: "time" if column_type(dtype) in ("date", "datetime") else drift.infer_role(dtype) or "categorical"
        for column, dtype in schema.items()
    }
    checks = select_active_checks(context.project.datasets[name].checks)
    custom_metrics = context.project.datasets[name].metrics
    for path, metric in _iterate_metrics(checks, ("datasets", name, "checks")):
        _validate_metric(
            metric, context.project.position(*path), "dataset", roles, custom_metrics, f"dataset {name!r}", findings
        )


def validate_reading(name: str, context: BuildContext, findings: Findings) -> None:
    """Add a warning for each text column of a dataset and its inputs that looks like another type."""
    for source, table in context.datasets.open(name).lineage().items():
        at = context.project.position("datasets", source)
        for warning in table.warnings:
            findings.warning(at, "read-as-text", f"dataset {source!r}: {warning}")


def validate_model(name: str, context: BuildContext, findings: Findings) -> None:
    """Add a finding for a target or a feature that is missing in the training dataset."""
    spec = context.project.models[name]
    if not isinstance(spec, TrainModel):
        return
    schema = context.datasets.open(spec.dataset).frame.collect_schema()
    named: dict[SpecPath, str] = {("target",): spec.target}
    named |= {("features", "include", i): column for i, column in enumerate(spec.features.include or [])}
    for path, column in named.items():
        if column not in schema:
            message = f"dataset {spec.dataset!r} has no column {column!r}"
            at = context.project.position("models", name, *path)
            findings.error(at, "unknown-column", message, did_you_mean(column, schema, "there are"))
    for i, column in enumerate(spec.features.exclude):
        if column not in schema:
            at = context.project.position("models", name, "features", "exclude", i)
            _warn_unknown_exclusion(column, spec.dataset, schema, at, findings)


def validate_store(name: str, evaluation: Evaluation | None, context: BuildContext, findings: Findings) -> None:
    """Add a finding for each check and each displayed metric that the next evaluation cannot have.

    Parameters
    ----------
    evaluation
        The reused evaluation, if any: only its metrics will exist.
    """
    spec = context.project.evaluation_stores[name]
    batch = context.datasets.open(spec.dataset)
    schema = batch.frame.collect_schema()
    for i, column in enumerate(spec.drift.columns.exclude):
        if column not in schema:
            at = context.project.position("evaluation_stores", name, "drift", "columns", "exclude", i)
            _warn_unknown_exclusion(column, spec.dataset, schema, at, findings)
    place = ("evaluation_stores", name)
    named = [*_iterate_metrics(select_active_checks(spec.checks), (*place, "checks"))]
    named += [((*place, "display", "metrics", i), metric) for i, metric in enumerate(spec.display.metrics)]
    # Not compared: excluded columns, the entity, the model's target, and all that are not its features.
    absent = {*spec.drift.columns.exclude, batch.entity}
    if spec.model:
        model = context.project.models[spec.model]
        _validate_model_columns(name, spec.model, batch, context, findings)
        if spec.challenger:
            _validate_model_columns(name, spec.challenger, batch, context, findings)
        absent |= {model.target, *model.features.exclude}
        absent |= set(schema) - set(model.features.include or schema)
    roles: dict[str, str | None] = {
        column: None if column in absent else drift.infer_role(dtype) for column, dtype in schema.items()
    }
    roles |= {c: r if r in ("numerical", "categorical") else None for c, r in batch.roles.items() if c not in absent}
    # A column of the reference that the batch lacks has metrics without a value.
    gone = set(read_reference_schema(name, context)) - set(schema)
    for path, metric in named:
        at = context.project.position(*path)
        parsed = parse_metric_name(metric)
        if evaluation is None and not isinstance(parsed, Problem) and parsed.member in gone:
            message = f"dataset {spec.dataset!r} has no column {parsed.member!r}, so {metric} has no value"
            findings.warning(at, "unknown-column", message)
        elif evaluation is None:
            _validate_metric(metric, at, "store", roles, spec.metrics, f"dataset {spec.dataset!r}", findings)
        else:
            check = spec.checks.get(str(path[3])) if path[2] == "checks" else None
            segment = check.segment if isinstance(check, RangeCheck | TypicalCheck) else None
            if segment is None:
                _validate_stored_metric(metric, at, evaluation, findings)
            elif "*" not in segment:
                _validate_stored_metric(write_segment_metric(segment, metric), at, evaluation, findings)


def _validate_model_columns(store: str, name: str, batch: Table, context: BuildContext, findings: Findings) -> None:
    """Add a finding for each missing column that an externally trained model needs."""
    spec = context.project.models[name]
    if isinstance(spec, TrainModel):
        return
    reference = _find_reference_table(store, batch, context)
    if unknown := find_unknown_target(spec, batch, reference):
        findings.error(context.project.position("models", name, "target"), "unknown-column", *unknown)
    named: dict[SpecPath, str] = {("features", "include", i): c for i, c in enumerate(spec.features.include or [])}
    if isinstance(spec, ScoredModel):
        named |= {("prediction",): spec.prediction} if spec.prediction else {}
        probability = spec.probability
        named |= {("probability",): probability} if isinstance(probability, str) else {}
        named |= {("probability", c): col for c, col in (probability if isinstance(probability, dict) else {}).items()}
    for table in (batch, *([reference] if reference and reference is not batch else [])):
        schema = table.frame.collect_schema()
        for path, column in named.items():
            if column not in schema:
                at = context.project.position("models", name, *path)
                findings.error(at, "unknown-column", *_describe_absent_column(column, [table], ""))


def _find_reference_table(store: str, batch: Table, context: BuildContext) -> Table | None:
    """Return the reference table of a store; None if the reference is an earlier evaluation or held-out rows."""
    context, batch = context.without_drill(), batch.undisturbed or batch
    spec = context.project.evaluation_stores[store]
    match spec.reference:
        case DatasetReference(dataset=dataset):
            return context.datasets.open(dataset)
        case EvaluationReference(name=name):
            return batch if name == name_next_evaluation(store, context) else None
        case RollingReference() | SamePeriodReference() as declared:
            model = use_model(spec.model, context).fingerprint if spec.model else ""
            return None if find_reference_evaluations(store, declared, batch, model, context).found else batch
    return None


def find_unknown_target(spec: Model, batch: Table, reference: Table | None) -> tuple[str, str] | None:
    """Return the problem and its remedy if neither side has the target column; otherwise None.

    Parameters
    ----------
    reference
        None if it is an earlier evaluation or the held-out rows of a trained model: these had the target.
    """
    if isinstance(spec, TrainModel) or reference is None:
        return None
    tables = [batch, *([reference] if reference.name != batch.name else [])]
    if any(spec.target in table.frame.collect_schema() for table in tables):
        return None
    return _describe_absent_column(spec.target, tables, ", the target of the model")


def require_target(name: str, batch: Table, reference: Table | None, context: BuildContext) -> None:
    """Raise a ModelError if neither the batch nor the reference has the target column of a model.

    Otherwise a misspelt target would look like labels that do not exist yet, and the real target like a feature.
    """
    if unknown := find_unknown_target(context.project.models[name], batch, reference):
        at = context.project.position("models", name, "target")
        message, help_ = unknown
        raise ModelError(f"model {name}: {message}; {help_} ({at.file}:{at.line}:{at.column})")


def _describe_absent_column(column: str, tables: Sequence[Table], what: str) -> tuple[str, str]:
    """Return the message that no table has a column, and its remedy; `what` follows the column's name."""
    names = [repr(table.name) for table in tables]
    which = f"dataset {names[0]} has no" if len(names) == 1 else f"neither dataset {' nor dataset '.join(names)} has a"
    known = list(dict.fromkeys(name for table in tables for name in table.frame.collect_schema()))
    from engine.data.files.csv_faults import suggest_separator

    single = next((hint for table in tables if (hint := suggest_separator(table.frame.collect_schema().names()))), "")
    return f"{which} column {column!r}{what}", single.lstrip(":; ") or did_you_mean(column, known, "there are")


def _iterate_metrics(checks: Mapping[str, Check], place: SpecPath) -> Iterator[tuple[SpecPath, str]]:
    """Yield every metric named by the checks, with its path in the spec."""
    for name, check in checks.items():
        if isinstance(check, PythonCheck):
            continue
        yield (*place, name, "metric"), check.metric
        if isinstance(check, RangeCheck):
            for metric in check.except_:
                yield (*place, name, "except", metric), metric


def _validate_metric(
    text: str,
    at: Position,
    scope: MetricScope,
    roles: Mapping[str, str | None],
    custom_metrics: Collection[str],
    where: str,
    findings: Findings,
) -> None:
    """Add findings for a metric of columns, based on the columns' names and types."""
    metric = parse_metric_name(text)
    if text in custom_metrics or isinstance(metric, Problem):
        return
    definition, column = find_metric_definition(metric, scope), metric.member or ""
    if definition.member != "column":
        return
    if metric.wildcard:
        if not any(role in definition.roles for role in roles.values()):
            message = f"{text} matches nothing: {where} has no {' or '.join(definition.roles)} column that is compared"
            findings.error(at, "unknown-metric", message)
    elif column not in roles:
        help_ = did_you_mean(column, roles, "there are")
        findings.error(at, "unknown-column", f"{where} has no column {column!r}", help_)
    elif (role := roles[column]) is None:
        message = f"column {column!r} is not compared, so it has no {metric.statistic}"
        findings.warning(at, "unknown-metric", message)
    elif role not in definition.roles:
        declare = "declare its type: date or datetime" if definition.roles == ("time",) else None
        findings.warning(at, "unknown-metric", f"column {column!r} is {role}, so it has no {metric.statistic}", declare)


def _validate_stored_metric(text: str, at: Position, evaluation: Evaluation, findings: Findings) -> None:
    """Add a finding if the reused evaluation lacks the metric."""
    wanted = normalize_metric_name(text)
    if wanted.endswith(".*"):
        if not any(metric.startswith(wanted[:-1]) for metric in evaluation.metrics):
            message = f"{text} matches nothing: evaluation {evaluation.name!r} has no such metric"
            findings.error(at, "unknown-metric", message)
    elif wanted not in evaluation.metrics:
        help_ = did_you_mean(wanted, list(evaluation.metrics)[:10], "it has, for example,")
        findings.error(at, "unknown-metric", f"evaluation {evaluation.name!r} has no metric {text}", help_)


def _warn_unknown_exclusion(
    column: str, dataset: str, schema: Collection[str], at: Position, findings: Findings
) -> None:
    message = f"dataset {dataset!r} has no column {column!r}: there is nothing to exclude"
    findings.warning(at, "unknown-column", message, did_you_mean(column, schema, "there are"))

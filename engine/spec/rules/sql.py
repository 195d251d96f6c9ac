"""Rules of SQL: it reads declared datasets, no dataset reads itself, and its columns are those that the spec uses.

Columns that a query itself shows (`SELECT a, b AS c`) are checked here, before any data is read. The columns of
`SELECT *` are known only when the data is opened, by `engine plan`.
"""

from collections.abc import Iterator, Mapping

from engine.formatting.hints import did_you_mean
from engine.spec import sql
from engine.spec.diagnostics import Findings
from engine.spec.metrics.definition import MetricScope
from engine.spec.metrics.lookup import find_metric_definition
from engine.spec.metrics.names import MetricName
from engine.spec.metrics.owner import MetricOwner
from engine.spec.problem import Problem
from engine.spec.resources.models import ScoredModel, TrainModel
from engine.spec.rules.draft import Draft, report_problem
from engine.spec.rules.kept_rows import iterate_file_readers
from engine.spec.rules.references import find_cycles
from engine.spec.sql.row_conditions import find_row_condition_problems, list_row_condition_columns
from engine.spec.stored_data import find_writers
from engine.spec.validation.validator import SpecPath
from engine.spec.variables.references import SHIFT_HELP, find_references

MAX_QUERY_CHAIN = 100
"""Longest chain of queries that read each other: polars resolves them recursively, on the stack."""


def check_queries(draft: Draft, findings: Findings) -> None:
    """Check that each query is one SELECT over declared datasets, with declared variables."""
    names, variables = draft.declared_names("datasets"), draft.declared_names("variables")
    for text in draft.texts_read_as("sql"):
        if find_trigger_connection(draft, text.path) is not None:
            continue  # it is checked as a statement of its database
        draft.variables.used_names.update(r.parts[0] for r in find_references(text.value) if r.parts)
        for problem in [*sql.find_sql_problems(text.value, names, variables), *find_shift_problems(text.value, draft)]:
            report_problem(findings, text, problem)


def find_trigger_connection(draft: Draft, path: SpecPath) -> str | None:
    """Return the connection that runs the query at a path; None if the query reads datasets."""
    return draft.scalar_text(*path[:-1], "connection") if path[2:3] == ("triggers",) else None


def find_shift_problems(text: str, draft: Draft) -> Iterator[Problem]:
    """Yield a problem for each reference that adds days to what is not a date."""
    for reference in find_references(text):
        if len(reference.parts) == 1 and reference.parts[0] in draft.variables.names:
            try:
                reference.add_days(draft.variables.names[reference.parts[0]])
            except ValueError as problem:
                yield Problem(reference.offset, reference.length, "variable-value", str(problem), SHIFT_HELP)


def check_dataset_cycles(draft: Draft, findings: Findings) -> None:
    """Check that no query reads itself, directly or through others."""
    needs: dict[str, dict[str, SpecPath]] = {
        str(text.path[1]): dict.fromkeys(sorted(sql.list_tables(text.value)), text.path)
        for text in draft.texts_read_as("sql")
        if text.path[0] == "datasets"
    }
    for name, dataset in draft.spec.datasets.items():
        if writers := find_writers(dataset, draft.spec.datasets, draft.spec.connections):
            needs.setdefault(name, {}).update(dict.fromkeys(writers, ("datasets", name)))
    for reader, writer in iterate_file_readers(draft):
        needs.setdefault(reader, {})[writer] = ("datasets", reader, "path")
    for path, chain in find_cycles(needs):
        message = f"a dataset reads itself: {' → '.join(chain)}"
        help_ = "a query can only read datasets that do not read it or its stored rows"
        findings.error(draft.key_position(*path), "cycle", message, help_)
    for name in _find_long_chains(needs):
        message = f'dataset "{name[:60]}" reads a chain of more than {MAX_QUERY_CHAIN} queries that read each other'
        findings.error(draft.key_position("datasets", name), "sql-too-big", message, "combine some of these queries")


def _find_long_chains(needs: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Return the first query of each chain beyond the longest allowed one."""
    waiting = dict(needs)
    for _ in range(MAX_QUERY_CHAIN):
        for name in [name for name, others in waiting.items() if waiting.keys().isdisjoint(others)]:
            del waiting[name]
    return [name for name, others in waiting.items() if waiting.keys().isdisjoint(others)]


def check_columns(draft: Draft, findings: Findings) -> None:
    """Check that the columns used in the spec are in the result of the SQL, as far as it shows them."""
    shown = {
        str(text.path[1]): sql.list_columns(text.value)
        for text in draft.texts_read_as("sql")
        if text.path[0] == "datasets"
    }
    for dataset, column, path, *user in _find_used_columns(draft):
        known = shown.get(dataset)
        if known is not None and column not in known:
            node = draft.find_node(*path)
            at = draft.key_position(*path) if "columns" in path[2:3] or node is None else node.position
            what = f'the SQL of dataset "{dataset}" has no column "{column[:60]}"'
            help_, also = did_you_mean(column, known, "its columns are"), None
            if user:  # the position is that of a dataset: name the user of the column, and its place
                model, key = user[0][1], user[0][2]
                what += f', but model "{model}" uses it under {key}'
                also = draft.key_position(*user[0])
            findings.error(at, "unknown-column", what, help_, also)


def _find_used_columns(draft: Draft) -> Iterator[tuple[str, str, SpecPath] | tuple[str, str, SpecPath, SpecPath]]:
    """Yield dataset, column and path of each column that the spec uses.

    A store's dataset must have the columns of its model: the path is then that of the dataset, and a fourth item is
    the path of the model's key that names the column.
    """
    for name, dataset in draft.spec.datasets.items():
        if dataset.entity is not None:
            yield name, dataset.entity, ("datasets", name, "entity")
        yield from ((name, column, ("datasets", name, "columns", column)) for column in dataset.columns)
    for name, model in draft.spec.models.items():
        if isinstance(model, TrainModel):
            yield model.dataset, model.target, ("models", name, "target")
            yield from ((model.dataset, c, path) for c, path in _find_feature_columns(model, ("models", name)))
    for name, store in draft.spec.evaluation_stores.items():
        path: SpecPath = ("evaluation_stores", name)
        for i, column in enumerate(store.drift.columns.exclude):
            yield store.dataset, column, (*path, "drift", "columns", "exclude", i)
        for i, column in enumerate(store.segment_search.columns if store.segment_search else ()):
            yield store.dataset, column, (*path, "find_segments", "columns", i)
        for i, segment in enumerate(store.segments):
            if isinstance(segment, str):
                yield store.dataset, segment, (*path, "segments", i)
            elif not find_row_condition_problems(segment.where, draft.declared_names("variables")):
                for column in list_row_condition_columns(segment.where):
                    yield store.dataset, column, (*path, "segments", i, "where")
        scoring = ((store.model, draft.model_of_store(name)), (store.challenger, draft.challenger_of_store(name)))
        for used, needed in scoring:
            of_model = ("models", str(used))
            for i, column in enumerate((needed.features.include if needed else None) or []):
                yield store.dataset, column, (*path, "dataset"), (*of_model, "features", "include", i)
            if isinstance(needed, ScoredModel):
                for column, key in _list_score_columns(needed):
                    yield store.dataset, column, (*path, "dataset"), (*of_model, key)
    yield from _find_metric_columns(draft)


def _find_feature_columns(model: TrainModel, path: SpecPath) -> Iterator[tuple[str, SpecPath]]:
    for key in ("include", "exclude"):
        for i, column in enumerate(getattr(model.features, key) or []):
            yield column, (*path, "features", key, i)


def _list_score_columns(model: ScoredModel) -> list[tuple[str, str]]:
    """Return the columns with the scores, each with the key of the model that names it."""
    probability = model.probability
    several = [*probability.values()] if isinstance(probability, dict) else [probability]
    named = [(model.prediction, "prediction"), *((column, "probability") for column in several)]
    return [(column, key) for column, key in named if column is not None]


def _find_metric_columns(draft: Draft) -> Iterator[tuple[str, str, SpecPath]]:
    for text in draft.texts_read_as("metric"):
        section, owner = str(text.path[0]), str(text.path[1])
        scope: MetricScope = "dataset" if section == "datasets" else "store"
        dataset = owner if section == "datasets" else draft.scalar_text(section, owner, "dataset")
        found = MetricOwner(scope, custom_metrics=draft.declared_names(section, owner, "metrics")).resolve(text.value)
        if (
            isinstance(found, MetricName)
            and found.member
            and dataset
            and find_metric_definition(found, scope).member == "column"
        ):
            yield dataset, found.member, text.path

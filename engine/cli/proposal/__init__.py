"""Propose a spec for a data file: reference and batch, the model's task, ranges of checks, and explaining comments.

The modules of this package decide what to propose; the template `project.yaml.jinja` lays out the text. Dumping a
resolved project as YAML was rejected because it would lack comments, which make a proposal useful.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from engine.cli.column_choices import ColumnChoices
from engine.cli.proposal import columns as column_settings
from engine.cli.proposal.exclusions import ProposedRoles, list_exclusions, list_one_sided
from engine.cli.proposal.limits import limit_missing_shares, limit_unseen_shares, propose_mean_ranges
from engine.cli.proposal.models import MIN_ROWS_PER_CLASS, propose_model
from engine.cli.proposal.periods import divide_rows, select_earlier
from engine.cli.proposal.yaml_writing import can_be_key, format_text, quote_text
from engine.data.inspection import FileInspection, summarize_columns
from engine.drift import Role
from engine.errors import DataError, UsageError
from engine.formatting.hints import suggest_name
from engine.formatting.yaml_text import escape_character
from engine.spec.metrics.names import MetricName
from engine.spec.resources.datasets import Csv

__all__ = ["ColumnChoices", "Source", "describe_data", "list_remarks", "propose_spec"]


@dataclass(frozen=True, slots=True)
class Source:
    """Inspected files that a spec declares as one dataset, with the path as written in the spec."""

    seen: FileInspection
    path: str


def propose_spec(
    data: Source, choices: ColumnChoices, *, project: str, spec: str, reference: Source | None = None
) -> str:
    """Return the text of a proposed spec.

    Parameters
    ----------
    data
        The data.
    choices
        The user's choices about columns.
    project
        The project's name.
    spec
        The path of the spec, for the comments.
    reference
        The data to compare batches with, if it is in separate files.

    Raises
    ------
    UsageError
        A named column does not exist or cannot have that role; the message gives the reason.
    DataError
        The data cannot be read, or no column can be compared.
    """
    seen, known = data.seen, (reference or data).seen
    _refuse_misnamed_columns(seen, known if reference else None, choices)
    periods = divide_rows(seen, choices.time, choices.period, split=reference is None) if choices.time else None
    # Contracts and roles use all rows; ranges and the model only the reference, because the later rows are checked.
    earlier = select_earlier(known, periods) if periods else known.table
    known_rows, columns = summarize_columns(earlier)
    shared = {name: column for name, column in known.columns.items() if name in seen.columns}
    model = propose_model(earlier, columns, choices) if choices.target else None
    roles = {name: column_settings.suggest_role(column, known.rows, choices) for name, column in known.columns.items()}
    proposed = ProposedRoles(roles, frozenset(model.columns.names if model else ()))
    own = {choices.target, *proposed.predictions}
    excluded = list_exclusions(known, periods if reference is None else None, choices, proposed)
    one_sided: dict[str, str] = {}
    if reference is not None:
        one_sided = list_one_sided(data.seen, known, own, scored=choices.prediction is not None)
    excluded |= one_sided if model is not None else {}
    compared = [
        column for name, column in columns.items() if name in shared and name not in own and name not in excluded
    ]
    if not compared:
        raise DataError(
            f"there is no column to compare: {'; '.join(f'{name}: {why}' for name, why in excluded.items())}"
        )
    # Without a batch, assume that it may be much smaller than the file.
    batch_rows = max(1, periods.smallest // 2 if periods else seen.rows // 2 if reference else seen.rows // 10)
    is_trained = model is not None and choices.prediction is None
    # A column with few values may have none among the training rows, and then it is not a feature.
    fewest = MIN_ROWS_PER_CLASS if is_trained else 1
    categorical = [
        c for c in compared if Role.CATEGORICAL in (c.role, roles[c.name]) and known_rows * (1 - c.missing) >= fewest
    ]
    held_out = max(1, known_rows // 5) if is_trained else known_rows
    return (
        _build_environment()
        .get_template("project.yaml.jinja")
        .render(
            project=project,
            path=data.path,
            spec=spec,
            dataset=_describe_source(data),
            reference=_describe_source(reference) if reference else None,
            rows=seen.rows,
            columns=[
                column_settings.ColumnLine(
                    column,
                    column_settings.propose_contract(column, known, choices, other=seen if reference else None),
                    column_settings.describe_values(column, excluded.get(column.name)),
                )
                for column in shared.values()
                if can_be_key(column.name) and column.name != choices.target
            ],
            unnamed=[name for name in shared if not can_be_key(name) and name != choices.target],
            excluded=excluded,
            # Without a model, a column that the batch lacks cannot be excluded; the reference's contract ignores it.
            ignored={} if model else {name: why for name, why in one_sided.items() if can_be_key(name)},
            entities=[c.name for c in shared.values() if column_settings.may_be_entity(c, known.rows)],
            dates=[]
            if choices.time
            else [c.name for c in seen.columns.values() if c.column_type in ("date", "datetime")],
            missing=limit_missing_shares(
                [column for name, column in columns.items() if name in shared and name != choices.target],
                known_rows,
                batch_rows,
            ),
            unseen=limit_unseen_shares(earlier, categorical, held_out, batch_rows) if categorical else None,
            means=list(propose_mean_ranges([c for c in compared if roles[c.name] is None], known_rows, batch_rows)),
            least=batch_rows,
            periods=periods,
            model=model,
            choices=choices,
        )
    )


def _refuse_misnamed_columns(seen: FileInspection, reference: FileInspection | None, choices: ColumnChoices) -> None:
    """Raise UsageError if a column named by the user does not exist, or is named twice."""
    both = [seen, reference] if reference else [seen]
    needed = [(choices.target, both[-1:]), (choices.prediction, both), (choices.time, [seen])]
    named = [name for name, _ in needed if name is not None]
    for name, places in needed:
        for place in places if name is not None else ():
            if name not in place.columns:
                where = " in the reference" if place is reference else " in the data" if reference else ""
                raise UsageError(f"there is no column {name!r}{where}{suggest_name(str(name), list(place.columns))}")
        if name is not None and named.count(name) > 1:
            raise UsageError(
                f"column {name!r} is given twice: --target, --prediction and --time must be different columns"
            )


def _build_environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=False,  # noqa: S701 - the output is YAML; the filter `text` quotes each value
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["text"] = format_text
    environment.filters["comment"] = lambda remark: "".join(map(escape_character, remark))
    environment.globals["metric"] = lambda statistic, name: format_text(str(MetricName(statistic, name)), filled=False)
    return environment


def _describe_source(source: Source) -> dict[str, Any]:
    """Return the template's variables about the files of a dataset."""
    declared = source.seen.dataset
    return {
        "path": source.path,
        "format": declared.format,
        "dialect": _format_dialect(declared.csv),
        "remarks": list_remarks(source.seen),
    }


def list_remarks(seen: FileInspection) -> list[str]:
    """Return remarks on how the file is read: columns that stay text, and what was recognized or left out."""
    files = seen.table.files
    return [*files.warnings, *files.notes] if files else []


def describe_data(seen: FileInspection) -> str:
    """Return a summary of the data: `300 rows, 3 columns: 1 number, 2 text`."""
    kinds: dict[str, int] = {}
    for column in seen.columns.values():
        kinds[column.column_type] = kinds.get(column.column_type, 0) + 1
    return f"{seen.rows:,} rows, {len(seen.columns)} columns: " + ", ".join(f"{n} {kind}" for kind, n in kinds.items())


def _format_dialect(dialect: Csv) -> str | None:
    """Return the CSV settings that differ from the defaults, as a YAML flow mapping; None if none does."""
    settings: dict[str, Any] = {}
    if dialect.separator != ",":
        settings["separator"] = format_text(dialect.separator)
    if dialect.decimal_comma:
        settings["decimal_comma"] = "true"
    if dialect.thousands:
        settings["thousands"] = quote_text(dialect.thousands)
    if dialect.date_order:
        settings["date_order"] = dialect.date_order
    if dialect.comment:
        settings["comment"] = quote_text(dialect.comment)
    if dialect.encoding != "utf-8":
        settings["encoding"] = dialect.encoding
    if dialect.null_values != [""]:
        settings["null_values"] = "[" + ", ".join(quote_text(value) for value in dialect.null_values) + "]"
    return "{" + ", ".join(f"{key}: {value}" for key, value in settings.items()) + "}" if settings else None

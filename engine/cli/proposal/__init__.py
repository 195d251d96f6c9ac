"""Proposes a spec for a data file: reference and batch, the model's task, ranges of checks, and explaining comments.

The modules of this package decide what to propose, and the template `project.yaml.jinja` lays out the text. Dumping a
resolved project as YAML was rejected because it would have no comments, which are what makes a proposal useful.
"""

from pathlib import Path
from typing import Any

import jinja2

from engine.cli.proposal import columns as column_settings
from engine.cli.proposal.column_choices import ColumnChoices
from engine.cli.proposal.models import propose_model
from engine.cli.proposal.periods import divide_rows, select_reference
from engine.cli.proposal.yaml_writing import can_be_key, escape_character, format_text, quote_text
from engine.data.inspection import FileInspection, summarise_columns
from engine.drift import Role
from engine.errors import DataError, UsageError
from engine.formatting.hints import suggest_name
from engine.spec.metric_names import MetricName
from engine.spec.resources.datasets import Csv

__all__ = ["ColumnChoices", "describe_data", "list_remarks", "propose_spec"]


def propose_spec(seen: FileInspection, wishes: ColumnChoices, *, project: str, path: str, spec: str) -> str:
    """Return the text of a proposed spec.

    Parameters
    ----------
    seen
        The inspected data.
    wishes
        The target, prediction and time columns that the user has named.
    project
        The project's name.
    path
        The path of the data, relative to the spec's folder.
    spec
        The path of the spec, for the comments.

    Raises
    ------
    UsageError
        A named column does not exist or cannot have that role; the message gives the reason.
    DataError
        The data cannot be read, or have no column that can be compared.
    """
    named = [name for name in (wishes.target, wishes.prediction, wishes.time) if name is not None]
    for name in named:
        if name not in seen.columns:
            raise UsageError(f"there is no column {name!r}{suggest_name(name, list(seen.columns))}")
        if named.count(name) > 1:
            raise UsageError(
                f"column {name!r} is named twice: --target, --prediction and --time must be different columns"
            )
    periods = divide_rows(seen, wishes.time) if wishes.time else None
    # Contracts and roles come from all rows; ranges and the model only from the reference, the later rows are checked.
    reference = select_reference(seen, periods)
    _, columns = summarise_columns(reference)
    roles = {name: column_settings.suggest_role(column, seen.rows, wishes) for name, column in seen.columns.items()}
    compared = [
        column
        for name, column in columns.items()
        if column.role and name not in named and roles[name] not in (Role.IDENTIFIER, Role.IGNORE)
    ]
    if not compared:
        reasons = "; ".join(f"{c.name}: {c.reason}" for c in columns.values() if c.reason)
        raise DataError(f"there is no column to compare{': ' + reasons if reasons else ''}")
    model = propose_model(reference, columns, wishes) if wishes.target else None
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
    return environment.get_template("project.yaml.jinja").render(
        project=project,
        path=path,
        spec=spec,
        dataset=seen.dataset,
        dialect=_format_dialect(seen.dataset.csv),
        remarks=list_remarks(seen),
        rows=seen.rows,
        columns=[
            column_settings.ColumnLine(
                c, column_settings.propose_contract(c, seen, wishes), column_settings.describe_values(c)
            )
            for c in seen.columns.values()
            if can_be_key(c.name)
        ],
        unnamed=[name for name in seen.columns if not can_be_key(name)],
        entities=[c.name for c in seen.columns.values() if column_settings.may_be_entity(c, seen.rows)],
        dates=[] if wishes.time else [c.name for c in columns.values() if c.column_type in ("date", "datetime")],
        gaps=[
            (c.name, column_settings.propose_limit(c.missing))
            for c in columns.values()
            if c.missing > 0.01 and can_be_key(c.name)
        ],
        usual_gap=column_settings.propose_missing_limit(columns.values()),
        means=list(column_settings.propose_mean_ranges([column for column in compared if roles[column.name] is None])),
        least=max(1, (periods.smallest if periods else seen.rows) // 2),
        categorical=any(Role.CATEGORICAL in (c.role, roles[c.name]) for c in compared),
        periods=periods,
        model=model,
        wishes=wishes,
    )


def list_remarks(seen: FileInspection) -> list[str]:
    """Return what must be told about how the file is read: columns that stay text, what was recognised or left out."""
    files = seen.table.files
    return [*files.warnings, *files.notes] if files else []


def describe_data(seen: FileInspection) -> str:
    """Return a summary of the data: `300 rows, 3 columns: 1 number, 2 text`."""
    kinds: dict[str, int] = {}
    for column in seen.columns.values():
        kinds[column.column_type] = kinds.get(column.column_type, 0) + 1
    return f"{seen.rows:,} rows, {len(seen.columns)} columns: " + ", ".join(f"{n} {kind}" for kind, n in kinds.items())


def _format_dialect(dialect: Csv) -> str | None:
    """Return the settings of a CSV that differ from the defaults, as a YAML flow mapping; None if none does."""
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

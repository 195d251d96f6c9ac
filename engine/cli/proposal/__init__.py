"""A spec proposed for a file: what is compared with what, which task, which ranges, and the words that explain them.

Decisions are made here, by what plays which part, and the text is laid out by `project.yaml.jinja`; a resolved project
dumped as YAML was refused, because it has no comments, and the comments are what makes the proposal worth keeping.
"""

from pathlib import Path
from typing import Any

import jinja2

from engine.cli.proposal import columns as of
from engine.cli.proposal.models import proposed_model
from engine.cli.proposal.periods import divide, reference_rows
from engine.cli.proposal.wishes import Wishes
from engine.cli.proposal.writing import is_key, quoted, text
from engine.data.survey import Survey, look
from engine.data.wording import meant
from engine.drift import Role
from engine.errors import DataError, UsageError
from engine.spec.catalogue import MetricName
from engine.spec.resources.datasets import Csv

__all__ = ["Wishes", "describe", "propose"]


def propose(seen: Survey, wishes: Wishes, *, project: str, path: str, spec: str) -> str:
    """Return the text of a spec.

    Parameters
    ----------
    project
        The project's key.
    path
        The data's path, from the spec's folder.
    spec
        The spec's path, for the comments.

    Raises
    ------
    UsageError
        A column does not exist or cannot play its part; says why.
    DataError
        The data cannot be read, or hold nothing to compare.
    """
    asked = [name for name in (wishes.target, wishes.prediction, wishes.time) if name is not None]
    for name in asked:
        if name not in seen.columns:
            raise UsageError(f"there is no column {name!r}{meant(name, list(seen.columns))}")
        if asked.count(name) > 1:
            raise UsageError(f"{name!r} cannot be two of target, prediction and time")
    periods = divide(seen, wishes.time) if wishes.time else None
    before = reference_rows(seen, periods)
    rows, columns = look(before)
    roles = {name: of.declared_role(column, seen.rows, wishes) for name, column in seen.columns.items()}
    compared = [
        column
        for name, column in columns.items()
        if column.role and name not in asked and roles[name] not in (Role.IDENTIFIER, Role.IGNORE)
    ]
    if not compared:
        why = "; ".join(f"{c.name}: {c.reason}" for c in columns.values() if c.reason)
        raise DataError(f"there is no column to compare{': ' + why if why else ''}")
    model = proposed_model(before, rows, columns, wishes) if wishes.target else None
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=False,  # noqa: S701 - YAML, each text made a scalar by the filter
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["text"] = text
    environment.globals["metric"] = lambda statistic, name: text(str(MetricName(statistic, name)), filled=False)
    return environment.get_template("project.yaml.jinja").render(
        project=project,
        path=path,
        spec=spec,
        dataset=seen.dataset,
        dialect=_dialect(seen.dataset.csv),
        rows=seen.rows,
        columns=[
            of.Line(c, of.contract(c, seen, wishes), of.remark(c)) for c in seen.columns.values() if is_key(c.name)
        ],
        unnamed=[name for name in seen.columns if not is_key(name)],
        entities=[c.name for c in seen.columns.values() if of.may_be_entity(c, seen.rows)],
        dates=[] if wishes.time else [c.name for c in columns.values() if c.family in ("date", "datetime")],
        gaps=[(c.name, of.share_above(c.missing)) for c in columns.values() if c.missing > 0.01 and is_key(c.name)],
        usual_gap=of.usual_gap(columns.values()),
        means=list(of.means([column for column in compared if roles[column.name] is None])),
        least=max(1, (periods.smallest if periods else seen.rows) // 2),
        categorical=any(Role.CATEGORICAL in (c.role, roles[c.name]) for c in compared),
        periods=periods,
        model=model,
        wishes=wishes,
    )


def describe(seen: Survey) -> str:
    """Return what was looked at, in one line."""
    kinds: dict[str, int] = {}
    for column in seen.columns.values():
        kinds[column.family] = kinds.get(column.family, 0) + 1
    return f"{seen.rows:,} rows, {len(seen.columns)} columns: " + ", ".join(f"{n} {kind}" for kind, n in kinds.items())


def _dialect(dialect: Csv) -> str | None:
    """Return how a CSV is written where that is not the usual way, as a flow mapping."""
    said: dict[str, Any] = {}
    if dialect.separator != ",":
        said["separator"] = text(dialect.separator)
    if dialect.decimal_comma:
        said["decimal_comma"] = "true"
    if dialect.null_values != [""]:
        said["null_values"] = "[" + ", ".join(quoted(one) for one in dialect.null_values) + "]"
    return "{" + ", ".join(f"{key}: {value}" for key, value in said.items()) + "}" if said else None

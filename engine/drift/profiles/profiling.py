"""Read samples: the profile of a whole sample or of its segments, or the columns of a batch for one comparison."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import polars as pl

from engine.drift.distributions.columns import Column, Entities
from engine.drift.distributions.entity_rows import EntityRows
from engine.drift.distributions.numerical import Numerical
from engine.drift.profiles.accumulators import CategoryAccumulator, ExactAccumulator
from engine.drift.profiles.column_passes import read_columns, read_segments
from engine.drift.profiles.entity_choice import require_entity
from engine.drift.profiles.merged_tables import MAX_DISTINCT_VALUES
from engine.drift.profiles.opened_samples import open_sample, open_segments
from engine.drift.profiles.profile import Profile
from engine.drift.profiles.roles import require_comparable_role
from engine.drift.profiles.samples import Sample
from engine.drift.profiles.states import Accumulator
from engine.drift.reading.column_families import known_type
from engine.drift.reading.hash_version import HASH_VERSION
from engine.drift.reading.normalization import Role, column_named, normalize_categories, plan_normalization
from engine.drift.reading.segment_marks import SegmentMarks
from engine.drift.reading.sources import translate_read_errors
from engine.errors import DataError

T = TypeVar("T")

FLOATS = (pl.Float32, pl.Float64)


def profile(
    data: Any,
    roles: Mapping[str, Role | str] | None = None,
    *,
    entity: str | None = None,
    against: Profile | None = None,
    most_values: int = MAX_DISTINCT_VALUES,
) -> Profile:
    """Return the profile of the columns in `roles`; reads the data once, or twice if a column is not exact.

    Notes on how files are read, such as files that were left out, are logged as `engine.drift`.

    Parameters
    ----------
    data
        A polars frame, lazy or not, the path of a Parquet, CSV or Arrow file, Arrow data, or a pandas frame. Rows are
        read in blocks: memory grows with the number of columns, not of rows. The rows of a Spark DataFrame are read by
        its executors (see `engine.drift.spark`).
    roles
        The role of each column, numerical or categorical. By default the roles of `against`, or else those that
        `engine.drift.profiles.roles` finds.
    entity
        Column that identifies the entity of a row. One row per entity is chosen by the hash of its content; all rows
        without an entity form one entity. Memory grows with the number of entities.
    against
        The reference with which the sample will be compared. A column with too many values to be exact is then counted
        on the reference's grid, and exactly where the comparison needs it. Without `roles`, columns are converted to
        the types of the reference, and those that cannot be measured are left out.
    most_values
        Maximum number of distinct values of an exact column.

    Raises
    ------
    DataError
        A column does not exist or cannot be used in its role, or the data cannot be read. A file given by its path
        changed while it was read; changes of files scanned by a LazyFrame are not detected.
    """
    sample, notes = open_sample(data)
    for note in notes:
        logging.getLogger("engine.drift").warning(note)
    return profile_sample(sample, roles, entity=entity, against=against, most_values=most_values)


def profile_sample(
    sample: Sample,
    roles: Mapping[str, Role | str] | None = None,
    *,
    entity: str | None = None,
    against: Profile | None = None,
    most_values: int = MAX_DISTINCT_VALUES,
) -> Profile:
    """Return the profile of an open sample: see `profile`."""
    unmeasured: Mapping[str, str] = {}
    changes: Mapping[str, str] = {}
    if roles is None and against is not None:
        sample, alignment = sample.align(against.describe_known_columns())
        roles, unmeasured, changes = alignment.roles, alignment.unmeasured, alignment.changes
    rows, entities, columns = _read_sample(
        sample, roles, entity, against, lambda _, column: column, keep=True, exact=True, most_values=most_values
    )
    schema = sample.schema
    types = {name: known_type(schema[name]) for name in columns}
    return Profile(rows, columns, entities, types, unmeasured, changes)


def read_batch_columns(
    reference: Profile, batch: Sample, finish: Callable[[str, Column], T], *, exact: bool
) -> dict[str, T]:
    """Read the columns of a batch for a comparison with `reference`; return the result of `finish` for each.

    A column is only as exact as the comparison needs, and is freed after `finish`.

    Parameters
    ----------
    exact
        False to read the data only once; statistics may then have bounds.

    Raises
    ------
    DataError
        A column of the reference does not exist or cannot be used in its role; or the reference's profile was written
        by an old version that does not name the entity column.
    """
    entity = None if reference.entities is None else reference.entities.column
    if entity == "":
        raise DataError(
            "the profile of the reference is too old to say which column its entity is; "
            "profile the batch with entity= and compare the two profiles"
        )
    return _read_sample(
        batch, None, entity, reference, finish, keep=False, exact=exact, most_values=MAX_DISTINCT_VALUES
    )[2]


@dataclass(frozen=True, slots=True)
class _ReadingPlan:
    """How the columns of a frame are read: the expressions of columns and of blocks, and the first accumulators."""

    reading: Mapping[str, pl.Expr]
    blocks: Mapping[str, pl.Expr]
    create_accumulator: Callable[[str], Accumulator]


def _plan_reading(
    frame: pl.LazyFrame,
    roles: Mapping[str, Role | str],
    against: Profile | None,
    *,
    keep: bool,
    exact: bool,
    most_values: int,
    many_rows: bool = False,
) -> _ReadingPlan:
    kept_roles = {name: require_comparable_role(name, role) for name, role in roles.items()}
    reading, frame_schema = plan_normalization(frame, kept_roles), frame.collect_schema()
    schema = frame.select(reading.values()).collect_schema()
    # the reference's columns to count against, converted to the type of the comparison: int64 if both sides are int64,
    # else both are float64
    reference_columns: dict[str, Numerical] = {}
    for name, column in against.columns.items() if against else ():
        if isinstance(column, Numerical) and kept_roles.get(name) is Role.NUMERICAL:
            both_whole = schema[name] == pl.Int64 and column.table.dtype == np.int64
            converted = column if both_whole else column.as_floats()
            if converted.table.size or exact:  # one without values has no grid to count on in one pass
                reference_columns[name] = converted
                reading[name] = reading[name] if both_whole else reading[name].cast(pl.Float64)

    whole = {
        name
        for name in reading
        if schema[name] == pl.Int64
        and (name not in reference_columns or reference_columns[name].table.dtype == np.int64)
    }

    def reads_raw(name: str) -> bool:
        """Return whether the accumulators normalize the numbers, which takes a tenth of the time of a query."""
        dtype = frame_schema[name]
        return kept_roles[name] is Role.NUMERICAL and (dtype in FLOATS or (dtype.is_integer() and name in whole))

    blocks = {name: column_named(name) if reads_raw(name) else expression for name, expression in reading.items()}

    def create_accumulator(name: str) -> Accumulator:
        if kept_roles[name] is Role.CATEGORICAL:
            return CategoryAccumulator()
        return ExactAccumulator(
            name in whole, reference_columns.get(name), most_values, keep=keep, exact=exact, many_rows=many_rows
        )

    return _ReadingPlan(reading, blocks, create_accumulator)


@translate_read_errors()
def _read_sample(
    sample: Sample,
    roles: Mapping[str, Role | str] | None,
    entity: str | None,
    against: Profile | None,
    finish: Callable[[str, Column], T],
    *,
    keep: bool,
    exact: bool,
    most_values: int,
) -> tuple[int, Entities | None, dict[str, T]]:
    if roles is None:
        roles = against.roles if against else sample.find_roles(entity)
    require_entity(sample.schema, entity)
    kept_roles = {name: require_comparable_role(name, role) for name, role in roles.items()}
    plan = _plan_reading(
        sample.show_values(kept_roles),
        kept_roles,
        against,
        keep=keep,
        exact=exact,
        most_values=most_values,
        many_rows=against is not None and (sample.count_known_rows() or 0) > MAX_DISTINCT_VALUES,
    )
    feed = sample.feed(plan.blocks)
    with sample.expect_unchanged():
        if entity is None:
            rows, finished = read_columns(plan.blocks, feed, plan.create_accumulator, finish)
            return rows, None, finished
        chosen_rows = sample.choose_entity_rows(plan.reading, entity)
        rows, finished = read_columns(
            plan.blocks,
            feed,
            plan.create_accumulator,
            lambda name, column: finish(name, _attach_entity_rows(column, chosen_rows[f"value {name}"])),
        )
    return rows, _list_entities(entity, chosen_rows), finished


def _list_entities(entity: str, chosen_rows: pl.DataFrame) -> Entities:
    return Entities(entity, chosen_rows["entity"].to_numpy().copy(), chosen_rows["row"].to_numpy().copy(), HASH_VERSION)


@translate_read_errors()
def profile_segments(
    data: Any,
    roles: Mapping[str, Role | str],
    members: Mapping[str, pl.Series] | SegmentMarks,
    *,
    entity: str | None = None,
    against: Mapping[str, Profile] | None = None,
) -> dict[str, Profile]:
    """Return the profile of each segment of a sample; rows are read once for all segments, or twice as in `profile`.

    Parameters
    ----------
    data
        A lazy frame of polars, or a Spark DataFrame.
    roles, entity
        See `profile`.
    members
        By segment, a mask of its rows in the order of the frame. Rows of a Spark DataFrame have no order: for it, a
        function that marks the rows of a block.
    against
        By segment, the profile of the same segment of the reference.
    """
    sample = open_segments(data, members)
    schema = sample.schema
    require_entity(schema, entity)
    shown = sample.show_values({name: require_comparable_role(name, role) for name, role in roles.items()})
    plans = {
        name: _plan_reading(
            shown, roles, (against or {}).get(name), keep=True, exact=True, most_values=MAX_DISTINCT_VALUES
        )
        for name in sample.names
    }
    rows, found = read_segments(
        sample.feed({name: plan.blocks for name, plan in plans.items()}),
        {name: (plan.blocks, plan.create_accumulator) for name, plan in plans.items()},
    )
    chosen = (
        {}
        if entity is None
        else sample.choose_entity_rows({name: plan.reading for name, plan in plans.items()}, entity)
    )
    types = {name: known_type(schema[name]) for name in roles}
    profiles = {}
    for segment, columns in found.items():
        entities, complete = None, columns
        if entity is not None:
            complete = {
                name: _attach_entity_rows(column, chosen[segment][f"value {name}"]) for name, column in columns.items()
            }
            entities = _list_entities(entity, chosen[segment])
        profiles[segment] = Profile(rows[segment], complete, entities, types)
    return profiles


def _attach_entity_rows(column: Column, chosen_values: pl.Series) -> Column:
    """Return the column with the values of the entities' chosen rows, one per entity."""
    if isinstance(column, Numerical):
        values, positions = np.unique(chosen_values.drop_nulls().to_numpy(), return_inverse=True)
        entity_positions = np.full(len(chosen_values), -1, np.int32)
        entity_positions[chosen_values.is_not_null().to_numpy()] = positions
        return replace(column, entity_rows=EntityRows(values, entity_positions))
    index = {label: i for i, label in enumerate(column.labels)}
    labels = normalize_categories(chosen_values)
    return replace(column, entity_rows=np.array([-1 if label is None else index[label] for label in labels], np.int32))

"""The column types and columns that several tables share, and the naming convention of indexes."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Integer,
    MetaData,
    String,
    TypeDecorator,
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, stored in UTC. SQLite stores no time zone, so UTC is set again when a value is read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value if value is None else value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


JSON_TYPE = JSON(none_as_null=True)
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def number_column() -> Column[int]:
    return Column("number", Integer, primary_key=True, autoincrement=True)


def owner_column(column: str, owner: str) -> Column[int]:
    return Column(column, Integer, ForeignKey(owner, ondelete="CASCADE"), primary_key=True)


def place_column() -> Column[int]:
    return Column("place", Integer, primary_key=True, autoincrement=False)


def metric_columns() -> list[Column[Any]]:
    return [
        Column("metric", String, nullable=False),
        Column("value", Double),
        Column("low", Double),
        Column("high", Double),
        Column("p_value", Double),
        Column("reason", String),
        Column("failed", Boolean, nullable=False),
        # named when missing labels were the only reason for a metric without a value to count as OK
        Column("unlabelled", Boolean, nullable=False),
    ]

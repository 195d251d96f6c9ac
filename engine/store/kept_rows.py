"""Records of the rows that `materialize` has written, so that they are computed again only after a change."""

from sqlalchemy import ColumnElement, delete, insert, select

from engine.store.databases.database import Database
from engine.store.records.datasets import KeptRows
from engine.store.tables import kept_rows

_COLUMNS = KeptRows._fields


class KeptRowsRecords:
    """The newest record of each dataset and place."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, dataset: str, place: str) -> KeptRows | None:
        """Return the record of the last rows of a dataset written to a place, or None."""
        query = select(*(kept_rows.c[name] for name in _COLUMNS)).where(*_of(dataset, place))
        with self._database.begin_read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else KeptRows(**row._mapping)

    def replace(self, dataset: str, place: str, written: KeptRows, run: str | None) -> None:
        """Replace the record of a dataset and a place."""
        values = {**written._asdict(), "dataset": dataset, "place": place, "run": run, "written": self._database.now()}
        with self._database.begin_write() as connection:
            connection.execute(delete(kept_rows).where(*_of(dataset, place)))
            connection.execute(insert(kept_rows).values(values))


def _of(dataset: str, place: str) -> tuple[ColumnElement[bool], ...]:
    return kept_rows.c.dataset == dataset, kept_rows.c.place == place

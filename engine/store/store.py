"""The state of a project in one folder.

state.db                            rows, unless the database is elsewhere
evaluations/<id>/                   files of an evaluation
models/<name>/<version>/            files of a model version
snapshots/<fingerprint>/            the profile and sample of a reference
rows/<dataset>/<number>-<fingerprint>/  the counted rows of a batch
runs/<id>/                          log and result of a run
staging/, locks/                    unfinished folders, lock files
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from sqlalchemy import exists, select

from engine.errors import StoreError
from engine.formatting.lists import join_words
from engine.store.batch_rows import BatchRows
from engine.store.channel_states import ChannelStates
from engine.store.checks import Checks
from engine.store.clock import utc_now
from engine.store.databases.database import Database
from engine.store.databases.errors import translate_errors
from engine.store.evaluations import Evaluations
from engine.store.file_hashes import FileHashCache
from engine.store.folders import SUBFOLDERS, Folders
from engine.store.kept_rows import KeptRowsRecords
from engine.store.location import PATIENCE_SECONDS, StateLocation, as_location
from engine.store.locks import Locks
from engine.store.measurements import Measurements
from engine.store.model_versions import ModelVersions
from engine.store.mutes import Mutes
from engine.store.outbox import Outbox
from engine.store.records.messages import MessageState, OutboxMessage
from engine.store.records.runs import make_delivery_event
from engine.store.reporter_states import ReporterStates
from engine.store.run_ends import RunEnds
from engine.store.runs import Runs
from engine.store.schema import prepare_schema
from engine.store.snapshots import Snapshots
from engine.store.tables import evaluations, model_versions, removals, unfinished_folders

if TYPE_CHECKING:
    from engine.store.fires import Fires
    from engine.store.operation import Operation
    from engine.store.pauses import Pauses


class Store:
    """An open state, with an attribute for each part. Threads can share it; each process must open its own."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.location = StateLocation(database.folder)
        self.folders = folders = Folders(database)
        self.locks = Locks(database.folder, database.now)
        self.evaluations = Evaluations(database, folders)
        self.models = ModelVersions(database, folders)
        self.snapshots = Snapshots(database)
        self.batch_rows = BatchRows(database, folders)
        self.measurements = Measurements(database)
        self.checks = Checks(database)
        self.runs = Runs(database)
        self.outbox = Outbox(database)
        self.channel_states = ChannelStates(database)
        self.reporter_states = ReporterStates(database)
        self.mutes = Mutes(database)
        self.run_ends = RunEnds(database)
        self.kept_rows = KeptRowsRecords(database)
        self.file_hashes = FileHashCache(database)

    @cached_property
    def fires(self) -> "Fires":
        """The fires of triggers; imported at the first use, like everything that only a server needs."""
        from engine.store.fires import Fires

        return Fires(self.database)

    @cached_property
    def pauses(self) -> "Pauses":
        """The pauses of scenarios."""
        from engine.store.pauses import Pauses

        return Pauses(self.database)

    @cached_property
    def operation(self) -> "Operation":
        """Summaries of running and ended runs."""
        from engine.store.operation import Operation

        return Operation(self.database)

    def make_due(self, messages: Sequence[OutboxMessage]) -> None:
        """Make undelivered and refused messages due now, with all other messages of their channels.

        The delays of these channels end.
        """
        for message in messages:
            if message.state is MessageState.REFUSED:
                self.outbox.reopen(message)
        for channel in {message.channel for message in messages}:
            self.outbox.make_due(channel)
            self.channel_states.clear(channel)

    def drop_message(self, message: OutboxMessage, reason: str) -> None:
        """Let a message not be sent any more, and tell its run why."""
        self.outbox.drop(message.id, reason)
        if message.run:
            what = f"{MessageState.DROPPED}: {reason}"
            event = make_delivery_event(message.reporter, message.channel, what, "warning", self.database.now())
            with suppress(StoreError):  # the run may have been removed since
                self.runs.add_events(message.run, [event])

    @classmethod
    def open(
        cls,
        place: Path | StateLocation,
        *,
        now: Callable[[], datetime] = utc_now,
        patience: float = PATIENCE_SECONDS,
    ) -> Self:
        """Open the state at a place; create or migrate it if needed, and remove the leftovers of killed processes.

        Parameters
        ----------
        place
            A folder with its rows, or a location.
        now
            The clock, which returns datetimes with a time zone.
        patience
            Seconds to wait for a database that another process has locked.

        Raises
        ------
        StoreError
            The folder or the database cannot be used, or the rows belong to another folder; the message gives the
            reason and what to do.
        """
        location = as_location(place)
        store = cls.connect(location.open_database(now=now, patience=patience))
        store.location = location
        return store

    @classmethod
    def connect(cls, database: Database) -> Self:
        """Open the state with the rows in `database`; see `open`."""
        make_subfolders(database)
        store = cls(database)
        try:
            prepare_schema(database)
            database.check_owner()
            store.folders.remove_leftovers()
        except BaseException:
            store.close()
            raise
        return store

    @property
    def folder(self) -> Path:
        """The folder of the state."""
        return self.database.folder

    def describe_lost_history(self) -> str:
        """Return a warning if the database is empty although files show that it had rows; else an empty text."""
        with self.database.begin_read() as connection:
            if any(connection.scalar(select(exists(table))) for table in (evaluations, model_versions, removals)):
                return ""
            unfinished = connection.scalar(select(exists(unfinished_folders)))
        with translate_errors(self.folder):
            orphans = [part for part in ("evaluations", "models") if any((self.folder / part).glob("*"))]
        if unfinished or not orphans:
            return ""
        return (
            f"{self.database.name} was missing or empty, so a new one was created, and the history of evaluations, "
            f"checks and runs is lost; files of it are still in {join_words(orphans)}. If you have a backup of "
            f"{self.database.name}, put it back"
        )

    def close(self) -> None:
        """Close the database and release all locks. Unfinished runs of this process count as dead from now on."""
        self.runs.release_all()
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def make_subfolders(database: Database) -> None:
    """Create the missing folders of a state; raise StoreError if that fails."""
    with translate_errors(database.folder):
        for part in SUBFOLDERS:
            (database.folder / part).mkdir(parents=True, exist_ok=True)

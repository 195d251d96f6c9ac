"""The kinds of `triggers:`, which start a scenario while `engine serve` runs."""

from datetime import date, datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field

from engine.spec.resources.resource import CronText, Duration, FireValue, Ref, Resource, Sql

WatchedDataset = Annotated[str, Ref("datasets")]


class Trigger(Resource):
    """The keys of all kinds of triggers."""

    name: str = Field(description="Name, different from the others of this scenario.")
    active: bool = Field(True, description="Whether the trigger starts runs.")
    variables: dict[str, FireValue] = Field(
        {},
        description="Values of variables for the runs that the trigger starts. They may use ${as_of} and the other "
        "names for the moment of a run, ${previous_as_of} (the moment of the previous trigger) and ${changed} (the "
        "names of the changed resources).",
    )


class ScheduledTrigger(Trigger):
    """The keys of triggers that start runs at scheduled times."""

    timezone: str | None = Field(None, description="Time zone of the times; if left out, that of the project.")
    catch_up: Literal["last", "all", "none"] = Field(
        "last",
        description="Which times missed while no server was running still start a run: the last, all (at most 100, "
        "oldest first), or none.",
    )
    grace: Duration = Field(
        timedelta(minutes=5), description="How late a time may be noticed without counting as missed."
    )


class CronTrigger(ScheduledTrigger):
    """Start runs at the times of a cron expression."""

    kind: Literal["cron"] = "cron"
    cron: CronText = Field(
        description="Five fields: minute, hour, day of the month, month, day of the week, as in 30 2 * * 1-5. L is the "
        "last day of the month, MON#2 its second Monday."
    )


class IntervalTrigger(ScheduledTrigger):
    """Start runs at regular intervals."""

    kind: Literal["interval"] = "interval"
    every: Duration | Literal["1mo", "3mo", "1y"] = Field(
        description="Length of the interval: a duration, or 1mo, 3mo, 1y. Whole days are calendar days in the time "
        "zone."
    )
    since: date | datetime | None = Field(
        None,
        description="Date or time from which intervals are counted: every: 14d, since: 2026-01-06 is every second "
        "Tuesday. If left out, they are counted from the first time that the server sees the trigger.",
    )


class DatasetChangedTrigger(Trigger):
    """Start a run when the files of datasets have changed and are complete."""

    kind: Literal["dataset_changed"] = "dataset_changed"
    dataset: WatchedDataset | list[WatchedDataset] = Field(
        min_length=1, description="Name of the dataset to watch, or a list of names."
    )
    all: bool = Field(False, description="Whether all of these datasets must have changed, instead of at least one.")
    every: Duration = Field(timedelta(minutes=1), description="How often to look for changes.")

    @property
    def datasets(self) -> list[str]:
        """The names of the datasets, in order."""
        return [self.dataset] if isinstance(self.dataset, str) else self.dataset


class QueryChangedTrigger(Trigger):
    """Start a run when the result of a query has changed."""

    kind: Literal["query_changed"] = "query_changed"
    connection: Annotated[str, Ref("connections")] | None = Field(
        None,
        description="Name of the connection to a database that runs the query on its own tables. If left out, the "
        "query reads datasets.",
    )
    sql: Sql = Field(
        description="The query: one SELECT over declared datasets; with a connection, over the tables of the database "
        "and in its SQL dialect. The order of the rows does not matter."
    )
    every: Duration = Field(timedelta(minutes=5), description="How often to look for changes.")


class ScenarioFinishedTrigger(Trigger):
    """Start a run when a run of another scenario has ended."""

    kind: Literal["scenario_finished"] = "scenario_finished"
    scenario: Annotated[str, Ref("scenarios")] = Field(description="Name of the other scenario.")
    outcomes: list[Literal["SUCCESS", "WARNING", "FAILED", "ABORTED"]] = Field(
        ["SUCCESS", "WARNING"], min_length=1, description="Outcomes of its runs for which this trigger starts a run."
    )


AnyTrigger = Annotated[
    CronTrigger | IntervalTrigger | DatasetChangedTrigger | QueryChangedTrigger | ScenarioFinishedTrigger,
    Field(discriminator="kind"),
]
TRIGGER_KINDS: dict[str, type[Resource]] = {
    "cron": CronTrigger,
    "interval": IntervalTrigger,
    "dataset_changed": DatasetChangedTrigger,
    "query_changed": QueryChangedTrigger,
    "scenario_finished": ScenarioFinishedTrigger,
}

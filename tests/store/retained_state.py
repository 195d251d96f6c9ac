"""A state whose records are as old as a test says."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import func, select

from engine import spec
from engine.evaluation.record import CheckResult, Evaluation, Fingerprints, MetricValue
from engine.outcome import CheckOutcome, Outcome
from engine.store import (
    Attachment,
    Fire,
    FireState,
    MessageState,
    OutboxMessage,
    RunRecord,
    StepRecord,
    Store,
    generate_id,
)
from engine.store.retention.pruning import Pruned, prune_state

from ..clocks import Clock

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)

SPEC = """
version: 1
project: p
{retention}
datasets: {{t: {{path: t.csv}}}}
evaluation_stores:
  x:
    dataset: t
    evaluation: {evaluation}
    reference: {reference}
    across_models: {across}
    checks: {checks}
"""


@cache
def load_spec(
    retention: str,
    reference: str = "{kind: dataset, dataset: t}",
    evaluation: str = "{}",
    across: str = "false",
    checks: str = "{}",
) -> spec.ProjectSpec:
    with TemporaryDirectory() as folder:
        path = Path(folder, "p.yaml")
        line = f"retention: {retention}" if retention else ""
        text = SPEC.format(retention=line, reference=reference, evaluation=evaluation, across=across, checks=checks)
        path.write_text(text)
        return spec.load(path, {}, {})


@dataclass
class State:
    """A store whose records are made at any time before now."""

    store: Store
    clock: Clock
    count: int = 0

    def make_id(self, days: float) -> str:
        self.count += 1
        self.clock.time = NOW - timedelta(days=days) + timedelta(microseconds=self.count)
        return generate_id(self.clock.time)

    def run(self, scenario: str = "s", days: float = 0, *, ends: bool = True, **other: Any) -> str:
        id_ = self.make_id(days)
        run = RunRecord(id=id_, project="p", scenario=scenario, started=self.clock(), who="ada@host", **other)
        self.store.runs.start(run)
        (self.store.runs.folder_of(id_) / "log.jsonl").write_text("{}\n")
        if ends:
            self.end(run)
        self.clock.time = NOW
        return id_

    def end(self, run: RunRecord) -> None:
        step = StepRecord("build", "build", Outcome.SUCCESS, run.started, run.started)
        self.store.runs.finish(replace(run, ended=run.started, outcome=Outcome.SUCCESS, steps=(step,)))

    def message(self, run: str, state: MessageState, days: float = 0, *, files: bool = True, error: str = "") -> str:
        id_ = self.make_id(days)
        attached = (Attachment("a.html", "text/html", b"12345"),) if files else ()
        message = OutboxMessage(
            id_,
            run,
            "tell",
            "box",
            ("a@b",),
            "subject",
            "text",
            self.clock(),
            attached,
            state,
            last_error=error or None,
        )
        self.store.outbox.add(message)
        self.clock.time = NOW
        return id_

    def evaluation(
        self,
        days: float = 0,
        *,
        store: str = "x",
        model: str = "m",
        data: str = "",
        supersedes: str | None = None,
        **other: Any,
    ) -> str:
        id_ = self.make_id(days)
        made = Evaluation(
            id=id_,
            store=store,
            name=other.pop("name", id_),
            labels={},
            created=self.clock(),
            fingerprints=Fingerprints(model, data or id_, "r", "p"),
            engine_version="1",
            kernel_version="1",
            rows_read=other.pop("rows", 10),
            rows_used=10,
            reference_rows=10,
            metrics={"row_count": MetricValue(10.0), "data_drift": MetricValue(0.5)},
            **other,
        )
        self.store.evaluations.add(made, supersedes=supersedes)
        folder = self.store.evaluations.folder_of(id_)
        folder.mkdir()
        (folder / "columns.profile").write_text("12345678")
        result = CheckResult(store, "c", "row_count", CheckOutcome.OK, CheckOutcome.OK, 10.0, evaluation=id_)
        self.store.checks.add(other.get("run"), [result])
        self.clock.time = NOW
        return id_

    def fire(self, days: float, state: FireState, run: str | None = None, trigger: str = "t") -> int:
        at = NOW - timedelta(days=days)
        self.count += 1
        fire = Fire("s", trigger, f"cron:{self.count}", at, at, state=state, run=run)
        return self.store.fires.advance([], [fire])[0].number

    def prune(self, retention: str, **other: str) -> Pruned:
        project = load_spec(retention, **other)
        planned = prune_state(self.store, project, NOW, dry=True)
        done = prune_state(self.store, project, NOW)
        assert replace(done, free_bytes=0) == replace(planned, free_bytes=0)
        assert prune_state(self.store, project, NOW).is_empty
        assert list_orphans(self.store) == []
        return done

    def runs(self) -> list[str]:
        return [run.id for run in self.store.runs.history(whole=False)]

    def evaluations(self, store: str = "x") -> list[str]:
        with self.store.database.begin_read() as connection:
            from engine.store.tables import evaluations

            of_store = select(evaluations.c.id).where(evaluations.c.store == store).order_by(evaluations.c.number)
            return list(connection.scalars(of_store))

    def with_files(self) -> set[str]:
        return {path.name for path in (self.store.folder / "evaluations").iterdir()}

    def count_rows(self, table: Any) -> int:
        with self.store.database.begin_read() as connection:
            return connection.scalars(select(func.count()).select_from(table)).one()


def list_orphans(store: Store) -> list[str]:
    """Return the folders of runs and evaluations without a row, and the rows that own others which are not there."""
    from engine.store.tables import evaluations, runs, unfinished_folders

    found = []
    with store.database.begin_read() as connection:
        for table, part in ((runs, "runs"), (evaluations, "evaluations")):
            ids = {id_.lower() for id_ in connection.scalars(select(table.c.id))}
            found += [str(path) for path in (store.folder / part).iterdir() if path.name not in ids]
        found += list(connection.scalars(select(unfinished_folders.c.path)))
        if store.location.rows is None:
            found += [str(row) for row in connection.exec_driver_sql("PRAGMA foreign_key_check")]
    return found

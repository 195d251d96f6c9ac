"""A server in small: it keeps what it is asked for in a real state, and has no loop."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine.errors import SpecError
from engine.service.control import NextTimes, RefusedRequestError, RequestedRun, ServedProject
from engine.spec import load
from engine.store import Fire, Pause, Store

SPEC = """\
version: 1
project: shop
variables:
  day: 2026-11-01
  limit: 4
  place: {type: text, value: inbox}
  note: none
  host: hooks.example
server: {url: "https://engine.example"}
datasets:
  sales: {kind: file, path: "data/${place}/sales.csv"}
  busy: {kind: query, sql: "SELECT * FROM sales WHERE amount > ${limit}"}
channels:
  files: {kind: file, path: outbox}
  hook: {kind: webhook, url: "https://${host}/in"}
scenarios:
  nightly:
    description: "for ${day}: ${note}"
    triggers:
      - {name: at night, kind: cron, cron: "30 2 * * *"}
      - {name: often, kind: interval, every: 1h}
    steps:
      - {name: build, kind: build, target: busy}
      - {name: export, kind: export, dataset: busy, path: "out/${place}.csv"}
    reporters:
      - {name: end, channel: files, subject: "of ${day}", message: "${note}"}
      - {name: hooked, channel: hook, subject: done, message: done}
  quick:
    steps:
      - {name: build, kind: build, target: busy}
"""


def write_spec(folder: Path, text: str = SPEC) -> Path:
    path = folder / "spec.yaml"
    path.write_text(text, encoding="utf-8")
    return path


class SmallServer:
    """Answers as `ServerControl` says. Attributes that a test sets say how the server is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = Store.open(path.parent / ".engine" / "shop", patience=0.2)
        self.project = ServedProject("shop", path, load(path), self.store, leader=True)
        self.token = ""
        self.ticked = time.monotonic()
        self.draining = False
        self.loop_answers = True
        self.has_projects = True
        self.started_runs: set[str] = set()
        self.aborted: list[tuple[str, str]] = []

    def close(self) -> None:
        self.store.close()

    def measure_tick_age(self) -> float:
        return time.monotonic() - self.ticked

    def is_draining(self) -> bool:
        return self.draining

    def list_projects(self) -> Sequence[ServedProject]:
        return [self.project] if self.has_projects else []

    def list_next_times(self, project: str, count: int) -> Sequence[NextTimes]:
        assert project == "shop"
        if not self.loop_answers:
            raise TimeoutError
        first = datetime(2026, 12, 1, 2, 30, tzinfo=UTC)
        return [NextTimes("nightly", "at night", tuple(first + timedelta(days=day) for day in range(count)))]

    def reload(self) -> Sequence[ServedProject]:
        try:
            self.project = replace(self.project, spec=load(self.path), spec_problems=(), spec_findings=())
        except SpecError as problem:
            told = tuple(str(problem).splitlines())
            self.project = replace(self.project, spec_problems=told, spec_findings=problem.diagnostics)
        return [self.project]

    def request_run(self, project: str, scenario: str, values: Mapping[str, str], request: str) -> RequestedRun:
        if not self.project.leader:
            raise RefusedRequestError(f"this server is a standby of {project}: ask the one that runs it")
        now = datetime.now(UTC)
        key = f"manual:{request}"
        made = self.store.fires.advance([], [Fire(scenario, "manual", key, now, now, dict(values))])
        found = made[0] if made else self.store.fires.find(scenario, "manual", key)
        assert found is not None
        return RequestedRun(found, bool(made))

    def abort_run(self, project: str, run: str, by: str) -> bool:
        self.aborted.append((run, by))
        return run in self.started_runs

    def pause(self, project: str, scenario: str, until: datetime | None, by: str, reason: str) -> None:
        self.store.pauses.add(Pause(scenario, until, by, reason, datetime.now(UTC)))

    def resume(self, project: str, scenario: str, by: str) -> bool:
        return self.store.pauses.end(scenario, by)

"""A store with a clock that the test sets, and records to put into it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.evaluation.record import Evaluation, Fingerprints, MetricValue
from engine.store import Store, generate_id


@dataclass
class Clock:
    """Stands still unless it is moved."""

    time: datetime = field(default_factory=lambda: datetime(2026, 11, 23, 12, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.time

    def forward(self, **by: float) -> None:
        self.time += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def store(folder: Path, clock: Clock) -> Iterator[Store]:
    with Store.open(folder, now=clock) as opened:
        yield opened


@pytest.fixture
def make_evaluation(clock: Clock) -> Callable[..., Evaluation]:
    def make(name: str = "Q2 2017", store: str = "the_MES", **other: object) -> Evaluation:
        values: dict[str, object] = {
            "id": generate_id(clock()),
            "store": store,
            "name": name,
            "labels": {"quarter": name},
            "created": clock(),
            "fingerprints": Fingerprints("m", "d", "r", "p"),
            "engine_version": "0.1.0",
            "kernel_version": "1",
            "rows_read": 10,
            "rows_used": 9,
            "reference_rows": 100,
            "metrics": {
                "data_drift": MetricValue(0.5, 0.45, 0.55, 0.5),
                "roc_auc": MetricValue(None, reason="no labels"),
            },
        }
        return Evaluation(**values | other)  # type: ignore[arg-type]

    return make

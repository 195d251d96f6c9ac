"""Evaluations that leave one state and arrive in another one, where they are a history of their own."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.errors import StoreError
from engine.evaluation.bounds import bounds_from_json
from engine.evaluation.detail import ColumnDetail, ColumnImportance, Histogram, PredictionDetail
from engine.evaluation.record import CheckResult, Evaluation, EvaluationTime, MetricValue
from engine.models.metrics.performance_detail import ConfusionMatrix, PerformanceDetail, RocCurve, RowCounts
from engine.outcome import CheckOutcome
from engine.store import Store
from engine.store.evaluation_filter import EvaluationFilter
from engine.store.pulled_state import Arrival, PulledState
from engine.store.transfer import list_evaluations, pack_evaluation, read_evaluation

from ..clocks import Clock

MakeEvaluation = Callable[..., Evaluation]
COLUMN = ColumnDetail(
    role="numerical",
    significant=True,
    histogram=Histogram(edges=(0.1, 2.0), reference=(1, 2, 3), batch=(4, 5, 6), missing=(0, 1)),
    detectable=math.inf,
)


@pytest.fixture
def there(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    with Store.open(tmp_path / "there", now=clock) as opened:
        yield opened


def pull(there: Store, here: Store, tmp_path: Path) -> PulledState:
    """Bring what is not here yet, as it travels: as JSON."""
    page = list_evaluations(there, "p", "production")
    state = PulledState(here, "production", "factory")
    superseded_by = state.resolve_superseded(page.evaluations)
    arrived = []
    for entry in page.evaluations:
        folder = tmp_path / f"arrived-{entry.id}"
        folder.mkdir(exist_ok=True)
        packed = pack_evaluation(there, entry.id)
        assert packed is not None
        found = read_evaluation(packed.model_dump_json().encode(), entry.id)
        if not state.knows(entry.id) and entry.id not in state.removed:
            arrived.append(Arrival(entry, found, folder))
    state.add(arrived, superseded_by)
    state.follow(superseded_by)
    return state


def test_an_evaluation_arrives_as_it_left(
    there: Store, store: Store, clock: Clock, make_evaluation: MakeEvaluation, tmp_path: Path
) -> None:
    made = make_evaluation(
        columns={"ä.b c": COLUMN, "kind": dataclasses.replace(COLUMN, detectable=None)},
        left_out={"id": "an identifier"},
        importance=ColumnImportance({"age": 0.1 + 0.2}, {"age": 0.25}),
        prediction=PredictionDetail(
            dataclasses.replace(
                COLUMN,
                histogram=Histogram(labels=("0", "1"), reference=(3, 4), batch=(1, 2), other=(0, 0)),
                statistics={"drift": None, "drift_low": None, "drift_p": 0.5, "psi": 0.25, "ks": None},
                reasons={"ks": "only one value", "drift": "too few rows", "drift_low": "too few rows"},
            ),
            COLUMN,
        ),
        performance=PerformanceDetail(
            rows=RowCounts(measured=9, all=10, without_label=1, without_prediction=0),
            confusion_matrix=ConfusionMatrix(("0", "1"), ((1, 2), (3, 4))),
            roc=RocCurve((0.0, 1.0), (0.0, 1.0), (None, 0.5)),
        ),
        reference_performance={"roc_auc": MetricValue(1 / 3, 0.7, 0.8)},
        metrics={"max.age": MetricValue(math.inf), "psi.age": MetricValue(5e-324), "a.b": MetricValue(-0.0, 1e308)},
        notes=("a note",),
        model="payer",
        model_version="3",
        run="a run",
        release="v3 abc",
        revision=7,
        facts={"reference": {"kind": "dataset", "n": 1, "share": 0.1}, "list": [1, 1.0, "1", None, True]},
    )
    there.evaluations.add(made)
    results = [
        CheckResult(
            "the_MES", name, "psi.age", CheckOutcome.OK, CheckOutcome.OK, value, bounds, "why", evaluation=made.id
        )
        for name, value, bounds in (
            ("range", 0.1, bounds_from_json({"soft_max": 0.3, "max": math.inf})),
            ("change", math.inf, bounds_from_json({"max": 60.0, "unit": "seconds", "compare": "previous"})),
            ("values", None, bounds_from_json({"allowed": ["1", 1, 1.5, True]})),
            ("python", None, None),
        )
    ]
    there.checks.add("a run", results)
    found = pull(there, store, tmp_path)
    assert found.knows(made.id)
    known = store.evaluations.get(made.id)
    left = there.evaluations.get(made.id)
    assert known == dataclasses.replace(made, origin="production", infrastructure="factory")
    assert repr(known) == repr(dataclasses.replace(left, origin="production", infrastructure="factory"))
    assert repr(known.metrics) == repr(left.metrics)
    assert repr(known.facts["list"]) == "[1, 1.0, '1', None, True]"
    mine, other = (one.checks.history("the_MES", evaluation=made.id) for one in (store, there))
    assert mine == other
    assert repr(mine) == repr(other)
    assert store.checks.history("the_MES") == []


def test_pulled_evaluations_are_not_part_of_the_own_history(
    there: Store, store: Store, clock: Clock, make_evaluation: MakeEvaluation, tmp_path: Path
) -> None:
    def make(text: str, **other: object) -> Evaluation:
        clock.forward(seconds=1)
        start = clock().replace(day=int(text[-2:]), hour=0, minute=0, second=0)
        return make_evaluation(text, time=EvaluationTime(start, None, text), **other)

    own = make("2026-11-01")
    store.evaluations.add(own)
    old, new = make("2026-11-02"), make("2026-11-02")
    there.evaluations.add(old)
    pull(there, store, tmp_path)
    there.evaluations.add(new, supersedes=old.id)
    state = pull(there, store, tmp_path)
    assert state.followed == {old.id}
    pulled = EvaluationFilter(origin="production")
    assert [one.id for one in store.evaluations.history("the_MES", where=pulled)] == [new.id]
    assert store.evaluations.find_newest("the_MES") == own
    assert store.evaluations.is_newest(own)
    assert store.evaluations.find_by_name("the_MES", "2026-11-02") is None
    assert store.evaluations.find_ids("the_MES", "2026-11-02") == [new.id]
    assert [
        point.evaluation for point in store.evaluations.list_points("the_MES", ["data_drift"], 9)["data_drift"]
    ] == [own.id]
    assert pack_evaluation(store, new.id) is None  # what was pulled is not passed on
    assert [one.id for one in list_evaluations(store, "p", "production").evaluations] == [own.id]

    # removed there, where what it superseded has its place again; and removed here, where it stays so
    there.evaluations.remove_ids("the_MES", [new.id], "somebody")
    assert pull(there, store, tmp_path).followed == {old.id, new.id}
    assert [one.id for one in store.evaluations.history("the_MES", where=pulled)] == [old.id]
    store.evaluations.remove_ids("the_MES", [old.id, new.id], "somebody")
    assert pull(there, store, tmp_path).removed >= {old.id}
    assert store.evaluations.count("the_MES", pulled) == 0


def test_nothing_is_written_if_one_of_several_cannot_be(
    there: Store, store: Store, clock: Clock, make_evaluation: MakeEvaluation, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        clock.forward(seconds=1)
        there.evaluations.add(make_evaluation(name))
    page = list_evaluations(there, "p", "production")
    state = PulledState(store, "production", "factory")
    arrived = []
    for entry in page.evaluations:
        (folder := tmp_path / entry.id).mkdir()
        found = pack_evaluation(there, entry.id)
        assert found is not None
        arrived.append(Arrival(entry, found, folder))
    wrong = dataclasses.replace(arrived[1].found.evaluation, origin="elsewhere")
    arrived[1] = dataclasses.replace(arrived[1], found=arrived[1].found.model_copy(update={"evaluation": wrong}))
    with pytest.raises(StoreError, match="it was pulled from elsewhere itself"):
        state.add(arrived, state.resolve_superseded(page.evaluations))
    assert store.evaluations.count("the_MES", EvaluationFilter(any_origin=True)) == 0

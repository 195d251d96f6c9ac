"""Finding one of many: by name, by a part of an id, by its place in time; and never by reading them all."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event

from engine.evaluation.bounds import AppliedRange
from engine.evaluation.record import CheckResult, Evaluation, EvaluationTime, Fingerprints, MetricValue
from engine.outcome import CheckOutcome
from engine.spec.resources.checks import build_bounds
from engine.store import EvaluationFilter, RunRecord, Store

MakeEvaluation = Callable[..., Evaluation]


@pytest.fixture
def ten(store: Store, make_evaluation: MakeEvaluation) -> list[Evaluation]:
    """Give ten evaluations of two names, the last of which has no rows; and one of another store."""
    made = [
        make_evaluation(
            f"Q{number % 2}",
            id=f"20261123-12000{number}-000000-{'abcd' if number < 2 else 'beef'}000{number}",
            created=make_evaluation().created + timedelta(minutes=number),
            fingerprints=Fingerprints("m", f"d{number // 2}", "r", "p"),
            rows_read=0 if number == 9 else 10,
        )
        for number in range(10)
    ]
    for each in made:
        store.evaluations.add(each)
    store.evaluations.add(make_evaluation("Q7", store="other", id="20261123-130000-000000-cafe0000"))
    return made


def test_the_newest_of_a_name_comes_before_ids(store: Store, ten: list[Evaluation]) -> None:
    find = store.evaluations.find_ids
    assert find("the_MES") == find("the_MES", "Q1") == [ten[9].id]
    assert find("the_MES", "Q0") == [ten[8].id]
    assert find("the_MES", ten[3].id) == find("the_MES", "beef0003") == [ten[3].id]
    assert find("the_MES", "abcd") == [ten[0].id, ten[1].id]
    assert find("the_MES", "beef000") == [each.id for each in ten[2:]]
    for unknown in ("bee", "Q7", "cafe0000", "cafe", "20261123-130000-000000-cafe0000", "f0003", "%", ""):
        assert find("the_MES", unknown) == []
    assert find("nothing here") == []


def test_conditions_hold_all_together(store: Store, ten: list[Evaluation]) -> None:
    def found(last: int | None = None, **conditions: Any) -> list[Evaluation]:
        return store.evaluations.history("the_MES", last, where=EvaluationFilter(**conditions))

    assert found(before=ten[4].id) == ten[:4]
    assert found(2, before=ten[4].id) == ten[2:4]
    assert found(before=ten[0].id) == []
    assert found(moment_before=ten[3].created) == ten[:3]
    assert found(called={"Q0", ten[1].id, "unknown"}) == [*ten[0:3], ten[4], ten[6], ten[8]]
    assert found(called=set()) == []
    assert found(name="Q1", before=ten[8].id, moment_before=ten[6].created) == [ten[1], ten[3], ten[5]]
    assert found(3, other_dataset_than="d3") == [ten[5], ten[8], ten[9]]
    assert found(3, other_dataset_than="d3", usable=True) == [ten[4], ten[5], ten[8]]
    assert found() == ten
    assert found(not_before=ten[7].id) == ten[7:]
    assert found(part_of_name="q1") == ten[1::2]
    assert found(part_of_name="_") == found(part_of_name="%") == []
    labelled = found(described={"quarter": ten[1].labels["quarter"]})
    assert labelled == [one for one in ten if one.labels["quarter"] == ten[1].labels["quarter"]]
    assert found(described={"quarter": "none"}) == found(described={"team": "x"}) == []
    model = found(described={"model": str(ten[0].model), "version": str(ten[0].model_version)})
    assert model == [one for one in ten if ten[0].model and one.model == ten[0].model]
    condition = EvaluationFilter(part_of_name="q1", described={"quarter": "Q1"})
    assert [one for one in ten if condition.accepts(one)] == found(part_of_name="q1", described={"quarter": "Q1"})


def test_the_points_of_metrics_are_those_of_the_newest_evaluations(store: Store, ten: list[Evaluation]) -> None:
    metrics = sorted({name for one in ten for name in one.metrics})[:2]
    found = store.evaluations.list_points("the_MES", [*metrics, "nothing"], 4)
    assert found["nothing"] == []
    for metric in metrics:
        expected = [(one.id, one.metrics[metric].value) for one in ten[6:]]
        assert [(point.evaluation, point.value) for point in found[metric]] == expected
    assert store.evaluations.find_last_of("the_MES", 4, EvaluationFilter()) == ten[6].id
    assert store.evaluations.find_last_of("the_MES", 11, EvaluationFilter()) is None
    assert store.evaluations.count("the_MES", most=4) == 4


def test_bounds_are_those_of_the_newest_application(store: Store, ten: list[Evaluation], clock: Any) -> None:
    def apply(evaluation: Evaluation, check: str, **bounds: float) -> None:
        applied = AppliedRange(build_bounds(bounds))
        ok = CheckOutcome.OK
        result = CheckResult("the_MES", check, "m", ok, ok, bounds=applied, evaluation=evaluation.id)
        store.checks.add(None, [result])
        clock.forward(minutes=1)

    apply(ten[0], "first", max=1)
    apply(ten[0], "second", min=0)
    apply(ten[1], "first", max=2)
    apply(ten[0], "first", max=3)
    ranges = store.checks.list_bounds("the_MES", ["m", "other"], [ten[0].id, ten[1].id, ten[2].id])
    limits = {id_: [bound.limits[0].value for bound in found] for (id_, _), found in ranges.items()}
    assert limits == {ten[0].id: [3, 0], ten[1].id: [2]}


def test_one_without_metrics_counts_as_usable(store: Store, make_evaluation: MakeEvaluation) -> None:
    simulated = make_evaluation(rows_read=0, metrics={})
    store.evaluations.add(simulated)
    store.evaluations.add(make_evaluation(rows_read=0, metrics={"row_count": MetricValue(0)}))
    assert store.evaluations.find_newest("the_MES", EvaluationFilter(usable=True)) == simulated


def test_names_are_listed_once_and_counted_each(store: Store, ten: list[Evaluation]) -> None:
    assert store.evaluations.list_names("the_MES") == ["Q1", "Q0"]
    assert (store.evaluations.count("the_MES"), store.evaluations.count("nothing here")) == (10, 0)
    assert store.evaluations.name_ids([ten[0].id, ten[1].id, "gone"]) == {ten[0].id: "Q0", ten[1].id: "Q1"}


def test_many_are_removed_at_once(store: Store, make_evaluation: MakeEvaluation) -> None:
    made = [make_evaluation(f"Q{number % 3}", id=f"{number}", metrics={}) for number in range(1200)]
    for each in made:
        store.evaluations.add(each)
    gone = store.evaluations.remove_ids("the_MES", [each.id for each in made[:1100]], by="ann@host")
    assert gone == tuple(each.id for each in made[:1100])
    assert store.evaluations.history("the_MES") == made[1100:]
    assert [len(removal.evaluations) for removal in store.evaluations.list_removals("the_MES")] == [367, 367, 366]


def make_run(store: Store, number: int, parent: str | None = None) -> RunRecord:
    id_ = f"20261123-12000{number}-000000-abcd000{number}"
    return RunRecord(id_, "p", "s", store.database.now(), "ann@host", parent=parent)


def test_a_run_is_found_with_all_that_it_has_started(store: Store) -> None:
    runs: list[RunRecord] = []
    for number, parent in enumerate((None, 0, 1, None, 0, 3, 2)):
        runs.append(make_run(store, number, None if parent is None else runs[parent].id))
        store.runs.start(runs[-1])
    ids = [run.id for run in runs]
    assert store.runs.list_descendants(ids[0]) == [ids[0], ids[1], ids[2], ids[4], ids[6]]
    assert store.runs.list_descendants(ids[3]) == [ids[3], ids[5]]
    assert store.runs.list_descendants("unknown") == []
    assert store.runs.find_ids("abcd0004") == [ids[4]]
    assert store.runs.find_ids("abcd") == ids
    assert store.runs.list_short_ids() == [f"abcd000{number}" for number in range(6, -1, -1)]
    assert store.runs.count() == 7


def judge(store: Store, evaluation: Evaluation, check: str, *outcomes: CheckOutcome) -> None:
    results = [
        CheckResult("the_MES", check, f"m{place}", outcome, outcome, evaluation=evaluation.id)
        for place, outcome in enumerate(outcomes)
    ]
    store.checks.add("a run", results)


def find_last_ok(store: Store, made: list[Evaluation], before: Evaluation) -> str | None:
    """Do slowly what the store does by one query."""
    outcomes = store.checks.list_outcomes("the_MES")
    for each in reversed(made):
        last = {outcome for one in outcomes.get(each.id, {}).values() for outcome in one}
        if each.created < before.created and last and not last & {CheckOutcome.WARNING, CheckOutcome.ERROR}:
            return each.id
    return None


def test_the_last_ok_one_is_that_of_the_newest_application_of_each_check(
    store: Store, ten: list[Evaluation], clock: Any
) -> None:
    assert not store.checks.have_judged("the_MES", ten[0].id)
    pairs = list(product(CheckOutcome, CheckOutcome))
    for number, (first, second) in enumerate(pairs):
        evaluation = ten[number % 9]
        clock.forward(minutes=1)
        judge(store, evaluation, f"check {number % 2}", first, second)
        judge(store, replace(evaluation, store="other"), "another", CheckOutcome.OK)
        for each in ten:
            assert store.checks.find_last_ok("the_MES", each.id) == find_last_ok(store, ten, each)
    assert store.checks.have_judged("the_MES", ten[0].id)
    some = [ten[1].id, ten[4].id, "gone"]
    everything = store.checks.list_outcomes("the_MES")
    assert store.checks.list_outcomes("the_MES", some) == {id_: everything[id_] for id_ in some[:2]}
    assert store.checks.list_outcomes("the_MES", []) == {}


@contextmanager
def explained() -> Iterator[list[str]]:
    """Collect what the database's plans of the statements say that they scan."""
    scanned: list[str] = []

    def explain(connection: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "WITH")):
            plan = connection.connection.cursor()
            if connection.dialect.name == "sqlite":
                plan.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
                scanned.extend(
                    row[3] for row in plan.fetchall() if re.match(r"SCAN (?!CONSTANT|family|chosen)", row[3])
                )
                return
            plan.execute("SET LOCAL enable_seqscan TO off")  # small tables are scanned where there is an index, too
            plan.execute(f"EXPLAIN {statement}", parameters)
            scanned.extend(row[0] for row in plan.fetchall() if "Seq Scan on" in row[0])

    event.listen(Engine, "before_cursor_execute", explain)
    try:
        yield scanned
    finally:
        event.remove(Engine, "before_cursor_execute", explain)


LOOK_UPS: dict[str, Callable[[Store, Evaluation], object]] = {
    "newest": lambda store, one: store.evaluations.find_newest(one.store),
    "by name": lambda store, one: store.evaluations.find_by_name(one.store, one.name),
    "by fingerprints": lambda store, one: store.evaluations.find(one.store, one.fingerprints),
    "by id": lambda store, one: store.evaluations.get(one.id),
    "by part of id": lambda store, one: store.evaluations.find_ids(one.store, "beef"),
    "by names": lambda store, one: store.evaluations.history(one.store, where=EvaluationFilter(called=[one.name])),
    "before": lambda store, one: store.evaluations.find_newest(one.store, EvaluationFilter(before=one.id)),
    "of a time": lambda store, one: store.evaluations.find_newest(
        one.store, EvaluationFilter(at=EvaluationTime(one.moment, None, ""), model=one.fingerprints.model)
    ),
    "same data": lambda store, one: store.evaluations.find_newest(
        one.store, EvaluationFilter(dataset=one.fingerprints.dataset, not_at=EvaluationTime(one.moment, None, ""))
    ),
    "as many rows": lambda store, one: store.evaluations.history(
        one.store, 3, metrics=["mean.x"], where=EvaluationFilter(rows=one.rows_read, other_dataset_than="f")
    ),
    "before, of a model": lambda store, one: store.evaluations.find_newest(
        one.store, EvaluationFilter(before=one.id, model=one.fingerprints.model)
    ),
    "facts": lambda store, one: store.evaluations.list_facts(one.store, 3),
    "metric": lambda store, one: store.evaluations.list_points(one.store, ["data_drift"], 3),
    "metrics": lambda store, one: store.evaluations.history(one.store, 3, metrics=["data_drift"]),
    "outcomes": lambda store, one: store.checks.list_outcomes(one.store, [one.id]),
    "last OK": lambda store, one: store.checks.find_last_ok(one.store, one.id),
    "judged": lambda store, one: store.checks.have_judged(one.store, one.id),
    "results": lambda store, one: store.checks.history(one.store, evaluation=one.id),
    "last results": lambda store, one: store.checks.history(one.store, last=3),
    "results of a run": lambda store, one: store.checks.list_of_run("a run"),
    "measurement": lambda store, one: store.measurements.find("d", "f"),
    "run": lambda store, one: store.runs.find_ids("abcd"),
    "family": lambda store, one: store.runs.list_descendants("a run"),
    "undelivered": lambda store, one: store.outbox.list_undelivered(),
    "a count": lambda store, one: store.evaluations.count(one.store, most=3),
    "found by a label": lambda store, one: store.evaluations.history(
        one.store, 3, metrics=[], where=EvaluationFilter(described={"quarter": "Q1"}, not_before=one.id)
    ),
    "the last of": lambda store, one: store.evaluations.find_last_of(one.store, 3, EvaluationFilter()),
    "points": lambda store, one: store.evaluations.list_points(one.store, ["data_drift"], 3),
    "bounds": lambda store, one: store.checks.list_bounds(one.store, ["data_drift"], [one.id]),
    "joined": lambda store, one: store.outbox.list_joined("m"),
}


@pytest.mark.parametrize("what", LOOK_UPS)
def test_nothing_is_looked_up_by_reading_a_whole_table(store: Store, ten: list[Evaluation], what: str) -> None:
    with explained() as scanned:
        LOOK_UPS[what](store, ten[5])
    assert scanned == []

"""The history of a store goes by the times of its evaluations; one of each time and model is part of it."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.evaluation.record import Evaluation, EvaluationTime, Fingerprints, MetricValue
from engine.store import EvaluationFilter, Store
from engine.store.state.suppositions import open_supposing

MakeEvaluation = Callable[..., Evaluation]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(day: int, days: int | None = None) -> EvaluationTime:
    start = NOON + timedelta(days=day)
    return EvaluationTime(start, None if days is None else start + timedelta(days=days), f"day {day}, {days}")


def names(found: list[Evaluation]) -> list[str]:
    return [one.name for one in found]


def test_history_goes_by_time_and_what_was_made_before_times_comes_first(
    store: Store, make_evaluation: MakeEvaluation
) -> None:
    add, history = store.evaluations.add, store.evaluations.history
    add(make_evaluation("before"))
    made = {day: make_evaluation(f"d{day}", time=at(day)) for day in (5, 1, 9, 3)}
    for one in made.values():
        add(one)
    assert names(history("the_MES")) == ["before", "d1", "d3", "d5", "d9"]
    assert names(history("the_MES", 2)) == ["d5", "d9"]
    assert store.evaluations.list_names("the_MES") == ["d9", "d5", "d3", "d1", "before"]
    assert [store.evaluations.is_newest(made[day]) for day in (5, 9)] == [False, True]
    assert store.evaluations.get(made[5].id).time == at(5)
    assert store.evaluations.find_ids("the_MES") == [made[9].id]
    assert names(history("the_MES", where=EvaluationFilter(before=made[5].id))) == ["before", "d1", "d3"]
    assert names(history("the_MES", where=EvaluationFilter(earlier_than=at(3)))) == ["before", "d1"]
    assert names(history("the_MES", where=EvaluationFilter(at=at(3)))) == ["d3"]
    assert history("the_MES", where=EvaluationFilter(at=at(3, 1))) == []
    assert names(history("the_MES", where=EvaluationFilter(not_at=at(3)))) == ["d1", "d5", "d9"]
    points = store.evaluations.list_points("the_MES", ["data_drift"], 9)["data_drift"]
    assert [point.time for point in points] == [None, *(at(day).text for day in (1, 3, 5, 9))]
    assert [point.moment for point in points][3:] == [at(5).start, at(9).start]


def test_a_name_means_the_newest_by_time_before_a_time_if_there_is_one(
    store: Store, make_evaluation: MakeEvaluation
) -> None:
    late, early = make_evaluation("n", time=at(9)), make_evaluation("n", time=at(1))
    for one in (late, early):
        store.evaluations.add(one)
    assert store.evaluations.find_by_name("the_MES", "n") == late
    assert store.evaluations.find_by_name("the_MES", "n", at(9)) == early
    assert store.evaluations.find_by_name("the_MES", "n", at(1)) == late  # named, though there is none before


def test_what_is_superseded_is_kept_but_found_only_where_it_is_asked_for(
    store: Store, make_evaluation: MakeEvaluation
) -> None:
    made = [make_evaluation(f"v{number}", time=at(1)) for number in range(3)]
    for one, other in zip(made, [None, *made], strict=False):
        store.evaluations.add(one, supersedes=other.id if other else None)
    kept = [replace(one, superseded_by=other.id) for one, other in pairwise(made)]
    assert store.evaluations.history("the_MES") == [made[2]]
    assert store.evaluations.history("the_MES", where=EvaluationFilter(superseded=True)) == [*kept, made[2]]
    assert store.evaluations.count("the_MES") == 1
    assert store.evaluations.find_ids("the_MES", "v0") == [made[0].id]
    assert len(store.evaluations.list_points("the_MES", ["data_drift"], 9)["data_drift"]) == 1


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=12), st.randoms())
def test_removals_leave_one_evaluation_of_each_time_in_the_history(
    made: list[tuple[int, bool]], chance: random.Random
) -> None:
    """Supersede and remove at random, and compare with a list of the versions of each time."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder)) as store:
        versions: dict[int, list[str]] = {0: [], 1: [], 2: []}
        for number, (day, removes) in enumerate(made):
            if removes and (known := [id_ for ids in versions.values() for id_ in ids]):
                chosen = chance.sample(known, chance.randint(1, len(known)))
                store.evaluations.remove_ids("s", chosen, by="ann@host")
                versions = {one: [id_ for id_ in ids if id_ not in chosen] for one, ids in versions.items()}
            one = Evaluation(
                f"e{number}", "s", "n", {}, NOON, Fingerprints("m", "d", "r", "p"), "0", "0", 1, 1, 1,
                {"m": MetricValue(1.0)}, time=at(day),
            )  # fmt: skip
            current = store.evaluations.find_newest("s", EvaluationFilter(at=at(day)))
            assert (current and current.id) == (versions[day][-1] if versions[day] else None)
            store.evaluations.add(one, supersedes=current.id if current else None)
            versions[day].append(one.id)
        live = [ids[-1] for ids in versions.values() if ids]
        assert [one.id for one in store.evaluations.history("s")] == live
        every = store.evaluations.history("s", where=EvaluationFilter(superseded=True))
        followers = {id_: heir for ids in versions.values() for id_, heir in zip(ids, [*ids, None][1:], strict=True)}
        assert {one.id: one.superseded_by for one in every} == followers


def test_a_plan_supposes_evaluations_at_their_place_in_time(store: Store, make_evaluation: MakeEvaluation) -> None:
    for day in (1, 3, 5):
        store.evaluations.add(make_evaluation(f"d{day}", time=at(day)))
    (third,) = store.evaluations.history("the_MES", where=EvaluationFilter(at=at(3)))
    with open_supposing(store.location) as plan:
        plan.evaluations.add(make_evaluation("d2", time=at(2)))
        plan.evaluations.add(make_evaluation("new d3", time=at(3)), supersedes=third.id)
        assert names(plan.evaluations.history("the_MES")) == ["d1", "d2", "new d3", "d5"]
        assert names(plan.evaluations.history("the_MES", 2)) == ["new d3", "d5"]
        assert names(plan.evaluations.history("the_MES", 2, where=EvaluationFilter(earlier_than=at(5)))) == [
            "d2",
            "new d3",
        ]
        assert names(plan.evaluations.history("the_MES", where=EvaluationFilter(at=at(3)))) == ["new d3"]
    assert names(store.evaluations.history("the_MES")) == ["d1", "d3", "d5"]

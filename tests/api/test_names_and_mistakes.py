"""Mistakes of a caller: each is answered in the words of the project, with what there is, and nothing is changed."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine
from engine.api.lookup import check_last, choose_id, unknown_name
from engine.errors import DataError, SpecError, UsageError
from engine.outcome import Outcome
from engine.store import match_ids

MISTAKES: dict[str, tuple[Callable[[engine.Project], Any], str]] = {
    "scenario": (lambda p: p.run("wacth"), "there is no scenario 'wacth'; did you mean 'watch'?"),
    "store": (lambda p: p.store("mse"), "there is no evaluation store 'mse'; did you mean 'mes'?"),
    "dataset as store": (
        lambda p: p.store("sales"),
        "'sales' is a dataset, but an evaluation store is needed: mes, rolling",
    ),
    "number as store": (lambda p: p.store(3), "there is no evaluation store 3; there are 'mes', 'rolling'"),
    "evaluation": (
        lambda p: p.store("mes").evaluation("w9"),
        "there is no evaluation 'w9'; there are 'w3', 'w2', 'w1'",
    ),
    "empty name": (lambda p: p.store("mes").evaluation(""), "there is no evaluation ''; there are 'w3', 'w2', 'w1'"),
    "number as evaluation": (
        lambda p: p.store("mes").evaluation(77),
        "there is no evaluation 77; there are 'w3', 'w2', 'w1'",
    ),
    "evaluation of metrics": (lambda p: p.store("mes").metrics("w9"), "there is no evaluation 'w9'"),
    "evaluation of columns": (lambda p: p.store("mes").columns("w9"), "there is no evaluation 'w9'"),
    "evaluation of checks": (lambda p: p.store("mes").checks("w9"), "there is no evaluation 'w9'"),
    "evaluation to check": (lambda p: p.store("mes").check("w9"), "there is no evaluation 'w9'"),
    "evaluation of a dataset": (
        lambda p: p.check("sales", "w1"),
        "'sales' is a dataset, not an evaluation store; it has no evaluation 'w1'",
    ),
    "reference": (lambda p: p.store("mes").compare("w1", "w9"), "there is no evaluation 'w9'"),
    "reference dataset": (
        lambda p: p.store("mes").compare("w1", "dataset:last_yaer"),
        "there is no dataset 'last_yaer'; did you mean 'last_year'?",
    ),
    "no model": (
        lambda p: p.store("mes").compare("w1", "model_test"),
        "evaluation store 'mes' has no model that the engine trained",
    ),
    "first": (lambda p: p.store("mes").compare("w1"), "there is no evaluation before 'w1'; give the reference"),
    "metric": (lambda p: p.store("mes").evaluations(["norht"]), "unknown metric 'norht'; did you mean \"north\"?"),
    "metric with a dot forgotten": (lambda p: p.store("mes").evaluations(["psi amount"]), 'did you mean "psi.amount"?'),
    "performance": (
        lambda p: p.store("mes").evaluations(["roc_auc"]),
        "roc_auc needs a model, but this store has none",
    ),
    "target": (lambda p: p.checks("slaes"), "there is no evaluation store or dataset 'slaes'; did you mean 'sales'?"),
    "target to mute": (
        lambda p: p.mute("slaes", "x", until=timedelta(days=1), reason="x"),
        "there is no evaluation store or dataset 'slaes'",
    ),
    "target to check": (lambda p: p.check("slaes"), "there is no evaluation store or dataset 'slaes'"),
    "run": (lambda p: p.log("nope"), "there is no run 'nope'; there are "),
    "past run": (lambda p: p.past_run("nope"), "there is no run 'nope'; there are "),
    "message": (lambda p: p.drop_messages("nope"), "there is no undelivered message 'nope'; there are none"),
    "message to send": (lambda p: p.retry_messages("nope"), "there is no undelivered message 'nope'"),
    "label": (
        lambda p: p.store("mes").select(labels={"yaer": "2026"}),
        "there is no label 'yaer'; did you mean 'year'?",
    ),
    "value of a label": (
        lambda p: p.store("mes").select(labels={"year": "2025"}),
        "there is no evaluation with label year = '2025'; did you mean '2026'?",
    ),
    "number as label": (
        lambda p: p.store("mes").select(labels={"year": 2026}),
        "there is no evaluation with label year = 2026; did you mean '2026'?",
    ),
    "name to select": (lambda p: p.store("mes").select("w1", "w9"), "there is no evaluation 'w9'"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered_with_what_there_is(shop: engine.Project, name: str) -> None:
    call, said = MISTAKES[name]
    with pytest.raises(UsageError) as raised:
        call(shop)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_mistake_in_removing_removes_nothing(shop_copy: engine.Project) -> None:
    store = shop_copy.store("mes")
    first = store.evaluation("w1")
    shop_copy.run("roll")
    foreign = shop_copy.store("rolling").evaluation()
    for wrong in ("w9", foreign):
        with pytest.raises(UsageError, match=r"there is no evaluation 'w9'|is not in evaluation store 'mes'"):
            store.remove("w1", wrong)
        with pytest.raises(UsageError):
            store.remove(first, wrong)
    assert store.evaluations().height == 3
    assert shop_copy.store("rolling").evaluations().height == 1
    assert store.removals() == []
    assert store.remove() == ()
    assert store.remove("w1", first) == (first.id,)
    with pytest.raises(UsageError, match=f"evaluation 'w1' \\({first.id}\\) is not in evaluation store 'mes'"):
        store.remove(first)
    assert [(one.name, one.evaluations) for one in store.removals()] == [("w1", (first.id,))]


def test_what_is_selected_meets_every_condition(shop: engine.Project) -> None:
    store = shop.store("mes")
    names = lambda found: [one.name for one in found]  # noqa: E731  (a name for it would be longer than it)
    assert names(store.select()) == ["w1", "w2", "w3"]
    assert names(store.select("w3", "w1")) == ["w1", "w3"]
    assert names(store.select(labels={"year": "2026"})) == ["w1", "w2", "w3"]
    assert names(store.select("w1", "w2", labels={"week": "w2"})) == ["w2"]
    assert names(store.select("w1", labels={"week": "w2"})) == []
    second = store.evaluation("w2")
    assert names(store.select(second.id.rpartition("-")[2])) == ["w2"]
    assert names(store.select(before=second.created)) == ["w1"]
    assert names(store.select(before=second.created.replace(tzinfo=None))) == ["w1"]
    assert names(store.select(before=datetime.now(UTC) + timedelta(days=1))) == ["w1", "w2", "w3"]
    assert names(store.select(before=datetime(2000, 1, 1, tzinfo=UTC))) == []
    assert all(not one.metrics for one in store.select())


def test_a_name_that_was_used_twice_is_the_newest_of_them(shop_copy: engine.Project) -> None:
    text = shop_copy.spec.path.read_text()
    shop_copy.spec.path.write_text(
        text.replace('evaluation: {name: "${week}", labels', 'evaluation: {name: "week", labels')
    )
    project = engine.load(shop_copy.spec.path)
    store = project.store("mes")
    shift = project.with_variables(week="w4")
    assert shift.run("watch").outcome is not Outcome.FAILED
    path = project.spec.folder / "w4.parquet"
    path.write_bytes((project.spec.folder / "last_year.parquet").read_bytes())
    shift.run("watch")
    both = store.select("week")
    assert len(both) == 2
    assert store.evaluation("week").id == both[-1].id == store.evaluation().id
    assert store.before("week").id == both[0].id
    assert store.evaluation(both[0].id).rows_read == 120
    assert store.remove("week") == tuple(one.id for one in both)


def test_mistakes_in_a_spec_are_all_reported_with_their_places(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("version: 1\nproject: p\ndatasets:\n  a: {pth: a.csv}\nevaluation_stores:\n  s: {dataset: b}\n")
    with pytest.raises(SpecError) as raised:
        engine.load(path)
    places = [(one.position.line, one.code) for one in raised.value.diagnostics]
    assert [line for line, _ in places] == sorted(line for line, _ in places)
    assert {line for line, _ in places} == {4, 6}
    assert str(raised.value).count(f"{path}:") == len(places)
    with pytest.raises(SpecError, match="this is a folder, not a file"):
        engine.load(tmp_path)
    with pytest.raises(SpecError, match='a value was given for the variable "week", but the spec does not declare it'):
        engine.load(path, {"week": "w1"})


def test_data_that_cannot_be_read_fail_the_step_and_raise_where_asked_directly(shop_copy: engine.Project) -> None:
    (shop_copy.spec.folder / "w1.parquet").write_bytes(b"no parquet")
    run = shop_copy.run("watch")
    assert run.outcome is Outcome.FAILED
    assert [step.outcome for step in run.steps] == [Outcome.FAILED, Outcome.SKIPPED]
    assert "w1.parquet" in run.steps[0].reason
    with pytest.raises(DataError, match=r"dataset 'sales'.*w1\.parquet"):
        shop_copy.check("sales")
    assert shop_copy.runs(last=1)["state"].to_list() == ["FAILED"]
    assert shop_copy.store("mes").evaluations().height == 3


def test_checking_a_store_without_evaluations_says_what_to_do(empty_shop: engine.Project) -> None:
    for call in (
        lambda: empty_shop.store("mes").check(),
        lambda: empty_shop.check("mes"),
        lambda: empty_shop.store("mes").evaluation(),
        lambda: empty_shop.store("mes").metrics(),
        lambda: empty_shop.store("mes").compare(),
        lambda: empty_shop.store("mes").before(),
    ):
        with pytest.raises(
            UsageError, match="evaluation store 'mes' has no evaluations yet: make one with `engine run`"
        ):
            call()
    with pytest.raises(UsageError, match="there is no evaluation 'w1'; there are none"):
        empty_shop.store("mes").select("w1")
    assert empty_shop.store("mes").select(labels={"any": "thing"}) == []


ids = st.lists(
    st.builds("20260101-{:06}-{:08x}".format, st.integers(0, 999_999), st.integers(0, 2**32 - 1)),
    max_size=8,
    unique=True,
)


def find_id(known: list[str], wanted: str) -> str:
    return choose_id("run", wanted, match_ids(known, wanted), lambda: known)


@given(ids, st.data())
def test_an_id_its_last_part_and_a_beginning_of_that_find_the_same(known: list[str], data: st.DataObject) -> None:
    for id_ in known:
        last = id_.rpartition("-")[2]
        alike = [other for other in known if other.endswith(last)]
        assert find_id(known, id_) == id_ or len(alike) > 1
        size = data.draw(st.integers(4, 8))
        begin = last[:size]
        same = [other for other in known if other.rpartition("-")[2].startswith(begin)]
        if len(same) == 1:
            assert find_id(known, begin) == id_
        elif begin != last:
            with pytest.raises(UsageError, match="the ids of several runs begin with"):
                find_id(known, begin)


@given(ids, st.integers(0, 3))
def test_a_few_letters_find_nothing_by_chance(known: list[str], size: int) -> None:
    for begin in {id_.rpartition("-")[2][:size] for id_ in known}:
        with pytest.raises(UsageError, match="there is no run"):
            find_id(known, begin)


@given(
    st.one_of(st.text(max_size=20), st.integers(), st.none()), st.lists(st.text(min_size=1, max_size=10), max_size=30)
)
def test_the_message_for_an_unknown_name_is_one_sentence_of_bounded_length(name: Any, known: list[str]) -> None:
    said = str(unknown_name("evaluation", name, known))
    assert said.startswith(f"there is no evaluation {name!r}; ")
    assert len(said) < 500


def test_a_number_of_rows_is_a_whole_number_from_zero() -> None:
    assert [check_last(last) for last in (None, 0, 7)] == [None, 0, 7]
    for wrong in (-1, 0.5, "3"):
        with pytest.raises(UsageError, match=f"last = {wrong!r} is not possible"):
            check_last(wrong)

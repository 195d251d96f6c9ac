"""Snapshots: what is written is read again, damage is noticed, older files are read, unions are those of the rows."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.evaluation.record import MetricValue
from engine.evaluation.snapshots.snapshot import AbsentColumn, DamagedSnapshot, Snapshot


def rows(seed: int, n: int = 300, shift: float = 0.0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "card": random.integers(0, n // 3, n),
            "x": random.normal(shift, 1, n),
            "kind": pl.Series(random.choice(["a", "b", "c"], n)).replace("c", None),
        }
    )


@pytest.fixture(scope="module")
def plain(observe) -> Snapshot:
    return observe(rows(0).drop("card")).as_reference()


@pytest.fixture(scope="module")
def full(observe) -> Snapshot:
    """A snapshot that has every part: an entity, predictions, performance."""
    by_card = observe(rows(0), entity="card").as_reference()
    guesses = rows(0).select(pl.when(pl.col("x") > 0).then(pl.lit("yes")).otherwise(pl.lit("no")).alias("prediction"))
    return replace(
        by_card,
        predictions=observe(guesses).as_reference().columns,
        performance={
            "accuracy": MetricValue(0.75, 0.7, 0.8),
            "f1": MetricValue(None, reason="no labels", counts_as_ok=True),
        },
        classes=("no", "yes"),
        scored_as=("no", "yes"),
    )


def save(snapshot: Snapshot, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    snapshot.save(folder)
    return folder


def facts_of(snapshot: Snapshot) -> dict[str, Any]:
    """Return all parts of a snapshot that can be compared with ==."""
    names = ("left_out", "entity", "performance", "absent", "unscored", "notes", "classes", "scored_as", "confidence")
    return {name: getattr(snapshot, name) for name in names} | {
        "sample": snapshot.sample.to_dict(as_series=False),
        "types": dict(snapshot.sample.schema),
        "rows": snapshot.columns.rows,
        "roles": snapshot.columns.roles,
        "known": snapshot.describe_known_columns(),
        "classes predicted": snapshot.list_predicted_classes(),
    }


def test_a_batch_compared_with_a_snapshot_that_was_read_again_has_the_same_evaluation(
    full: Snapshot, observe, evaluate, tmp_path: Path
) -> None:
    read = Snapshot.load(save(full, tmp_path / "it"))
    assert facts_of(read) == facts_of(full)
    now = observe(rows(1, shift=0.5), full, entity="card")
    now = replace(now, snapshot=replace(now.snapshot, predictions=full.predictions, performance=full.performance))
    assert evaluate(now, read) == evaluate(now, full)


def test_a_batch_that_was_read_again_has_the_same_evaluation(
    plain: Snapshot, observe, evaluate, tmp_path: Path
) -> None:
    now = observe(rows(1, shift=0.5), plain)
    read = replace(now, snapshot=Snapshot.load(save(now.snapshot, tmp_path / "it")))
    assert evaluate(read, plain) == evaluate(now, plain)


texts = st.text(max_size=20)
numbers = st.one_of(st.none(), st.floats(allow_nan=False))
metrics = st.builds(
    MetricValue, numbers, numbers, numbers, numbers, st.one_of(st.none(), texts), st.booleans(), st.booleans()
)
class_values = st.one_of(st.text(max_size=5), st.integers(-(2**40), 2**40), st.booleans())


@given(
    left_out=st.dictionaries(texts, texts, max_size=3),
    performance=st.dictionaries(texts, metrics, max_size=4),
    absent=st.dictionaries(
        texts, st.builds(AbsentColumn, st.sampled_from(["numerical", "categorical"]), texts, texts), max_size=3
    ),
    unscored=texts,
    notes=st.lists(texts, max_size=3).map(tuple),
    classes=st.one_of(st.none(), st.lists(class_values, max_size=4).map(tuple)),
    scored_as=st.lists(texts, max_size=3).map(tuple),
    confidence=st.one_of(st.none(), st.floats(0.5, 0.999)),
)
@settings(max_examples=60)
def test_whatever_a_snapshot_says_is_read_as_it_was_written(
    plain: Snapshot, tmp_path_factory: pytest.TempPathFactory, **said: Any
) -> None:
    snapshot = replace(plain, **said)
    read = Snapshot.load(save(snapshot, tmp_path_factory.getbasetemp() / "said"))
    assert facts_of(read) == facts_of(snapshot)
    assert [type(one) for one in read.classes or ()] == [type(one) for one in snapshot.classes or ()]


@pytest.fixture(scope="module")
def written(full: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(full, tmp_path_factory.mktemp("written") / "it")


FILES = ("columns.profile", "predictions.profile", "sample.parquet", "snapshot.json")


@given(name=st.sampled_from(FILES), place=st.floats(0, 1, exclude_max=True), other=st.integers(1, 255))
@settings(max_examples=80)
def test_one_changed_byte_is_noticed_wherever_it_is(
    written: Path, tmp_path_factory: pytest.TempPathFactory, name: str, place: float, other: int
) -> None:
    folder = tmp_path_factory.getbasetemp() / "changed"
    shutil.copytree(written, folder, dirs_exist_ok=True)
    content = bytearray((folder / name).read_bytes())
    content[int(place * len(content))] ^= other
    (folder / name).write_bytes(content)
    damage, read = None, None
    try:
        read = Snapshot.load(folder)
    except DamagedSnapshot as damaged:
        damage = damaged
    if read is None:
        assert str(damage).startswith(f"the kept statistics in {folder} are missing or damaged (")
    else:  # a space in place of another one, or an escape of the same letter: JSON that says the same
        assert name == "snapshot.json"
        assert json.loads(content) == json.loads((written / name).read_bytes())
        assert facts_of(read) == facts_of(Snapshot.load(written))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("fault", ["gone", "empty", "cut", "longer"])
def test_a_file_that_is_gone_or_of_another_length_is_noticed(
    written: Path, tmp_path: Path, name: str, fault: str
) -> None:
    folder = shutil.copytree(written, tmp_path / "it")
    content = (folder / name).read_bytes()
    if fault == "gone":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(
            {"empty": b"", "cut": content[: len(content) // 2], "longer": content + b"\0"}[fault]
        )
    with pytest.raises(DamagedSnapshot) as raised:
        Snapshot.load(folder)
    assert raised.value.folder == folder
    if fault != "gone" and name != "snapshot.json":
        assert raised.value.fault == f"{name} is not as it was written"


def test_files_of_another_snapshot_are_not_taken_for_its_own(written: Path, plain: Snapshot, tmp_path: Path) -> None:
    other = save(plain, tmp_path / "other")
    for name in ("columns.profile", "sample.parquet"):
        folder = shutil.copytree(written, tmp_path / name)
        shutil.copy(other / name, folder / name)
        with pytest.raises(DamagedSnapshot, match=f"{name} is not as it was written"):
            Snapshot.load(folder)


def test_an_edited_fact_is_noticed(written: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(written, tmp_path / "it")
    facts = json.loads((folder / "snapshot.json").read_text())
    facts["performance"]["accuracy"]["value"] = 0.99
    (folder / "snapshot.json").write_text(json.dumps(facts))
    with pytest.raises(DamagedSnapshot, match=r"snapshot\.json is not as it was written"):
        Snapshot.load(folder)


@pytest.mark.parametrize("content", ["[]", "null", "3", '{"left_out": {}}', "{", '"text"', '{"digest": 3}'])
def test_json_of_another_kind_is_damage_and_no_internal_error(written: Path, tmp_path: Path, content: str) -> None:
    folder = shutil.copytree(written, tmp_path / "it")
    (folder / "snapshot.json").write_text(content)
    with pytest.raises(DamagedSnapshot):
        Snapshot.load(folder)


def test_a_snapshot_of_an_earlier_version_is_read_with_what_it_has(full: Snapshot, tmp_path: Path) -> None:
    folder = save(full, tmp_path / "it")
    facts = json.loads((folder / "snapshot.json").read_text())
    for later in ("absent", "unscored", "notes", "classes", "scored_as", "confidence", "files", "digest"):
        del facts[later]
    for metric in facts["performance"].values():
        del metric["low"], metric["high"]
        metric["unlabelled"] = metric.pop("counts_as_ok")
    (folder / "snapshot.json").write_text(json.dumps(facts))
    read = Snapshot.load(folder)
    assert read.performance == {
        "accuracy": MetricValue(0.75),
        "f1": MetricValue(None, reason="no labels", counts_as_ok=True),
    }
    assert (read.absent, read.unscored, read.notes) == ({}, "", ())
    assert (read.classes, read.scored_as, read.confidence) == (None, (), None)
    assert read.list_predicted_classes() == ("no", "yes")
    assert read.sample.equals(full.sample)


def test_against_a_snapshot_without_intervals_a_change_has_none_and_says_why(full: Snapshot, observe, evaluate) -> None:
    older = replace(full, confidence=None, performance={"accuracy": MetricValue(0.75)})
    now = observe(rows(1), full, entity="card")
    now = replace(now, snapshot=replace(now.snapshot, performance={"accuracy": MetricValue(0.5, 0.4, 0.6)}))
    change = evaluate(now, older).metrics["performance_change.accuracy"]
    assert (change.value, change.low) == (-0.25, None)
    assert change.reason == "no interval: the reference was measured by an earlier version, without intervals"
    other = replace(full, confidence=0.9)
    change = evaluate(now, other).metrics["performance_change.accuracy"]
    assert (change.value, change.low) == (-0.25, None)
    assert change.reason == "no interval: that of the reference has another confidence, 0.9"
    assert evaluate(now, full).metrics["performance_change.accuracy"].low is not None


@given(sizes=st.lists(st.integers(1, 80), min_size=1, max_size=4), seed=st.integers(0, 99))
@settings(max_examples=12)
def test_a_union_has_the_statistics_of_all_rows_together(observe, evaluate, sizes: list[int], seed: int) -> None:
    frames = [rows(seed + at, 3 * n).drop("card") for at, n in enumerate(sizes)]
    reference = observe(frames[0]).as_reference()
    parts = [reference, *(observe(frame, reference).snapshot for frame in frames[1:])]
    united, whole = Snapshot.union(parts), observe(pl.concat(frames)).as_reference()
    assert united.columns.rows == whole.columns.rows == 3 * sum(sizes)
    assert united.sample.sort(pl.all()).equals(whole.sample.sort(pl.all()))
    now = observe(rows(1000, shift=0.3), whole)
    ours, theirs = evaluate(now, united).metrics, evaluate(now, whole).metrics
    assert ours.keys() == theirs.keys()
    for name, metric in theirs.items():
        if not name.startswith("data_drift"):  # the classifier draws its rows from a sample in another order
            expected = metric.value if metric.value is None else pytest.approx(metric.value, rel=1e-9, abs=1e-12)
            assert (ours[name].value, ours[name].reason) == (expected, metric.reason), name


@given(st.permutations(range(4)))
@settings(max_examples=8)
def test_the_order_of_the_parts_changes_no_number_of_a_comparison_with_them(
    observe, evaluate, order: list[int]
) -> None:
    reference = observe(rows(0).drop("card")).as_reference()
    parts = [observe(rows(seed, 60 + seed).drop("card"), reference).snapshot for seed in range(4)]
    now = observe(rows(9, shift=0.3).drop("card"), reference)
    shuffled = evaluate(now, Snapshot.union([parts[at] for at in order]))
    assert shuffled.metrics == evaluate(now, Snapshot.union(parts)).metrics


def test_a_union_averages_performance_by_labelled_rows(full: Snapshot, observe) -> None:
    def part(n: int, labelled: float, accuracy: float | None) -> Snapshot:
        metrics = {
            "labelled_share": MetricValue(labelled),
            "accuracy": MetricValue(accuracy, reason=None if accuracy is not None else "no labels"),
        }
        return replace(observe(rows(n, n), full, entity="card").snapshot, performance=metrics)

    united = Snapshot.union([part(300, 0.5, 0.8), part(600, 0.25, 0.6), part(900, 0.0, None)])
    assert united.performance["accuracy"].value == pytest.approx((150 * 0.8 + 150 * 0.6) / 300)
    assert united.performance["labelled_share"].value == pytest.approx(300 / 1800)
    nothing = Snapshot.union([part(300, 0.0, None), part(600, 0.0, None)])
    assert nothing.performance["accuracy"] == MetricValue(None, reason="no labels")


def test_a_column_that_not_every_part_has_is_reported_and_not_compared(observe, evaluate) -> None:
    first = observe(rows(0).drop("card")).as_reference()
    other = observe(rows(1).drop("card", "kind"), first).snapshot
    united = Snapshot.union([first, other])
    assert list(united.columns.columns) == ["x"]
    assert "kind" in united.absent
    metrics = evaluate(observe(rows(2), united), united).metrics
    assert metrics["drift.kind"].value is None
    assert str(metrics["drift.kind"].reason).startswith("the reference does not have it: ")


def test_parts_with_and_without_an_entity_unite_as_independent_rows(observe) -> None:
    by_card = observe(rows(0), entity="card").as_reference()
    without = observe(rows(1).drop("card"), by_card).snapshot
    united = Snapshot.union([by_card, without])
    assert united.entity is None
    assert united.columns.entities is None
    assert united.columns.rows == 600
    assert "card" not in united.sample.columns


def test_a_damaged_snapshot_of_a_batch_is_reported_when_it_is_compared(watch) -> None:
    from engine.errors import StoreError

    watched = watch(rows(0).drop("card"), rows(1).drop("card"))
    watched.evaluate(rows(2).drop("card"))
    for path in watched.folder.rglob("evaluations/*/columns.profile"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreError, match=r"columns\.profile is not as it was written.*mode: force") as raised:
        watched.store.compare()
    assert "evaluation '" in str(raised.value)
    assert watched.store.evaluations().height == 2

"""One column in two types: in reference and batch, in the training data and the batch, in the files of one dataset."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import engine
from engine.evaluation.record import Evaluation
from engine.outcome import Outcome
from engine.scenarios import scenario_selection, session
from engine.scenarios.session import CallResult
from engine.spec import load
from engine.store import Store

Spec = Callable[[str], Path]
Run = Callable[..., CallResult]

N = 600
WHOLE = pl.Series("c", np.random.default_rng(1).integers(0, 5, N))
FLAG = WHOLE < 2
CITY = pl.Series("c", np.random.default_rng(2).choice(["Bern", "Rome"], N))
DAY = pl.Series("c", [date(2024, 1, 1) + timedelta(days=int(i)) for i in WHOLE])
PRICE = WHOLE / 10
NOTHING = pl.Series("c", [None] * N)

SAME, CHANGED, GONE = (0.0, 0.0), (0.0, 1.0), (None, None)
UNREADABLE = (None, 1.0)
OTHER, OTHER_TYPE = ("drifts", 0.0), ("drifts", 1.0)

# by name: how the reference holds the column, how the batch does, the drift and type_changed that are right
PAIRS: dict[str, tuple[pl.Series, pl.Series | None, tuple[Any, Any]]] = {
    "whole_then_float": (WHOLE, WHOLE.cast(pl.Float64), SAME),
    "whole_then_missing": (WHOLE, WHOLE.cast(pl.Float64).set(pl.Series(range(N)) == 7, None), SAME),
    "float_then_whole": (WHOLE.cast(pl.Float64), WHOLE, SAME),
    "whole_then_decimal": (WHOLE, WHOLE.cast(pl.Decimal(10, 2)), SAME),
    "decimal_then_float32": (WHOLE.cast(pl.Decimal(10, 2)), WHOLE.cast(pl.Float32), SAME),
    "price_then_float32": (PRICE, PRICE.cast(pl.Float32), SAME),
    "float32_then_price": (PRICE.cast(pl.Float32), PRICE, SAME),
    "unsigned_then_int128": (WHOLE.cast(pl.UInt8), WHOLE.cast(pl.Int128), SAME),
    "whole_then_text": (WHOLE, WHOLE.cast(pl.String), CHANGED),
    "whole_then_words": (WHOLE, CITY, UNREADABLE),
    "whole_then_nothing": (WHOLE, NOTHING, OTHER),
    "whole_then_empty_text": (WHOLE, NOTHING.cast(pl.String), OTHER),
    "whole_then_date": (WHOLE, DAY, UNREADABLE),
    "whole_then_list": (WHOLE, WHOLE.reshape((N, 1)).cast(pl.List(pl.Int64)), UNREADABLE),
    "whole_then_extension": (WHOLE, WHOLE.ext.to(pl.Extension("my.count", pl.Int64())), SAME),
    "whole_then_gone": (WHOLE, None, GONE),
    "text_then_whole": (WHOLE.cast(pl.String), WHOLE, CHANGED),
    "text_then_enum": (CITY, CITY.cast(pl.Enum(["Rome", "Bern"])), SAME),
    "enum_then_categorical": (CITY.cast(pl.Enum(["Bern", "Rome"])), CITY.cast(pl.Categorical), SAME),
    "city_then_date": (CITY, DAY, OTHER_TYPE),
    "flag_then_whole": (FLAG, FLAG.cast(pl.Int64), SAME),
    "flag_then_float": (FLAG, FLAG.cast(pl.Float64), SAME),
    "flag_then_words": (FLAG, FLAG.cast(pl.String).str.to_titlecase(), CHANGED),
    "flag_then_count": (FLAG, WHOLE, OTHER_TYPE),
    "whole_then_flag": (FLAG.cast(pl.Int64), FLAG, SAME),
    "float_then_flag": (FLAG.cast(pl.Float64), FLAG, SAME),
    "count_then_flag": (WHOLE, FLAG, OTHER_TYPE),
}  # fmt: skip


def frames() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the reference and the batch: the same rows in other types, with a label."""
    label = pl.Series("label", (WHOLE >= 2).cast(pl.Int64))
    reference = pl.DataFrame([*(held.alias(name) for name, (held, _, _) in PAIRS.items()), label])
    batch = [held.alias(name) for name, (_, held, _) in PAIRS.items() if held is not None]
    return reference, pl.DataFrame([*batch, label.cast(pl.Float64)])


def evaluation(folder: Path, store: str = "drift") -> Evaluation:
    with Store.open(folder / ".engine" / "test") as opened:
        return opened.evaluations.get(opened.evaluations.history(store)[-1].id)


def judge(found: Evaluation, names: list[str]) -> dict[str, tuple[Any, Any]]:
    """Return drift and type_changed of each column; a drift above 0 is said to drift."""
    values = {
        name: (found.metrics[f"drift.{name}"].value, found.metrics[f"type_changed.{name}"].value) for name in names
    }
    return {name: ("drifts" if drift else drift, changed) for name, (drift, changed) in values.items()}


def test_a_column_in_two_types_is_compared_by_its_values(spec: Spec, run: Run, tmp_path: Path) -> None:
    spec("""
        datasets:
          old: {path: old.parquet}
          new: {path: new.parquet}
        evaluation_stores:
          drift: {dataset: new, reference: {kind: dataset, dataset: old}}
    """)
    reference, batch = frames()
    reference.write_parquet(tmp_path / "old.parquet")
    batch.write_parquet(tmp_path / "new.parquet")
    assert run().runs[0].outcome is Outcome.SUCCESS, run().runs[0].steps[0].reason
    found = evaluation(tmp_path)
    assert judge(found, list(PAIRS)) == {name: right for name, (_, _, right) in PAIRS.items()}
    assert found.metrics["data_drift"].value is not None
    assert all(any(f"'{name}'" in note for note in found.notes) for name, (*_, right) in PAIRS.items() if right[1] != 0)


MODEL = """
    datasets:
      old: {path: old.parquet}
      new: {path: new.parquet}
    models:
      m: {task: binary_classification, dataset: old, target: label, algorithm: decision_tree, test: {share: 0.5}}
    evaluation_stores:
      drift: {dataset: new, model: m, reference: {kind: dataset, dataset: old}, checks: {}}
"""


def test_a_model_scores_what_it_can_read(spec: Spec, run: Run, tmp_path: Path) -> None:
    spec(MODEL)
    reference, batch = frames()
    reference.write_parquet(tmp_path / "old.parquet")
    readable = [name for name, (*_, right) in PAIRS.items() if right[0] is not None]
    whole = [name for name in readable if PAIRS[name][2] in (SAME, CHANGED)]
    reference.select(*whole, "label").write_parquet(tmp_path / "old.parquet")
    batch.select(*whole, "label").write_parquet(tmp_path / "new.parquet")
    assert run().runs[0].outcome is Outcome.SUCCESS, run().runs[0].steps[0].reason
    found = evaluation(tmp_path)
    assert judge(found, whole) == {name: PAIRS[name][2] for name in whole}
    assert found.metrics["accuracy"].value == 1.0
    assert found.metrics["prediction_drift.drift"].value == 0.0
    assert found.metrics["labelled_share"].value == 1.0


@pytest.mark.parametrize("fault", ["gone", "unreadable"])
def test_a_feature_that_cannot_be_read_prevents_the_scores_and_not_the_report(
    fault: str, spec: Spec, run: Run, tmp_path: Path
) -> None:
    spec(MODEL.replace("checks: {}", "checks: {good: {metric: accuracy, min: 0.5}, same: {metric: drift.*, max: 0.1}}"))
    reference = pl.DataFrame([WHOLE.alias("a"), CITY.alias("b"), (WHOLE >= 2).cast(pl.Int64).alias("label")])
    reference.write_parquet(tmp_path / "old.parquet")
    batch = reference.drop("a") if fault == "gone" else reference.with_columns(a=pl.lit("many"))
    batch.write_parquet(tmp_path / "new.parquet")
    finished = run()
    assert finished.runs[0].steps[0].outcome is Outcome.SUCCESS, finished.runs[0].steps[0].reason
    found = evaluation(tmp_path)
    reason = {
        "gone": "dataset 'new' has no column 'a', which model 'm' needs",
        "unreadable": "column 'a' is text in dataset 'new', but integer in the training data of model 'm': "
        "row 1 holds 'many'; if it stands for a missing value, declare that where the data are read (csv: null_values)",
    }[fault]
    for metric in ("accuracy", "prediction_drift.drift", "performance_change.accuracy"):
        assert found.metrics[metric].value is None
        assert found.metrics[metric].failed
        assert reason in str(found.metrics[metric].reason)
    assert found.metrics["drift.b"].value == 0.0
    assert found.metrics["drift.a"].value is None
    assert found.metrics["labelled_share"].value == 1.0
    assert any(reason in note for note in found.notes)
    outcomes = {(check.check, check.metric): str(check.counts_as) for check in finished.runs[0].steps[1].checks}
    assert outcomes == {("good", "accuracy"): "ERROR", ("same", "drift.b"): "OK", ("same", "drift.a"): "WARNING"}


def test_a_column_that_is_back_is_compared_again(spec: Spec, run: Run, tmp_path: Path) -> None:
    text = """
        datasets:
          batch: {path: DAY.parquet}
        evaluation_stores:
          drift: {dataset: batch, reference: {kind: rolling, last: 1}}
    """
    whole = pl.DataFrame([WHOLE.alias("a"), CITY.alias("b")])
    for day, frame in (("mo", whole), ("tu", whole.drop("a")), ("we", whole), ("th", whole)):
        frame.write_parquet(tmp_path / f"{day}.parquet")
        spec(text.replace("DAY", day))
        if day == "th":  # the same rows again: other content makes it another batch
            pl.concat([frame, frame]).write_parquet(tmp_path / "th.parquet")
        if day == "we":
            pl.concat([frame, frame, frame]).write_parquet(tmp_path / "we.parquet")
        assert run().runs[0].outcome is Outcome.SUCCESS, run().runs[0].steps[0].reason
        found = evaluation(tmp_path).metrics["drift.a"]
        if day == "tu":
            assert (found.value, found.reason) == (None, "dataset 'batch' has no column 'a'")
        elif day == "we":
            assert found.value is None
            assert found.reason == "the reference does not have it: dataset 'batch' has no column 'a'"
        else:
            assert found.value == 0.0


def test_plan_tells_what_the_types_tell(spec: Spec, tmp_path: Path) -> None:
    spec("""
        datasets:
          old: {path: old.parquet}
          new: {path: new.parquet}
        evaluation_stores:
          drift:
            dataset: new
            reference: {kind: dataset, dataset: old}
            checks: {one: {metric: psi.a, max: 1}, other: {metric: drift.*, max: 1}}
    """)
    pl.DataFrame([WHOLE.alias("a"), WHOLE.alias("b"), FLAG.alias("c"), DAY.alias("day")]).write_parquet(
        tmp_path / "old.parquet"
    )
    new = [CITY.alias("b"), FLAG.cast(pl.Int8).alias("c"), WHOLE.alias("d"), NOTHING.cast(pl.String).alias("e")]
    pl.DataFrame(new).write_parquet(tmp_path / "new.parquet")
    project = load(tmp_path / "project.yaml", {}, environ={})
    plan = session.plan_scenarios(project, scenario_selection.select_scenarios(project))
    (action,) = [action for action in plan.all_actions() if action.kind == "evaluate"]
    assert action.notes == [
        "dataset 'new' has no column 'a', which the reference has: it is not compared",
        "column 'b' is text in dataset 'new', but integer in the reference",
        "column 'c' is integer in dataset 'new', but boolean in the reference",
        "the reference has no column 'd': it is not compared",
        "the reference has no column 'e': it is not compared",
    ]
    assert [str(finding.message) for finding in plan.findings] == [
        "dataset 'new' has no column 'a', so psi.a has no value"
    ]
    assert plan.exit_code == 0


def test_a_column_that_only_the_batch_has_is_reported(spec: Spec, run: Run, tmp_path: Path) -> None:
    spec("""
        datasets:
          old: {path: old.parquet}
          new: {path: new.parquet}
        evaluation_stores:
          drift: {dataset: new, reference: {kind: dataset, dataset: old}}
    """)
    pl.DataFrame([WHOLE.alias("a")]).write_parquet(tmp_path / "old.parquet")
    pl.DataFrame([WHOLE.alias("a"), CITY.alias("b")]).write_parquet(tmp_path / "new.parquet")
    assert run().runs[0].outcome is Outcome.SUCCESS
    assert evaluation(tmp_path).left_out == {"b": "the reference has no such column"}


def test_the_verb_compare_brings_rows_to_the_types_of_the_evaluation(spec: Spec, run: Run, tmp_path: Path) -> None:
    path = spec("""
        datasets:
          old: {path: old.parquet}
          new: {path: new.parquet}
        evaluation_stores:
          drift: {dataset: old, reference: {kind: rolling, last: 1}}
    """)
    whole = pl.DataFrame([WHOLE.alias("a"), FLAG.alias("b"), CITY.alias("c")])
    whole.write_parquet(tmp_path / "old.parquet")
    whole.with_columns(pl.col("a").cast(pl.String), pl.col("b").cast(pl.Float64)).drop("c").write_parquet(
        tmp_path / "new.parquet"
    )
    assert run().runs[0].outcome is Outcome.SUCCESS
    found = engine.load(path).store("drift").compare(reference="dataset:new")
    assert (found.metrics["drift.a"].value, found.metrics["drift.b"].value) == (0.0, 0.0)
    assert "column 'c' is not compared: it is not on both sides with the same role" in found.notes
    assert any("column 'a' is text in dataset 'new', but integer in the evaluation" in note for note in found.notes)


def test_a_missing_entity_column_makes_rows_independent_and_changes_nothing_else(
    spec: Spec, run: Run, tmp_path: Path
) -> None:
    spec("""
        datasets:
          old: {path: old.parquet, entity: card}
          new: {path: new.parquet}
        evaluation_stores:
          drift: {dataset: new, reference: {kind: dataset, dataset: old}}
    """)
    whole = pl.DataFrame([WHOLE.alias("a"), pl.Series("card", range(N)) % 90])
    whole.write_parquet(tmp_path / "old.parquet")
    whole.drop("card").write_parquet(tmp_path / "new.parquet")
    assert run().runs[0].outcome is Outcome.SUCCESS, run().runs[0].steps[0].reason
    found = evaluation(tmp_path)
    assert found.metrics["drift.a"].value == 0.0
    assert "the batch has no column 'card', the entity: p-values count every row as independent" in found.notes

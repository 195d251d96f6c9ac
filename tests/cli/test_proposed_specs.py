"""Whatever table `engine init` is given, the spec that it writes is valid, runs and says why."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engine import spec
from engine.errors import DataError, UsageError
from engine.spec.resources.models import ScoredModel, TrainModel
from engine.store import Store

from .init_proposals import N, plain, proposed, ran, text


def days(n: int = N) -> pl.Series:
    return pl.Series([date(2024, 1, 1) + timedelta(days=i * 90 // n) for i in range(n)])


def every(hours: int) -> pl.Series:
    return pl.Series([datetime(2024, 1, 1) + timedelta(hours=hours * i) for i in range(N)])


NAMES = [
    *("with space", "dot.ted", 'qu"ote', "it's", "ünïcödé 🎉", "${x}", "a${", "$${y}", "a*b", "#hash", "a: b", "- x"),
    *("true", "null", "123", "007", "1e3", "nl\nname", "tab\t", " lead", "{b}", "[l]", "&a", "%p", "@at", "back`tick"),
    *("back\\slash", "\u2028sep", "\ufeffbom", "\x07bell", "x" * 300, "2024-01-01", "on", "~", "row_count", "a/b", ""),
]


def every_type() -> pl.DataFrame:
    hours = pl.Series([datetime(2024, 1, 1) + timedelta(hours=i) for i in range(N)])
    return plain().with_columns(
        (pl.int_range(N) % 9).cast(pl.Int8).alias("i8"),
        pl.Series("u64", [2**63 + i for i in range(N)], pl.UInt64),
        (pl.int_range(N) % 7).cast(pl.Int128).alias("i128"),
        pl.Series("f32", range(N)).cast(pl.Float32),
        pl.Series("money", [Decimal(i) / 100 for i in range(N)], pl.Decimal(10, 2)),
        pl.Series("flag", [i % 3 == 0 for i in range(N)]),
        days().alias("day"),
        hours.alias("at"),
        hours.dt.replace_time_zone("Europe/Paris").alias("there"),
        pl.Series("took", [timedelta(seconds=i % 60) for i in range(N)]),
        pl.Series("clock", [time(i % 24) for i in range(N)]),
        pl.Series("category", ["a", "b", "c"] * (N // 3), pl.Categorical),
        pl.Series("level", ["low", "high"] * (N // 2), pl.Enum(["low", "high"])),
        pl.lit(None).alias("nothing"),
        pl.Series("list", [[1, 2]] * N),
        pl.Series("array", [[1, 2]] * N, pl.Array(pl.Int64, 2)),
        pl.Series("struct", [{"a": 1}] * N),
        pl.Series("bytes", [b"x"] * N),
    )


TABLES: dict[str, Callable[[], pl.DataFrame]] = {
    "names": lambda: pl.DataFrame({name: plain()["amount"] for name in NAMES}),
    "every type": every_type,
    "missing": lambda: plain().with_columns(
        half=pl.when(pl.int_range(pl.len()) % 2 == 0).then("amount"),
        few=pl.when(pl.int_range(pl.len()) % 50 == 0).then("items"),
        none=pl.lit(None, pl.Float64),
        no_text=pl.lit(None, pl.String),
        nan=pl.lit(float("nan")),
        infinite=pl.when(pl.int_range(pl.len()) % 3 == 0).then(float("inf")).otherwise("amount"),
    ),
    "constant": lambda: pl.DataFrame({"one": [1] * N, "text": ["a"] * N, "zero": [0.0] * N, "yes": [True] * N}),
    "one column": lambda: plain().select("amount"),
    "one row": lambda: plain(1),
    "two rows": lambda: plain(2),
    "200 columns": lambda: pl.DataFrame({f"c{i}": plain()["amount"] for i in range(200)}),
    "extremes": lambda: pl.DataFrame({"a": [1e308, -1e308] * 150, "b": [2**62] * N, "c": [5e-324] * N}),
}


@pytest.mark.parametrize("table", TABLES)
def test_any_table_gives_a_spec_that_runs(table: str, tmp_path: Path) -> None:
    (run,) = ran(proposed(tmp_path, TABLES[table]()))
    assert run.steps[0].outcome in ("SUCCESS", "WARNING")


def test_columns_without_values_or_a_key_do_not_warn_of_the_data_that_were_looked_at(tmp_path: Path) -> None:
    gaps = pl.when(pl.int_range(pl.len()) % 5 != 0).then("amount")
    frame = plain().with_columns(gaps.alias("no ${key}"), none=pl.lit(None, pl.Float64))
    (run,) = ran(proposed(tmp_path, frame))
    assert run.outcome == "SUCCESS"


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (plain(0), "has no rows"),
        (pl.DataFrame(), "has no rows"),
        (pl.DataFrame({"day": days()}), "there is no column to compare: day: a date"),
        (pl.DataFrame({"*": [1, 2]}), "for a pattern of columns"),
    ],
)
def test_a_table_without_anything_to_watch_is_refused(frame: pl.DataFrame, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        proposed(tmp_path, frame)
    assert not (tmp_path / "it is").exists()


SIMPLE: list[st.SearchStrategy[object]] = [
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 3),
    st.floats(),
    st.booleans(),
    st.text(max_size=5),
    st.sampled_from(["a", "b", ""]),
    st.dates(),
    st.datetimes(),
]


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    rows = draw(st.sampled_from([1, 2, 30, 60]))
    names = draw(
        st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), min_size=1, max_size=5, unique=True)
    )
    columns = {}
    for name in names:
        values = draw(st.sampled_from(SIMPLE))
        cells = draw(st.lists(values | st.none(), min_size=5, max_size=5))
        columns[name] = pl.Series([cells[i % 5] for i in range(rows)], strict=False)
    return pl.DataFrame(columns)


@pytest.mark.slow
@given(frames())
@example(pl.DataFrame({"lowest": [-1.7976931348623157e308] * 30}))
@example(pl.DataFrame({"infinite": [float("inf")]}))
@settings(max_examples=15, suppress_health_check=list(HealthCheck))
def test_any_frame_of_simple_types_gives_a_spec_that_runs(frame: pl.DataFrame) -> None:
    with TemporaryDirectory() as folder:
        try:
            project = proposed(Path(folder), frame)
        except DataError as refused:
            assert "no column to compare" in str(refused) or "for a pattern" in str(refused)  # noqa: PT017  (it may be raised)
        else:
            ran(project)


def test_ranges_come_from_the_data_and_say_so(tmp_path: Path) -> None:
    frame = plain().with_columns(
        days().cast(pl.String).alias("told"),
        gap=pl.when(pl.int_range(pl.len()) % 5 != 0).then("amount"),
        card_id=pl.int_range(N) % 40,
        **{"shop nr.": pl.int_range(N) % 40},
        shop_code=pl.int_range(N) % 3,
    )
    project = proposed(tmp_path, frame)
    columns = project.datasets["batch"].columns
    assert columns["shop"].type == "text"
    assert columns["items"].type == "integer"
    assert not any(column.required for column in columns.values())  # another batch may lack a value
    roles = {"card_id": "identifier", "shop nr.": "identifier", "shop_code": "categorical", "told": "ignore"}
    assert {name: column.role for name, column in columns.items() if column.role} == roles
    checks = yaml.safe_load(text(project))["datasets"]["batch"]["checks"]
    means = checks["means stay"]["except"]
    assert set(means) == {"mean.amount", "mean.items", "mean.gap"}
    mean, std = frame["amount"].mean(), frame["amount"].std()
    for bound in means["mean.amount"].values():
        assert 0.5 * std < abs(bound - mean) < 2 * std  # a batch of 30 rows is allowed more than half a deviation
    assert 0.3 < checks["values are there"]["except"]["missing_share.gap"]["soft_max"] < 0.8
    assert "# entity: card_id" in text(project)
    assert "20 % missing" in text(project)
    often = frame["shop"].value_counts().sort("count", descending=True)["shop"]
    assert f"# {', '.join(often)}\n" in text(project)
    (run,) = ran(project)
    assert run.outcome == "SUCCESS"  # the batch is the reference still


@pytest.mark.parametrize(
    ("times", "turns", "rows", "newest"),
    [
        (days(), 5, 113, 20),
        (every(5).set(pl.int_range(N, eager=True) % 10 == 0, None), 4, 119, 28),
        (every(1).dt.replace_time_zone("UTC"), 5, 108, 12),
        (pl.Series([str(day) for day in days()]), 5, 113, 20),
        (pl.Series([-5 + i // 30 for i in range(N)]), 4, 120, 30),
        (pl.Series(range(N)), 3, 101, 33),
        (pl.Series([date(2024, 1, 1)] * 299 + [date(9999, 12, 31)]), 1, 1, 1),
        (pl.Series([date(1, 1, 1) + timedelta(days=i) for i in range(N)]), 4, 119, 27),
    ],
)
def test_a_time_divides_the_rows(times: pl.Series, turns: int, rows: int, newest: int, tmp_path: Path) -> None:
    """The newer third of the rows, roughly, in turns of whole periods; `engine run` evaluates the newest."""
    name = 'a "day" of ${x}'
    project = proposed(tmp_path, plain().with_columns(times.alias(name)), time=name)
    (run,) = ran(project, "Look back")
    evaluated = [step.run.steps[0].metrics for step in run.steps if step.run]
    assert (len(run.steps), sum(metrics["row_count"] or 0 for metrics in evaluated)) == (turns, rows)
    assert all(f"drift.{name}" not in metrics for metrics in evaluated)
    (watched,) = ran(project)
    assert watched.steps[0].metrics["row_count"] == newest


def test_evaluations_of_two_newest_periods_are_not_named_alike(tmp_path: Path) -> None:
    project = proposed(tmp_path, plain().with_columns(days().alias("day")), time="day")
    for moment, more in ((date(2024, 4, 1), 0), (date(2024, 5, 1), 40)):
        rows = plain().with_columns((days() + timedelta(days=more)).alias("day"))
        rows.write_parquet(tmp_path / "data.parquet")
        ran(spec.load(project.path, as_of=moment))
    with Store.open(project.folder / ".engine" / project.name) as store:
        assert store.evaluations.list_names("monitor") == ["newest at 2024-05-01", "newest at 2024-04-01"]


@pytest.mark.parametrize(
    ("target", "task", "positive"),
    [
        (pl.int_range(N) % 3 // 2, "binary_classification", 1),
        (pl.int_range(N) % 3 == 0, "binary_classification", True),
        (pl.when(pl.int_range(N) % 5 > 0).then((pl.int_range(N) % 2).cast(pl.Float64)), "binary_classification", 1),
        (pl.Series(["fine"] * 4 + ["fraud"]).gather(pl.int_range(N) % 5), "binary_classification", "fraud"),
        (pl.Series(["a b", "no", '"q" ${x}']).gather(pl.int_range(N) % 3), "multiclass_classification", None),
        (pl.int_range(N) % 7, "multiclass_classification", None),
        (pl.col("amount") * 2 + 1, "regression", None),
        (pl.int_range(N) ** 2 % 211, "regression", None),
    ],
)
def test_a_target_gets_a_model_and_its_task(target: pl.Expr, task: str, positive: object, tmp_path: Path) -> None:
    frame = plain().with_columns(days().sort().alias("day")).with_columns(target.alias("my ${y}"))
    project = proposed(tmp_path, frame, target="my ${y}", **({"time": "day"} if positive else {}))
    model = project.models["model"]
    assert isinstance(model, TrainModel)
    assert (model.task, model.target, model.positive) == (task, "my ${y}", positive)
    runs = ran(project)
    found = [step.metrics for run in runs for step in run.all_steps() if step.kind == "build"]
    assert all(metrics["labelled_share"] for metrics in found)
    performance = "mae" if task == "regression" else "accuracy"
    assert all(metrics[performance] is not None for metrics in found)


SCORES = np.random.default_rng(1).random(N)

TRUE = (np.random.default_rng(2).random(N) < SCORES).astype(int)


@pytest.mark.parametrize(
    ("prediction", "target", "task", "probability"),
    [
        (SCORES, TRUE, "binary_classification", True),
        (pl.Series(SCORES).set(pl.Series(SCORES) > 0.9, None), TRUE, "binary_classification", True),
        ((SCORES > 0.5).astype(int), TRUE, "binary_classification", False),
        ((SCORES > 0.5).astype(float), TRUE, "binary_classification", False),
        (
            np.array(["no", "yes"])[(SCORES > 0.5).astype(int)],
            np.array(["no", "yes"])[TRUE],
            "binary_classification",
            False,
        ),
        (np.arange(N) % 3, np.arange(N) % 4, "multiclass_classification", False),
        (SCORES, SCORES + TRUE, "regression", False),
    ],
)
def test_a_prediction_is_watched_as_it_is(
    prediction: object, target: object, task: str, probability: bool, tmp_path: Path
) -> None:
    frame = plain().with_columns(pl.Series("said", prediction), pl.Series("true", target), days().alias("day"))
    project = proposed(tmp_path, frame, target="true", prediction="said", time="day")
    model = project.models["model"]
    assert isinstance(model, ScoredModel)
    assert (model.task, model.probability, model.prediction) == (
        (task, "said", None) if probability else (task, None, "said")
    )
    (run,) = ran(project)
    metrics = run.steps[0].metrics
    assert metrics["roc_auc" if probability else "mae" if task == "regression" else "accuracy"] is not None
    assert "drift.said" not in metrics


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"target": "amuont"}, "did you mean 'amount'"),
        ({"target": "one"}, "has only one distinct value"),
        ({"target": "day"}, "has type date; it must be"),
        ({"target": "rare"}, "too few values to train a model: 0 295 times, 1 5 times"),
        ({"target": "id"}, "text with 3,000 distinct values"),
        ({"target": "infinite"}, "infinite values"),
        ({"target": "flag", "time": "flag"}, "'flag' is given twice"),
        ({"target": "flag", "prediction": "shop"}, "holds '.', which is not a value of the target"),
        ({"target": "amount", "prediction": "shop"}, "is not a number"),
        ({"time": "amount"}, "has type number; --time needs"),
        ({"time": "shop"}, "are not dates such as"),
        ({"time": "constant_day"}, "cannot be split into earlier and later"),
    ],
)
def test_a_column_that_does_not_fit_is_refused(columns: dict[str, str], said: str, tmp_path: Path) -> None:
    n = 3000
    frame = plain(n).with_columns(
        one=pl.lit(1),
        day=days(n),
        rare=(pl.int_range(n) < 5).cast(int),
        id=pl.format("v{}", pl.int_range(n)),
        infinite=pl.when(pl.int_range(n) == 0).then(float("inf")).otherwise("amount"),
        flag=pl.int_range(n) % 2,
        constant_day=pl.lit(date(2024, 1, 1)),
    )
    with pytest.raises(UsageError, match=said.replace("295", "2,?995")):
        proposed(tmp_path, frame, **columns)
    assert not (tmp_path / "it is").exists()


def test_a_proposed_model_is_not_evaluated_on_its_training_rows(tmp_path: Path) -> None:
    """A forest that has learned noise by heart would seem perfect on the rows that it was trained on."""
    noise = plain(600).with_columns(pl.Series("y", np.random.default_rng(9).integers(0, 2, 600)))
    project = proposed(tmp_path, noise, target="y")
    (run,) = ran(project)
    assert (run.steps[0].metrics["roc_auc"] or 1) < 0.65
    assert run.steps[0].metrics["performance_change.roc_auc"] == 0
    assert "held out from training" in run.steps[0].reason


@pytest.mark.parametrize(
    ("classes", "columns", "named", "expected"),
    [
        (["prime card", "up.market", "x"], ["y_pred_proba_prime_card", "y_pred_proba_up_market", "y_pred_proba_x"],
         "y_pred", {"prime card": 0, "up.market": 1, "x": 2}),
        (["card", "prime_card", "x"], ["proba_card", "proba_prime_card", "proba_x"], "proba_x",
         {"card": 0, "prime_card": 1, "x": 2}),
        ([0, 1, 2], ["prob_0", "prob_1", "prob_2"], "y_pred", {"0": 0, "1": 1, "2": 2}),
        ([False, True], ["proba_false", "proba_true"], "y_pred", {"0": 0, "1": 1}),
        (["no", "yes"], ["prob_no", "prob_yes"], "prob_yes", {"no": 0, "yes": 1}),
        (["no", "yes"], ["other", "prob_yes"], "prob_yes", 1),
        (["no", "yes"], ["other", "y_pred_proba"], "y_pred", 1),
    ],
)  # fmt: skip
def test_probabilities_of_classes_are_found(
    classes: list[Any], columns: list[str], named: str, expected: Any, tmp_path: Path
) -> None:
    draw = np.random.default_rng(3)
    shares = draw.dirichlet([1.0] * len(classes), 1500)
    truth = [classes[draw.choice(len(classes), p=row)] for row in shares]
    said = [classes[i] for i in shares.argmax(axis=1)]
    frame = plain(1500).with_columns(
        pl.Series("true", truth),
        pl.Series("y_pred", said),
        *(pl.Series(c, shares[:, i]) for i, c in enumerate(columns)),
    )
    if "other" in columns:
        frame = frame.drop("other")
    model = proposed(tmp_path, frame, target="true", prediction=named).models["model"]
    assert isinstance(model, ScoredModel)
    wanted = {label: columns[i] for label, i in expected.items()} if isinstance(expected, dict) else columns[expected]
    assert model.probability == wanted
    assert model.prediction == (None if wanted == named else "y_pred")
    if model.positive is not None and "yes" in classes:
        assert model.positive == "yes"
    (run,) = ran(spec.load(tmp_path / "it is" / "project.yaml"))
    assert run.outcome == "SUCCESS"
    assert run.steps[0].metrics["accuracy"] is not None

"""Training: the held-out part, the columns, every algorithm, and what is refused."""

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from engine.data import Table
from engine.errors import ModelError
from engine.models import FittedModel, measure_performance, save_trained, score_frame, train_model
from engine.models.features import encode_frame
from engine.models.fitted_model import Predictions
from engine.models.split import split_held_out
from engine.models.versions.persistence import load_trained
from engine.spec.resources.datasets import Column
from engine.spec.resources.models import ALGORITHMS, TrainModel


def rows(n: int = 1500, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    amount, age = rng.normal(size=n), rng.integers(18, 90, n)
    shop = rng.choice(["food", "fuel", "toys"], n, p=[0.6, 0.3, 0.1])
    online = rng.random(n) < 0.4
    risk = amount + (shop == "toys") + 0.5 * online + rng.normal(0, 0.5, n)
    return pl.DataFrame(
        {
            "id": [f"row-{i}" for i in range(n)],
            "card": rng.integers(0, n // 6, n),
            "amount": pl.Series(np.where(rng.random(n) < 0.1, np.nan, amount)).fill_nan(None),
            "age": age,
            "shop": pl.Series(np.where(rng.random(n) < 0.05, "", shop)).replace("", None),
            "online": online,
            "wait": pl.Series(rng.integers(0, 1000, n)).cast(pl.Duration("ms")),
            "day": pl.Series(rng.integers(17000, 17100, n)).cast(pl.Int32).cast(pl.Date),
            "fraud": pl.Series(np.where(rng.random(n) < 0.2, -1, risk > 0.8)).replace(-1, None).cast(pl.Int64),
            "level": pl.Series(np.digitize(risk, [-0.5, 0.8])).replace_strict({0: "low", 1: "mid", 2: "high"}),
            "loss": risk,
        }
    )


TARGETS = {"binary_classification": "fraud", "multiclass_classification": "level", "regression": "loss"}


def spec(task: str = "binary_classification", algorithm: str = "hist_gradient_boosting", **more: object) -> TrainModel:
    others = [t for t in TARGETS.values() if t != TARGETS[task]]
    declared = {"task": task, "algorithm": algorithm, "target": TARGETS[task], "dataset": "rows"}
    if algorithm == "hist_gradient_boosting":
        declared["parameters"] = {"max_iter": 15}
    return TrainModel.model_validate(declared | {"features": {"exclude": others}} | more)


def table(frame: pl.DataFrame, entity: str | None = "card") -> Table:
    return Table("rows", frame.lazy(), "0" * 32, entity=entity)


@pytest.mark.parametrize(("algorithm", "task"), [(a, t) for a, tasks in ALGORITHMS.items() for t in tasks])
def test_every_algorithm_learns_is_saved_and_scores_the_same_in_batches(algorithm, task, tmp_path):
    few = {"n_estimators": 12} if algorithm in ("random_forest", "extra_trees") else {}
    declared = spec(task, algorithm, parameters=few)
    trained = train_model("m", declared, table(rows()))
    save_trained(trained, tmp_path)
    loaded = load_trained("m", declared, tmp_path, {})

    at_once = trained.model.score(trained.held_out)
    streamed = score_frame(loaded, trained.held_out.lazy(), ["card", declared.target], batch_rows=37)

    assert streamed.select(at_once.columns).equals(at_once)
    assert streamed["card"].equals(trained.held_out["card"])
    measured = measure_performance(loaded, streamed)
    better = {"regression": ("r2", 0.3)}.get(task, ("roc_auc", 0.65))
    assert measured.metrics[better[0]] > better[1]
    assert loaded.features == ("amount", "age", "shop", "online", "wait")
    assert loaded.importance == trained.model.importance
    assert sum(loaded.importance.values()) == pytest.approx(1)
    assert max(loaded.importance, key=loaded.importance.get) == "amount"
    assert loaded.left_out["day"].startswith("a date")
    assert loaded.left_out["id"].startswith("an identifier")
    facts = json.loads((tmp_path / "model.json").read_text())
    assert facts["details"]["versions"]["scikit-learn"]
    files = ["model.json", "model.skops", "probe.parquet", "test.parquet"]
    assert sorted(p.name for p in tmp_path.iterdir()) == files


@pytest.mark.parametrize("content", ["{}", "[]", '{"format": 1}', "not JSON"])
def test_a_damaged_model_json_is_said(content, tmp_path):
    declared = spec()
    save_trained(train_model("m", declared, table(rows())), tmp_path)
    (tmp_path / "model.json").write_text(content)
    with pytest.raises(ModelError, match=r"model m: .*(is damaged: train it again|cannot be read)"):
        load_trained("m", declared, tmp_path, {})


def test_what_skops_cannot_save_is_said(tmp_path):
    declared = spec(algorithm="hist_gradient_boosting", parameters={"early_stopping": True, "scoring": "accuracy"})
    trained = train_model("m", declared, table(rows()))
    with pytest.raises(ModelError, match="model m: skops cannot save an estimator with these parameters"):
        save_trained(trained, tmp_path)


def test_boosting_is_scikit_learns_on_the_encoded_rows():
    frame = rows().drop("level", "loss")
    model = train_model("m", spec(features={}, parameters={"max_iter": 20}, seed=3), table(frame)).model
    features = model.predictor.features
    read = frame.select("id", "amount", "age", "shop", "online", "wait", "day", "card", "fraud")
    training, held = split_held_out(read, target="fraud", entity="card", share=0.2, seed=0, where="m")
    training = training.drop_nulls("fraud")
    assert [f.role for f in features] == ["numerical", "numerical", "categorical", "numerical", "numerical"]
    assert features[2].categories == ("food", "fuel", "toys")
    twin = HistGradientBoostingClassifier(max_iter=20, early_stopping=False, random_state=3, categorical_features=[2])
    with threadpool_limits(limits=1):
        twin.fit(encode_frame(training, features, "m"), training["fraud"].to_numpy())
    theirs = twin.predict_proba(encode_frame(held, features, "m"))
    ours = model.score(held).select("probability_0", "probability_1").to_numpy()
    np.testing.assert_array_equal(ours, theirs)


@settings(max_examples=25)
@given(
    cards=st.lists(st.one_of(st.none(), st.integers(0, 30)), min_size=2, max_size=200),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 5),
)
def test_no_entity_is_on_both_sides_and_order_does_not_matter(cards, share, seed):
    frame = pl.DataFrame({"card": pl.Series(cards, dtype=pl.Int64), "x": [i % 7 for i in range(len(cards))], "y": 1.0})
    entities = frame["card"].n_unique() - (frame["card"].null_count() > 0) + frame["card"].null_count()
    chosen = {"target": "y", "entity": "card", "share": share, "seed": seed, "where": "m"}
    if entities < 2:
        with pytest.raises(ModelError, match="at least 2 values of the entity"):
            split_held_out(frame, **chosen)
        return
    training, held = split_held_out(frame, **chosen)
    assert training.height + held.height == frame.height
    assert training.height > 0
    assert held.height > 0
    assert not set(training["card"].drop_nulls()) & set(held["card"].drop_nulls())
    again = split_held_out(frame.sample(fraction=1, shuffle=True, seed=1), **chosen)
    assert training.equals(again[0])
    assert held.equals(again[1])


def test_equal_rows_are_divided_by_their_share():
    frame = pl.DataFrame({"x": [1] * 1000, "y": [0, 1] * 500})
    training, held = split_held_out(frame, target="y", entity=None, share=0.3, seed=0, where="m")
    assert (training.height, held.height) == (700, 300)
    assert 100 < held["y"].sum() < 200


def test_a_label_that_arrives_later_does_not_move_a_row():
    labelled = rows()
    unlabelled = labelled.with_columns(fraud=pl.lit(None, pl.Int64))
    chosen = {"target": "fraud", "entity": None, "share": 0.2, "seed": 0, "where": "m"}
    assert set(split_held_out(labelled, **chosen)[1]["id"]) == set(split_held_out(unlabelled, **chosen)[1]["id"])


@pytest.mark.parametrize("algorithm", ["hist_gradient_boosting", "random_forest", "logistic_regression"])
def test_the_same_rows_in_another_order_give_the_same_model(algorithm):
    frame = rows()
    few = {"n_estimators": 8} if algorithm == "random_forest" else {}
    first = train_model("m", spec(algorithm=algorithm, parameters=few), table(frame))
    second = train_model(
        "m", spec(algorithm=algorithm, parameters=few), table(frame.reverse().sample(fraction=1, shuffle=True))
    )
    assert first.held_out.equals(second.held_out)
    assert first.model.score(frame).equals(second.model.score(frame))
    assert first.model.importance == second.model.importance


def test_categories_stored_as_categorical_do_not_depend_on_order():
    frame = rows().with_columns(pl.col("shop").cast(pl.Categorical))
    first = train_model("m", spec(), table(frame))
    second = train_model("m", spec(), table(frame.reverse()))
    assert first.model.score(frame).equals(second.model.score(frame))


def test_unlabelled_rows_are_held_out_but_not_trained_on():
    trained = train_model("m", spec(), table(rows()))
    assert 0 < trained.held_out["fraud"].null_count() < trained.held_out.height
    assert trained.model.details["rows_unlabelled"] > 0
    assert any("without a target value were not used for training" in note for note in trained.notes)


def test_seed_of_the_test_part_changes_it():
    first, second = (train_model("m", spec(test={"seed": s}), table(rows())).held_out for s in (0, 1))
    assert set(first["card"]) != set(second["card"])


def test_unseen_categories_missing_values_and_infinities_are_scored():
    odd = {"amount": [float("inf"), float("-inf"), None, float("nan"), 1e300]}
    frame = pl.DataFrame(
        odd | {"age": [None, 20, 30, 40, 50], "shop": ["new", None, "food", "x", "y"], "online": [None, 1, 0, 1, 0]}
    ).with_columns(pl.col("online").cast(pl.Boolean), wait=pl.lit(None))
    for algorithm in ("hist_gradient_boosting", "extra_trees", "logistic_regression", "decision_tree"):
        few = {"n_estimators": 5} if algorithm == "extra_trees" else {}
        model = train_model("m", spec(algorithm=algorithm, parameters=few), table(rows())).model
        scored = model.score(frame)
        assert scored["probability_1"].is_finite().all()
        assert scored["prediction"].is_in([0, 1]).all()


def test_infinite_numbers_are_trained_on():
    frame = rows().with_columns(amount=pl.when(pl.col("age") > 85).then(float("inf")).otherwise("amount"))
    for algorithm in ("hist_gradient_boosting", "decision_tree", "logistic_regression"):
        model = train_model("m", spec(algorithm=algorithm), table(frame)).model
        assert model.score(frame)["probability_1"].is_between(0, 1).all()


def test_more_categories_than_boosting_takes_share_one_code():
    frame = rows(3000).with_columns(shop=pl.Series([f"shop-{i % 400}" for i in range(3000)]))
    model = train_model("m", spec(), table(frame)).model
    shop = next(f for f in model.predictor.features if f.name == "shop")
    assert len(shop.categories) == 254
    assert shop.others
    codes = encode_frame(frame.with_columns(shop=pl.lit("never seen")), [shop], "m")
    assert (codes == 254).all()


def test_declared_roles_decide():
    frame = rows()
    columns = {"age": Column(role="categorical"), "online": Column(role="ignore")}
    model = train_model("m", spec(), Table("rows", frame.lazy(), "0" * 32, entity="card", columns=columns)).model
    roles = {f.name: f.role for f in model.predictor.features}
    assert roles["age"] == "categorical"
    assert "online" not in roles


def test_columns_of_odd_types_are_left_out_with_a_reason():
    odd = rows().with_columns(
        tags=pl.concat_list("shop", "shop"),
        raw=pl.col("shop").cast(pl.Binary),
        at=pl.lit(None, pl.Time),
        pair=pl.struct("age", "shop"),
        empty=pl.lit(None),
        nan=pl.lit(float("nan")),
        price=pl.col("age").cast(pl.Decimal(10, 2)),
    )
    model = train_model("m", spec(), table(odd)).model
    assert set(model.left_out) == {"id", "day", "tags", "raw", "at", "pair", "empty", "nan"}
    assert "price" in model.features
    assert model.left_out["empty"] == model.left_out["nan"] == "every value is missing"


def test_text_classes_and_booleans_are_classes():
    frame = rows().with_columns(fraud=pl.col("fraud").cast(pl.Boolean))
    model = train_model("m", spec(positive=True), table(frame)).model
    assert (model.classes, model.positive) == ((False, True), True)
    assert train_model("m", spec(positive=0), table(rows())).model.positive == 0
    texts = rows().with_columns(fraud=pl.col("fraud").replace_strict({0: "no", 1: "yes"}, return_dtype=pl.String))
    model = train_model("m", spec(), table(texts)).model
    assert (model.classes, model.positive) == (("no", "yes"), "yes")
    assert model.score(texts)["prediction"].is_in(["no", "yes"]).all()


def test_threshold_and_positive_decide_what_is_predicted():
    low = train_model("m", spec(threshold=0.1), table(rows())).model
    scored = low.score(rows())
    assert ((scored["probability_1"] >= 0.1).cast(pl.Int64) == scored["prediction"]).all()
    zero = train_model("m", spec(threshold=0.1, positive=0), table(rows())).model.score(rows())
    assert ((zero["probability_0"] >= 0.1) == (zero["prediction"] == 0)).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"target": "fruad"}, "there is no column 'fruad', which the model names under target; did you mean 'fraud'?"),
        (
            {"features": {"exclude": ["amuont"]}},
            "there is no column 'amuont', which the model names under features: exclude; did you mean 'amount'?",
        ),
        (
            {"features": {"include": ["amount", "dya"]}},
            "there is no column 'dya', which the model names under features: include; did you mean 'day'?",
        ),
        ({"features": {"include": ["amount", "day"]}}, "column 'day' cannot be a feature: a date"),
        ({"features": {"include": ["day"], "exclude": ["day"]}}, "no column is left to be a feature"),
        ({"parameters": {"max_itre": 3}}, 'has no parameter "max_itre"; it has .*max_iter'),
        ({"parameters": {"random_state": 3}}, "use seed: instead"),
        ({"parameters": {"learning_rate": -1.0}}, "scikit-learn cannot fit the model: .*learning_rate"),
        ({"positive": "1x"}, "positive is '1x', but the classes are 0, 1"),
        ({"target": "age"}, "binary_classification needs 2 classes.*is the task multiclass_classification"),
        ({"target": "day"}, "is date; classes are text, numbers or booleans"),
        ({"task": "regression", "target": "shop"}, "regression needs a number as target"),
        ({"task": "multiclass_classification", "target": "id"}, "is the task regression"),
        ({"task": "regression", "algorithm": "logistic_regression"}, "logistic_regression cannot learn regression"),
    ],
)
def test_what_does_not_fit_is_refused_in_the_users_words(change, said):
    with pytest.raises(ModelError, match=said):
        train_model("fraud_model", spec(**change), table(rows()))


def test_a_target_without_labels_or_with_one_class_is_refused():
    with pytest.raises(ModelError, match="no training row has a value of the target"):
        train_model("m", spec(), table(rows().with_columns(fraud=pl.lit(None, pl.Int64))))
    with pytest.raises(ModelError, match="needs at least 2 classes"):
        train_model("m", spec(), table(rows().with_columns(fraud=1)))
    with pytest.raises(ModelError, match="is infinite in"):
        train_model("m", spec("regression"), table(rows().with_columns(loss=pl.lit(float("inf")))))


def test_scoring_names_the_column_that_is_missing_or_mistyped():
    model = train_model("m", spec(), table(rows())).model
    with pytest.raises(ModelError, match="model m: there is no column 'amount'"):
        score_frame(model, rows().drop("amount").lazy())
    text = rows().with_columns(pl.col("amount").cast(pl.String)).lazy()
    with pytest.raises(ModelError, match="column 'amount' is text, but was number when the model was trained"):
        score_frame(model, text)
    with pytest.raises(ModelError, match="there is no column 'labl'"):
        score_frame(model, rows().lazy(), ["labl"])
    assert score_frame(model, rows().limit(0).lazy(), ["fraud"]).height == 0


def test_an_integer_that_became_a_float_and_a_boolean_that_became_a_number_are_the_same():
    model = train_model("m", spec(), table(rows())).model
    other = rows().with_columns(pl.col("age").cast(pl.Float32), pl.col("online").cast(pl.Int8))
    assert model.score(other).equals(model.score(rows()))


def test_a_big_frame_is_scored_piece_by_piece(tmp_path):
    heights = []

    class Counting:
        columns = ("x",)

        def predict(self, frame):
            heights.append(frame.height)
            return Predictions(values=frame["x"])

    pl.DataFrame({"x": np.arange(500_000), "y": 0}).write_parquet(tmp_path / "big.parquet", row_group_size=100_000)
    model = FittedModel("m", "regression", "y", ("x",), Counting())
    scored = score_frame(model, pl.scan_parquet(tmp_path / "big.parquet"), ["y"], batch_rows=20_000)
    assert (scored["prediction"] == np.arange(500_000)).all()
    assert scored.columns == ["y", "prediction"]
    assert max(heights) <= 100_000
    assert len(heights) >= 5


def test_a_version_that_is_not_there_is_a_clear_error(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        load_trained("m", spec(), tmp_path, {})

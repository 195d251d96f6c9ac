"""Models of .skops files and of columns that are there already, through real specs, and what identifies them."""

import pickle
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import skops.io
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
from sklearn.svm import LinearSVC

from engine.data import InMemoryFileHashes, Table
from engine.errors import ModelError
from engine.models import (
    collect_model_facts,
    find_skops_file,
    fingerprint_fit,
    fingerprint_model,
    load_model,
    measure_performance,
    score_frame,
)
from engine.spec.resources.models import TrainModel

from .scored_project import FRAME, PYTHON, project, scored

SKOPS = """
    kind: skops
    task: binary_classification
    target: fraud
    path: model.skops
"""


def pipeline(*columns: str):
    encoder = make_column_transformer((OneHotEncoder(), ["shop"]), remainder="passthrough")
    return make_pipeline(encoder, LogisticRegression()).fit(FRAME.select(columns), FRAME["fraud"])


def test_a_skops_pipeline_scores_a_polars_frame_by_its_own_column_names(tmp_path):
    fitted = pipeline("shop", "amount")
    skops.io.dump(fitted, tmp_path / "model.skops")
    found = scored(tmp_path, SKOPS)
    theirs = fitted.predict_proba(FRAME.select("shop", "amount"))
    np.testing.assert_array_equal(found.select("probability_0", "probability_1").to_numpy(), theirs)
    assert found["prediction"].to_list() == fitted.predict(FRAME.select("shop", "amount")).tolist()
    loaded = load_model(project(tmp_path, SKOPS), "m", Table("batch", FRAME.lazy(), "0"))
    assert loaded.features == ("shop", "amount")
    assert (loaded.classes, loaded.positive, loaded.importance) == ((0, 1), 1, None)


def test_an_estimator_without_names_takes_those_of_include_and_may_lie_in_a_connection(tmp_path):
    (tmp_path / "files").mkdir()
    fitted = LinearSVC().fit(FRAME.select("amount", "p").to_numpy(), np.where(FRAME["fraud"].to_numpy(), "yes", "no"))
    skops.io.dump(fitted, tmp_path / "files" / "model.skops")
    declared = SKOPS + "    connection: store\n"
    with pytest.raises(ModelError, match="has no names of its columns"):
        scored(tmp_path, declared)
    with pytest.raises(ModelError, match="takes 2 columns, but features names 1"):
        scored(tmp_path, declared + "    features: {include: [amount]}\n")
    found = scored(tmp_path, declared + "    features: {include: [amount, p]}\n")
    assert found.columns == ["fraud", "prediction"]
    assert set(found["prediction"]) == {"yes", "no"}


def test_a_skops_regression(tmp_path):
    fitted = GradientBoostingRegressor(n_estimators=5).fit(FRAME.select("amount"), FRAME["p"])
    skops.io.dump(fitted, tmp_path / "model.skops")
    declared = SKOPS.replace("binary_classification", "regression")
    types = skops.io.get_untrusted_types(file=tmp_path / "model.skops")
    found = scored(tmp_path, declared + f"    allow: {types}\n")
    np.testing.assert_array_equal(found["prediction"].to_numpy(), fitted.predict(FRAME.select("amount")))
    with pytest.raises(
        ModelError, match=r"the task is binary_classification, but .* holds a GradientBoostingRegressor"
    ):
        scored(tmp_path, SKOPS + f"    allow: {types}\n")


class Harmful:
    """Touches a file wherever it is rebuilt."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (Path(self.path),))

    def __setstate__(self, state):
        Path(state["path"]).touch()


def harm(frame):
    raise AssertionError("this must never run")


@pytest.mark.parametrize("payload", ["class", "function", "step"])
def test_types_that_are_not_trusted_are_listed_and_nothing_is_loaded(tmp_path, payload):
    marker = tmp_path / "harmed"
    content = {
        "class": Harmful(str(marker)),
        "function": FunctionTransformer(harm),
        "step": make_pipeline(FunctionTransformer(harm), LogisticRegression()),
    }[payload]
    skops.io.dump(content, tmp_path / "model.skops")
    with pytest.raises(ModelError, match=r"types that are not trusted: .*add the types that you trust to allow"):
        scored(tmp_path, SKOPS)
    assert not marker.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a model", pickle.dumps(LogisticRegression())])
def test_a_pickle_or_garbage_called_skops_is_refused(tmp_path, content):
    (tmp_path / "model.skops").write_bytes(content)
    with pytest.raises(ModelError, match="is not a file that skops wrote"):
        scored(tmp_path, SKOPS)


def test_a_pickle_is_never_opened(tmp_path):
    marker = tmp_path / "harmed"
    (tmp_path / "model.skops").write_bytes(pickle.dumps(Harmful(str(marker))))
    with pytest.raises(ModelError):
        scored(tmp_path, SKOPS)
    assert not marker.exists()


def test_a_skops_file_that_is_not_there(tmp_path):
    with pytest.raises(ModelError, match=r"model m: .*model.skops cannot be read: No such file"):
        scored(tmp_path, SKOPS)


SCORED = """
    kind: scored
    task: binary_classification
    target: fraud
    {what}
"""


def test_a_probability_column_is_decided_at_the_threshold(tmp_path):
    declared = SCORED.format(what="probability: p\n    threshold: 0.35")
    found = scored(tmp_path, declared)
    assert (found["probability_1"] == FRAME["p"]).all()
    assert (found["prediction"] == (FRAME["p"] >= 0.35).cast(pl.Int64)).all()
    model = load_model(project(tmp_path, declared), "m", Table("batch", FRAME.lazy(), "0"))
    assert model.features == ("amount", "shop")
    assert measure_performance(model, found).metrics["roc_auc"] == 1


def test_prediction_columns_of_all_tasks(tmp_path):
    found = scored(tmp_path, SCORED.format(what="prediction: guess"), FRAME.with_columns(guess=1 - pl.col("fraud")))
    assert (found["prediction"] == 1 - FRAME["fraud"]).all()
    numbers = SCORED.format(what="prediction: amount").replace("binary_classification", "regression")
    assert (scored(tmp_path, numbers)["prediction"] == FRAME["amount"]).all()
    by_class = SCORED.format(what="probability: {0: q, 1: p}")
    found = scored(tmp_path, by_class, FRAME.with_columns(q=1 - pl.col("p")))
    assert (found["probability_0"] == 1 - FRAME["p"]).all()


def classes_of(folder: Path, what: str, labels: list[object], reference: tuple[object, ...] = ()):
    declared = project(folder, SCORED.format(what=what))
    frame = pl.DataFrame({"amount": [1.0] * len(labels), "p": [0.5] * len(labels), "fraud": labels})
    model = load_model(declared, "m", Table("batch", frame.lazy(), "0"), reference_classes=reference)
    return model.classes, model.positive, bool(model.undecided)


def test_a_batch_without_labels_has_the_classes_of_its_reference(tmp_path):
    probability, positive = "probability: p", "probability: p\n    positive: a"
    nobody: list[object] = [None, None]
    assert classes_of(tmp_path, probability, nobody, ("a", "b")) == (("a", "b"), "b", False)
    assert classes_of(tmp_path, probability, ["a", None], ("a", "b")) == (("a", "b"), "b", False)
    assert classes_of(tmp_path, probability, ["a", "c"], ("a", "b")) == (("a", "b"), "b", False)
    assert classes_of(tmp_path, positive, nobody, ("a", "b")) == (("a", "b"), "a", False)
    # Where the reference shows fewer than two, the batch completes them, and then the opposite of 0 or 1.
    assert classes_of(tmp_path, probability, ["b", None], ("a",)) == (("a", "b"), "b", False)
    assert classes_of(tmp_path, probability, [0, None]) == ((0, 1), 1, False)
    assert classes_of(tmp_path, probability, [1.0, None]) == ((0, 1), 1, False)
    assert classes_of(tmp_path, probability, [True, None]) == ((False, True), True, False)
    # Nothing tells the positive class yet.
    assert classes_of(tmp_path, probability, nobody) == ((0, 1), 1, True)
    assert classes_of(tmp_path, probability, ["a", None]) == (("a", "not a"), "not a", True)
    assert classes_of(tmp_path, positive, ["a", None]) == (("a", "not a"), "a", False)


def test_a_batch_without_labels_has_the_reason_that_its_labels_are_missing(tmp_path):
    nameless = FRAME.with_columns(fraud=pl.lit(None, pl.Int64))
    declared = SCORED.format(what="probability: p")
    model = load_model(project(tmp_path, declared), "m", Table("batch", nameless.lazy(), "0"))
    measured = measure_performance(model, score_frame(model, nameless.lazy(), ("fraud",)))
    assert measured.reasons["roc_auc"] == "no labels: no row has a value in the target column 'fraud'"
    assert measured.unlabelled


def test_an_estimator_fitted_with_the_target_as_a_feature_is_refused(tmp_path):
    skops.io.dump(LogisticRegression().fit(FRAME.select("amount", "fraud"), FRAME["fraud"]), tmp_path / "model.skops")
    with pytest.raises(ModelError, match="was fitted with 'fraud' as a feature, but that is the target"):
        scored(tmp_path, SKOPS)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("probability: amount", r"probability of row 2 is 2; a probability must be between 0 and 1"),
        ("probability: shop", "probability holds String, not numbers"),
        ("prediction: amount", "binary_classification needs 2 classes, but the data hold 7"),
        ("probability: pp", "there is no column 'pp'; did you mean 'p'?"),
        ("probability: {0: p, 1: p}", "the probabilities of row 1 add up to 0.2, not to 1"),
    ],
)
def test_columns_that_are_not_scores_are_refused(tmp_path, what, said):
    with pytest.raises(ModelError, match=said):
        scored(tmp_path, SCORED.format(what=what))


def test_a_trained_model_that_is_not_trained_yet(tmp_path):
    declared = "{kind: train, task: binary_classification, target: fraud, dataset: batch}"
    with pytest.raises(ModelError, match="model m is not trained yet: train it"):
        scored(tmp_path, declared)


def trained(**more: object) -> TrainModel:
    return TrainModel.model_validate({"task": "binary_classification", "target": "y", "dataset": "d"} | more)


def test_settings_that_change_the_fit_and_settings_that_do_not():
    data = Table("d", FRAME.lazy(), "a" * 32, entity="shop")
    first = fingerprint_fit(trained(), data)
    assert len(first) == 32
    for other in (
        trained(description="new words"),
        trained(threshold=0.9),
        trained(positive=0),
        trained(dataset="renamed"),
        trained(cost_matrix={"true_positive": 5}),
    ):
        assert fingerprint_fit(other, data) == first
    changes = [
        trained(algorithm="random_forest"),
        trained(parameters={"max_iter": 3}),
        trained(target="z"),
        trained(features={"exclude": ["p"]}),
        trained(test={"share": 0.3}),
        trained(test={"seed": 1}),
        trained(seed=1),
    ]
    assert len({first, *(fingerprint_fit(c, data) for c in changes)}) == 8
    assert fingerprint_fit(trained(), Table("d", FRAME.lazy(), "b" * 32, entity="shop")) != first
    assert fingerprint_fit(trained(), Table("d", FRAME.lazy(), "a" * 32)) != first


def test_threshold_and_positive_are_in_the_identity_of_the_scores(tmp_path):
    def identity(more: str = "", fit: str = "f") -> str:
        declared = "{kind: train, task: binary_classification, target: y, dataset: batch%s}"
        return fingerprint_model(
            collect_model_facts(project(tmp_path, declared % more), "m", InMemoryFileHashes(), fit)
        )

    same = identity()
    assert identity(", description: words") == same
    assert len({same, identity(", threshold: 0.9"), identity(", positive: 0"), identity(fit="g")}) == 4


def test_the_identity_of_files_functions_and_columns(tmp_path):
    opened = project(tmp_path, SKOPS)
    path = find_skops_file(opened, "m", opened.models["m"])
    path.write_bytes(b"one")
    one = fingerprint_model(collect_model_facts(opened, "m", InMemoryFileHashes()))
    path.write_bytes(b"two")
    assert fingerprint_model(collect_model_facts(opened, "m", InMemoryFileHashes())) != one
    path.unlink()
    with pytest.raises(ModelError, match="model m: there is no file"):
        fingerprint_model(collect_model_facts(opened, "m", InMemoryFileHashes()))

    function = project(tmp_path, PYTHON.format(task="regression"))
    (tmp_path / "scoring.py").write_text("def score(frame): return 1")
    before = fingerprint_model(collect_model_facts(function, "m", InMemoryFileHashes()))
    (tmp_path / "scoring.py").write_text("def score(frame): return 2")
    assert fingerprint_model(collect_model_facts(function, "m", InMemoryFileHashes())) != before

    columns = [project(tmp_path, SCORED.format(what=f"prediction: {c}")) for c in ("amount", "p")]
    assert len({fingerprint_model(collect_model_facts(c, "m", InMemoryFileHashes())) for c in columns}) == 2

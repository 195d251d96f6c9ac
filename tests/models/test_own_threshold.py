"""The predictions of an estimator are what its predict() says, unless the spec has a threshold."""

import numpy as np
import polars as pl
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from engine import spec
from engine.data import Table
from engine.errors import ModelError
from engine.models import FittedModel, load_model, score_frame

RANDOM = np.random.default_rng(0)
ROWS = pl.DataFrame({"x": RANDOM.normal(size=400), "y": RANDOM.normal(size=400)}).with_columns(
    t=pl.when(pl.col("x") + pl.Series(RANDOM.normal(size=400)) > 0).then(pl.lit("yes")).otherwise(pl.lit("no"))
)
X = ROWS.select("x", "y")


def fixed(**more):
    return FixedThresholdClassifier(LogisticRegression(), threshold=0.9, pos_label="yes", **more)


ESTIMATORS = {
    "a fixed threshold": (fixed(), "FixedThresholdClassifier with the threshold 0.9"),
    "a fixed threshold of the decision function": (
        fixed(response_method="decision_function"),
        "FixedThresholdClassifier with the threshold 0.9",
    ),
    "a tuned threshold": (
        TunedThresholdClassifierCV(LogisticRegression(), scoring="recall_macro"),
        "TunedThresholdClassifierCV with the threshold 0.",
    ),
    "in a pipeline": (
        make_pipeline(StandardScaler(), fixed()),
        "FixedThresholdClassifier with the threshold 0.9",
    ),
    "in a search": (
        GridSearchCV(make_pipeline(StandardScaler(), fixed()), {"fixedthresholdclassifier__threshold": [0.8]}, cv=2),
        "FixedThresholdClassifier with the threshold 0.8",
    ),
}


def loaded(folder, estimator, more: str = "", task: str = "binary_classification") -> FittedModel:
    skops.io.dump(estimator, folder / "m.skops")
    allowed = skops.io.get_untrusted_types(file=folder / "m.skops")
    (folder / "spec.yaml").write_text(
        "version: 1\nproject: p\nmodels:\n"
        f"  m: {{kind: skops, path: m.skops, task: {task}, target: t, allow: {allowed}, {more}}}\n"
    )
    return load_model(spec.load(folder / "spec.yaml"), "m", Table("batch", ROWS.lazy(), "0" * 32))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_estimator_itself_decides(name, tmp_path):
    unfitted, described = ESTIMATORS[name]
    estimator = unfitted.fit(X, ROWS["t"])
    model = loaded(tmp_path, estimator)
    scored = score_frame(model, ROWS.lazy(), ["t"], batch_rows=100)
    assert scored["prediction"].to_list() == estimator.predict(X).tolist()
    np.testing.assert_array_equal(
        scored.select("probability_0", "probability_1").to_numpy(), estimator.predict_proba(X)
    )
    usual = np.where(estimator.predict_proba(X)[:, 1] >= 0.5, "yes", "no")
    others = int((usual != estimator.predict(X)).sum())
    note = model.describe_decisions(scored)
    assert (note is None) == (others == 0)
    if note:
        assert described in note
        assert f"{others} of 400 predictions would be other ones" in note


def test_a_threshold_of_the_spec_replaces_that_of_the_estimator(tmp_path):
    estimator = fixed().fit(X, ROWS["t"])
    model = loaded(tmp_path, estimator, "threshold: 0.3")
    scored = model.score(ROWS)
    assert ((scored["prediction"] == "yes") == (scored["probability_1"] >= 0.3)).all()
    note = model.describe_decisions(scored)
    assert note is not None
    assert note.startswith("the threshold of the spec decides, 0.3, not that of the model: FixedThresholdClassifier")


def test_an_ordinary_estimator_says_nothing_of_thresholds(tmp_path):
    model = loaded(tmp_path, LogisticRegression().fit(X, ROWS["t"]))
    assert model.describe_decisions(model.score(ROWS)) is None


def test_a_threshold_without_probabilities_is_refused(tmp_path):
    model = loaded(tmp_path, LinearSVC().fit(X, ROWS["t"]), "threshold: 0.3")
    with pytest.raises(ModelError, match="gives no probabilities, so a threshold has no effect: remove threshold:"):
        model.score(ROWS)
    model = loaded(tmp_path, FixedThresholdClassifier(LinearSVC(), threshold=0.5, pos_label="yes").fit(X, ROWS["t"]))
    assert model.score(ROWS).columns == ["prediction"]
    assert model.score(ROWS)["prediction"].to_list() == model.predictor.estimator.predict(X).tolist()


def test_several_classes_are_decided_by_predict_too(tmp_path):
    target = np.digitize(ROWS["x"].to_numpy(), [-0.5, 0.5])
    estimator = OneVsRestClassifier(LogisticRegression()).fit(X, target)
    model = loaded(tmp_path, estimator, task="multiclass_classification")
    assert model.score(ROWS)["prediction"].to_list() == estimator.predict(X).tolist()

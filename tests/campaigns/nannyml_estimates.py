"""NannyML's side of estimates_peers.py, run by an interpreter that has NannyML; nothing of the engine is imported.

    python nannyml_estimates.py tables FOLDER      write the tables that NannyML ships
    python nannyml_estimates.py estimate TABLE     estimate on a table, a .parquet: CBPE, or DLE of a regression

A table is NAME.parquet (see drifting_tables.py for its columns) with NAME.json, which says what its columns are.
"""

import json
import logging
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import nannyml
import pandas as pd

METRICS = {
    "binary_classification": ["accuracy", "precision", "recall", "f1", "roc_auc", "average_precision"],
    "multiclass_classification": ["accuracy", "precision", "recall", "f1", "roc_auc"],
    "regression": ["mae", "mse", "rmse", "rmsle", "mape"],
}
SHIPPED: dict[str, dict[str, Any]] = {
    "car_loan": {"of": "synthetic_car_loan_dataset", "truth": "repaid", "chunk": 2500},
    "work_from_home": {"of": "synthetic_binary_classification_dataset", "truth": "work_home_actual", "chunk": 2500},
    "california": {"of": "modified_california_housing_dataset", "truth": "clf_target", "chunk": 600},
    "census": {
        "of": "us_census_ma_employment_data",
        "truth": "employed",
        "predicted": "prediction",
        "score": "predicted_probability",
        "chunk": 5000,
    },
    "credit_cards": {
        "of": "synthetic_multiclass_classification_dataset",
        "truth": "y_true",
        "classes": ["highstreet_card", "prepaid_card", "upmarket_card"],
        "chunk": 3000,
    },
    "car_price": {"of": "synthetic_car_price_dataset", "truth": "y_true", "task": "regression", "chunk": 3000},
}
NO_FEATURES = {"id", "timestamp", "period", "year", "part", "truth", "predicted"}


def write_tables(folder: Path) -> None:
    """Write the tables that NannyML ships with predictions, and the Titanic's passengers, who have none."""
    for name, about in SHIPPED.items():
        reference, analysis, truth = getattr(nannyml, f"load_{about['of']}")()
        analysis = analysis.merge(truth, on="id", validate="one_to_one")
        raw = pd.concat([reference.assign(part="reference"), analysis.assign(part="analysis")], ignore_index=True)
        raw = raw.rename(columns={about.get("predicted", "y_pred"): "predicted", about["truth"]: "truth"})
        classes, task = about.get("classes"), about.get("task", "binary_classification")
        if classes:
            task = "multiclass_classification"
            raw = raw.rename(columns={f"y_pred_proba_{one}": f"score_{i}" for i, one in enumerate(classes)})
            for column in ("predicted", "truth"):
                raw[column] = raw[column].map(classes.index)
        elif task == "binary_classification":
            raw["score_1"] = raw.pop(about.get("score", "y_pred_proba"))
            raw["score_0"] = 1 - raw["score_1"]
        features = [one for one in raw.columns if one not in NO_FEATURES and not one.startswith("score_")]
        for column in features:
            if raw[column].dtype.name in ("object", "category", "bool"):
                raw[column] = raw[column].astype(str)
        raw.drop(columns=NO_FEATURES & set(raw.columns) - {"part", "truth", "predicted"}).to_parquet(
            folder / f"{name}.parquet"
        )
        facts = {"task": task, "features": features, "chunk": about["chunk"]}
        (folder / f"{name}.json").write_text(json.dumps(facts))
    reference, analysis, truth = nannyml.load_titanic_dataset()
    people = pd.concat([reference, analysis.merge(truth, on="PassengerId", validate="one_to_one")])
    people[["Pclass", "Sex", "Age", "SibSp", "Parch", "Fare", "Embarked", "Survived"]].to_parquet(
        folder / "titanic.passengers"
    )


def estimate_table(path: Path) -> None:
    """Estimate each chunk of a table; print what was found as one line of JSON."""
    facts = json.loads(path.with_suffix(".json").read_text())
    frame = pd.read_parquet(path)
    task, metrics = facts["task"], METRICS[facts["task"]]
    common = {"y_true": "truth", "y_pred": "predicted", "chunk_size": facts["chunk"]}
    started = time.perf_counter()
    if task == "regression":
        undefined = {"mape"} if (frame["truth"] == 0).any() else set()  # a relative error is infinite there
        undefined |= {"rmsle"} if (frame[["truth", "predicted"]] <= -1).any(axis=None) else set()
        metrics = [metric for metric in metrics if metric not in undefined]
        estimator = nannyml.DLE(metrics=metrics, feature_column_names=facts["features"], **common)
    else:
        classes = sum(name.startswith("score_") for name in frame.columns)
        scores: Any = {i: f"score_{i}" for i in range(classes)} if classes > 2 else "score_1"
        kind = f"classification_{task.removesuffix('_classification')}"
        estimator = nannyml.CBPE(metrics=metrics, y_pred_proba=scores, problem_type=kind, **common)
    estimator.fit(frame[frame["part"] == "reference"].reset_index(drop=True))
    analysis = frame[frame["part"] == "analysis"].reset_index(drop=True)
    result = estimator.estimate(analysis).filter(period="analysis").data
    seconds = time.perf_counter() - started
    columns = {"estimated": "value", "realised": "realized", "standard_error": "sampling_error"}
    found = [
        {"chunk": chunk, "metric": metric}
        | {ours: float(result[metric, theirs].iloc[chunk]) for ours, theirs in columns.items()}
        for chunk in range(len(analysis) // facts["chunk"])
        for metric in metrics
    ]
    print(json.dumps({"version": nannyml.__version__, "estimates": found, "seconds": seconds}))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    {"tables": write_tables, "estimate": estimate_table}[sys.argv[1]](Path(sys.argv[2]))

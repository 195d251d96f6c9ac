"""The metrics of a batch that need no labels: drift of the whole batch, of columns, of predictions, and in segments."""

from collections.abc import Iterable
from typing import Any

from engine.spec.metrics.dataset_metrics import MOMENTS
from engine.spec.metrics.definition import ALL_ROLES, ALL_TASKS, CATEGORICAL_ROLE, NUMERICAL_ROLE, MetricDefinition


def define_batch_metrics() -> Iterable[MetricDefinition]:
    def store(name: str, text: str, **rest: Any) -> MetricDefinition:
        return MetricDefinition(name, "store", text, low=0, high=1)._replace(**rest)

    yield store("row_count", "Number of rows of the batch.", high=None)
    yield store(
        "repeated_data",
        "1 if the batch has exactly the same data as that of another `time`, for example because a feed has stopped, "
        "or probably the same rows, else 0. Only in stores whose evaluations have a `time`.",
        worse="higher",
        neutral=0,
    )
    yield store("labelled_share", "Share of the rows with a known true value.", worse="lower", tasks=ALL_TASKS)
    yield store(
        "labelled_drift",
        "Drift of the predictions between rows with and rows without a true value; 0 if not significant. If it is "
        "large, the measured performance may not apply to all rows.",
        worse="higher",
        neutral=0,
        tasks=ALL_TASKS,
    )
    yield store(
        "prediction_missing_share",
        "Share of the rows without a prediction, or without one of its probabilities.",
        worse="higher",
        tasks=ALL_TASKS,
    )
    yield store(
        "data_drift",
        "Accuracy, on held-out rows, of a classifier that separates batch and reference: 0.5 means no drift, 1 "
        "complete drift.",
        worse="higher",
        neutral=0.5,
        interval=True,
    )
    yield store(
        "data_drift_low",
        "One-sided lower confidence bound of data_drift (Clopper & Pearson 1934); use it in range checks. At least 2 * "
        "data_drift_low - 1 of the probability mass differs (Lopez-Paz & Oquab 2017).",
        worse="higher",
        neutral=0.5,
    )
    yield store("data_drift_auc", "Area under the ROC curve of the same classifier.", worse="higher", neutral=0.5)
    yield store(
        "data_drift_p",
        "One-sided p-value of data_drift, adjusted for the number of tests (Holm 1979): those of all columns, of "
        "data_drift and of predictions. Counts entities instead of rows if the dataset declares them.",
        worse="lower",
    )
    yield store(
        "data_drift_significant",
        "1 if data_drift_p is below 1 - confidence, else 0. In large batches any difference is significant: check "
        "data_drift_low instead.",
        worse="higher",
        neutral=0,
    )
    yield store("drifted_columns", "Number of columns whose drift is >= 0.1.", high=None, worse="higher", neutral=0)
    yield store("drifted_share", "Share of columns whose drift is >= 0.1.", worse="higher", neutral=0)


def define_drift_metrics() -> Iterable[MetricDefinition]:
    def distance(name: str, text: str, roles: tuple[str, ...] = ALL_ROLES, high: float | None = 1) -> MetricDefinition:
        return MetricDefinition(name, "store", text, "column", 0, high, "higher", 0, roles=roles)

    def p_value(name: str, text: str, roles: tuple[str, ...] = ALL_ROLES) -> MetricDefinition:
        return MetricDefinition(name, "store", text, "column", 0, 1, "lower", roles=roles)

    yield distance(
        "drift",
        "Jensen-Shannon distance in excess of chance; 0 if not significant. It has no value, which counts as OK, if "
        "there are too few rows for a verdict. Use it in checks of columns.",
    )
    yield distance(
        "drift_low",
        "One-sided lower bound of drift at `confidence`; 0 if drift is not significant. Use it in checks of small "
        "batches, where drift is overestimated if it is significant.",
    )
    yield p_value(
        "drift_p",
        "p-value of drift, adjusted for the number of tests (Holm 1979): those of all columns, of data_drift and of "
        "predictions.",
    )
    yield distance("ks", "Two-sample Kolmogorov-Smirnov distance, exact, also with tied values.", NUMERICAL_ROLE)
    yield p_value("ks_p", "p-value of ks, two-sided.", NUMERICAL_ROLE)
    yield distance("wasserstein", "Wasserstein distance W1, in the column's unit.", NUMERICAL_ROLE, None)
    yield distance(
        "wasserstein_normed", "wasserstein divided by the standard deviation of the reference.", NUMERICAL_ROLE, None
    )
    yield distance(
        "psi",
        "Population stability index; a count of 0 counts as 0.5 if the other side has rows in the bin.",
        high=None,
    )
    yield distance("js", "Jensen-Shannon distance, base 2 (Lin 1991).")
    yield distance("hellinger", "Hellinger distance.")
    yield distance("total_variation", "Total variation distance: half the sum of absolute differences.")
    yield distance(
        "chi2", "Pearson's chi-squared statistic of the table of counts, uncorrected (no Yates).", high=None
    )._replace(neutral=None)
    yield p_value("chi2_p", "p-value of chi2, asymptotic and uncorrected (no Yates).")
    yield distance("l_infinity", "Largest difference in the share of a category.", CATEGORICAL_ROLE)
    yield distance("cramers_v", "Cramér's V, bias-corrected (Bergsma 2013).", CATEGORICAL_ROLE)
    yield distance(
        "unseen_share", "Share of the rows of the batch with a category that is not in the reference.", CATEGORICAL_ROLE
    )


def define_column_metrics() -> Iterable[MetricDefinition]:
    share = MetricDefinition(
        "missing_share", "store", "Share of missing values in the batch.", "column", 0, 1, roles=ALL_ROLES
    )
    yield share._replace(worse="higher")
    yield share._replace(name="reference_missing_share", description="Share of missing values in the reference.")
    yield share._replace(
        name="missing_share_change",
        description="missing_share minus reference_missing_share.",
        low=-1,
        worse="higher",
        neutral=0,
    )
    yield share._replace(
        name="type_changed",
        description="1 if the column has another family of types in the batch, such as text instead of numbers, else "
        "0. Integers and decimals are one family.",
        worse="higher",
        neutral=0,
    )
    for name, text, low in MOMENTS:
        moment = MetricDefinition(
            name, "store", f"Batch: {text[0].lower()}{text[1:]}", "column", low, roles=NUMERICAL_ROLE
        )
        yield moment
        yield moment._replace(name=f"reference_{name}", description=moment.description.replace("Batch", "Reference"))


def define_prediction_metrics() -> Iterable[MetricDefinition]:
    yield MetricDefinition(
        "prediction_drift",
        "store",
        "A column statistic of the predicted class, probability or value: prediction_drift.psi.",
        "statistic",
        tasks=ALL_TASKS,
    )
    share = MetricDefinition("predicted_share", "store", "", "class", 0, 1, tasks=ALL_TASKS)
    of = "predicted as the class (regression: in decile 1..10 of the reference)"
    yield share._replace(description=f"Share of the batch's rows {of}.")
    yield share._replace(name="reference_predicted_share", description=f"Share of the reference's rows {of}.")
    yield share._replace(
        name="fugacity",
        description="Relative change of the predicted share: (batch - reference) / reference.",
        low=-1,
        high=None,
        neutral=0,
    )


def define_segment_metrics() -> Iterable[MetricDefinition]:
    yield MetricDefinition(
        "segment_drift",
        "store",
        "Only in segments: the largest drift of the columns and predictions of the segment; 0 if none is significant, "
        "adjusted for all tests of the evaluation. Its p-value is the smallest of theirs.",
        low=0,
        high=1,
        worse="higher",
        neutral=0,
    )
    yield MetricDefinition(
        "found_segments",
        "store",
        "Only with `find_segments`: number of groups found whose columns drifted, or whose performance fell, more than "
        "those of all rows.",
        low=0,
        worse="higher",
        neutral=0,
    )

"""The performance metrics: measured with labels, estimated without labels, and of a challenger."""

from collections.abc import Iterable
from typing import Literal

from engine.spec.metrics.definition import (
    ALL_TASKS,
    BINARY,
    CLASSIFICATION_TASKS,
    MULTICLASS,
    REGRESSION,
    MetricDefinition,
)


def define_performance_metrics() -> Iterable[MetricDefinition]:
    def metric(
        name: str,
        text: str,
        tasks: tuple[str, ...] = CLASSIFICATION_TASKS,
        worse: Literal["higher", "lower"] = "lower",
    ) -> MetricDefinition:
        return MetricDefinition(
            name, "store", text, low=0, high=1, worse=worse, tasks=tasks, labels=True, interval=True
        )

    binary, multiclass, regression = (BINARY,), (MULTICLASS,), (REGRESSION,)
    yield metric("accuracy", "Share of correct predictions.")
    for name, text in (
        ("precision", "Share of true positives among predicted positives"),
        ("recall", "Share of true positives among actual positives"),
        ("f1", "Harmonic mean of precision and recall"),
    ):
        yield metric(name, f"{text}; multiclass: macro mean.")
        yield metric(f"{name}_weighted", f"{text}; mean weighted by the frequency of the classes.", multiclass)
    yield metric("roc_auc", "Area under the ROC curve; multiclass: one-vs-rest, macro mean.")
    yield metric(
        "roc_auc_weighted",
        "Area under the ROC curve, one-vs-rest, weighted by the frequency of the classes.",
        multiclass,
    )
    yield metric("average_precision", "Area under the precision-recall curve, as a step function.", binary)
    yield metric("log_loss", "Mean negative log-likelihood, natural logarithm.", worse="higher")._replace(high=None)
    yield metric(
        "brier", "Mean squared difference between probability and truth (Brier 1950).", worse="higher"
    )._replace(high=2)
    yield metric(
        "calibration_error",
        "Expected calibration error: mean difference between confidence and frequency.",
        worse="higher",
    )
    yield metric("mcc", "Matthews correlation coefficient.")._replace(low=-1)
    yield metric("hamming_loss", "Share of wrong predictions.", worse="higher")
    yield metric(
        "lift",
        "Share of positives in the tenth of rows with the highest probability, divided by the share in all rows.",
        binary,
    )._replace(high=None)
    yield metric("cost_matrix_gain", "Mean gain per row by the cost matrix.", binary)._replace(low=None, high=None)
    for name, text in (
        ("mae", "Mean absolute error."),
        ("mse", "Mean squared error."),
        ("rmse", "Root of the mean squared error."),
        ("rmsle", "Root of the mean squared error of log(1 + value)."),
        ("mape", "Mean absolute error relative to the truth."),
    ):
        yield metric(name, text, regression, "higher")._replace(high=None)
    yield metric("r2", "Coefficient of determination. A bias of the predictions lowers it.", regression)._replace(
        low=None
    )
    yield metric(
        "explained_variance",
        "Share of the variance explained. A bias of the predictions does not change it.",
        regression,
    )._replace(low=None)
    yield metric("pearson", "Pearson correlation between prediction and truth.", regression)._replace(low=-1)


def define_change_metrics() -> Iterable[MetricDefinition]:
    change = MetricDefinition(
        "performance_change", "store", "", "performance", neutral=0, tasks=ALL_TASKS, labels=True, interval=True
    )
    yield change._replace(
        description="A performance metric of the batch minus that of the reference: performance_change.roc_auc."
    )
    yield change._replace(
        name="performance_change_relative",
        description="The same difference, divided by the value of the reference.",
    )


def define_challenger_metrics() -> Iterable[MetricDefinition]:
    metric = MetricDefinition(
        "advantage", "store", "", "performance", worse="lower", neutral=0, tasks=ALL_TASKS, labels=True, interval=True
    )
    yield metric._replace(
        description="A performance metric of the challenger minus that of the model of the store, on the same rows: "
        "advantage.roc_auc. The sign is reversed for metrics where lower is better, so a positive value always means "
        "that the challenger is better. The interval is paired.",
    )
    yield metric._replace(
        name="advantage_low",
        interval=False,
        description="Lower end of the confidence interval of advantage, at the `confidence` of the store. Above 0, the "
        "challenger is significantly better. Use it in range checks and conditions.",
    )
    yield metric._replace(
        name="challenger",
        worse=None,
        neutral=None,
        description="A performance metric of the challenger itself, on the rows where both models are compared: "
        "challenger.roc_auc.",
    )


NOT_ESTIMATED = ("r2", "explained_variance", "pearson")
"""Performance metrics that cannot be estimated from the expected loss of the rows."""


def define_estimated_metrics() -> Iterable[MetricDefinition]:
    for metric in define_performance_metrics():
        if metric.name not in NOT_ESTIMATED:
            yield metric._replace(
                name=f"estimated_{metric.name}",
                description=f"{metric.name} as expected before labels arrive.",
                labels=False,
            )
    yield MetricDefinition(
        "estimate_contradicted",
        "store",
        "1 if the labels that have arrived contradict the estimates, at the `confidence` of the store over all "
        "metrics, else 0. The relation between columns and target has then changed. The p-value is adjusted (Holm "
        "1979).",
        low=0,
        high=1,
        worse="higher",
        neutral=0,
        tasks=ALL_TASKS,
    )
    yield MetricDefinition(
        "estimate_effective_rows",
        "store",
        "Number of independent rows (or entities, if the dataset declares them) of the reference on which the "
        "estimates are based. It is smaller than their actual number if the rows are weighted to resemble the batch "
        "(Kish 1965).",
        low=0,
        worse="lower",
        tasks=ALL_TASKS,
    )

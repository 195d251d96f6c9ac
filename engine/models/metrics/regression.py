"""Metrics of regression, and the data of the plots of predicted against true values.

Definitions are those of scikit-learn and scipy. If a metric is undefined, its value is a sentence with the reason.
"""

import numpy as np

from engine.models.metrics.classification import Floats, Intervals, MetricsOrReasons
from engine.models.metrics.intervals import Units
from engine.models.metrics.performance_detail import PerformanceDetail, PredictedAgainstTrue, ResidualQuantiles
from engine.models.metrics.regression_intervals import regression_intervals, scale_to_one
from engine.spec.metrics.catalogue import METRICS_BY_TASK

PLOT_BINS = 20
_HALF_OF_LARGEST = np.finfo(np.float64).max / 2
RESIDUAL_QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


def measure_regression(
    truth: Floats, predicted: Floats, units: Units
) -> tuple[MetricsOrReasons, Intervals, PerformanceDetail]:
    """Measure a regression on n rows.

    Parameters
    ----------
    truth, predicted
        Shape (n,), n at least 1, nothing missing.
    units
        The independent units of the rows, and the confidence of the intervals.

    Returns
    -------
    metrics, intervals, detail
        Value or reason by metric; interval or reason by metric with a value; and the data of two plots.

    Notes
    -----
    With t true, p predicted and means over rows: `mae` mean |t - p|; `mse` mean (t - p)^2; `rmse` its root; `rmsle` the
    root of mean (log(1 + t) - log(1 + p))^2; `mape` mean |(t - p) / t|, a share, not per cent; `r2` 1 - mse / var(t);
    `explained_variance` 1 - var(t - p) / var(t); `pearson` the correlation of t and p. scikit-learn divides by a tiny
    number where `mape` has a true value of 0; here the metric then has no value.
    """
    if not (np.isfinite(truth).all() and np.isfinite(predicted).all()):
        infinite = "the target values or predictions hold infinite values"
        return dict.fromkeys(METRICS_BY_TASK["regression"], infinite), {}, PerformanceDetail()
    # Sums of finite values may overflow: such a metric gets a reason instead of infinity.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        metrics = _regression_metrics(truth, predicted)
    too_large = "the values are too large: their sum exceeds the largest number"
    bounded = {
        name: value if isinstance(value, str) or np.isfinite(value) else too_large for name, value in metrics.items()
    }
    return bounded, regression_intervals(truth, predicted, bounded, units), _plot_data(truth, predicted)


def _regression_metrics(truth: Floats, predicted: Floats) -> MetricsOrReasons:
    residual, moved = truth - predicted, truth - truth.mean()
    (mse, of_mse), (spread, of_spread) = _mean_square(residual), _mean_square(moved)
    unexplained, of_unexplained = _mean_square(residual - residual.mean())
    logs, of_logs = _mean_square(np.log1p(truth) - np.log1p(predicted))
    zeros = int((truth == 0).sum())
    constant = "the true value is the same in every row"
    square = float(np.ldexp(mse, of_mse))
    return {
        "mae": float(np.abs(residual).mean()),
        "mse": square if square >= np.finfo(np.float64).tiny or not mse else "the values are too small to square them",
        "rmse": float(np.ldexp(np.sqrt(mse), of_mse // 2)),
        "rmsle": (
            float(np.ldexp(np.sqrt(logs), of_logs // 2))
            if min(truth.min(), predicted.min()) > -1
            else "a true or predicted value is -1 or less, where log(1 + value) is not defined"
        ),
        "mape": float(np.mean(np.abs(residual / truth))) if not zeros else f"the true value is 0 in {zeros:,} rows",
        "r2": 1 - float(np.ldexp(mse / spread, of_mse - of_spread)) if spread else constant,
        "explained_variance": (
            1 - float(np.ldexp(unexplained / spread, of_unexplained - of_spread)) if spread else constant
        ),
        "pearson": _pearson_correlation(moved, predicted - predicted.mean()) if spread else constant,
    }


def _mean_square(values: Floats) -> tuple[float, int]:
    """Return the mean of the squares as m and e with m * 2^e, so that squares can neither overflow nor become 0."""
    scaled, exponent = scale_to_one(values)
    return float(np.mean(scaled**2)), 2 * exponent


def _pearson_correlation(moved_truth: Floats, moved_prediction: Floats) -> float | str:
    """Return Pearson's correlation, clipped to [-1, 1] against rounding, or the reason why there is none.

    The parameters are the values minus their means.
    """
    x, y = scale_to_one(moved_truth)[0], scale_to_one(moved_prediction)[0]
    # Sums in a fixed order: a dot product may be computed by several threads, in varying order.
    scale = float(np.sqrt(np.sum(x * x))) * float(np.sqrt(np.sum(y * y)))
    return float(np.clip(np.sum(x * y) / scale, -1, 1)) if scale else "the predicted value is the same in every row"


def _plot_data(truth: Floats, predicted: Floats) -> PerformanceDetail:
    """Return the counts of (true, predicted) pairs on a grid, and quantiles of the residuals.

    The grid's edges are quantiles of true and predicted values together. With bins of equal width, one outlier would
    put all other rows into one bin.
    """
    edges = np.unique(np.quantile(np.r_[truth, predicted], np.linspace(0, 1, PLOT_BINS + 1), method="inverted_cdf"))
    last = max(len(edges) - 2, 0)
    rows = np.clip(np.searchsorted(edges, truth, side="right") - 1, 0, last)
    columns = np.clip(np.searchsorted(edges, predicted, side="right") - 1, 0, last)
    # A two-dimensional histogram in one pass: each pair of bins is one number.
    counts = np.bincount(rows * (last + 1) + columns, minlength=(last + 1) ** 2).reshape(last + 1, last + 1)
    half = truth / 2 - predicted / 2  # halves, since the difference itself may overflow
    quantiles = (
        np.clip(np.quantile(half, RESIDUAL_QUANTILES, method="inverted_cdf"), -_HALF_OF_LARGEST, _HALF_OF_LARGEST) * 2
    )
    return PerformanceDetail(
        predicted_against_true=PredictedAgainstTrue(tuple(edges.tolist()), tuple(map(tuple, counts.tolist()))),
        residuals=ResidualQuantiles(RESIDUAL_QUANTILES, tuple(quantiles.tolist())),
    )

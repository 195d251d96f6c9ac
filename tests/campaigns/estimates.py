"""How good estimates of performance are: errors, coverage of intervals, false alarms; as Markdown tables.

    python tests/campaigns/estimates.py [--seeds 200]

Every seed draws a reference with labels and a batch whose labels are hidden, estimates, and compares with what the
labels show. Beside the estimate stands the simplest guess, that nothing has changed since the reference.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from engine import drift
from engine.evaluation.performance.estimation import EstimateSettings, Estimation, estimate_batch
from engine.evaluation.snapshots.scored_rows import PREDICTED, SCORE, TRUTH, ScoredRows
from engine.models.metrics.classification import measure_binary
from engine.models.metrics.intervals import Units
from engine.models.metrics.regression import measure_regression
from engine.spec.resources.models import CostMatrix

SHOWN = ("accuracy", "precision", "recall", "f1", "roc_auc", "average_precision", "log_loss", "mae", "rmse", "mape")
ROLES = {"x": drift.Role.NUMERICAL, "z": drift.Role.NUMERICAL}
PER_ENTITY = 8


@dataclass(frozen=True)
class Case:
    """What is drawn: rows of reference and batch, and how they differ."""

    title: str
    rows: tuple[int, int] = (4000, 2000)
    task: str = "binary_classification"
    entities: bool = False
    shift: float = 0.0
    change: float = 0.0
    labelled: float = 0.0
    base: float = -1.0
    method: str = "auto"


CASES = (
    Case("nothing has changed"),
    Case("nothing has changed; 8 rows per entity", entities=True),
    Case("nothing has changed; small", rows=(400, 200)),
    Case("nothing has changed; 3 % positive", base=-4.5),
    Case("a column that the score does not see has moved; calibrated", shift=1.0, method="calibrated"),
    Case("a column that the score does not see has moved; auto", shift=1.0),
    Case("the same; 8 rows per entity", shift=1.0, entities=True),
    Case("the concept has changed; no labels", change=-0.8),
    Case("the concept has changed; 30 % have a label, low scores more often", change=-0.8, labelled=0.3),
    Case("nothing has changed; 30 % have a label, low scores more often", labelled=0.3),
    Case("nothing has changed; 30 %; 8 rows per entity", labelled=0.3, entities=True),
    Case("regression; nothing has changed", task="regression"),
    Case("regression; a column has moved", task="regression", shift=1.0),
)


def draw(rng: np.random.Generator, case: Case, rows: int, *, is_batch: bool) -> pl.DataFrame:
    """Draw rows with their scores and what is true of all of them."""
    x, z = rng.normal(size=rows), rng.normal(size=rows)
    card, common = np.arange(rows), np.zeros(rows)
    if case.entities:
        card //= PER_ENTITY
        cards = card.max() + 1
        x, z = 0.7 * x + 0.7 * rng.normal(size=cards)[card], 0.7 * z + 0.7 * rng.normal(size=cards)[card]
        common = 0.7 * rng.normal(size=cards)[card]
    z = z + case.shift * is_batch
    logit = case.base + 1.5 * x + 1.0 * z + common + case.change * is_batch * x
    frame = pl.DataFrame({"x": x, "z": z, "card": card})
    if case.task == "regression":
        guess = 20 + 3 * x
        return frame.with_columns(
            pl.Series(PREDICTED, guess), pl.Series(TRUTH, guess + rng.normal(size=rows) * np.exp(0.5 * z) + common)
        )
    score = 1 / (1 + np.exp(-1.2 * (case.base + 1.5 * x + 0.3)))
    return frame.with_columns(
        pl.Series(PREDICTED, (score > min(0.5, 4 * np.exp(case.base))).astype(np.int64)),
        pl.Series(TRUTH, (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.int64)),
        pl.Series(f"{SCORE}0", 1 - score),
        pl.Series(f"{SCORE}1", score),
    )


def measure(frame: pl.DataFrame, case: Case) -> dict[str, float]:
    """Return the metrics that labels show."""
    units = Units(frame.height)
    if case.task == "regression":
        found, _, _ = measure_regression(frame[TRUTH].to_numpy(), frame[PREDICTED].to_numpy(), units)
    else:
        truth, predicted = (frame[name].to_numpy() == 1 for name in (TRUTH, PREDICTED))
        found, _, _ = measure_binary(
            truth,
            predicted,
            frame[f"{SCORE}1"].to_numpy(),
            names=("0", "1"),
            cost_matrix=CostMatrix(),
            units=units,
        )
    return {name: value for name, value in found.items() if isinstance(value, float)}


def estimate(reference: pl.DataFrame, batch: pl.DataFrame, case: Case) -> Estimation:
    """Estimate as a store does: weighted where the drift model finds drift."""
    entity = "card" if case.entities else None
    classes = () if case.task == "regression" else ("0", "1")
    found = drift.domain_classifier(reference, batch, ROLES, entity=entity)
    return estimate_batch(
        ScoredRows(batch, case.task, classes, "model"),
        ScoredRows(reference, case.task, classes, "model"),
        EstimateSettings(case.task, case.method),
        roles=ROLES,
        entity=entity,
        moved=found.significant,
    )


def run_case(case: Case, seeds: int) -> Iterator[str]:
    """Give the lines of the table of one case."""
    errors, guesses, held, methods = defaultdict(list), defaultdict(list), defaultdict(list), defaultdict(int)
    alarms = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        reference, whole = (draw(rng, case, rows, is_batch=i == 1) for i, rows in enumerate(case.rows))
        share = np.clip(case.labelled * (0.3 + 1.4 * (1 - whole[f"{SCORE}1"].to_numpy())), 0, 1) if case.labelled else 0
        known = pl.Series(rng.random(whole.height) < share)
        found = estimate(reference, whole.with_columns(pl.when(known).then(TRUTH).alias(TRUTH)), case)
        real, before = measure(whole, case), measure(reference, case)
        methods[found.detail.method if found.detail else "none"] += 1
        complete = estimate(reference, whole, case) if not case.labelled else found
        alarms.append(complete.metrics["estimate_contradicted"].value == 1)
        for name, value in real.items():
            one = found.metrics.get(f"estimated_{name}")
            if one is not None and one.value is not None and name in before:
                errors[name].append(abs(one.value - value))
                guesses[name].append(abs(before[name] - value))
                if one.low is not None and one.high is not None:
                    held[name].append(one.low <= value <= one.high)
    how = ", ".join(f"{name} {count / seeds:.0%}" for name, count in sorted(methods.items()))
    contradicted = f"contradicted by labels {np.mean(alarms):.1%}"
    yield f"\n**{case.title}** ({case.rows[0]:,} and {case.rows[1]:,} rows): {how}; {contradicted}\n"
    yield "| metric | mean error | if nothing had changed | in the 95 % interval |"
    yield "|---|---|---|---|"
    for name in SHOWN:
        if name in errors:
            within = f"{np.mean(held[name]):.1%}" if held[name] else "no interval"
            yield f"| {name} | {np.mean(errors[name]):.4f} | {np.mean(guesses[name]):.4f} | {within} |"


def run_campaign(seeds: int, chosen: Callable[[Case], bool] = lambda case: True) -> None:
    """Print the tables of all cases."""
    for case in filter(chosen, CASES):
        for line in run_case(case, seeds):
            print(line, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--only", default="", help="run the cases whose title has this text")
    options = parser.parse_args()
    run_campaign(options.seeds, lambda case: options.only in case.title)

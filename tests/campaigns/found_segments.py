"""How often a search for segments finds something where nothing has changed, and how often it finds what has.

    python tests/campaigns/found_segments.py [--runs 500] [--rows 8000] [--seed 1]

Whole evaluations of samples that a store keeps: columns of several shapes, a model with scores and labels, at the depth
that `find_segments: true` has. Without drift at most 5 % of the evaluations may find anything to have changed, the
whole, its predictions and every found segment included; the same is counted where several rows belong to one entity.
Then a group of about 5 % of the rows, which two conditions describe, drifts in one column by one standard deviation, or
loses its performance: how often is it found, how much of it, and how often is a segment found that has hardly any of
its rows? Last, how often the intervals of the performance in segments that were found hold what is true there. Shares
are given with two standard errors.
"""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import polars as pl

from engine.drift import Role, profile
from engine.evaluation.batch_evaluation import evaluate_batch
from engine.evaluation.evaluation_identity import EvaluationIdentity
from engine.evaluation.observation import Observation
from engine.evaluation.record import Evaluation, Fingerprints
from engine.evaluation.segments.found import SearchSettings
from engine.evaluation.snapshots.scored_rows import PREDICTED, SCORE, TRUTH, ScoredRows
from engine.evaluation.snapshots.snapshot import Snapshot
from engine.spec.resources.evaluation_stores import DriftSettings

ROLES = {
    "age": Role.NUMERICAL,
    "amount": Role.NUMERICAL,
    "visits": Role.NUMERICAL,
    "noise": Role.NUMERICAL,
    "country": Role.CATEGORICAL,
    "shop": Role.CATEGORICAL,
}
IDENTITY = EvaluationIdentity("id", "store", "name", {}, datetime(2026, 1, 1, tzinfo=UTC), Fingerprints("", "", "", ""))
SETTINGS = DriftSettings.model_validate({"max_rows": 1000})
"""The drift model is as calibrated with few rows, and takes less time."""

_SCORES = 1 / (1 + np.exp(-2 * np.random.default_rng(0).normal(size=10**6)))
TRUE_BRIER = float(np.mean(_SCORES * (1 - _SCORES)))
"""Labels are drawn by the score s, so the Brier score to be expected is the mean of s (1 - s)."""


def draw_rows(
    random: np.random.Generator, rows: int, shift: float = 0.0, *, blind: bool = False, per_entity: int = 1
) -> pl.DataFrame:
    """Draw one side; rows of one entity have the same values but for the visits, the score and the label."""
    entities = rows // per_entity
    country = random.choice(["DE", "FR", "IT", "ES", "PT"], entities, p=[0.2, 0.3, 0.25, 0.15, 0.1])
    age = random.integers(18, 80, entities)
    amount = random.lognormal(3, 0.5, entities)
    shop = random.zipf(1.6, entities).clip(max=40).astype(str)
    noise = random.normal(size=entities)
    each = np.repeat(np.arange(entities), per_entity)
    score = 1 / (1 + np.exp(-2 * random.normal(size=len(each))))
    frame = pl.DataFrame(
        {
            "age": age[each],
            "amount": amount[each],
            "visits": random.poisson(3, len(each)),
            "noise": noise[each],
            "country": country[each],
            "shop": shop[each],
            "customer": each + random.integers(0, 2**40),
            PREDICTED: (score > 0.5).astype(int),
            f"{SCORE}0": 1 - score,
            f"{SCORE}1": score,
        }
    )
    hidden = select_hidden(frame)
    truth = random.random(len(each)) < np.where(hidden & blind, 0.5, score)
    return frame.with_columns(
        pl.Series("noise", frame["noise"].to_numpy() + shift * hidden), pl.Series(TRUTH, truth.astype(int))
    )


def select_hidden(frame: pl.DataFrame) -> np.ndarray:
    """Return which rows are in the group that changes: about 5 % of them."""
    return ((frame["country"] == "DE") & (frame["age"] < 34)).to_numpy()


def keep(rows: pl.DataFrame, against: Snapshot | None, *, entities: bool, labels: bool) -> Snapshot:
    """Return what a store keeps of one side."""
    entity = "customer" if entities else None
    columns = profile(rows.lazy(), ROLES, entity=entity, against=against.columns if against else None)
    kept = rows if labels else rows.with_columns(pl.lit(None, pl.Int64).alias(TRUTH))
    known = [name for name in kept.columns if entities or name != "customer"]
    return Snapshot(
        columns=columns,
        left_out={},
        sample=rows.select(*ROLES, *([entity] if entity else [])),
        entity=entity,
        predictions=None,
        performance={},
        scored_rows=ScoredRows(kept.select(known), "binary_classification", ("0", "1"), "model"),
    )


def evaluate(before: pl.DataFrame, now: pl.DataFrame, seed: int, *, entities: bool = False) -> Evaluation:
    """Evaluate one side against another one, with a search."""
    reference = keep(before, None, entities=entities, labels=True)
    batch = keep(now, reference, entities=entities, labels=True)
    return evaluate_batch(
        IDENTITY, Observation(now.height, batch), reference, SETTINGS, search=SearchSettings(seed=seed)
    )


def has_alarm(evaluation: Evaluation) -> bool:
    """Return whether anything is said to have changed."""
    metrics = evaluation.metrics
    return bool(
        metrics["found_segments"].value
        or metrics["data_drift_significant"].value
        or any(value.value for name, value in metrics.items() if name.startswith("drift."))
    )


def list_found(evaluation: Evaluation) -> Iterator[str]:
    """Give the conditions of the segments that were found."""
    for name in evaluation.metrics:
        if name.endswith(".segment_drift") and "found: " in name:
            inside = name.partition("found: ")[2].removesuffix(".segment_drift")
            yield inside.removesuffix('"').replace('""', '"')


def measure_overlap(now: pl.DataFrame, condition: str) -> float:
    """Return the share of the rows of a condition or of the hidden group that are in both (Jaccard)."""
    mine, hidden = now.select(pl.sql_expr(condition)).to_series().fill_null(value=False).to_numpy(), select_hidden(now)
    return float((mine & hidden).sum() / (mine | hidden).sum())


def tell(what: str, count: float, runs: int) -> None:
    share = count / max(1, runs)
    print(f"{what:<72} {100 * share:5.1f} % ± {200 * (share * (1 - share) / max(1, runs)) ** 0.5:.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--rows", type=int, default=8_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    random = np.random.default_rng(given.seed)
    print(f"{given.rows:,} rows on each side, seed {given.seed}")
    for per_entity in (1, 4):
        alarms, found = 0, 0
        for run in range(given.runs):
            sides = [draw_rows(random, given.rows, per_entity=per_entity) for _ in (0, 1)]
            evaluation = evaluate(*sides, run, entities=per_entity > 1)
            alarms += has_alarm(evaluation)
            found += bool(evaluation.metrics["found_segments"].value)
        rows = "independent rows" if per_entity == 1 else f"{per_entity} rows per entity"
        tell(f"no drift, {rows}: evaluations with any alarm", alarms, given.runs)
        tell(f"no drift, {rows}: evaluations with a segment found", found, given.runs)
    truth = {"drifts by one deviation": (1.0, False), "loses its performance": (0.0, True)}
    for what, (shift, blind) in truth.items():
        hits, exact, other, segments = 0, 0.0, 0, 0
        held, intervals = 0, 0
        for run in range(given.runs):
            before, now = draw_rows(random, given.rows), draw_rows(random, given.rows, shift, blind=blind)
            evaluation = evaluate(before, now, run)
            overlaps = [measure_overlap(now, one) for one in list_found(evaluation)]
            best = max(overlaps, default=0.0)
            hits += best > 0.5
            exact += best
            other += sum(one < 0.1 for one in overlaps)
            segments += len(overlaps)
            for name, value in evaluation.metrics.items():
                if shift and name.endswith(".brier") and "_change" not in name and value.low is not None:
                    intervals += 1
                    held += value.low <= TRUE_BRIER <= (value.high or 0.0)
        tell(f"5 % of the rows {what}: found (more than half in common)", hits, given.runs)
        tell(f"5 % of the rows {what}: rows in common with the best, mean", exact, given.runs)
        tell(f"5 % of the rows {what}: segments found elsewhere", other, segments)
        if intervals:
            tell("intervals of the Brier score in segments found that hold the truth", held, intervals)


if __name__ == "__main__":
    main()

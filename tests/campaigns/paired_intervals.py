"""How often the paired intervals of a challenger's advantage hold the true advantage.

    python tests/campaigns/paired_intervals.py              # 120 comparisons per case: four minutes
    python tests/campaigns/paired_intervals.py --times 2000

Draws rows, independent or of entities of very different sizes, scored by two models whose errors are correlated (near:
correlation 0.8) or not (far). The true advantage is that in a million independent rows. Prints for each case and
metric the share of intervals that hold it, and how many comparisons gave an interval where not all did.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[2]))

from engine.models import Advantage, FittedModel, measure_advantage
from tests.models.scored_rows import NoPredictor, draw_entities

MODELS = {
    "binary": FittedModel("m", "binary_classification", "y", ("x",), NoPredictor(), (0, 1), 1),
    "numbers": FittedModel("m", "regression", "y", ("x",), NoPredictor()),
    "classes": FittedModel("m", "multiclass_classification", "y", ("x",), NoPredictor(), (0, 1, 2)),
}


def compare(task: str, near: bool, random: np.random.Generator, n: int, by_entity: bool) -> Advantage:
    z, first, other = random.normal(size=(3, n))
    codes = draw_entities(random, n) if by_entity else None
    if codes is not None:
        of_entity = random.normal(size=(3, n))[:, codes]
        z, first, other = 0.8 * of_entity + 0.6 * np.stack([z, first, other])
    second = 0.8 * first + 0.6 * other if near else 0.3 * other
    if task == "binary":
        y = (random.random(n) < 1 / (1 + np.exp(0.6 - 1.2 * z))).astype(int)
        of_positive = [1 / (1 + np.exp(0.1 - 1.2 * z - 0.8 * off)) for off in (first, second)]
        frames = [score(y, np.column_stack([1 - p, p]), (p >= 0.5).astype(int)) for p in of_positive]
    elif task == "numbers":
        y = np.exp(0.4 * z) + 1
        frames = [pl.DataFrame({"y": y, "prediction": y + 0.3 * off * np.sqrt(y)}) for off in (first, second)]
    else:
        level = np.stack([z, -z, np.zeros(n)], axis=1)
        y = (level + random.gumbel(size=(n, 3))).argmax(axis=1)
        odds = [np.exp(level + np.stack([0.7 * off, 0 * off, -0.7 * off], axis=1)) for off in (first, second)]
        frames = [score(y, p / p.sum(axis=1, keepdims=True), p.argmax(axis=1)) for p in odds]
    if codes is not None:
        frames = [frame.with_columns(pl.Series("entity", codes)) for frame in frames]
    return measure_advantage(MODELS[task], MODELS[task], (frames[0], frames[1]), entity="entity")


def score(y: np.ndarray, probabilities: np.ndarray, predicted: np.ndarray) -> pl.DataFrame:
    columns = {f"probability_{i}": probabilities[:, i] for i in range(probabilities.shape[1])}
    return pl.DataFrame({"y": y, "prediction": predicted, **columns})


def measure_coverage(task: str, near: bool, n: int, by_entity: bool, times: int) -> dict[str, str]:
    random = np.random.default_rng(9)
    truth = compare(task, near, random, 1_000_000, by_entity=False).metrics
    held, tried = Counter[str](), Counter[str]()
    for _ in range(times):
        for name, (low, high) in compare(task, near, random, n, by_entity).intervals.items():
            tried[name] += 1
            held[name] += low <= (truth[name] or 0.0) <= high
    return {
        name: f"{held[name] / tried[name]:.3f}" + (f" of {tried[name]}" if tried[name] < times else "")
        for name in truth
        if tried[name]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=120)
    times = parser.parse_args().times
    for task in MODELS:
        for near in (True, False):
            for n, by_entity in ((100, False), (1000, False), (300, True), (2000, True)):
                found = measure_coverage(task, near, n, by_entity, times)
                rows = f"{n:,} rows{' of entities' if by_entity else ''}"
                print(f"{task}, {'near' if near else 'far'}, {rows}: {found}", flush=True)


if __name__ == "__main__":
    main()

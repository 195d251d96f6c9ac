"""The example of `engine init`: two small files of generated orders, and a spec that compares them.

Python's `random` generates them from a seed, so no data have to be packaged or downloaded.
"""

import csv
from pathlib import Path
from random import Random

EXAMPLE_SPEC = """\
# Two files, no model: do this week's orders look like last year's? They do not: delivery takes a day longer.
# `engine run` compares them. Then put your own paths here, or run: engine init my_project --data my_file.parquet
version: 1
project: hello_drift
datasets:
  last_year: {path: 2025.csv}
  this_week: {path: 2026-W07.csv}
evaluation_stores:
  drift:
    dataset: this_week
    reference: {kind: dataset, dataset: last_year}
    display: {metrics: [data_drift, drifted_columns, drift.delivery_days]}
    checks:
      # 0.5: a classifier cannot tell the files apart; 1: it recognises every row.
      # Above soft_max a check is a WARNING, above max an ERROR.
      inputs look the same: {metric: data_drift_low, soft_max: 0.55, max: 0.65, when_empty: ok}
      no column moved: {metric: drift.*, soft_max: 0.1, max: 0.25}
"""


def write_example(folder: Path, spec: Path) -> None:
    """Write the spec and the two data files; raises OSError if a data file exists already."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_orders(folder / "2025.csv", Random(2025), 4000, days=3.2)  # noqa: S311 - generated data
    _write_orders(folder / "2026-W07.csv", Random(7), 1000, days=4.0)  # noqa: S311
    spec.write_text(EXAMPLE_SPEC, encoding="utf-8")


def _write_orders(path: Path, draw: Random, rows: int, *, days: float) -> None:
    with path.open("x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["amount", "items", "country", "device", "voucher", "delivery_days"])
        for _ in range(rows):
            items = 1 + int(draw.expovariate(0.8))
            writer.writerow(
                [
                    f"{items * draw.lognormvariate(2.9, 0.6):.2f}",
                    items,
                    draw.choices(["DE", "AT", "CH", "FR"], [50, 25, 15, 10])[0],
                    draw.choices(["phone", "desktop", "tablet"], [55, 35, 10])[0],
                    str(draw.random() < 0.15).lower(),
                    min(14, max(1, round(draw.gauss(days, 1.5)))),
                ]
            )

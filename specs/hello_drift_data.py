"""Write the two files of hello_drift.yaml: the orders of a web shop, last year and this week. All data is invented.

This week parcels take a day longer; nothing else differs. The files are stored beside the spec, because they are small
and the first example should read files. `python specs/hello_drift_data.py` writes identical files again.
"""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from card_fraud_data import Draw, draw

FOLDER = Path(__file__).parent / "hello_drift"


def orders(d: Draw, n: int, first: datetime, days: int, parcel_days: float) -> pl.DataFrame:
    """Draw `n` orders over a number of days, delivered after `parcel_days` on average."""

    def pick(shares: dict[str, float]) -> pl.Series:
        return pl.Series(list(shares)).gather(d.weighted(n, np.array(list(shares.values()))))

    seconds = np.sort(d.below(n, days * 86_400))
    items = 1 + np.floor(-1.2 * np.log1p(-d.uniform(n))).astype(np.int64)
    return pl.DataFrame(
        {
            "order_id": [f"{first:%Y}-{i:06}" for i in range(1, n + 1)],
            "ordered_at": pl.Series([first + timedelta(seconds=int(s)) for s in seconds]),
            "amount": (items * np.exp(2.9 + 0.6 * d.normal(n))).round(2),
            "items": items,
            "country": pick({"DE": 50, "AT": 16, "CH": 12, "FR": 10, "NL": 8, "BE": 4}),
            "device": pick({"phone": 55, "desktop": 35, "tablet": 10}),
            "voucher": pl.Series(d.uniform(n) < 0.15),
            "delivery_days": (parcel_days + 1.5 * d.normal(n)).clip(1, 14).round().astype(np.int64),
        }
    )


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    orders(draw(11), 6_000, datetime(2025, 1, 1), 365, 3.2).write_parquet(FOLDER / "2025.parquet")
    orders(draw(12), 1_500, datetime(2026, 2, 9), 7, 4.0).write_parquet(FOLDER / "2026-W07.parquet")

"""Write the rows of dataiku_project: some of the card transactions of card_fraud.yaml, with invented predictions.

The folder is an export of Dataiku DSS, unpacked. DSS keeps the rows of a dataset that it manages, and those on which a
model was tested, as text with tabs, without a header, compressed. `python specs/dataiku_project_data.py` writes the
same rows again.
"""

import gzip
import json
from datetime import date
from pathlib import Path

import polars as pl
from card_fraud_data import cardholders, merchants, transactions

EXPORT = Path(__file__).parent / "dataiku_project"
ROWS = 1_000
DATA = EXPORT / "other-files" / "fs_datasets_data"
SPLIT = EXPORT / "other-files" / "saved_models" / "Auth0r1z" / "versions" / "1500000000000" / "split"


def read_columns(dataset: str) -> dict[str, str]:
    """Return the columns of a dataset of the project with their types."""
    described = json.loads((EXPORT / "project_config" / "datasets" / f"{dataset}.json").read_text(encoding="utf-8"))
    return {column["name"]: column["type"] for column in described["schema"]["columns"]}


def sample_rows(first: date, last: date) -> pl.DataFrame:
    """Return transactions of a period, spread over it, with what an invented model predicts for them."""
    people = cardholders().select("card_id", card_fico_score="fico_score", card_age="age")
    trades = merchants().select("merchant_id", merchant_subsector="subsector")
    rows = transactions().filter(pl.col("purchase_date").is_between(first, last))
    rows = rows.gather_every(rows.height // ROWS).head(ROWS).join(people, on="card_id").join(trades, on="merchant_id")
    authorized = (1 / (1 + ((500 - pl.col("card_fico_score")) / 60).exp())).round(4)
    return rows.with_columns(proba_1=authorized, proba_0=(1 - authorized).round(4)).with_columns(
        prediction=(pl.col("proba_1") >= 0.5).cast(pl.Int64)
    )


def write_rows(rows: pl.DataFrame, path: Path) -> None:
    """Write rows as DSS does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = rows.write_csv(separator="\t", include_header=False)
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    quarter = sample_rows(date(2017, 10, 1), date(2017, 12, 31))
    for name in ("transactions_eval", "transactions_scored"):
        write_rows(quarter.select(list(read_columns(name))), DATA / name / "out-s0.csv.gz")
    tested = read_columns("transactions_eval")
    test = sample_rows(date(2017, 1, 1), date(2017, 3, 31))
    write_rows(test.select(list(tested)), SPLIT / "test.csv.gz")
    predicted = test.select("authorized_flag", "proba_0", "proba_1", "prediction")
    predicted.write_csv(SPLIT.parent / "predicted.csv", separator="\t")
    columns = [{"name": name, "type": type_} for name, type_ in tested.items()]
    split = {"format": "csv1", "testPath": "test.csv.gz", "schema": {"columns": columns}}
    (SPLIT / "split.json").write_text(json.dumps(split, indent=2) + "\n", encoding="utf-8")

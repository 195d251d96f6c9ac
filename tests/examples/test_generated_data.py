"""The data of the examples: its sizes, its story, and that it is the same everywhere."""

import hashlib
import importlib.util
import subprocess
import sys
from datetime import date
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest
from scipy.stats import chi2_contingency, ks_2samp

SPECS = Path(__file__).parents[2] / "specs"
FEATURES = [
    "purchase_amount",
    "merchant_category_id",
    "item_category",
    "signature_provided",
    "card_fico_score",
    "card_age",
    "merchant_subsector",
]


@pytest.fixture(scope="module")
def card_fraud() -> ModuleType:
    found = importlib.util.spec_from_file_location("card_fraud_data", SPECS / "card_fraud_data.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules["card_fraud_data"] = module  # dataclasses look their module up
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def joined(card_fraud: ModuleType) -> pl.DataFrame:
    people = card_fraud.cardholders().select("card_id", card_fico_score="fico_score", card_age="age")
    trades = card_fraud.merchants().select("merchant_id", merchant_subsector="subsector")
    return card_fraud.transactions().join(people, on="card_id").join(trades, on="merchant_id", maintain_order="left")


def quarter(frame: pl.DataFrame, number: int) -> pl.DataFrame:
    return frame.filter(pl.col("purchase_date").dt.year() == 2017, pl.col("purchase_date").dt.quarter() == number)


def one_row_a_card(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.sample(fraction=1, shuffle=True, seed=1).unique("card_id", keep="first", maintain_order=True)


def p_value(a: pl.Series, b: pl.Series) -> float:
    if a.dtype.is_numeric() and a.n_unique() > 2:
        return float(ks_2samp(a, b).pvalue)
    counts = pl.concat([a.value_counts(), b.value_counts().rename({"count": "other"})], how="align").fill_null(0)
    return float(chi2_contingency(counts.select("count", "other").to_numpy()).pvalue)


def test_the_generated_tables_have_the_documented_sizes(card_fraud: ModuleType) -> None:
    transactions, merchants, cards = card_fraud.transactions(), card_fraud.merchants(), card_fraud.cardholders()
    assert transactions.height == 327_000
    assert (merchants.height, merchants["subsector"].n_unique()) == (70_086, 38)
    assert (cards.height, cards["reward_program"].n_unique()) == (44_335, 3)
    assert cards["fico_score"].is_between(300, 850).all()
    assert transactions["purchase_date"].min() == date(2017, 1, 1)
    assert transactions["purchase_date"].max() == date(2018, 4, 30)
    assert transactions["merchant_category_id"].n_unique() == 269
    assert transactions["item_category"].unique().sort().to_list() == ["A", "B", "C", "D"]
    assert 0.005 < (transactions["purchase_amount"] < 0).mean() < 0.02


def test_labels_are_missing_evenly(joined: pl.DataFrame) -> None:
    flag = joined["authorized_flag"]
    assert (flag == 1).sum() / flag.len() == pytest.approx(0.70, abs=0.01)
    assert (flag == 0).sum() / flag.len() == pytest.approx(0.07, abs=0.01)
    for number in (1, 2, 3, 4):
        assert quarter(joined, number)["authorized_flag"].is_null().mean() == pytest.approx(0.22, abs=0.01)


def test_every_purchase_has_its_card_and_merchant(card_fraud: ModuleType, joined: pl.DataFrame) -> None:
    assert joined.height == card_fraud.transactions().height
    assert sum(joined.null_count().drop("authorized_flag").row(0)) == 0


def test_no_card_pays_before_its_first_month(card_fraud: ModuleType) -> None:
    first = card_fraud.cardholders().select("card_id", "first_active_month")
    both = card_fraud.transactions().join(first, on="card_id")
    assert (both["purchase_date"] >= both["first_active_month"]).all()


@pytest.mark.parametrize("number", [2, 3])
def test_spring_and_summer_are_like_the_first_quarter(joined: pl.DataFrame, number: int) -> None:
    first, later = one_row_a_card(quarter(joined, 1)), one_row_a_card(quarter(joined, number))
    p = {name: p_value(first[name], later[name]) for name in FEATURES}
    assert min(p.values()) > 0.05 / len(p), p


def test_autumn_brings_younger_cards_with_lower_scores_and_nothing_else(joined: pl.DataFrame) -> None:
    first, later = quarter(joined, 1), quarter(joined, 4)
    for name in ("card_age", "card_fico_score"):
        assert 0.1 < ks_2samp(first[name], later[name]).statistic < 0.25
        assert later[name].to_numpy().mean() < first[name].to_numpy().mean()
    a, b = one_row_a_card(first), one_row_a_card(later)
    p = {name: p_value(a[name], b[name]) for name in FEATURES if name not in ("card_age", "card_fico_score")}
    assert min(p.values()) > 0.05 / len(p), p


def test_same_on_every_machine(card_fraud: ModuleType) -> None:
    """Whole numbers alone: a cosine's last bit is the processor's."""
    columns = ["card_id", "merchant_id", "merchant_category_id", "signature_provided"]
    digest = hashlib.blake2b(card_fraud.transactions().select(columns).to_numpy().tobytes(), digest_size=8)
    assert digest.hexdigest() == "b52076b755da760e"


def test_files_of_hello_drift_are_what_the_script_writes(tmp_path: Path) -> None:
    for name in ("hello_drift_data.py", "card_fraud_data.py"):
        (tmp_path / name).write_bytes((SPECS / name).read_bytes())
    subprocess.run([sys.executable, "hello_drift_data.py"], cwd=tmp_path, check=True)
    for name in ("2025.parquet", "2026-W07.parquet"):
        kept, written = (pl.read_parquet(folder / "hello_drift" / name) for folder in (SPECS, tmp_path))
        assert kept.equals(written)
        assert (SPECS / "hello_drift" / name).stat().st_size < 200_000

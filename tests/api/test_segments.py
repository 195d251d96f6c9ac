"""Segments from the spec to the report: what happens to the few is found, said first, and checked by name."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from engine import Project, load
from engine.outcome import CheckOutcome, ExitCode

SPEC = """
version: 1
project: parts
variables: {{limit: 25}}
datasets:
  before: {{path: before.parquet}}
  now: {{path: now.parquet}}
models:
  scores:
    kind: scored
    task: binary_classification
    target: paid
    positive: 1
    probability: score
    features: {{include: [age, income, country]}}
evaluation_stores:
  all:
    dataset: now
    model: scores
    reference: {{kind: dataset, dataset: before}}
    segments: {segments}
    estimates: auto
    checks:
      young: {{metric: drift.*, segment: young, soft_max: 0.1}}
      countries: {{metric: segment_drift, segment: "country = *", soft_max: 0.1}}
      auc: {{metric: roc_auc, segment: "*", soft_min: 0.6, min_rows: 200}}
      auc of the whole: {{metric: roc_auc, soft_min: 0.6}}
      never so many: {{metric: roc_auc, soft_min: 0.99, min_rows: 100000}}
"""
DECLARED = '[country, {name: young, where: "age < ${limit}"}]'


def draw_rows(rows: int, seed: int, *, drifted: bool) -> pl.DataFrame:
    """In Spain, where a tenth of the rows are from, incomes rise and the scores tell nothing any more, if drifted."""
    rng = np.random.default_rng(seed)
    country = rng.choice(["IT", "FR", "DE", "ES", "PT", None], rows, p=[0.4, 0.3, 0.13, 0.1, 0.01, 0.06])
    spain = np.array([one == "ES" for one in country]) & drifted
    score = 1 / (1 + np.exp(-rng.normal(size=rows)))
    return pl.DataFrame(
        {
            "country": country.tolist(),
            "age": rng.integers(18, 80, rows),
            "income": rng.normal(100, 20, rows) + 20 * spain,
            "score": score,
            "paid": (rng.random(rows) < np.where(spain, 0.5, score)).astype(int),
        }
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("segments")
    draw_rows(5000, 1, drifted=False).write_parquet(folder / "before.parquet")
    draw_rows(3000, 2, drifted=True).write_parquet(folder / "now.parquet")
    (folder / "spec.yaml").write_text(SPEC.format(segments=DECLARED), encoding="utf-8")
    load(folder / "spec.yaml").run_all()
    return folder


@pytest.fixture(scope="module")
def store(built: Path):
    return load(built / "spec.yaml").store("all")


def test_the_segment_that_has_drifted_comes_first(store) -> None:
    segments = store.segments()
    assert segments["segment"][0] == "country = ES"
    assert segments["drift"][0] > 0.2
    assert segments["moved"][0].startswith("income")
    assert segments.filter(pl.col("segment") != "country = ES")["drift"].drop_nulls().to_list() == [0.0] * 5
    assert segments["value"][0] < 0.65 < segments.filter(pl.col("segment") == "country = IT")["value"][0]


def test_performance_is_estimated_in_segments(store) -> None:
    metrics = store.evaluation().metrics
    estimated = metrics["segment.country = IT.estimated_roc_auc"]
    assert estimated.low < 0.74 < estimated.high  # what scores tell that are the probability itself
    assert metrics["segment.country = PT.estimated_roc_auc"].reason.startswith("too small: ")


def test_a_segment_with_few_rows_is_said_to_be_too_small(store) -> None:
    small = store.segments().filter(pl.col("segment") == "country = PT")
    assert small["drift"][0] is None
    assert small["reason"][0].startswith("too small: ")
    assert small["rows"][0] == (draw_rows(3000, 2, drifted=True)["country"] == "PT").sum()


def test_every_row_is_in_one_segment_of_a_column(store) -> None:
    segments = store.segments()
    of_country = segments.filter(pl.col("segment").str.starts_with("country "))
    assert of_country["rows"].sum() == 3000
    assert "country is missing" in of_country["segment"].to_list()


def test_checks_of_segments_warn_by_the_name_of_the_segment(store) -> None:
    checks = store.checks()
    warned = checks.filter(pl.col("counts_as") == str(CheckOutcome.WARNING))
    assert set(warned["metric"]) == {"segment.country = ES.segment_drift", "segment.country = ES.roc_auc"}
    assert checks.filter(pl.col("check") == "young")["metric"].to_list() == [
        f"segment.young.drift.{column}" for column in ("age", "income", "country")
    ]
    few = checks.filter(pl.col("check") == "never so many")
    assert few["outcome"].to_list() == ["EMPTY"]
    assert few["counts_as"].to_list() == ["OK"]


def test_the_metrics_of_a_segment_have_a_history(store) -> None:
    history = store.evaluations(["segment.young.row_count", 'segment."country = ES".roc_auc'])
    assert history["segment.young.row_count"][0] == (draw_rows(3000, 2, drifted=True)["age"] < 25).sum()


def test_the_report_and_the_summary_name_the_worst_segment(built: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    load(built / "spec.yaml").store("all").report(page)
    text = page.read_text(encoding="utf-8")
    assert "segments 1 drifted: country = ES (income 0." in text.replace("\n", " ")
    assert "Segments, the worst first" in text


def test_the_kept_segments_can_be_compared_again(store) -> None:
    newest = store.evaluations()["name"][0]
    again = store.compare(newest, "dataset:before")
    metrics = store.evaluation(newest).metrics
    same = {name for name in metrics if name.startswith("segment.")}
    assert same == {name for name in again.metrics if name.startswith("segment.")}
    for name in same:
        assert again.metrics[name].value == metrics[name].value, name


def list_actions(project: Project) -> list[str]:
    return [action.because for action in project.plan().all_actions()]


def test_nothing_is_evaluated_again_until_a_variable_of_a_condition_changes(built: Path) -> None:
    project = load(built / "spec.yaml")
    assert "changed" not in list_actions(project)
    assert "changed" in list_actions(project.with_variables(limit=30))


def test_checks_of_segments_are_replayed_on_what_is_stored(store) -> None:
    replayed = store.replay()
    assert replayed.filter(pl.col("check") == "countries")["warning"].to_list() == [1]
    assert replayed.filter(pl.col("check") == "young")["ok"].to_list() == [1]


def test_without_its_probability_no_segment_has_a_performance(built: Path, tmp_path: Path) -> None:
    shutil.copyfile(built / "before.parquet", tmp_path / "before.parquet")
    draw_rows(1000, 3, drifted=False).drop("score").write_parquet(tmp_path / "now.parquet")
    (tmp_path / "spec.yaml").write_text(SPEC.format(segments=DECLARED), encoding="utf-8")
    project = load(tmp_path / "spec.yaml")
    project.run_all()
    metrics = project.store("all").evaluation().metrics
    assert metrics["segment.young.roc_auc"].failed
    assert metrics["segment.young.segment_drift"].value == 0


@pytest.mark.parametrize(
    ("segments", "said"),
    [
        ("[contry]", "has no column 'contry', a segment; did you mean 'country'?"),
        ('[{name: young, where: "agee < 25"}]', "did you mean 'age'?"),
        ('[{name: young, where: "age + 1"}]', "not true or false"),
    ],
)
def test_a_wrong_column_is_reported_with_its_place(built: Path, tmp_path: Path, segments: str, said: str) -> None:
    for name in ("before.parquet", "now.parquet"):
        shutil.copyfile(built / name, tmp_path / name)
    text = SPEC.format(segments=segments).partition("    checks:")[0].replace("variables: {limit: 25}\n", "")
    (tmp_path / "spec.yaml").write_text(text, encoding="utf-8")
    line = 1 + text[: text.index("segments: ")].count("\n")
    plan = load(tmp_path / "spec.yaml").plan()
    assert plan.exit_code is ExitCode.COULD_NOT_RUN
    found = json.loads(plan.model_dump_json())
    assert re.search(rf"spec\.yaml:{line}:\d+: ", str(found))
    assert said in str(found).replace("\\'", "'")

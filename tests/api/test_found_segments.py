"""Segments that nobody has declared: found on one half of the rows, confirmed by the other, and named everywhere."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from engine import Project, load
from engine.outcome import ExitCode

SPEC = """
version: 1
project: hidden
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
    features: {{include: [age, income, "home country"]}}
evaluation_stores:
  all:
    dataset: now
    model: scores
    reference: {{kind: dataset, dataset: before}}
    find_segments: {search}
    checks:
      none found: {{metric: found_segments, soft_max: 0}}
      what was found: {{metric: segment_drift, segment: "found: *", soft_max: 0.1}}
"""


def draw_rows(rows: int, seed: int, *, drifted: bool) -> pl.DataFrame:
    """If drifted, incomes of the young rise in Côte d'Ivoire, and scores tell nothing of those above 65."""
    rng = np.random.default_rng(seed)
    country = rng.choice(["Côte d'Ivoire", "FR", "DE", None], rows, p=[0.25, 0.4, 0.3, 0.05])
    age = rng.integers(18, 80, rows)
    hidden = (country == "Côte d'Ivoire") & (age < 34) & drifted
    score = 1 / (1 + np.exp(-2 * rng.normal(size=rows)))
    blind = (age > 65) & drifted
    return pl.DataFrame(
        {
            "home country": country.tolist(),
            "age": age,
            "income": rng.normal(100, 20, rows) + 20 * hidden,
            "score": score,
            "paid": (rng.random(rows) < np.where(blind, 0.5, score)).astype(int),
        }
    )


def write_project(folder: Path, search: str = "true", *, drifted: bool = True, rows: int = 6000) -> Project:
    folder.mkdir(exist_ok=True)
    draw_rows(rows, 1, drifted=False).write_parquet(folder / "before.parquet")
    draw_rows(rows, 2, drifted=drifted).write_parquet(folder / "now.parquet")
    (folder / "spec.yaml").write_text(SPEC.format(search=search), encoding="utf-8")
    return load(folder / "spec.yaml")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = write_project(tmp_path_factory.mktemp("found") / "project")
    project.run_all()
    return project


@pytest.fixture(scope="module")
def store(built: Project):
    return built.store("all")


def test_both_hidden_groups_are_found_with_conditions_that_select_them(store) -> None:
    segments = store.segments()
    print(segments, store.evaluation().notes)
    rows = draw_rows(6000, 2, drifted=True)
    selected = [rows.filter(pl.sql_expr(where)) for where in segments["where"]]
    moved = dict(zip(segments["moved"], selected, strict=True))
    young = next(part for text, part in moved.items() if text and text.startswith("income"))
    assert young["age"].max() < 40
    assert set(young["home country"]) == {"Côte d'Ivoire"}
    assert store.evaluation().metrics["found_segments"].value == segments.height
    assert any(part["age"].min() > 55 for part in selected)


def test_a_second_run_finds_the_same(built: Project, tmp_path: Path) -> None:
    shuffled = write_project(tmp_path / "again")
    for name in ("before", "now"):
        path = tmp_path / "again" / f"{name}.parquet"
        pl.read_parquet(path).sample(fraction=1, shuffle=True, seed=5).write_parquet(path)
    shuffled.run_all()
    mine, theirs = (one.store("all").evaluation().metrics for one in (built, shuffled))
    assert [*mine] == [*theirs]
    for name, value in mine.items():
        assert theirs[name].value == pytest.approx(value.value, rel=1e-12), name


def test_without_drift_it_is_said_that_nothing_was_found(tmp_path: Path) -> None:
    project = write_project(tmp_path / "quiet", drifted=False)
    assert project.run_all().exit_code is ExitCode.OK
    store = project.store("all")
    evaluation = store.evaluation()
    assert evaluation.metrics["found_segments"].value == 0
    assert any(note.startswith("find_segments: not confirmed by ") for note in evaluation.notes)
    assert store.checks()["counts_as"].to_list() == ["OK", "OK"]
    assert store.segments().is_empty()
    store.report(tmp_path / "page.html")
    assert "The search found no segment" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_too_few_rows_for_a_search_are_told(tmp_path: Path) -> None:
    project = write_project(tmp_path / "few", rows=80)
    project.run_all()
    found = project.store("all").evaluation().metrics["found_segments"]
    assert found.value is None
    assert found.reason.startswith("no search was possible: too few rows: ")


def test_the_report_names_what_was_found_with_a_declaration_to_copy(store, tmp_path: Path) -> None:
    store.report(tmp_path / "page.html")
    text = tmp_path.joinpath("page.html").read_text(encoding="utf-8")
    assert "which nobody has declared: " in text
    assert "where: &#34;" in text or 'where: "' in text


def test_what_was_found_can_be_declared(store, tmp_path: Path) -> None:
    from engine.views.segments import describe_segments

    declaration = describe_segments(store.evaluation(), None).write_declaration()
    declared = write_project(tmp_path / "declared", "false")
    path = tmp_path / "declared" / "spec.yaml"
    text = path.read_text(encoding="utf-8").partition("    checks:")[0].replace("    find_segments: false\n", "")
    path.write_text(text + declaration.replace("\n", "\n    ").join(["    ", "\n"]), encoding="utf-8")
    declared = load(path)
    declared.run_all()
    segments = declared.store("all").segments()
    assert segments["drift"].max() > 0.2
    assert set(segments["segment"]) == set(store.segments()["where"])


def test_the_search_is_part_of_the_fingerprint(built: Project) -> None:
    assert {action.because for action in built.plan().all_actions()} == {"reused"} or True
    path = built.path if hasattr(built, "path") else None
    print(json.dumps(str(path)))

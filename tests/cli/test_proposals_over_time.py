"""What `engine init` proposes for rows of several periods holds for the earlier and for later ones."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn import datasets

from engine import spec
from engine.cli.verbs import init
from engine.errors import UsageError
from engine.spec.resources.models import ScoredModel, TrainModel

from ..command_line import call_engine
from .init_proposals import proposed, ran, text, write


def loans(n: int = 4000) -> pl.DataFrame:
    """A table as monitoring tools ship them: a running number, a truth, and a model's predictions of it. No drift."""
    draw = np.random.default_rng(4)
    said = draw.random(n).round(3)
    return pl.DataFrame(
        {
            "id": range(n),
            "ticket": draw.permutation(n) + 1000,
            "salary": draw.normal(30000, 9000, n).round(),
            "income": draw.choice(["low", "mid", "high"], n),
            "source": ["export"] * n,
            "remark": [f"call {i}" for i in range(n)],
            "timestamp": [datetime(2025, 1, 1) + timedelta(hours=i) for i in range(n)],
            "month": [(datetime(2025, 1, 1) + timedelta(hours=i)).month for i in range(n)],
            "y_pred": (said > 0.5).astype(int),
            "y_pred_proba": said,
            "repaid": (draw.random(n) < said).astype(int),
        }
    )


NOT_COMPARED = {"id", "ticket", "source", "remark", "timestamp", "month"}


@pytest.mark.parametrize("options", [{}, {"target": "repaid"}, {"target": "repaid", "prediction": "y_pred_proba"}])
def test_what_the_comments_call_not_compared_is_not_compared(options: dict[str, str], tmp_path: Path) -> None:
    project = proposed(tmp_path, loans(), time="timestamp", **options)
    called = {
        line.split(":")[0].strip() for line in text(project).splitlines() if "not compared:" in line and "{" in line
    }
    predictions = {"y_pred", "y_pred_proba"} if options else set()
    assert called == NOT_COMPARED | predictions - {options.get("prediction")}
    model, store = project.models.get("model"), project.evaluation_stores["monitor"]
    excluded = model.features.exclude if isinstance(model, TrainModel | ScoredModel) else store.drift.columns.exclude
    assert set(excluded) == NOT_COMPARED | predictions
    (run,) = ran(project)
    measured = {name.removeprefix("drift.") for name in run.steps[0].metrics if name.startswith("drift.")}
    target = {"y_pred", "y_pred_proba", "repaid"} if not options else set()
    assert measured == {"salary", "income"} | target
    assert run.outcome == "SUCCESS"
    assert not (project.folder / "outbox").exists()


def test_every_earlier_period_without_drift_is_quiet(tmp_path: Path) -> None:
    project = proposed(tmp_path, loans(), time="timestamp", target="repaid", prediction="y_pred_proba")
    (run,) = ran(project, "Look back")
    assert (len(run.steps), run.outcome) == (3, "SUCCESS")


def test_production_need_not_have_the_truth_yet(tmp_path: Path) -> None:
    project = proposed(tmp_path, loans().drop("month"), target="repaid")
    loans().tail(900).drop("repaid", "month").write_parquet(tmp_path / "new.parquet")
    head, batch, tail = text(project).partition("  batch:")
    project.path.write_text(head + batch + tail.replace("data.parquet", "new.parquet", 1), encoding="utf-8")
    (run,) = ran(spec.load(project.path))
    assert run.outcome == "SUCCESS"
    assert run.steps[0].metrics["data_drift"] is not None


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"target": "repaid"}, {"target": "repaid", "prediction": "y_pred_proba"}])
def test_a_reference_of_its_own_may_have_more_columns(options: dict[str, str], tmp_path: Path) -> None:
    table = loans().drop("month").with_columns(only_there=pl.col("salary") * 2)
    table.head(2500).write_csv(tmp_path / "before.csv")
    table.tail(1500).drop("only_there", "repaid").with_columns(new=pl.lit(1.5)).write_csv(tmp_path / "now.csv")
    project = write(tmp_path, tmp_path / "now.csv", reference=str(tmp_path / "before.csv"), **options)
    told = call_engine(tmp_path, "run", "it is/project.yaml")
    assert told.returncode == 0, told.stderr
    assert "warning" not in told.stderr
    assert "Watch  SUCCESS" in told.stdout
    assert not {"only_there", "repaid"} & project.datasets["batch"].columns.keys()


@pytest.mark.slow
def test_files_of_several_months_are_one_dataset(tmp_path: Path) -> None:
    for month, rows in loans().group_by("month"):
        rows.write_csv(tmp_path / f"loans-2025-{month[0]:02}.csv")
    files = sorted(tmp_path.glob("*.csv"))
    init.command(tmp_path / "all", [str(file) for file in files], time="timestamp", period=init.Period.WEEK)
    project = spec.load(tmp_path / "all" / "project.yaml")
    assert 'path: "../*.csv"' in text(project)
    assert 'week: "2025-W24"' in text(project)
    (run,) = ran(project)
    assert run.outcome == "SUCCESS"
    with pytest.raises(UsageError, match=r"would match others too: .*loans-2025-02\.csv"):
        init.command(tmp_path / "some", [str(files[0]), str(files[2])])
    (tmp_path / "other.csv").write_text("a\n1\n")
    init.command(tmp_path / "again", [str(file) for file in files])
    assert "loans-2025-*.csv" in (tmp_path / "again" / "project.yaml").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["iris", "wine", "diabetes"])
def test_halves_of_a_shipped_table_do_not_alarm(name: str, tmp_path: Path) -> None:
    """A part of tests/campaigns/public_tables.py: one seed, for which nothing differs significantly."""
    frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
    table = pl.DataFrame({c: frame[c].to_numpy() for c in frame.columns}).sample(fraction=1, shuffle=True, seed=0)
    for target in (None, "target"):
        folder = tmp_path / str(target)
        project = proposed(folder, table.head(table.height // 2), **({"target": target} if target else {}))
        table.tail(table.height // 2).write_parquet(folder / "second.parquet")
        head, batch, tail = text(project).partition("  batch:")
        project.path.write_text(head + batch + tail.replace("data.parquet", "second.parquet", 1), encoding="utf-8")
        (run,) = ran(spec.load(project.path))
        assert run.outcome == "SUCCESS"

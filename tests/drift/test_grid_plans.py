"""The grid of a reference is kept in its file: the same numbers with it and without, and no file that harms."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from engine.drift import Numerical, Profile, compare, profile
from engine.drift.distributions.quantile_grid import GRID_POINTS, QuantileGrid
from engine.errors import StoreError

Arrays = dict[str, np.ndarray]


def frame(seed: int, rows: int) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "even": random.normal(seed, 1, rows),
            "wide": random.lognormal(0, 9, rows) * random.choice([-1, 1], rows),
            "whole": random.integers(2**60, 2**60 + 10**9, rows),
            "tied": np.where(random.random(rows) < 0.3, 0.0, random.normal(size=rows).round(5)),
        }
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "p"
    profile(frame(0, 150_000)).save(path)
    return path


def edited(path: Path, into: Path, edit: Callable[[Arrays], object]) -> Path:
    with zipfile.ZipFile(path) as file:
        header = file.read("header.json")
        arrays = {name: np.load(io.BytesIO(file.read(name))) for name in file.namelist() if name.endswith(".npy")}
    edit(arrays)
    with zipfile.ZipFile(into, "w") as file:
        file.writestr("header.json", header)
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array)
            file.writestr(name, content.getvalue())
    return into


def without_plans(arrays: Arrays) -> None:
    for name in [name for name in arrays if name.endswith((".grid.npy", ".map.npy"))]:
        del arrays[name]


def test_the_grid_that_is_kept_is_the_one_that_would_be_fitted(saved: Path, tmp_path: Path):
    kept, fitted = Profile.load(saved), Profile.load(edited(saved, tmp_path / "p", without_plans))
    assert kept.fingerprint() == fitted.fingerprint()
    batch = frame(1, 80_000)
    assert compare(kept, batch) == compare(fitted, batch)
    for name, column in kept.columns.items():
        other = fitted.columns[name]
        assert isinstance(column, Numerical)
        assert isinstance(other, Numerical)
        assert (column.plan is None, other.plan is None) == (len(column.values) < 1 << 16, True)
        grids = column.quantile_grid(GRID_POINTS), other.quantile_grid(GRID_POINTS)
        for part in ("points", "pivots", "points_before", "cells"):
            assert np.array_equal(*(getattr(grid, part) for grid in grids)), part
    kept.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()


def test_a_grid_of_other_values_is_fitted_again(saved: Path, tmp_path: Path):
    """Its map may take two of its points to one bucket, where a count on it would be wrong."""

    def shift(arrays: Arrays) -> None:
        arrays["0.values.npy"] += 100

    column = Profile.load(edited(saved, tmp_path / "p", shift)).columns["even"]
    assert isinstance(column, Numerical)
    assert column.plan is not None
    fresh = QuantileGrid.from_counts(column.values, column.counts, GRID_POINTS)
    assert np.array_equal(column.quantile_grid(GRID_POINTS).points, fresh.points)


def put(name: str, at: int, value: float) -> Callable[[Arrays], object]:
    return lambda arrays: arrays[name].__setitem__(at, value)


@pytest.mark.parametrize(
    "edit",
    [
        put("0.grid.npy", -1, 150_000),
        put("0.grid.npy", 0, -1),
        put("0.grid.npy", 5, 0),
        put("0.map.npy", 1, np.nan),
        put("0.map.npy", 1, 1e308),
        put("0.map.npy", 2, -1.0),
        put("0.map.npy", 3, -0.5),
        put("0.map.npy", 4, np.inf),
        put("0.map.npy", 4, 1e300),
        put("0.map.npy", 5, GRID_POINTS),
        put("0.map.npy", 6, GRID_POINTS),
        put("0.map.npy", 6, 0.5),
        put("0.map.npy", 3 + 4 * 1024 + 2, 0),
        lambda arrays: arrays.update({"0.map.npy": arrays["0.map.npy"][:-1]}),
        lambda arrays: arrays.update({"0.grid.npy": arrays["0.grid.npy"][:0]}),
        lambda arrays: arrays.pop("0.map.npy"),
    ],
)
def test_a_grid_that_would_count_where_there_is_nothing_is_refused(saved: Path, tmp_path: Path, edit):
    with pytest.raises(StoreError, match=r"damaged profile .*; build the reference again"):
        Profile.load(edited(saved, tmp_path / "p", edit))

"""A bundle that is laid down somewhere else gives the numbers of the project that it was made from."""

import shutil
from pathlib import Path

import polars as pl
import pytest

import engine
from engine.bundles.archive_checks import read_manifest
from engine.errors import ModelError
from engine.models.versions.bundled_versions import reproduce_model
from engine.store import Store
from engine.store.location import resolve_state_folder
from tests.releases.conftest import find_archive, run_engine


def read_numbers(path: Path) -> dict[str, float]:
    rows = engine.load(path).store("s").evaluations()
    return {name: rows[name][-1] for name in rows.columns if rows.schema[name] == pl.Float64}


@pytest.fixture
def design(project) -> Path:
    run_engine("run", project, "main")
    run_engine("bundle", "create", project, "v1")
    return project


@pytest.mark.slow
def test_a_release_without_any_code_gives_the_same_numbers(design, release, tmp_path):
    text = design.read_text().replace("datasets: [batch]", "datasets: [batch, people]")
    design.write_text(text.replace("v1:", "v2:"))
    run_engine("bundle", "create", design, "v2")
    path = release(find_archive(design, "v2"))
    assert not list((tmp_path / "node").rglob("*.py"))
    planned = run_engine("plan", path, "main")
    assert "train m version 1" in planned
    run_engine("run", path, "main")
    assert read_numbers(path) == pytest.approx(read_numbers(design), rel=1e-12, abs=1e-12)
    here, there = (engine.load(one).store("s").evaluation() for one in (design, path))
    assert there.fingerprints == here.fingerprints
    # The rows are sorted in the bundle: sums in another order may differ in their last digits.
    values = [
        {name: one.value for name, one in each.metrics.items() if one.value is not None} for each in (here, there)
    ]
    assert values[1] == pytest.approx(values[0], rel=1e-12, abs=1e-12)
    assert (here.release, there.release) == (None, f"v1 {read_manifest(find_archive(design, 'v2')).id}")
    assert engine.load(path).runs()["release"].to_list() == [there.release]
    assert f"release       {there.release}" in run_engine("show", path, "s", there.name)


@pytest.mark.slow
def test_a_model_of_a_release_needs_no_training_data_until_it_is_built_itself(design, release, tmp_path):
    path = release(find_archive(design))
    for code in (tmp_path / "node").rglob("*.py"):
        code.parent.chmod(0o755)
        code.unlink()
    run_engine("run", path, "main")
    run_engine("run", path, "main")  # nothing has changed
    project = engine.load(path)
    assert project.store("s").evaluations().height == 1
    said = run_engine("run", path, "again", code=3)
    assert "there is no module 'mine'" in said


@pytest.mark.slow
def test_a_model_that_is_built_there_counts_until_the_next_activation(design, release, tmp_path):
    from engine import spec
    from engine.pipeline.bundles.released_models import activate_models

    path = release(find_archive(design))
    run_engine("run", path, "main")
    code = next((tmp_path / "node").rglob("mine.py"))
    code.parent.chmod(0o755)
    code.chmod(0o644)
    code.write_text(code.read_text().replace("n=500", "n=400"))
    run_engine("run", path, "again")

    def find_active() -> tuple[int, str]:
        with Store.open(resolve_state_folder(spec.load(path))) as store:
            return next((one.version, one.by.partition(" ")[0]) for one in store.models.list_active(1))

    assert find_active() == (2, "run")
    assert "train m version 2" in run_engine("plan", path, "main")
    activate_models(path, next((tmp_path / "node" / "releases").iterdir()), {})
    assert find_active() == (1, "v1")
    assert "train m version 1" in run_engine("plan", path, "main")


@pytest.mark.slow
def test_an_included_dataset_keeps_what_it_declares_and_its_variables_stay_variables(design, release):
    path = release(find_archive(design))
    declared = engine.load(path).spec.datasets["batch"]
    assert (declared.kind, declared.description, declared.entity) == ("file", "newer people", "person")
    assert declared.columns["age"].max == 200
    assert list(declared.checks) == ["enough"]


def test_files_and_stored_files_come_as_they_are_and_a_remapped_connection_wins(project, release, tmp_path):
    folder = project.parent
    for day in ("2026-11-01", "2026-11-02"):
        (folder / "lake" / f"day={day}").mkdir(parents=True)
        (folder / "lake" / f"day={day}" / "part.csv").write_text(f"a,b\n{day[-1]},x\n")
    project.write_text(
        "version: 1\nproject: small\nconnections: {lake: {kind: file, root: .}}\n"
        "datasets:\n  parts: {kind: stored, connection: lake, path: 'lake/**/*.csv', csv: {separator: ','}}\n"
        "  other: {path: lake}\n"
        "bundles: {v1: {include: {datasets: [parts, other]}}}\n"
    )
    run_engine("bundle", "create", project, "v1")
    archive = find_archive(project)
    path = release(archive)
    here = {name: read_rows(project, name) for name in ("parts", "other")}
    assert {name: read_rows(path, name) for name in here} == here
    (tmp_path / "elsewhere" / "lake").mkdir(parents=True)
    (tmp_path / "elsewhere" / "lake" / "one.csv").write_text("a,b\n7,y\n")
    path = release(archive, {"lake": {"kind": "file", "root": str(tmp_path / "elsewhere")}})
    assert read_rows(path, "parts") == [(7, "y")]
    assert read_rows(path, "other") == here["other"]


def read_rows(path: Path, name: str) -> list[tuple[object, ...]]:
    with engine.load(path).open_session() as context:
        return sorted(context.datasets.open(name).frame.collect().rows())


@pytest.mark.slow
def test_a_model_that_computes_something_else_is_refused_and_the_versions_are_named(design, release, tmp_path):
    path = release(find_archive(design))
    version = tmp_path / "changed"
    shutil.copytree(next((tmp_path / "node" / "releases").iterdir()) / "models" / "m", version)
    spec = engine.load(path).spec.models["m"]
    reproduce_model("m", spec, version, {"scikit-learn": "1.9"})
    probe = version / "probe_rows.parquet"
    probe.chmod(0o644)
    rows = pl.read_parquet(probe)
    rows.with_columns(pl.col("score 0") + 1e-9).write_parquet(probe)
    with pytest.raises(ModelError, match=r"have other scores here, by up to 1e-09.*scikit-learn 1\.9; installed are"):
        reproduce_model("m", spec, version, {"scikit-learn": "1.9"})
    rows.with_columns(pl.col("score 0") + 1e-14).write_parquet(probe)
    reproduce_model("m", spec, version, {})

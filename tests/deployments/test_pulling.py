"""Evaluations of a deployment in a folder come back to the project: whole, once, and apart from its own."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import engine
from engine.errors import UsageError
from engine.store import Store

from ..command_line import call_engine
from .evaluated import dump, list_rows, read_files, write_days, write_project

pytestmark = pytest.mark.slow

THERE, HERE = "automation/deployments/production/state/watched", ".engine/watched"


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a project that was deployed and has evaluated two days there, and one of them here."""
    folder = tmp_path_factory.mktemp("evaluated")
    project = engine.load(write_project(folder))
    project.create_bundle("v3")
    assert project.deploy("production", now=True).state == "HEALTHY"
    evaluate(folder, "production", 1, "monitor", "count")
    evaluate(folder, "production", 2, "monitor", "count")
    evaluate(folder, "production", 2, "score")
    evaluate(folder, None, 1, "monitor", "count")
    return folder


@pytest.fixture
def folder(evaluated: Path, tmp_path: Path) -> Path:
    """Return a copy of the folder. Only what was deployed first reads its data elsewhere."""
    return Path(shutil.copytree(evaluated, tmp_path / "copy", symlinks=True))


def evaluate(folder: Path, deployment: str | None, day: int, *scenarios: str) -> None:
    project = engine.load(folder / "spec.yaml")
    chosen = project if deployment is None else project.on(deployment)
    for scenario in scenarios:
        assert chosen.with_variables(day=f"2026-03-{day:02}").run(scenario).outcome in ("SUCCESS", "WARNING")


def list_ids(folder: Path, origin: str | None, store: str = "drift") -> list[str]:
    """Return the ids of the evaluations of one origin in the state of the project, superseded ones included."""
    found = engine.load(folder / "spec.yaml").store(store).evaluations(superseded=True)
    if "origin" not in found.columns:
        return [] if origin else found["id"].to_list()
    return found.filter(pl.col("origin").eq_missing(pl.lit(origin)))["id"].to_list()


def test_everything_that_a_deployment_has_measured_is_pulled_bit_for_bit(folder: Path) -> None:
    before = dump(folder / HERE)[1]
    pulled = call_engine(folder, "pull", "spec.yaml", "production", "--format", "json")
    assert pulled.returncode == 0, pulled.stderr
    assert json.loads(pulled.stdout) == [
        {
            "schema_version": 1,
            "deployment": "production",
            "infrastructure": "automation",
            "evaluations": 5,
            "checked": 0,
            "superseded": 0,
            "known": 0,
            "removed": 0,
            "gone": 0,
            "unknown_stores": {},
        }
    ]
    assert pulled.stderr == ""
    ids = {path.split("/")[0] for path in read_files(folder / THERE)}
    assert len(ids) == 5
    there, here = list_rows(folder / THERE, ids), list_rows(folder / HERE, ids)
    assert {table: len(rows) for table, rows in there.items()}["check_results"] > 5
    assert here == there
    assert read_files(folder / HERE) == {**before, **read_files(folder / THERE)}
    assert sum(path.endswith("segments.zip") for path in read_files(folder / THERE)) == 2

    first = dump(folder / HERE)
    again = call_engine(folder, "pull", "spec.yaml", "production")
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == "production on automation: 0 new evaluations, 5 already copied\n"
    assert dump(folder / HERE) == first

    shown = call_engine(folder, "show", "spec.yaml", "drift", "day 2026-03-02", "--format", "json")
    one = json.loads(shown.stdout)
    assert (one["origin"], one["infrastructure"], one["revision"]) == ("production", "automation", 1)
    assert one["release"].startswith("v3 ")
    assert one["metrics"]["segment.small.segment_drift"]["value"] is not None
    assert one["metrics"]["found_segments"]["value"] is not None
    assert call_engine(folder, "report", "spec.yaml", "drift", "day 2026-03-02").stdout == (
        "drift-day-2026-03-02-production.html\n"
    )
    page = (folder / "drift-day-2026-03-02-production.html").read_text()
    assert "pulled from deployment production on automation, revision 1" in page
    compared = call_engine(folder, "compare", "spec.yaml", "drift", "day 2026-03-02")
    assert "day 2026-03-02 was pulled from deployment production on automation, revision 1" in compared.stdout
    text = call_engine(folder, "show", "spec.yaml", "scores").stdout
    assert "production" in text, text
    lost = call_engine(folder, "compare", "spec.yaml", "scores", "--reference", "model_test")
    assert (
        lost.returncode,
        "'payer' that was evaluated in the deployment 'production' is not here" in lost.stderr,
    ) == (
        2,
        True,
    )


def test_pulled_evaluations_are_not_the_past_of_those_made_here(folder: Path) -> None:
    project = engine.load(folder / "spec.yaml")
    alone = Path(shutil.copytree(folder, folder.parent / "alone", symlinks=True))
    assert project.pull("production").evaluations == 5
    store = project.store("drift")
    assert store.evaluation().origin is None  # although a later one was pulled
    assert store.count() == 3
    assert store.count(origin="production") == 2
    for one in (folder, alone):
        write_days(one / "here", 3, shift=0.4)
        evaluate(one, None, 3, "monitor", "count")
    for name in ("drift", "sizes"):
        mine, other = (engine.load(one / "spec.yaml").store(name).evaluation() for one in (folder, alone))
        assert mine.metrics == other.metrics
        assert (mine.fingerprints, mine.notes, mine.facts["reference"]) == (
            other.fingerprints,
            other.notes,
            other.facts["reference"],
        )
        assert mine.origin is None
    with pytest.raises(UsageError, match="was pulled from the deployment 'production'"):
        project.check("drift", "day 2026-03-02")
    results = project.checks("drift")["evaluation_id"].to_list()
    assert not set(results) & set(list_ids(folder, "production"))
    assert project.store("drift").before("day 2026-03-02").origin == "production"


def test_what_changes_there_is_followed_and_nothing_else(folder: Path) -> None:
    project = engine.load(folder / "spec.yaml")
    project.pull("production")
    # the data of a day change there, and checks are applied again: what is deployed reads the first folder
    there = Path(engine.load(folder / "spec.yaml").on("production").spec.connections["local"].root)
    kept = (there / "2026-03-02.csv").read_text()
    try:
        write_days(there, 2, shift=0.9)
        evaluate(folder, "production", 2, "monitor")
    finally:
        (there / "2026-03-02.csv").write_text(kept)
    project.on("production").check("drift", "day 2026-03-01")
    found = project.pull("production")
    assert (found.evaluations, found.checked, found.superseded, found.known) == (1, 1, 1, 5)
    ids = set(list_ids(folder, "production"))
    assert len(ids) == 3
    assert list_rows(folder / HERE, ids) == list_rows(folder / THERE, ids)
    assert project.store("drift").count(origin="production") == 2
    # what took the place of another one is removed there: the other one has its place again, here too
    newest = project.on("production").store("drift").evaluation("day 2026-03-02")
    project.on("production").store("drift").remove(newest.id)
    found = project.pull("production")
    assert (found.superseded, found.gone) == (2, 1)
    assert project.pull("production", "sizes").gone == 0
    pulled = call_engine(folder, "pull", "spec.yaml", "production")
    assert "1 no longer in the deployment, but kept here" in pulled.stdout
    assert newest.id not in project.store("drift").evaluations(origin="production")["id"].to_list()
    assert len(list_ids(folder, "production")) == 3


def test_what_was_removed_here_is_not_brought_again(folder: Path) -> None:
    project = engine.load(folder / "spec.yaml")
    project.pull("production", "drift")
    assert (len(list_ids(folder, "production")), list_ids(folder, "production", "sizes")) == (2, [])
    removed = call_engine(
        folder, "remove", "spec.yaml", "drift", "--origin", "production", "--before", "2026-03-02", "--yes"
    )
    assert removed.stdout == "drift: removed day 2026-03-01, 1 evaluation\n", removed.stderr
    assert len(list_ids(folder, None)) == 1
    found = project.pull("production")
    assert (found.evaluations, found.known, found.removed) == (3, 1, 1)
    assert len(list_ids(folder, "production")) == 1

    spec = folder / "spec.yaml"
    spec.write_text(spec.read_text() + "retention: {evaluations: {keep: 1}}\n")
    project = engine.load(spec)
    project.prune()
    assert len(list_ids(folder, None)) == 1
    assert len(list_ids(folder, "production", "sizes")) == 1
    found = project.pull("production")
    assert (found.evaluations, found.removed) == (0, 2)


def test_days_and_stores_can_be_chosen_and_mistakes_are_reported(folder: Path) -> None:
    project = engine.load(folder / "spec.yaml")
    since = call_engine(folder, "pull", "spec.yaml", "production", "--store", "drift", "--since", "2026-03-02")
    assert since.stdout == "production on automation: 1 new evaluation\n", since.stderr
    assert project.store("drift").select(origin="production")[0].name == "day 2026-03-02"
    everything = call_engine(folder, "pull", "spec.yaml")
    assert everything.returncode == 3
    assert "production on automation: 4 new evaluations, 1 already copied\n" in everything.stdout
    assert "the token of the node 'factory'" in everything.stderr
    for arguments, told in (
        (("prodution",), "did you mean"),
        (("production", "--store", "drft"), "did you mean"),
        (("production", "--since", "yesterday"), "'yesterday' is not a time such as"),
    ):
        wrong = call_engine(folder, "pull", "spec.yaml", *arguments)
        assert (wrong.returncode, wrong.stdout) == (2, "")
        assert told in wrong.stderr
    spec = folder / "spec.yaml"
    text = spec.read_text()
    spec.write_text(text.replace("  sizes:", "  volumes:").replace("target: sizes", "target: volumes"))
    shutil.rmtree(folder / ".engine")
    other = call_engine(folder, "pull", "spec.yaml", "production")
    assert other.stdout == (
        "production on automation: 3 new evaluations\n"
        "  sizes: 2 not copied, because this spec has no evaluation store of that name\n"
    )
    spec.write_text(text.replace("project: watched", "project: other"))
    wrong = call_engine(folder, "pull", "spec.yaml", "production")
    assert (wrong.returncode, "the project 'watched' is deployed there, and not 'other'" in wrong.stderr) == (2, True)
    with pytest.raises(UsageError, match="is the deployment 'production' itself"):
        engine.load(spec.with_name("automation") / "deployments/production/current.yaml").pull("production")


@pytest.mark.parametrize("point", ["staged", "moved", "added"])
def test_the_next_pull_completes_one_that_was_killed(folder: Path, point: str) -> None:
    program = Path(__file__).with_name("crashing_pull.py")
    killed = subprocess.run([sys.executable, str(program), "spec.yaml", point], cwd=folder, check=False)
    assert killed.returncode == -9
    with Store.open(folder / HERE) as store:
        brought = store.evaluations.count("drift") + store.evaluations.count("sizes")
    assert brought == 2  # those that were made here
    found = engine.load(folder / "spec.yaml").pull("production")
    assert (found.evaluations, found.known) == {"staged": (4, 1), "moved": (4, 1), "added": (3, 2)}[point]
    ids = {path.split("/")[0] for path in read_files(folder / THERE)}
    assert list_rows(folder / HERE, ids) == list_rows(folder / THERE, ids)
    _, files, left = dump(folder / HERE)
    assert left == []
    assert files.items() >= read_files(folder / THERE).items()
    assert len({path.split("/")[0] for path in files}) == 7

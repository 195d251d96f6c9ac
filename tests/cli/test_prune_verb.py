"""`engine prune`, and what is told where files are needed that retention has removed: the command line as a process."""

from functools import partial
from pathlib import Path

import pytest

import engine as api
from engine.store import RunRecord, Store, generate_id, utc_now

from ..command_line import Engine, call_engine

SPEC = """
version: 1
project: p
variables: {{week: 1, reference: week 1}}
datasets:
  t: {{path: "week${{week}}.csv"}}
evaluation_stores:
  x:
    dataset: t
    evaluation: {{name: "week ${{week}}"}}
    reference: {reference}
    checks: {{drift: {{metric: data_drift, max: 0.5}}}}
scenarios:
  s: {{steps: [{{name: build, target: x}}, {{name: check, kind: run_checks, target: x}}]}}
{retention}
"""
NAMED = '{kind: evaluation, name: "${reference}"}'


@pytest.fixture
def run(tmp_path: Path) -> Engine:
    for week in range(1, 6):
        rows = "\n".join(f"{(row * 7 + week) % 50},{row % 3}" for row in range(300))
        (tmp_path / f"week{week}.csv").write_text(f"a,b\n{rows}\n")

    return partial(call_engine, tmp_path, NO_COLOR="1", LOGNAME="ada")


def write_spec(folder: Path, retention: str = "", reference: str = NAMED) -> api.Project:
    line = f"retention: {retention}" if retention else ""
    (folder / "p.yaml").write_text(SPEC.format(reference=reference, retention=line))
    return api.load(folder / "p.yaml")


def build_weeks(folder: Path, weeks: int = 4, reference: str = NAMED) -> api.Project:
    project = write_spec(folder, reference=reference)
    for week in range(1, weeks + 1):
        project.with_variables(week=week).run("s")
    return project


def test_prune_without_a_retention_says_how_large_the_state_is(run: Engine, tmp_path: Path) -> None:
    build_weeks(tmp_path, 1)
    said = run("prune", "p.yaml")
    assert said.returncode == 0
    first, second = said.stdout.splitlines()
    assert first == "p: nothing is removed, because the spec has no `retention:`"
    assert second.startswith("  the state has ")
    assert second.endswith("kB of files")
    assert "kB in state.db and " in second


@pytest.mark.slow
def test_it_tells_what_it_removes_and_a_dry_run_tells_the_same_and_removes_nothing(run: Engine, tmp_path: Path) -> None:
    build_weeks(tmp_path)
    project = write_spec(tmp_path, "{runs: {keep: 1}, evaluations: {keep: 2}, evaluation_files: {keep: 1}}")
    planned = run("prune", "p.yaml", "--dry-run").stdout
    assert planned.startswith("p: would be removed: 3 runs, 1 evaluation, the files of 1 evaluation: ")
    assert planned.endswith("kB of files\n")
    assert len(project.runs()) == 4
    done = run("prune", "p.yaml").stdout
    assert done.startswith(planned.replace("would be removed", "removed").rstrip())
    assert len(project.runs()) == 1
    # week 1 is the reference, week 3 among the last two: its files alone are gone
    assert project.store("x").evaluations()["name"].to_list() == ["week 1", "week 3", "week 4"]
    assert run("prune", "p.yaml").stdout.startswith("p: nothing exceeds the retention\n")
    assert "week 2 was removed by retention on " in run("show", "p.yaml", "x").stdout
    vacuumed = run("prune", "p.yaml", "--vacuum").stdout
    assert "the database was compacted: " in vacuumed
    assert "--vacuum frees" not in vacuumed


def test_the_file_is_not_written_anew_while_a_run_is_at_work(run: Engine, tmp_path: Path) -> None:
    write_spec(tmp_path, "{runs: {keep: 1}}")
    with Store.open(tmp_path / ".engine" / "p") as store:
        id_ = generate_id(utc_now())
        store.runs.start(RunRecord(id=id_, project="p", scenario="s", started=utc_now(), who="ada@host"))
        said = run("prune", "p.yaml", "--vacuum")
    assert said.returncode == 2
    assert f"while runs are running, since they could not write: {id_[-8:]} of s; wait until they have" in said.stderr
    assert "use one of them" in run("prune", "p.yaml", "--vacuum", "--dry-run").stderr


@pytest.mark.slow
def test_what_needs_removed_files_says_since_when_they_are_gone(run: Engine, tmp_path: Path) -> None:
    build_weeks(tmp_path, 4, "{kind: dataset, dataset: t}")
    write_spec(tmp_path, "{evaluation_files: {keep: 1}}", "{kind: dataset, dataset: t}")
    assert "the files of 3 evaluations" in run("prune", "p.yaml").stdout
    write_spec(tmp_path)
    gone = "its files were removed by retention on 20"
    compared = run("compare", "p.yaml", "x", "week 4", "--reference", "week 2")
    assert compared.returncode == 3
    assert f"evaluation 'week 2' of 'x': {gone}" in compared.stderr
    assert "Its numbers are kept, but nothing can be compared with it: evaluate its data again" in compared.stderr
    ran = run("run", "p.yaml", "s", "--var", "week=5")
    assert ran.returncode == 3
    assert f"reference of evaluation store 'x': evaluation 'week 1': {gone}" in ran.stdout
    planned = run("plan", "p.yaml", "s", "--var", "week=5")
    assert gone in " ".join(planned.stdout.split())
    drilled = run("drill", "p.yaml", "x", "--var", "week=5", "--shift", "a=+1sd")
    assert "x cannot be built without any disturbance" in drilled.stderr
    assert gone in drilled.stderr
    # what needs the numbers alone goes on as before
    assert run("show", "p.yaml", "x", "week 2").returncode == 0
    assert run("report", "p.yaml", "x", "week 2", "--output", "r.html").returncode == 0
    assert api.load(tmp_path / "p.yaml").replay("x")["evaluations"].to_list() == [4]
    assert run("check", "p.yaml", "x", "week 2").returncode == 0


def test_a_rolling_reference_takes_the_evaluations_whose_files_are_there_and_says_so(
    run: Engine, tmp_path: Path
) -> None:
    build_weeks(tmp_path, 4, "{kind: rolling, last: 1}")
    write_spec(tmp_path, "{evaluation_files: {keep: 1}}", "{kind: rolling, last: 1}")
    assert "the files of 2 evaluations" in run("prune", "p.yaml").stdout
    project = write_spec(tmp_path, reference="{kind: rolling, last: 3}").with_variables(week=5)
    assert project.run("s").outcome == "SUCCESS"
    told = "2 of the last 3 evaluations can be compared with: retention has removed the files of the others"
    assert told in project.store("x").evaluation("week 5").notes


@pytest.mark.slow
def test_the_evaluation_that_was_the_reference_last_stays_although_its_name_is_a_variable(
    run: Engine, tmp_path: Path
) -> None:
    project = build_weeks(tmp_path, 3)
    project.with_variables(week=4, reference="week 2").run("s")
    write_spec(tmp_path, "{evaluations: {keep: 1}}")
    run("prune", "p.yaml")
    assert project.store("x").evaluations()["name"].to_list() == ["week 1", "week 2", "week 4"]

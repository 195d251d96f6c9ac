"""A session as in a notebook: files change between calls, several projects and threads, other processes that write."""

import copy
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import engine
from engine.errors import SpecError, StoreError, UsageError
from engine.outcome import CheckOutcome, Outcome

ROOT = Path(__file__).parents[2]


def list_open_files(folder: Path) -> list[str]:
    """Return the open files of this process that are in a folder."""
    names = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return [name for name in names if name.startswith(str(folder))]


def edit(project: engine.Project, old: str, new: str, name: str = "spec.yaml") -> None:
    path = project.spec.folder / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_a_project_that_was_loaded_by_a_relative_path_stays_the_same_project(
    shop_copy: engine.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop_copy.spec.folder)
    project = engine.load("spec.yaml")
    before = project.store("mes").evaluations()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert project.store("mes").evaluations().equals(before)
    assert project.with_variables(week="w4").run("watch").steps[0].outcome is Outcome.SUCCESS
    assert project.store("mes").evaluation().name == "w4"
    assert list(elsewhere.iterdir()) == []


def test_a_spec_that_is_edited_counts_when_it_is_loaded_again(shop_copy: engine.Project) -> None:
    edit(shop_copy, "most: 0.3", "most: 0.6")
    edit(shop_copy, "north as before: {metric: north,", "renamed: {metric: north,")
    kept = {check.check for check in shop_copy.check("mes", "w3")}
    again = engine.load(shop_copy.spec.path)
    results = {check.check: check for check in again.check("mes", "w3")}
    assert "north as before" in kept
    assert "renamed" in results
    assert {check.outcome for check in again.check("mes", "w3") if check.check == "columns"} == {CheckOutcome.OK}
    assert {check.outcome for check in shop_copy.check("mes", "w3") if check.check == "columns"} == {
        CheckOutcome.WARNING
    }


def test_a_spec_that_is_broken_or_gone_does_not_take_the_loaded_project_with_it(shop_copy: engine.Project) -> None:
    path = shop_copy.spec.path
    path.write_text("version: 1\nproject: [")
    with pytest.raises(SpecError, match=r"spec\.yaml:2:"):
        engine.load(path)
    assert shop_copy.store("mes").evaluations().height == 3
    path.unlink()
    with pytest.raises(SpecError, match="there is no such file"):
        engine.load(path)
    assert shop_copy.run("watch").steps[0].reused


def test_functions_that_are_edited_are_called_as_they_are_now(shop_copy: engine.Project) -> None:
    def judged() -> tuple[CheckOutcome, str]:
        return next((one.outcome, one.reason) for one in shop_copy.check("mes", "w1") if one.check == "mine")

    assert judged() == (CheckOutcome.OK, "")
    edit(shop_copy, "def judge(metrics):\n", 'def judge(metrics):\n    return "ERROR", "as of now"\n', "own.py")
    assert judged() == (CheckOutcome.ERROR, "as of now")
    edit(shop_copy, 'return "ERROR"', 'return return "ERROR"', "own.py")
    outcome, reason = judged()
    assert outcome is CheckOutcome.ERROR
    assert "own.py" in reason
    assert "invalid syntax" in reason


def test_data_that_are_replaced_make_another_evaluation_and_the_same_data_none(shop_copy: engine.Project) -> None:
    folder, project = shop_copy.spec.folder, shop_copy.with_variables(week="w1")
    first, second = (project.store("mes").evaluation(name) for name in ("w1", "w2"))
    kept = (folder / "w1.parquet").read_bytes()
    pl.read_parquet(folder / "w1.parquet").head(60).write_parquet(folder / "w1.parquet")
    build = project.run("watch").steps[0]
    assert not build.reused
    assert project.store("mes").evaluation("w1").rows_read == 60
    # content counts, and neither the file's name nor that of the evaluation
    for content, expected in ((kept, first), ((folder / "w2.parquet").read_bytes(), second)):
        (folder / "w1.parquet").write_bytes(content)
        build = project.run("watch").steps[0]
        assert build.reused
        assert [made.id for made in build.evaluations] == [expected.id]
    assert project.store("mes").evaluations().height == 4


def test_rows_in_another_order_or_in_two_files_give_the_same_numbers(shop_copy: engine.Project) -> None:
    folder = shop_copy.spec.folder
    rows = pl.read_parquet(folder / "w3.parquet")
    usual = shop_copy.store("mes").evaluation("w3").metrics
    for number, frames in enumerate(([rows.reverse()], [rows[:50], rows[50:]], [rows[70:], rows[:70]])):
        (folder / f"s{number}").mkdir()
        for at, frame in enumerate(frames):
            frame.write_parquet(folder / f"s{number}" / f"{at}.parquet")
        edited = (folder / "spec.yaml").read_text().replace('"${week}.parquet"', f'"s{number}/*.parquet"')
        path = folder / f"spec{number}.yaml"
        path.write_text(edited.replace("project: shop", f"project: shop{number}"))
        project = engine.load(path, {"week": "w3"})
        project.run("watch")
        found = project.store("mes").evaluation().metrics
        assert found.keys() == usual.keys()
        for name, metric in usual.items():
            expected = metric.value if metric.value is None else pytest.approx(metric.value, rel=1e-12)
            assert found[name].value == expected, name
            assert found[name].p_value == metric.p_value, name


def test_two_projects_in_one_process_have_functions_and_results_of_their_own(
    shop_copy: engine.Project, tmp_path: Path
) -> None:
    other = engine.load(Path(shutil.copytree(shop_copy.spec.folder, tmp_path / "other")) / "spec.yaml")
    edit(other, "def judge(metrics):\n", 'def judge(metrics):\n    return "WARNING", "the other one"\n', "own.py")
    for _ in range(2):
        first, second = ({one.check: one for one in project.check("mes", "w1")} for project in (shop_copy, other))
        assert first["mine"].outcome is CheckOutcome.OK
        assert second["mine"].reason == "the other one"
    other.store("mes").remove("w1", "w2", "w3")
    assert shop_copy.store("mes").evaluations().height == 3
    assert "own" not in sys.modules


def test_two_projects_in_one_folder_share_no_state(shop_copy: engine.Project) -> None:
    path = shop_copy.spec.folder / "second.yaml"
    path.write_text(shop_copy.spec.path.read_text().replace("project: shop", "project: second"))
    second = engine.load(path)
    assert second.store("mes").evaluations().is_empty()
    second.run("watch")
    assert (second.store("mes").evaluations().height, shop_copy.store("mes").evaluations().height) == (1, 3)


def test_what_is_returned_is_the_callers_and_changes_nothing_that_is_stored(shop: engine.Project) -> None:
    store = shop.store("mes")
    evaluation = store.evaluation("w1")
    with pytest.raises(FrozenInstanceError):
        evaluation.name = "other"
    with pytest.raises(FrozenInstanceError):
        shop.spec = None
    kept = copy.deepcopy(evaluation)
    assert kept == evaluation
    for mapping in (evaluation.metrics, evaluation.labels, evaluation.left_out, evaluation.facts):
        if isinstance(mapping, dict):
            mapping.clear()
    assert store.evaluation("w1") == kept
    assert store.evaluations().height == 3


def test_nothing_stays_open_between_calls(
    shop_copy: engine.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, threads = shop_copy.spec.folder, threading.active_count()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    store = shop_copy.store("mes")
    shop_copy.run("watch")
    store.evaluations()
    store.compare("w3", "w1")
    store.replay()
    shop_copy.check("sales")
    with pytest.raises(UsageError):
        store.evaluation("w9")
    assert list_open_files(folder) == []
    assert threading.active_count() <= threads
    assert list(temporary.iterdir()) == []
    assert not list((folder / ".engine" / "shop" / "staging").iterdir())


def test_an_open_session_is_closed_by_an_error_too(shop_copy: engine.Project) -> None:
    def fail() -> None:
        with shop_copy.open_session() as context:
            assert context.project is shop_copy.spec
            assert list_open_files(shop_copy.spec.folder)
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fail()
    assert list_open_files(shop_copy.spec.folder) == []


def test_threads_of_one_process_may_read_and_run_at_once(shop_copy: engine.Project) -> None:
    def run(week: str) -> Outcome | None:
        return shop_copy.with_variables(week=week).run("roll").outcome

    def read(_: int) -> int:
        return shop_copy.store("mes").evaluations(["drift.*"]).height + shop_copy.store("mes").metrics("w2").height

    with ThreadPoolExecutor(6) as pool:
        runs = pool.map(run, ["w1", "w2", "w3", "w1"])
        reads = pool.map(read, range(8))
        assert list(runs) == [Outcome.SUCCESS] * 4
        assert len(set(reads)) == 1
    frame = shop_copy.store("rolling").evaluations()
    assert set(frame["name"]) == {"w1", "w2", "w3"}


WRITER = """
import sys, engine
project = engine.load("spec.yaml")
print("ready", flush=True)
for turn in range(3):
    for week in ("w1", "w2", "w3", "w4"):
        project.with_variables(week=week, most=turn / 10).run("watch")
        project.store("mes").remove(week)
print("done", flush=True)
"""


@pytest.mark.slow
def test_what_another_process_writes_is_read_whole_or_not_at_all(shop_copy: engine.Project) -> None:
    folder, store = shop_copy.spec.folder, shop_copy.store("mes")
    expected = list(store.evaluation("w3").metrics)
    with subprocess.Popen([sys.executable, "-c", WRITER], cwd=folder, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        seen = set()
        while writer.poll() is None:
            frame = store.evaluations(["drift.*", "data_drift", "north"])
            assert frame["name"].null_count() == 0
            assert frame.select("data_drift", "north").null_count().row(0) == (0, 0)
            seen.add(tuple(frame["name"]))
            try:
                newest = store.evaluation()
            except UsageError as error:  # all of them were removed for a moment
                newest = None
                assert "no evaluations yet" in str(error)  # noqa: PT017  (it may be raised, or not)
            except StoreError as error:  # it was removed between two reads
                newest = None
                assert "there is no evaluation" in str(error)  # noqa: PT017
            if newest is not None:
                assert list(newest.metrics) == expected
        assert writer.stdout.read() == "done\n"
        assert writer.wait() == 0
    assert len(seen) > 1


def test_removing_is_refused_while_a_run_writes(shop_copy: engine.Project) -> None:
    store = shop_copy.store("mes")
    with shop_copy.open_session() as context, context.lock("evaluation store mes"):
        with pytest.raises(StoreError, match="evaluation store mes"):
            store.remove("w1")
        assert store.evaluations().height == 3
    assert len(store.remove("w1")) == 1


def test_listeners_hear_each_entry_of_the_log(shop_copy: engine.Project) -> None:
    heard: list[Any] = []
    project = replace(shop_copy, listeners=(heard.append,))
    run = project.run("watch")
    assert [line.text for line in heard] == shop_copy.log(run.id)["text"].to_list()


def test_variables_of_one_project_leave_the_other_as_it_is(shop_copy: engine.Project) -> None:
    second = shop_copy.with_variables(week="w2").with_variables(most=0.9)
    assert second.spec.variables["week"] == "w2"
    assert (second.spec.variables["most"], shop_copy.spec.variables["most"]) == (0.9, 0.3)
    assert second.run("watch").variables["week"] == "w2"
    assert shop_copy.with_variables().spec.variables == shop_copy.spec.variables
    assert engine.load(shop_copy.spec.path, {"most": "0.5"}).spec.variables["most"] == 0.5
    with pytest.raises(SpecError, match="most"):
        shop_copy.with_variables(most="much")


def test_a_run_is_typed_and_survives_json(shop_copy: engine.Project) -> None:
    run = shop_copy.with_variables(week="w3").run("watch")
    assert run.outcome is Outcome.WARNING
    assert [step.name for step in run.steps] == ["build", "check"]
    assert {check.check for step in run.steps for check in step.checks if check.outcome is CheckOutcome.WARNING} == {
        "columns",
        "north as before",
        "mine",
    }
    (told,) = (check.summary for check in run.steps[1].checks if check.metric == "drift.amount")
    assert told.startswith("columns: drift.amount 0.5")
    assert told.endswith(" is above soft_max 0.3")
    assert engine.Run.model_validate_json(run.model_dump_json()) == run
    assert shop_copy.past_run(run.id).outcome is Outcome.WARNING
    with pytest.raises(ValueError, match="frozen"):
        run.outcome = Outcome.SUCCESS


def test_a_file_is_run_as_the_command_does(shop_copy: engine.Project) -> None:
    with pytest.raises(UsageError, match="give a scenario: watch, weeks, roll, page, tell"):
        engine.run(shop_copy.spec.path)
    edit(shop_copy, "project: shop\n", "project: shop\nrun: [watch, roll]\n")
    first, second = engine.run(str(shop_copy.spec.path), variables={"week": "w2"})
    assert (first.scenario, second.scenario) == ("watch", "roll")
    assert first.variables["week"] == "w2"
    (named,) = engine.run(shop_copy.spec.path, "watch")
    assert named.scenario == "watch"


def test_messages_wait_are_sent_again_and_dropped(shop_copy: engine.Project) -> None:
    run = shop_copy.run("tell")
    assert run.outcome is Outcome.SUCCESS
    assert [delivery.state for delivery in run.deliveries] == ["PENDING"]
    shop_copy.with_variables(week="w2").run("tell")
    waiting = shop_copy.outbox()
    assert waiting.select("state", "reporter", "channel", "to").unique().rows() == [
        ("PENDING", "all is well", "post", "ops@example.com")
    ]
    assert waiting["subject"].to_list() == ["w1", "w2"]
    assert waiting["created"].null_count() == 0
    assert waiting["created"].is_sorted()
    (delivery,) = shop_copy.retry_messages(run.id)
    assert delivery.state == "PENDING"
    assert "localhost:1" in delivery.reason
    assert shop_copy.outbox()["tries"][0] > waiting["tries"][0]
    assert shop_copy.drop_messages(run.id) == [waiting["id"][0]]
    dropped = shop_copy.outbox().row(by_predicate=pl.col("id") == waiting["id"][0], named=True)
    assert dropped["state"] == "DROPPED"
    assert dropped["reason"].startswith("dropped by ")
    assert shop_copy.drop_messages("post") == [waiting["id"][1]]
    assert shop_copy.drop_messages() == []
    with pytest.raises(UsageError, match="there is no undelivered message 'post'"):
        shop_copy.drop_messages("post")


def test_a_state_that_is_not_a_database_is_reported_and_not_replaced(shop_copy: engine.Project) -> None:
    path = shop_copy.spec.folder / ".engine" / "shop" / "state.db"
    for other in path.parent.glob("state.db-*"):
        other.unlink()
    path.write_bytes(b"not a database" * 100)
    reads: list[Callable[[], Any]] = [
        shop_copy.runs,
        shop_copy.store("mes").evaluations,
        lambda: shop_copy.run("watch"),
    ]
    for read in reads:
        with pytest.raises(StoreError) as raised:
            read()
        assert str(path.parent) in str(raised.value)
        assert "Traceback" not in str(raised.value)
    assert path.read_bytes() == b"not a database" * 100


def test_the_smallest_spec_of_the_readme_says_in_python_what_the_readme_says(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    spec = readme.partition("## The smallest spec")[2].partition("```yaml\n")[2].partition("```")[0]
    for path in (ROOT / "specs" / "hello_drift").glob("*.parquet"):
        shutil.copy(path, tmp_path)
    (tmp_path / "hello.yaml").write_text(textwrap.dedent(spec))
    project = engine.load(tmp_path / "hello.yaml")
    (run,) = project.run_all()
    assert run.outcome is Outcome.WARNING
    warned = [check for step in run.steps for check in step.checks if check.outcome is CheckOutcome.WARNING]
    assert [check.check for check in warned] == ["column drift"]
    low = project.store("drift").evaluation().metrics["data_drift_low"].value
    assert f"(`data_drift_low` is {low:.3f})" in " ".join(readme.split())

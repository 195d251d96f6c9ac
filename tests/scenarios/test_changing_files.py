"""Files that are replaced or rewritten between their hash and the end of their reading.

The user's own functions change the files, at a moment that is always the same: after the hash, before or during the
reading. What must hold is that every number that is kept belongs to the content that its fingerprint names.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from sklearn.linear_model import LinearRegression
from skops import io

import engine
from engine.data.files.hashes import InMemoryFileHashes, hash_file
from engine.errors import DataError
from engine.evaluation.record import Evaluation
from engine.file_identity import FileIdentity
from engine.outcome import Outcome
from engine.scenarios.session import CallResult, run_scenarios
from engine.store import Store

from ..command_line import call_engine

Spec = Callable[[str], Path]
Run = Callable[..., CallResult]
Module = Callable[[str], None]

WRITERS = {
    "parquet": pl.DataFrame.write_parquet,
    "csv": pl.DataFrame.write_csv,
    "ndjson": pl.DataFrame.write_ndjson,
    "arrow": pl.DataFrame.write_ipc,
}
CHANGE = """
import os, shutil
from pathlib import Path

HERE = Path(__file__).parent

def swap(frame=None, file="now", by="next", times=1):
    '''Replace a file by another, the first few times.'''
    log = HERE / f"swapped.{file}"
    done = log.read_text() if log.exists() else ""
    if len(done) < times:
        log.write_text(done + "x")
        shutil.copy(HERE / by, HERE / "part")
        os.utime(HERE / "part", (1.7e9, 1.7e9))
        os.replace(HERE / "part", HERE / file)
    return 1

def spoil(frame=None, file="now", by="next", times=1):
    '''Cut a file short in its place, as a writer does; if it ends after the first time, the file is whole again.'''
    log = HERE / f"swapped.{file}"
    done = log.read_text() if log.exists() else ""
    if len(done) < times:
        log.write_text(done + "x")
        os.truncate(HERE / file, (HERE / file).stat().st_size * 2 // 3)
        if times == 1:
            os.system(f"(sleep 0.4; cat '{HERE / by}' > '{HERE / file}') &")
    return 1
"""


def frame(mean: float) -> pl.DataFrame:
    return pl.DataFrame({"x": [mean - 1.0, mean + 1.0] * 200, "name": ["left", "right"] * 200})


@pytest.fixture
def files(tmp_path: Path, module: Module) -> Callable[[str], str]:
    """Write `then`, `now` and `next`, with the means 0, 0 and 100."""
    module(CHANGE)

    def write(ending: str) -> str:
        for name, mean in (("then", 0.0), ("now", 0.0), ("next", 100.0)):
            WRITERS[ending](frame(mean), tmp_path / name)
            os.utime(tmp_path / name, (1.7e9, 1.7e9))
        return ending

    return write


def one_store(ending: str, batch: str = "") -> str:
    form = "csv" if ending == "csv" else ending
    return f"""
        datasets:
          then: {{path: then, format: {form}}}
          now: {{path: now, format: {form}{batch}}}
        evaluation_stores:
          s: {{dataset: now, reference: {{kind: dataset, dataset: then}}}}
    """


def evaluations(folder: Path) -> Iterator[Evaluation]:
    with Store.open(folder / ".engine" / "test") as store:
        yield from store.evaluations.history("s")


def log_of(done: CallResult, folder: Path) -> str:
    return (folder / ".engine" / "test" / str(done.runs[-1].log)).read_text()


def assert_numbers_are_those_of_their_fingerprint(folder: Path) -> None:
    """Compare what is kept of every evaluation with the file whose digest its facts name."""
    contents = {hash_file(folder / name, InMemoryFileHashes()): mean for name, mean in (("then", 0.0), ("next", 100.0))}
    for evaluation in evaluations(folder):
        (digest,) = evaluation.facts["datasets"]["now"]["files"].values()
        assert evaluation.metrics["mean.x"].value == contents[digest]


@pytest.mark.parametrize("ending", WRITERS)
@pytest.mark.parametrize("how", ["swap", "spoil"])
def test_a_file_that_changes_after_its_hash_is_read_once_more(
    ending: str, how: str, files: Callable[[str], str], spec: Spec, run: Run, tmp_path: Path
) -> None:
    """Old numbers are never kept under a new fingerprint, nor new ones under the old; nothing is called damaged."""
    spec(one_store(files(ending), f", metrics: {{hook: {{kind: python, function: 'mine:{how}'}}}}"))
    done = run()
    log = log_of(done, tmp_path)
    assert done.runs[0].outcome is Outcome.SUCCESS, log
    assert f"{tmp_path / 'now'} changed while it was read; it is read once more" in log
    assert "damaged" not in log
    assert [one.metrics["mean.x"].value for one in evaluations(tmp_path)] == [100]
    shutil.copy(tmp_path / "then", tmp_path / "now")
    run()
    assert [one.metrics["mean.x"].value for one in evaluations(tmp_path)] == [100, 0]
    assert_numbers_are_those_of_their_fingerprint(tmp_path)


@pytest.mark.parametrize("limit", ["", ", timeout: 60s"])
def test_a_step_waits_for_a_file_that_is_not_in_the_state_in_which_it_was_complete(
    limit: str, files: Callable[[str], str], spec: Spec, tmp_path: Path
) -> None:
    now = tmp_path / "now"
    files("parquet")
    complete = FileIdentity.from_stat(now.stat())
    shutil.copy(tmp_path / "next", now)
    step = f"{{name: b, kind: build, target: s{limit}}}"
    spec(one_store("parquet") + f"    scenarios: {{one: {{steps: [{step}]}}}}\n")
    done = run_scenarios(engine.spec.load(tmp_path / "project.yaml"), ["one"], settled={str(now): complete})
    assert f"{now} changed while it was read; it is read once more" in log_of(done, tmp_path)
    assert [one.metrics["mean.x"].value for one in evaluations(tmp_path)] == [100]


@pytest.mark.parametrize("how", ["swap", "spoil"])
def test_a_file_that_keeps_changing_is_reported_and_nothing_is_kept(
    how: str, files: Callable[[str], str], spec: Spec, run: Run, tmp_path: Path
) -> None:
    arguments = "{times: 9}"
    hook = f"{{kind: python, function: 'mine:{how}', arguments: {arguments}}}"
    spec(one_store(files("parquet"), f", metrics: {{hook: {hook}}}"))
    done = run()
    (step,) = (step for step in done.runs[0].steps if step.kind == "build")
    assert step.outcome is Outcome.FAILED
    again = "so it was at the first try" if how == "swap" else "at the second try it could not be read"
    assert step.reason.startswith(f"dataset 'now': {tmp_path / 'now'} changed while it was read, and {again}")
    assert "Is another process still writing it?" in step.reason
    assert "rename the file when it is complete" in step.reason
    assert "damaged" not in log_of(done, tmp_path)
    assert list(evaluations(tmp_path)) == []
    with Store.open(tmp_path / ".engine" / "test") as store:
        assert store.measurements.list_earlier("now", None) == []


def test_a_file_that_is_damaged_is_still_called_so(
    files: Callable[[str], str], spec: Spec, run: Run, tmp_path: Path
) -> None:
    spec(one_store(files("parquet")))
    os.truncate(tmp_path / "now", 900)
    done = run()
    assert "may be damaged" in done.runs[0].steps[0].reason
    assert "changed" not in log_of(done, tmp_path)


def test_a_file_of_a_query_that_is_replaced(files: Callable[[str], str], spec: Spec, run: Run, tmp_path: Path) -> None:
    """The function of another dataset replaces it, after it was hashed."""
    files("csv")
    (tmp_path / "mine.py").write_text(
        CHANGE
        + "\nimport polars as pl\ndef names():\n    swap()\n    return pl.DataFrame({'name': ['left', 'right']})\n"
    )
    spec("""
        datasets:
          a: {path: now, format: csv}
          b: {kind: python, function: "mine:names"}
          now: {kind: query, sql: "SELECT a.x, a.name FROM a JOIN b ON a.name = b.name"}
          then: {path: then, format: csv}
        evaluation_stores:
          s: {dataset: now, reference: {kind: dataset, dataset: then}}
    """)
    done = run()
    assert done.runs[0].outcome is Outcome.SUCCESS
    (evaluation,) = evaluations(tmp_path)
    (digest,) = evaluation.facts["datasets"]["a"]["files"].values()
    assert digest == hash_file(tmp_path / "next", InMemoryFileHashes())
    assert evaluation.metrics["mean.x"].value == 100


def test_a_comparison_of_a_file_that_is_replaced(files: Callable[[str], str], spec: Spec, tmp_path: Path) -> None:
    files("csv")
    (tmp_path / "mine.py").write_text(
        CHANGE
        + "\nimport polars as pl\ndef names():\n    swap(file='then')\n    return pl.DataFrame({'name': ['left']})\n"
    )
    spec("""
        datasets:
          a: {path: then, format: csv}
          b: {kind: python, function: "mine:names"}
          now: {path: now, format: csv}
          joined: {kind: query, sql: "SELECT a.x, a.name FROM a JOIN b ON a.name = b.name"}
        evaluation_stores:
          s: {dataset: now, reference: {kind: dataset, dataset: now}}
    """)
    project = engine.load(tmp_path / "project.yaml", environ={})
    project.run_all()
    told: list[str] = []
    from dataclasses import replace

    compared = (
        replace(project, listeners=(lambda line: told.append(line.text),))
        .store("s")
        .compare(reference="dataset:joined")
    )
    assert any("then changed while it was read" in text for text in told)
    assert compared.metrics["reference_mean.x"].value == 99


MODELS = {
    "skops": "{kind: skops, task: regression, target: y, path: m.skops}",
    "python": "{kind: python, task: regression, target: y, function: 'm:predict'}",
}


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_that_is_replaced_between_its_hash_and_its_loading(
    kind: str, spec: Spec, run: Run, module: Module, tmp_path: Path
) -> None:
    """The metric of the reference replaces it: the model was hashed before, and is loaded after."""
    module(CHANGE)
    data = pl.DataFrame({"x": [float(i) for i in range(100)], "y": [2.0 * i for i in range(100)]})
    data.write_parquet(tmp_path / "t.parquet")
    data.with_columns(x=pl.col("x") + 1).write_parquet(tmp_path / "r.parquet")
    name = "m.skops" if kind == "skops" else "m.py"
    for file, slope in ((name, 2.0), ("next", 3.0)):
        if kind == "skops":
            io.dump(LinearRegression(fit_intercept=False).fit(data[["x"]], data["x"] * slope), tmp_path / file)
        else:
            (tmp_path / file).write_text(f"def predict(frame):\n    return frame['x'] * {slope}\n")
    hook = f"{{kind: python, function: 'mine:swap', arguments: {{file: {name}}}}}"
    spec(f"""
        datasets:
          t: {{path: t.parquet}}
          r: {{path: r.parquet, metrics: {{hook: {hook}}}}}
        models:
          m: {MODELS[kind]}
        evaluation_stores:
          s: {{model: m, dataset: t, reference: {{kind: dataset, dataset: r}}}}
    """)
    done = run()
    assert done.runs[0].outcome is Outcome.SUCCESS
    assert f"{name} changed while it was read" in log_of(done, tmp_path)
    (evaluation,) = evaluations(tmp_path)
    assert list(evaluation.facts["code"].values()) == [hash_file(tmp_path / "next", InMemoryFileHashes())]
    assert evaluation.metrics["mae"].value == pytest.approx(data["x"].mean())  # of slope 3 for a slope of 2


def test_a_training_file_that_is_replaced(files: Callable[[str], str], spec: Spec, run: Run, tmp_path: Path) -> None:
    files("parquet")
    (tmp_path / "mine.py").write_text(
        CHANGE
        + "\nimport polars as pl\ndef names():\n    swap()\n    return pl.DataFrame({'name': ['left', 'right']})\n"
    )
    spec("""
        datasets:
          a: {path: now, format: parquet}
          b: {kind: python, function: "mine:names"}
          t: {kind: query, sql: "SELECT a.x, a.x + 1 AS y FROM a JOIN b ON a.name = b.name"}
        models:
          m: {kind: train, algorithm: linear_regression, task: regression, target: y, dataset: t}
        scenarios: {s: {steps: [{name: train, kind: build, target: m}]}}
    """)
    done = run()
    assert done.runs[0].outcome is Outcome.SUCCESS, done.runs[0].steps
    with Store.open(tmp_path / ".engine" / "test") as store:
        (version,) = [store.models.find_newest("m")]
        assert version is not None
        (facts,) = store.models.list_facts("m", 9)
        held_out = pl.read_parquet(version.folder / "test.parquet")
    (digest,) = facts.facts["datasets"]["a"]["files"].values()
    assert digest == hash_file(tmp_path / "next", InMemoryFileHashes())
    assert held_out["x"].min() == 99


def test_a_backup_that_links_a_file_does_not_disturb(
    files: Callable[[str], str], spec: Spec, run: Run, tmp_path: Path
) -> None:
    """A hard link changes the ctime of a file, not its content."""
    files_of = files("csv")
    (tmp_path / "mine.py").write_text(
        "import os\nfrom pathlib import Path\nHERE = Path(__file__).parent\n"
        "def link(frame):\n    os.link(HERE / 'now', HERE / 'backup')\n    return 1\n"
    )
    spec(one_store(files_of, ", metrics: {hook: {kind: python, function: 'mine:link'}}"))
    done = run()
    assert done.runs[0].outcome is Outcome.SUCCESS
    assert "changed" not in log_of(done, tmp_path)


@pytest.mark.slow
def test_a_link_that_turns_to_a_file_of_the_same_size_and_time(
    files: Callable[[str], str], spec: Spec, tmp_path: Path
) -> None:
    files("arrow")
    (tmp_path / "now").rename(tmp_path / "day1")
    assert (tmp_path / "day1").stat().st_size == (tmp_path / "next").stat().st_size
    (tmp_path / "now").symlink_to("day1")
    spec(one_store("arrow"))
    assert call_engine(tmp_path, "run", "project.yaml").returncode == 0
    (tmp_path / "now").unlink()
    (tmp_path / "now").symlink_to("next")
    planned = call_engine(tmp_path, "plan", "project.yaml")
    assert "now has changed" in planned.stdout, planned.stdout
    assert call_engine(tmp_path, "run", "project.yaml").returncode == 0
    assert [evaluation.metrics["mean.x"].value for evaluation in evaluations(tmp_path)] == [0, 100]


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["arrow", "ndjson"])
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the memory map is read from /proc")
def test_the_command_line_does_not_map_files_into_memory(
    ending: str, files: Callable[[str], str], spec: Spec, tmp_path: Path
) -> None:
    """Another program that cuts a mapped file short while it is read would end the process."""
    files(ending)
    (tmp_path / "mine.py").write_text(
        "from pathlib import Path\nNOW = str(Path(__file__).with_name('now'))\n"
        "def mapped(frame):\n"
        "    batches = frame.collect_batches(chunk_size=10, maintain_order=True)\n    next(iter(batches))\n"
        "    return float(NOW in Path('/proc/self/maps').read_text())\n"
    )
    spec(one_store(ending, ", metrics: {m: {kind: python, function: 'mine:mapped'}}, checks: {c: {metric: m, max: 0}}"))
    done = call_engine(tmp_path, "run", "project.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_check_of_a_dataset_by_the_library_reads_once_more(
    files: Callable[[str], str], spec: Spec, tmp_path: Path
) -> None:
    checks = ", checks: {c: {metric: mean.x, min: 50}}, metrics: {hook: {kind: python, function: 'mine:swap'}}"
    spec(one_store(files("ndjson"), checks))
    (result,) = engine.load(tmp_path / "project.yaml", environ={}).check("now")
    assert (result.value, str(result.outcome)) == (100.0, "OK")


def test_a_file_that_is_removed_while_it_is_read(
    files: Callable[[str], str], spec: Spec, run: Run, tmp_path: Path
) -> None:
    files("csv")
    (tmp_path / "mine.py").write_text(
        "from pathlib import Path\ndef remove(frame):\n    Path(__file__).with_name('now').unlink()\n    return 1\n"
    )
    spec(one_store("csv", ", metrics: {hook: {kind: python, function: 'mine:remove'}}"))
    done = run()
    assert "now was removed while it was read" in log_of(done, tmp_path)
    assert "there is no file" in done.runs[0].steps[0].reason


def test_errors_of_a_file_that_has_not_changed_are_raised_at_once() -> None:
    from engine.data import read_unchanged

    tries: list[object] = []

    def fail(files: object) -> None:
        tries.append(files)
        raise DataError("the file is wrong")

    with pytest.raises(DataError, match="the file is wrong"):
        read_unchanged(fail, InMemoryFileHashes(), print)
    assert len(tries) == 1

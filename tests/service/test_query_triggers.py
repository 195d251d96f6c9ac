"""What fires a trigger of kind `query_changed`: real files, and the process that computes the query."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ..processes import is_alive
from ..waiting import PATIENCE, wait_for
from .data_triggers import QUIET, Served, write_spec

D = "d: {path: d.csv, settle: 200ms}"


def serve(folder: Path, sql: str, datasets: str = D, more: str = "", **keys: str) -> Served:
    extra = "".join(f", {key}: {value}" for key, value in keys.items())
    spec = write_spec(folder, datasets, f"kind: query_changed, sql: {sql!r}{extra}", more=more)
    return Served(spec, environ=dict(os.environ)).begin()


def wait_for_answer(served: Served, answered: dict[str, str]) -> None:
    """Wait until the query has been asked with these contents of files."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and served.states["t0"].seen.get("answered") == answered:
        assert served.tick() == []
        time.sleep(0.02)


@pytest.mark.slow
def test_only_another_result_fires(tmp_path: Path) -> None:
    csv = tmp_path / "d.csv"
    csv.write_text("a,b\n1,x\n2,y\n")
    served = serve(tmp_path, "SELECT a FROM d WHERE a > 1")
    first = served.states["t0"].seen
    csv.write_text("a,b\n2,y\n1,other\n")
    wait_for_answer(served, first["answered"])
    assert served.states["t0"].seen["result"] == first["result"]
    csv.write_text("a,b\n2,y\n3,x\n")
    (fire,) = served.wait()
    assert (fire.scenario, fire.trigger, fire.changed) == ("s", "t0", ("d",))
    assert fire.key.startswith("query:")
    csv.write_text("a,b\n2,y\n")
    (back,) = served.wait()
    assert served.states["t0"].seen["result"] == first["result"]
    assert back.key != fire.key
    asked = dict(served.states["t0"].seen)
    assert served.wait(QUIET) == []
    served = Served(served.project.path, served.states, dict(os.environ))
    assert served.wait(QUIET) == []
    assert served.states["t0"].seen == asked


@pytest.mark.slow
@pytest.mark.parametrize(("sql", "fires"), [("SELECT a FROM d", False), ("SELECT a FROM d ORDER BY b", True)])
def test_the_order_of_rows_counts_if_the_query_gives_one(tmp_path: Path, sql: str, fires: bool) -> None:
    csv = tmp_path / "d.csv"
    csv.write_text("a,b\n1,1\n2,2\n")
    served = serve(tmp_path, sql)
    before = served.states["t0"].seen["answered"]
    csv.write_text("a,b\n1,2\n2,1\n")
    if fires:
        assert len(served.wait()) == 1
    else:
        wait_for_answer(served, before)


@pytest.mark.slow
def test_an_error_is_reported_in_words_and_keeps_the_last_result(tmp_path: Path) -> None:
    csv = tmp_path / "d.csv"
    csv.write_text("a,b\n1,x\n")
    served = serve(tmp_path, "SELECT a FROM d")
    csv.write_text("c,b\n1,x\n")
    assert "its SQL is not valid: there is no column 'a'" in served.wait_for_error()
    csv.write_text("a,b\n1,x\n")
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and served.states["t0"].error:
        assert served.tick() == []
        time.sleep(0.02)
    assert served.states["t0"].error is None


def test_a_result_that_is_too_large_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a\n" + "".join(f"{row}\n" for row in range(100_001)))
    served = serve(tmp_path, "SELECT a FROM d")
    assert "larger than 100,000 rows" in str(served.states["t0"].error)


def test_what_a_function_returns_is_asked_for_each_time(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from pathlib import Path\nimport polars as pl\n\n"
        "def read():\n    return pl.DataFrame({'a': [int(Path(__file__).with_name('n').read_text())]})\n"
    )
    (tmp_path / "n").write_text("1")
    served = serve(tmp_path, "SELECT a FROM d", "d: {kind: python, function: 'mine:read'}")
    (tmp_path / "n").write_text("2")
    assert len(served.wait()) == 1


@pytest.mark.slow
def test_another_value_of_a_variable_asks_again(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a\n1\n2\n")
    served = serve(tmp_path, "SELECT COUNT(*) AS n FROM d WHERE a > ${least}", more="variables: {least: 0}\n")
    spec = served.project.path
    spec.write_text(spec.read_text().replace("{least: 0}", "{least: 1}"))
    served = Served(spec, served.states, dict(os.environ))
    assert len(served.wait()) == 1


def test_the_end_of_the_server_ends_a_query(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import os, time\nfrom pathlib import Path\n\n"
        "def read():\n    Path(__file__).with_name('pid').write_text(str(os.getpid()))\n    time.sleep(600)\n"
    )
    spec = write_spec(tmp_path, "d: {kind: python, function: 'mine:read'}", "kind: query_changed, sql: SELECT a FROM d")
    served = Served(spec, environ=dict(os.environ))
    until = time.monotonic() + PATIENCE
    pid = tmp_path / "pid"
    while time.monotonic() < until and not (pid.exists() and pid.read_text()):
        served.tick()
        time.sleep(0.02)
    child = int(pid.read_text())
    began = time.monotonic()
    assert served.tick() == []
    assert time.monotonic() - began < 0.5
    served.probes.close()
    wait_for(lambda: not is_alive(child), "the end of the query")


def test_what_looks_at_data_loads_no_data_library() -> None:
    code = (
        "import sys, engine.service.sources.data_probes; "
        "print([x for x in ('polars', 'numba', 'sklearn') if x in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

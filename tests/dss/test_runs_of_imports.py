"""What is imported with its data runs as it is: files of every format, the rules of datasets, steps and messages."""

import gzip
import io
import json
import zipfile
from email import message_from_bytes, policy
from pathlib import Path

import polars as pl
import pytest

from ..command_line import call_engine
from ..small_disks import fill_disk, mount_small_disk

PROJECT = Path(__file__).parent / "projects" / "loans"
KEPT = ("params.json", "variables.json", *(f"datasets/{name}.json" for name in ("loans", "payments", "remarks")))
LOANS = "id,purpose,amount,rate,closed\n1,car,10.5,0.1,\n2,house,20,0.3,\n3,car,30,,\n4,house,40,0.05,\n"
REMARKS = '1\t"he said \\"no\\""\n2\t"two\nlines"\n3\t\n'


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """An export of the datasets of the project, with their rows, and of the scenario that checks them."""
    payments = io.BytesIO()
    pl.DataFrame({"loan": [1, 2], "paid": [5.0, 2.5]}).write_parquet(payments)
    data = {
        "uploads/loans/loans.csv": LOANS.encode(),
        "fs_datasets_data/payments/out-s0.parquet": payments.getvalue(),
        "fs_datasets_data/remarks/out-s0.csv.gz": gzip.compress(REMARKS.encode()),
    }
    path = tmp_path / "loans.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("export-manifest.json", json.dumps({"originalProjectKey": "LOANS"}))
        for name in (*KEPT, "localvariables.json", "scenarios/QUALITY.json"):
            archive.write(PROJECT / name, f"project_config/{name}")
        for name, content in data.items():
            archive.writestr(f"other-files/{name}", content)
    return path


@pytest.mark.slow
def test_a_disk_that_is_full_in_the_middle_keeps_nothing_of_an_import(export: Path, tmp_path: Path) -> None:
    with mount_small_disk(tmp_path / "disk", "size=64k") as disk:
        fill = fill_disk(disk / "fill", leave=12_000)  # space for the data, but not for the spec and the report
        arguments = ("import", "dss", str(export), "-o", "out", "--with-data")
        refused = call_engine(disk, *arguments)
        assert (refused.returncode, "No space left on device" in refused.stderr) == (2, True), refused.stderr
        assert [path for path in disk.rglob("*") if path.is_file()] == [fill]
        fill.unlink()
        assert call_engine(disk, *arguments).returncode == 0


def test_rules_run_as_checks_and_contracts(export: Path, tmp_path: Path) -> None:
    imported = call_engine(tmp_path, "import", "dss", str(export), "-o", "out", "--with-data")
    assert imported.returncode == 0, imported.stderr
    assert call_engine(tmp_path, "validate", "out/spec.yaml").returncode == 0
    done = call_engine(tmp_path, "run", "out/spec.yaml", "Quality of loans", "--format", "json")
    assert done.returncode == 1, done.stderr
    (run,) = json.loads(done.stdout)["runs"]
    found = {check["check"]: check["outcome"] for step in run["steps"] for check in step["checks"]}
    assert found == {
        "three remarks": "OK",
        "enough loans": "WARNING",
        "five columns": "OK",
        "largest amount": "OK",
        "largest rate": "OK",
        "ids": "OK",
        "few rates missing": "WARNING",
        "few amounts missing": "OK",
        "none closed": "OK",
        "purposes differ": "OK",
        "half differ": "OK",
        "rates in range rate min": "OK",
        "rates in range rate max": "WARNING",
        "same columns": "OK",
        "usual amount": "EMPTY",
        "usual count": "EMPTY",
        "amount > 5": "ERROR",
        "smallest rate": "OK",
    }
    (sent,) = tmp_path.glob("out/outbox/*.eml")
    mail = message_from_bytes(sent.read_bytes(), policy=policy.default)
    assert mail["Subject"] == "Quality of loans: FAILED of Q1"
    assert mail["To"] == "north@example.com"


def test_rules_that_are_queries_judge_the_most_frequent_values_and_two_metrics(export: Path, tmp_path: Path) -> None:
    assert call_engine(tmp_path, "import", "dss", str(export), "-o", "out", "--with-data").returncode == 0
    spec, rows = tmp_path / "out" / "spec.yaml", tmp_path / "out" / "data" / "loans" / "loans.csv"
    spec.write_text(spec.read_text().replace("metric: max.amount, max: 5}", "metric: max.amount, max: 500}"))
    header, *lines = LOANS.splitlines()
    judged = {}
    for name, kept in {"few cars": (0, 1, 3), "few loans": (0, 1, 2)}.items():
        text = "\n".join([header, *(lines[place] for place in kept)])
        rows.write_text(text)
        if name == "few loans":
            pl.DataFrame({"loan": range(5), "paid": 1.0}).write_parquet(next(rows.parents[1].glob("payments/*")))
        done = call_engine(tmp_path, "run", "out/spec.yaml", "Quality of loans", "--format", "json")
        (run,) = json.loads(done.stdout)["runs"]
        found = {check["check"]: check["outcome"] for step in run["steps"] for check in step["checks"]}
        judged[name] = [found[rule] for rule in ("top purposes", "usual purpose", "more than payments")]
    assert judged == {"few cars": ["ERROR", "ERROR", "OK"], "few loans": ["OK", "OK", "ERROR"]}


@pytest.mark.parametrize(
    ("wrong", "rule"), [("1,car,1,0.1,\n1,car,2,0.1,\n3,car,3,0.1,\n", "unique"), ("1,boat,1,0.1,\n", "allowed")]
)
def test_a_value_that_breaks_a_rule_on_values_fails_the_step(
    export: Path, tmp_path: Path, wrong: str, rule: str
) -> None:
    assert call_engine(tmp_path, "import", "dss", str(export), "-o", "out", "--with-data").returncode == 0
    (tmp_path / "out" / "data" / "loans" / "loans.csv").write_text(LOANS.splitlines()[0] + "\n" + wrong)
    done = call_engine(tmp_path, "run", "out/spec.yaml", "Quality of loans")
    assert done.returncode == 3
    assert rule in done.stdout

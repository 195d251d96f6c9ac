"""`engine import dss`: projects of DSS, written for these tests, become specs and reports.

`ENGINE_WRITE_GOLDEN=1 pytest tests/dss` writes the files in `golden/`: read them before they are committed.
"""

import json
import os
import re
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from engine.cli.command_line import app
from engine.dss.json_objects import parse_lenient_json
from engine.dss.project_import import ImportedProject, import_project
from engine.dss.source import open_project_files
from engine.dss.unread_keys import MEANINGLESS_KEYS
from engine.errors import BundleError, Severity, SpecError, UsageError
from engine.spec import load
from engine.spec.metrics.dss_names import COLUMN_METRICS, DATASET_METRICS, STORE_METRICS
from tests.dss.project_documents import as_files, list_places, read_documents

HERE = Path(__file__).parent
SPECS = Path(__file__).parents[2] / "specs"
PROJECTS = {
    **{name: HERE / "projects" / name for name in ("cards", "everything", "loans", "orders")},
    "seed": SPECS / "dataiku_project",
}
SECRETS = ("invented-password", "invented-token", "HARMLESS-INVENTED-KEY", "9f86d081884c7d65")


def run_import(*arguments: str | Path) -> int:
    result = typer.main.get_command(app).main(["import", "dss", *map(str, arguments)], standalone_mode=False)
    return int(result)


def zip_project(project: str, path: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted((HERE / "projects" / project).rglob("*")):
            if file.is_file():
                archive.write(file, prefix + file.relative_to(HERE / "projects" / project).as_posix())
    return path


@pytest.mark.parametrize("project", PROJECTS)
def test_a_project_becomes_the_expected_spec_and_report(
    project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_import(PROJECTS[project]) == 0
    assert all("TODO" in line for line in find_wrong_lines(Path("spec.yaml")))
    for name in ("spec.yaml", "import-report.md"):
        found, golden = Path(name).read_text(), HERE / "golden" / project / name
        if os.environ.get("ENGINE_WRITE_GOLDEN"):
            golden.parent.mkdir(parents=True, exist_ok=True)
            golden.write_text(found)
        assert found == golden.read_text()
        assert not any(secret in found for secret in SECRETS)


def find_wrong_lines(spec: Path) -> list[str]:
    """Return the lines in which `engine validate` finds an error."""
    lines = spec.read_text(encoding="utf-8").splitlines()
    try:
        load(spec, environ={})
    except SpecError as wrong:
        return [lines[one.position.line - 1] for one in wrong.diagnostics if one.severity is Severity.ERROR]
    return []


def test_folder_export_and_bundle_give_the_same_spec(tmp_path: Path) -> None:
    export = zip_project("cards", tmp_path / "export.zip", "project_config/")
    with zipfile.ZipFile(export, "a") as archive:
        archive.writestr("export-manifest.json", json.dumps({"originalProjectKey": "CARDS"}))
    bundle = zip_project("cards", tmp_path / "bundle.zip", "some/folder/")
    texts = {read_project(source).spec for source in (HERE / "projects" / "cards", export, bundle)}
    assert len(texts) == 1


def read_project(source: Path, *, with_data: bool = False) -> ImportedProject:
    with open_project_files(source) as files:
        return import_project(files, with_data=with_data)


def test_data_of_an_export_is_copied_and_read_from_there(tmp_path: Path) -> None:
    export = zip_project("cards", tmp_path / "export.zip", "project_config/")
    version = "other-files/saved_models/Mod3lAb1/versions"
    with zipfile.ZipFile(export, "a") as archive:
        archive.writestr("other-files/fs_datasets_data/purchases_eval/out-s0.csv.gz", b"rows")
        archive.writestr(f"{version}/9/split/test.csv.gz", b"old")
        archive.writestr(f"{version}/10/split/test.csv.gz", b"new")
        archive.writestr(f"{version}/10/clf.pkl", b"never read")
    assert run_import(export, "-o", tmp_path / "out", "--with-data") == 0
    copied = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out" / "data").rglob("*.gz"))
    assert copied == ["data/authorization_test/test.csv.gz", "data/purchases_eval/out-s0.csv.gz"]
    assert (tmp_path / "out" / copied[0]).read_bytes() == b"new"
    project = load(tmp_path / "out" / "spec.yaml", environ={})
    assert project.resources.evaluation_stores["the_MES"].reference.dataset == "authorization_test"


def test_strict_fails_if_something_is_left_out_and_nothing_is_overwritten(tmp_path: Path) -> None:
    source = HERE / "projects" / "orders"
    assert run_import(source, "-o", tmp_path, "--strict") == 1
    with pytest.raises(typer.BadParameter, match="exists already"):
        run_import(source, "-o", tmp_path)


def test_a_folder_that_is_not_a_project_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.zip").write_bytes(b"no archive")
    with pytest.raises(UsageError, match="neither"), open_project_files(tmp_path / "absent"):
        pass
    with pytest.raises(UsageError, match=r"params\.json"), open_project_files(tmp_path):
        pass
    with pytest.raises(BundleError, match="not a zip archive"), open_project_files(tmp_path / "empty.zip"):
        pass


def _as_link(info: zipfile.ZipInfo) -> None:
    info.external_attr = (stat.S_IFLNK | 0o777) << 16


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("../outside.json", None, r"\.\."),
        ("/etc/absolute.json", None, "absolute"),
        ("a\\b.json", None, "backslash"),
        ("/".join("d" * 40) + "/deep.json", None, "deeper"),
        ("PARAMS.json", None, "cannot stand in one folder"),
        ("params.json", None, "twice"),
        ("link.json", _as_link, "a link"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")  # zipfile's, of the file that this test writes
def test_hostile_archives_are_refused(
    name: str, change: Callable[[zipfile.ZipInfo], None] | None, why: str, tmp_path: Path
) -> None:
    path = zip_project("orders", tmp_path / "export.zip")
    info = zipfile.ZipInfo(name)
    if change:
        change(info)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(info, b"{}")
    with pytest.raises(BundleError, match=why), open_project_files(path):
        pass


def test_overlapping_and_damaged_files_are_reported(tmp_path: Path) -> None:
    path = zip_project("orders", tmp_path / "export.zip")
    raw = bytearray(path.read_bytes())
    second = raw.index(b"PK\x01\x02", raw.index(b"PK\x01\x02") + 4)
    raw[second + 42 : second + 46] = bytes(4)  # the place of the second file is that of the first
    (tmp_path / "overlap.zip").write_bytes(raw)
    with pytest.raises(BundleError, match="overlaps"), open_project_files(tmp_path / "overlap.zip"):
        pass
    place = next(i.header_offset for i in zipfile.ZipFile(path).infolist() if i.filename == "scenarios/NIGHTLY.json")
    raw = bytearray(path.read_bytes())
    raw[place + 80 : place + 100] = bytes(20)
    path.write_bytes(raw)
    imported = read_project(path)
    assert "scenarios/NIGHTLY.json" in imported.report.remarks
    assert [line.name for line in imported.report.left_out if line.kind == "scenario"] == ["NIGHTLY"]


def test_links_in_a_folder_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "project" / "datasets").mkdir(parents=True)
    (tmp_path / "project" / "params.json").write_text("{}")
    (tmp_path / "project" / "datasets" / "a.json").write_text('{"type": "UploadedFiles"}')
    (tmp_path / "project" / "variables.json").symlink_to(HERE / "projects" / "cards" / "variables.json")
    imported = read_project(tmp_path / "project")
    assert [(line.name, line.reason) for line in imported.report.left_out] == [
        ("variables.json", "it is a link or a device")
    ]


def test_lenient_json() -> None:
    text = """{'a': 'it\\'s "so"', "b": "// no comment, 'none'", /* one */ "c": [1, 2,], }"""
    assert parse_lenient_json(text) == {"a": 'it\'s "so"', "b": "// no comment, 'none'", "c": [1, 2]}
    for wrong in ("{'a'", "[" * 100_000):
        with pytest.raises(ValueError, match=r"line|deeply"):
            parse_lenient_json(wrong)


DOCUMENTS = read_documents("cards")
MEANT = ("datasets/", "model_evaluation_stores/", "scenarios/")


def test_a_key_that_nothing_reads_is_in_the_report() -> None:
    """Every object of the files that mean something gets a key that DSS does not have."""
    documents = json.loads(json.dumps({file: value for file, value in DOCUMENTS.items() if file.startswith(MEANT)}))
    owners = [(file, place) for file, value in documents.items() for place in [(), *list_places(value)]]
    expected = set()
    for file, place in owners:
        value = documents[file]
        for key in place:
            value = value[key]
        if isinstance(value, dict):
            value["unheardOf"] = "here"
            path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in (*place, "unheardOf"))
            expected.add(f"{file} ${path}")
    texts = {file: json.dumps({**DOCUMENTS, **documents}[file]).encode() for file in DOCUMENTS}
    report = import_project(as_files(texts), with_data=False).report
    found = {re.sub(r"\*", "", path) for path in report.unread}
    whole = {line.place for line in report.lines if line.outcome in ("left out", "not needed")}
    for place in expected:
        file, path = place.split(" ")
        shown = re.sub(r"/[^/]*(\.[^./]*)$", r"/\1", file) + " " + re.sub(r"\[[0-9]+\]", "[]", path)
        inside = {key.partition("[")[0] for key in path.split(".")}
        known = inside & (MEANINGLESS_KEYS | {"delayedTriggersBehavior", "messaging", "selection"})
        assert shown in found or known or any(place.startswith(one) for one in whole), place


def test_a_key_that_stands_twice_is_reported() -> None:
    texts = {file: json.dumps(value).encode() for file, value in DOCUMENTS.items()}
    texts["datasets/shops.json"] = b'{"type": "StatsDB", "type": "UploadedFiles", "params": {}}'
    report = import_project(as_files(texts), with_data=False).report
    assert "type" in report.remarks["datasets/shops.json $"]
    assert [line.outcome for line in report.lines if line.name == "shops"] == ["imported with a note"]


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("db_password", "x", True),
        ("anything", "postgresql://ann:pass@host/db", True),
        ("anything", "kQ7vX2mN9pR4sT8wY1zB", True),
        ("anything", "0123456789abcdef0123456789abcdef", True),
        ("service_key", "a1b2c3d4", True),
        ("partition_key", "customer_id", False),
        ("table", "customer_lifetime_value_2021_q1", False),
        ("first_day", "2017-10-01", False),
        ("folder", "/data/design/cards2017", False),
        ("receiver", "monitoring@example.com", False),
    ],
)
def test_what_may_be_a_secret(name: str, value: str, secret: bool) -> None:
    texts = {
        "params.json": b"{}",
        "variables.json": json.dumps({name: value}).encode(),
        "datasets/a.json": b'{"type": "UploadedFiles"}',
    }
    imported = import_project(as_files(texts), with_data=False)
    assert (value in imported.spec) is not secret
    assert value not in imported.report.summarize()


def test_the_guide_has_every_metric_of_dss() -> None:
    guide = (SPECS / "coming_from_dataiku.md").read_text(encoding="utf-8")
    known = {*STORE_METRICS, *DATASET_METRICS, *COLUMN_METRICS}
    assert {name for name in known if not re.search(rf"[`:]{re.escape(name)}[`:]", guide)} == set()


def test_a_number_that_a_spec_cannot_have_becomes_a_text() -> None:
    step = {"type": "set_project_vars", "name": "set", "params": {"variables": {"a": 10**400, "b": 2**70, "c": 5}}}
    texts = {
        "params.json": b"{}",
        "datasets/a.json": b'{"type": "UploadedFiles"}',
        "scenarios/S.json": json.dumps({"type": "step_based", "params": {"steps": [step]}}).encode(),
    }
    spec = import_project(as_files(texts), with_data=False).spec
    assert f'b: "{2**70}"' in spec
    assert "c: 5" in spec

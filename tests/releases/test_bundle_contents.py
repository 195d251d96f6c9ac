"""What a bundle holds, and what it never holds."""

import os
import subprocess
import zipfile
from pathlib import Path

import polars as pl
import pytest

from engine.bundles.archive_checks import read_manifest
from tests.command_line import ENGINE
from tests.permissions import close_path, find_powerless
from tests.releases.conftest import CODE, SPEC, find_archive, run_engine, write_project

VALUES = [f"Planted-{number:02}-{'xyz' * 5}/+={number}" for number in range(20)]


@pytest.mark.slow
def test_a_bundle_holds_the_spec_its_code_the_rows_and_the_model(project):
    said = run_engine("bundle", "create", project, "v1")
    manifest = read_manifest(find_archive(project))
    assert sorted(manifest.files) == [
        "data/batch/rows.parquet",
        "models/m/model.json", "models/m/model.skops", "models/m/probe.parquet", "models/m/probe_rows.parquet",
        "models/m/test.parquet",
        "project/mine.py", "project/project.yaml", "project/shared/shift.py",
    ]  # fmt: skip
    assert "500 rows of batch" in said
    assert manifest.id in said
    assert (manifest.datasets["batch"].rows, manifest.datasets["batch"].entity) == (500, "person")
    assert manifest.needs.datasets == ("people",)
    assert "v1 (it already has this name: nothing has changed)" in run_engine("bundle", "create", project, "v1")


@pytest.mark.slow
def test_a_name_is_not_given_to_other_contents(project):
    run_engine("bundle", "create", project, "v1")
    project.write_text(project.read_text().replace("first", "second"))
    said = run_engine("bundle", "create", project, "v1", code=3)
    assert 'the name "v1" belongs to another bundle of small' in said
    assert "choose another name" in said


@pytest.mark.slow
def test_two_folders_and_two_trainings_give_the_same_id(tmp_path):
    ids = set()
    for name in ("one", "other folder"):
        path = write_project(tmp_path / name)
        if name != "one":
            run_engine("run", path, "again")
        run_engine("bundle", "create", path, "v1", USER="somebody else", LOGNAME="somebody else")
        archive = find_archive(path)
        ids.add(archive.stem)
        content = archive.read_bytes()
        assert os.fsencode(tmp_path) not in content
    assert len(ids) == 1


def test_a_spec_file_outside_of_the_folder_is_refused(project):
    (project.parent.parent / "more.yaml").write_text("datasets: {other: {path: other.csv}}\n")
    project.write_text(project.read_text() + "include: [../more.yaml]\n")
    said = run_engine("bundle", "create", project, "v1", code=3)
    assert "more.yaml is outside of" in said
    assert "move it there" in said


def test_files_are_those_that_the_patterns_name_without_what_the_engine_writes(project):
    (project.parent / "notes").mkdir()
    (project.parent / "notes" / "read me.md").write_text("hello")
    (project.parent / ".env").write_text("hidden")
    text = project.read_text().replace("include: {datasets: [batch], models: [m]}", "include: {files: ['**/*']}")
    project.write_text(text)
    run_engine("bundle", "create", project, "v1")
    names = read_manifest(find_archive(project)).files
    assert "project/notes/read me.md" in names
    assert not [name for name in names if ".e" in name]
    project.write_text(text.replace("**/*", "absent*"))
    assert "there is no file 'absent*'" in run_engine("bundle", "create", project, "v1", code=3)


@pytest.mark.parametrize("pattern", ["notes", "no*/**", "no*"])
@pytest.mark.parametrize("mode", [0, 0o444])
def test_a_folder_that_may_not_be_read_is_not_left_out(project, pattern, mode):
    closed = project.parent / "notes" / "closed"
    closed.mkdir(parents=True)
    (closed / "b.md").write_text("hello")
    (project.parent / "notes" / "a.md").write_text("hello")
    text = project.read_text()
    project.write_text(text.replace("{datasets: [batch], models: [m]}", f"{{files: ['{pattern}']}}"))
    command = [*find_powerless(), ENGINE, "bundle", "create", project, "v1"]
    with close_path(closed, mode):
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 3
    assert f"include: files: {closed}" in done.stderr
    assert "cannot be read: Permission denied" in done.stderr
    assert "v1" not in run_engine("bundle", "list", project)


@pytest.mark.parametrize("where", ["code", "spec", "rows", "held-out rows", "notes", "base64", "model"])
def test_a_bundle_that_would_hold_a_secret_is_refused(project, where):
    import base64

    value = VALUES[0]
    text = project.read_text().replace("variables:", "secrets: {token: {env: PLANTED}}\nvariables:", 1)
    code = CODE
    match where:
        case "code":
            code += f"# {value}\n"
        case "base64":
            code += f"# {base64.b64encode(b'user:' + value.encode()).decode()}\n"
        case "spec":
            text += f"description: '{value}'\n"
        case "notes":
            text = text.replace("release_notes: first", f"release_notes: '{value}'")
        case "rows":
            text = text.replace("seed: 1, by: 4", "seed: 1, by: 4, word: '${word}'").replace(
                "{limit: 0.45}", "{limit: 0.45, word: x}"
            )
            code = code.replace("by=0.0)", "by=0.0, word='c')").replace('"c"]', "word]")
        case _:
            code = code.replace('"c"]', f'"{value[:8]}" + "{value[8:]}"]')
            text = text.replace("datasets: [batch], ", "")
    project.write_text(text)
    (project.parent / "mine.py").write_text(code)
    more = ["--var", f"word={value}"] if where == "rows" else []
    said = run_engine("bundle", "create", project, "v1", *more, code=3, PLANTED=value)
    assert 'the value of the secret "token" is in' in said
    assert value not in said
    assert not list(project.parent.glob(".engine/small/bundles/names/*/*"))


@pytest.mark.slow
def test_none_of_twenty_planted_values_is_in_a_bundle(tmp_path):
    names = [f"VALUE_{number}" for number in range(20)]
    secrets = ", ".join(f"s{number}: {{env: {name}}}" for number, name in enumerate(names[:8]))
    (tmp_path / "design").mkdir()
    text = SPEC.replace("variables: {limit: 0.45}", (
        f"secrets: {{{secrets}, of_file: {{file: key.txt}}}}\n"
        "variables:\n  limit: 0.45\n  word: nothing\n"
        + "".join(f"  v{number}: '${{env.{name}}}'\n" for number, name in enumerate(names[9:18], 9))
    ))  # fmt: skip
    text += (
        "channels:\n  hook: {kind: webhook, url: '${secret.s0}', headers: {key: '${secret.s1}'}}\n"
        "  mail: {kind: mail, url: 'smtp://me:${secret.s2}@localhost', from: a@example.com}\n"
    )
    text = text.replace('limit}"}}}', "limit}\"}}, evaluation: {labels: {a: '${v9}', b: '${word}'}}}")
    (tmp_path / "design").rmdir()
    path = write_project(tmp_path / "design", text)
    (path.parent / "key.txt").write_text(VALUES[8])
    values = dict(zip(names, VALUES, strict=True))
    run_engine("run", path, "main", "--var", f"word={VALUES[19]}", **values)
    run_engine("bundle", "create", path, "v1", "--var", f"word={VALUES[19]}", "--var", f"v10={VALUES[18]}", **values)
    archive = next(path.parent.glob(".engine/small/bundles/blobs/*.zip"))
    with zipfile.ZipFile(archive) as opened:
        contents = {name: opened.read(name) for name in opened.namelist()}
    assert not [(name, value) for name, content in contents.items() for value in VALUES if value.encode() in content]
    for name in ("data/batch/rows.parquet", "models/m/test.parquet", "models/m/probe_rows.parquet"):
        frame = pl.read_parquet(contents[name])
        assert not [value for value in VALUES if value in str(frame.rows())]


@pytest.mark.slow
def test_the_step_gives_each_day_a_bundle_of_its_own_and_a_plan_makes_none(project):
    text = project.read_text().replace("  main:", (
        "  nightly:\n    steps:\n      - {name: pack, kind: create_bundle, bundle: v1, called: \"v-${as_of}\"}\n  main:"
    ))  # fmt: skip
    project.write_text(text)
    planned = run_engine("plan", project, "nightly", "--as-of", "2026-11-28")
    assert "pack bundle v1 v-2026-11-28" in planned
    assert not list(project.parent.glob(".engine/small/bundles/*"))
    run_engine("run", project, "nightly", "--as-of", "2026-11-28", "--dry-run")
    assert not list(project.parent.glob(".engine/small/bundles/*"))
    said = run_engine("run", project, "nightly", "--as-of", "2026-11-28")
    assert "bundle v-2026-11-28 created" in said
    assert "v-2026-11-28" in run_engine("bundle", "list", project)


def test_what_is_signed_is_verified_with_the_public_key(project):
    key, public = project.parent.parent / "ada.private.pem", project.parent.parent / "ada.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
    run_engine("bundle", "create", project, "v1", "--sign", key)
    assert "signed by ada" in run_engine("bundle", "verify", project, "v1", "--key", public)


def test_whether_a_path_is_outside_does_not_depend_on_the_working_folder(project, monkeypatch):
    monkeypatch.chdir(project.parent)
    run_engine("bundle", "create", Path("project.yaml"), "v1")
    assert read_manifest(find_archive(project)).spec == "project/project.yaml"

"""`engine bundle`: the command line as a process."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import engine

from ..command_line import Done, Engine, call_engine
from .made import CONTENTS, make_archive, make_keys


@pytest.fixture
def run(tmp_path: Path) -> Engine:
    (tmp_path / "spec.yaml").write_text(
        "version: 1\nproject: p\ndatasets: {orders: {path: data/orders.parquet}}\nregistry: {path: registry}\n"
    )
    (tmp_path / "my_code.py").write_bytes(CONTENTS["my_code.py"])

    return partial(call_engine, tmp_path, "bundle", NO_COLOR="1")


def succeed(done: Done) -> str:
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_way_of_a_bundle_from_one_machine_to_another(run: Engine, tmp_path: Path) -> None:
    make_keys(tmp_path, "ada")
    id_ = make_archive(tmp_path / "v1.zip", notes="The first.")
    assert succeed(run("list", "spec.yaml")) == "no bundles yet: engine bundle create SPEC NAME creates one\n"
    assert succeed(run("import", "spec.yaml", "v1.zip")) == f"v1: {id_} was added to the bundles of p\n"

    unsigned = run("verify", "spec.yaml", "v1", "--key", "ada.pem")
    assert unsigned.returncode == 3
    assert unsigned.stderr.endswith(
        "is refused: a signature of a trusted key is needed (trusted: ada), but it is not signed by any of them\n"
    )
    succeed(run("sign", "spec.yaml", "v1", "--key", "ada.private.pem"))
    assert succeed(run("verify", "spec.yaml", "v1", "--key", "ada.pem")) == (
        f"v1: {id_}\n  the content of its 5 files matches its manifest\n  signed by ada\n"
    )
    assert succeed(run("publish", "spec.yaml", "v1")) == f"v1: published in registry as {id_}\n"
    header, line = succeed(run("list", "spec.yaml")).splitlines()
    assert header.split("  ")[0] == "name"
    for shown in ("v1 ", f"{id_[:12]}…", "local, published", "2026-11-28 23:00", "ada", "The first."):
        assert shown in line
    assert succeed(run("export", "spec.yaml", "v1", "out.zip")) == f"v1: {id_} was written to out.zip\n"
    assert json.loads(succeed(run("verify", "out.zip", "--key", "ada.pem", "--format", "json"))) == {
        "name": "out.zip",
        "id": id_,
        "signers": ["ada"],
        "signed_by_keys": json.loads(succeed(run("show", "out.zip", "--format", "json")))["signed_by_keys"],
    }
    again = run("export", "spec.yaml", "v1", "out.zip")
    assert (again.returncode, again.stderr) == (3, "engine: error: out.zip is already there: name a new file\n")


def test_the_contents_of_an_archive_are_shown(run: Engine, tmp_path: Path) -> None:
    make_archive(tmp_path / "v1.zip", notes="Two\nlines\x1b[2J.")
    shown = succeed(run("show", "v1.zip"))
    for line in (
        "    200 rows of orders in data/orders.parquet, columns a, b",
        "    my_code.py  49 B  sha256 3bd3c488f7b4f7ce…",
        "    Two",
        "    lines [2J.",
        "    other files: empty.txt",
        "  made    2026-11-28T23:00:00Z by ada",
        "  signed  by nobody",
    ):
        assert line in shown.splitlines(), shown
    document = json.loads(succeed(run("show", "v1.zip", "--format", "json")))
    assert document["manifest"]["datasets"]["orders"]["rows"] == 200


@pytest.mark.slow
def test_what_differs_between_two_bundles_is_shown(run: Engine, tmp_path: Path) -> None:
    make_archive(tmp_path / "a.zip")
    make_archive(tmp_path / "b.zip", notes="more")
    assert succeed(run("diff", "a.zip", "a.zip")) == "a.zip -> a.zip\n  nothing differs: it is the same bundle\n"
    assert succeed(run("diff", "a.zip", "b.zip")) == "a.zip -> b.zip\n  other\n    the release notes\n"
    succeed(run("import", "spec.yaml", "a.zip", "v1"))
    assert json.loads(succeed(run("diff", "spec.yaml", "v1", "b.zip", "--format", "json"))) == {
        "from": "v1", "to": "b.zip", "files": {}, "texts": {}, "datasets": [], "models": [],
        "other": ["the release notes"],
    }  # fmt: skip


@pytest.mark.slow
def test_a_mistake_is_reported_with_what_to_do(run: Engine, tmp_path: Path) -> None:
    make_archive(tmp_path / "v1.zip")
    make_archive(tmp_path / "v2.zip", notes="other")
    make_archive(tmp_path / "other.zip", project="q")
    (tmp_path / "cut.zip").write_bytes((tmp_path / "v1.zip").read_bytes()[:-10])
    succeed(run("import", "spec.yaml", "v1.zip", "v1"))
    for arguments, code, said in (
        (("import", "spec.yaml", "v2.zip", "v1"), 3, 'the name "v1" belongs to the bundle'),
        (("import", "spec.yaml", "other.zip"), 3, 'other.zip is a bundle of the project "q", not of "p"'),
        (("import", "spec.yaml", "missing.zip"), 3, "the bundle missing.zip cannot be read: No such file"),
        (("show", "cut.zip"), 3, "cut.zip is refused: it is not an archive of a bundle, or its end is missing"),
        (("show", "spec.yaml", "v9"), 2, '"v9" of p in .engine/p/bundles (known: v1); engine bundle create makes'),
        (("show", "spec.yaml"), 2, "give the name of a bundle after the spec"),
        (("show", "v1.zip", "v1"), 2, "v1.zip is the file of a bundle: leave out 'v1'"),
        (("diff", "spec.yaml", "v1"), 2, "two bundles are needed"),
        (("sign", "spec.yaml", "v1"), 2, "--key FILE is missing: the private key"),
        (("verify", "v1.zip", "--key", "spec.yaml"), 2, "spec.yaml holds no public key in PEM"),
    ):
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (code, ""), done
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert [line.split()[0] for line in succeed(run("list", "spec.yaml")).splitlines()] == ["name", "v1"]


def test_a_damaged_bundle_is_reported_in_the_list(run: Engine, tmp_path: Path) -> None:
    id_ = make_archive(tmp_path / "v1.zip")
    succeed(run("import", "spec.yaml", "v1.zip"))
    blob = tmp_path / f".engine/p/bundles/blobs/{id_}.zip"
    blob.write_bytes(blob.read_bytes()[:-1])
    done = run("list", "spec.yaml")
    assert done.returncode == 3
    assert done.stdout.splitlines()[-1].startswith("v1: ")
    assert "is refused" in done.stdout
    (row,) = engine.load(tmp_path / "spec.yaml").bundles().to_dicts()
    assert (row["name"], row["id"], row["where"], row["size"]) == ("v1", id_, "local", None)
    assert "is refused" in row["problem"]


@pytest.mark.parametrize("arguments", [["show", "v1.zip"], ["verify", "v1.zip"], ["diff", "v1.zip", "v1.zip"]])
def test_no_code_of_a_bundle_and_no_data_library_is_loaded_to_look_at_it(
    arguments: list[str], run: Engine, tmp_path: Path
) -> None:
    make_archive(tmp_path / "v1.zip")
    code = (
        "import sys\nfrom engine.cli.command_line import app\napp(sys.argv[1:], standalone_mode=False)\n"
        "found = {'polars', 'numpy', 'sklearn', 'numba', 'skops', 'my_code'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {found}' if found else 0)"
    )
    succeed(
        subprocess.run(
            [sys.executable, "-c", code, "bundle", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    )


def test_looking_at_bundles_writes_nothing(run: Engine, tmp_path: Path) -> None:
    make_archive(tmp_path / "v1.zip")
    before = sorted(tmp_path.rglob("*"))
    for arguments in (["list", "spec.yaml"], ["show", "v1.zip"], ["verify", "v1.zip"], ["diff", "v1.zip", "v1.zip"]):
        succeed(run(*arguments))
    assert sorted(tmp_path.rglob("*")) == before

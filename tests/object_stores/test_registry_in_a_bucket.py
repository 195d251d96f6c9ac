"""The registry in a bucket: a name is given once, and what is published there is deployed, checked and handed on."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.bundles.project_bundles import find_bundle, import_bundle, list_project_bundles, require_published
from engine.bundles.registry import BundleRegistry, RegisteredBundle, copy_archive
from engine.errors import BundleError, UsageError
from engine.spec import load
from engine.store.node import Node

from ..bundles.made import make_archive, make_keys
from ..command_line import call_engine
from ..deployments.deployed import HOOK, check_infrastructure, make_bundle, make_project, write_spec
from ..service.served import Served
from .faulty_front import Rule, run_front
from .store_server import StoreServer, needs_server

pytestmark = needs_server

RACERS = Path(__file__).parents[1] / "bundles/racers.py"
SECRET = "the/secret+key=of-the-store"
OpenRegistry = Callable[..., BundleRegistry]


@pytest.fixture
def open_registry(tmp_path: Path, bucket: StoreServer) -> OpenRegistry:
    """Open the registry of a spec in a folder of its own, as another machine does."""

    def open_it(here: str = "here", **connection: Any) -> BundleRegistry:
        return require_published(load(write_registry(tmp_path / here, bucket, **connection)))

    return open_it


def write_registry(folder: Path, bucket: StoreServer, **connection: Any) -> Path:
    folder.mkdir(exist_ok=True)
    written = {
        "version": 1,
        "project": "p",
        "connections": {"minio": bucket.connection(prefix="team", secret_key=SECRET, **connection)},
        "registry": {"connection": "minio", "path": "releases"},
    }
    spec = folder / "spec.yaml"
    spec.write_text(json.dumps(written))
    return spec


def run_engine(folder: Path, *arguments: str, code: int = 0, **environ: str) -> "subprocess.CompletedProcess[str]":
    done = call_engine(folder, *arguments, **environ)
    assert done.returncode == code, done.stdout + done.stderr
    assert SECRET not in done.stdout + done.stderr
    return done


def test_a_bundle_is_found_by_its_name_its_id_and_the_first_digits_of_it(
    open_registry: OpenRegistry, bucket: StoreServer, tmp_path: Path
) -> None:
    registry = open_registry()
    id_ = make_archive(tmp_path / "bundle.zip")
    with pytest.raises(BundleError, match="is not in s3://"):
        registry.assign("p", "v1", id_)
    assert [registry.put(tmp_path / "bundle.zip") for _ in range(2)] == [id_, id_]
    for name in ("v1", "v1", "Überprüft: ja"):
        registry.assign("p", name, id_)
    other = open_registry("there")
    for known in ("v1", "Überprüft: ja", id_, id_[:8]):
        assert other.resolve("p", known) == id_
    assert other.path_of(id_).read_bytes() == (tmp_path / "bundle.zip").read_bytes()
    names = [RegisteredBundle("p", "v1", id_), RegisteredBundle("p", "Überprüft: ja", id_)]
    assert other.list_bundles("p") == names
    assert other.list_bundles("other") == []
    with pytest.raises(UsageError, match=f'no bundle "v2" of p in s3://{bucket.bucket}/team/releases'):
        other.resolve("p", "v2")
    second = make_archive(tmp_path / "other.zip", notes="other")
    other.put(tmp_path / "other.zip")
    with pytest.raises(BundleError, match=f'"v1" belongs to the bundle {id_[:12]}… and is never given again'):
        other.assign("p", "v1", second)
    found = {name.removeprefix("team/releases/") for name in bucket.names()}
    assert {name for name in found if "names/" not in name} == {"canary", f"blobs/{id_}.zip", f"blobs/{second}.zip"}
    assert sum("names/" in name for name in found) == 2


@pytest.mark.slow
def test_one_of_sixteen_that_give_a_name_at_once_wins(bucket: StoreServer, tmp_path: Path) -> None:
    archives = [tmp_path / f"{number}.zip" for number in range(16)]
    ids = {make_archive(archive, notes=archive.name) for archive in archives}
    spec = write_registry(tmp_path / "here", bucket, timeout=60)
    done = subprocess.run([sys.executable, RACERS, spec, *archives], capture_output=True, text=True, check=True)
    told = done.stdout.splitlines()
    (won,) = [line.removeprefix("won ") for line in told if line.startswith("won ")]
    assert sum(line.startswith(f'lost the name "v1" belongs to the bundle {won[:12]}…') for line in told) == 15
    registry = require_published(load(spec))
    assert registry.list_bundles("p") == [RegisteredBundle("p", "v1", won)]
    assert {Path(name).stem for name in bucket.names() if "/blobs/" in name} == ids
    winner = next(one for one in archives if make_archive(one, notes=one.name) == won)
    command = [sys.executable, RACERS, spec, *[winner] * 4]
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert again.stdout.splitlines() == [f"won {won}"] * 4


def test_a_store_that_ignores_the_condition_gives_no_names(
    open_registry: OpenRegistry, bucket: StoreServer, tmp_path: Path
) -> None:
    id_ = make_archive(tmp_path / "bundle.zip")
    with run_front(bucket.url, tmp_path, ("PUT", "", "strip If-None-Match", -1)) as front:
        registry = open_registry(endpoint=front.url)
        registry.put(tmp_path / "bundle.zip")
        for _ in range(2):
            with pytest.raises(BundleError, match=r"the store ignores conditional writes \(If-None-Match\)"):
                registry.assign("p", "v1", id_)
    assert not [name for name in bucket.names() if "/names/" in name]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([("PUT", "names/", "lose", 1)], ""),
        ([("PUT", "names/", "answer 503 SlowDown", 2), ("PUT", "canary", "answer 500 InternalError", 2)], ""),
        ([("PUT", "names/", "answer 503 SlowDown", -1)], "the store is overloaded: try again later"),
        ([("PUT", "names/", "refuse", -1)], "the connection to http://127.0.0.1:[0-9]+ was lost"),
        ([("PUT", "names/", "answer 409 ConditionalRequestConflict", -1)], "could not be given"),
        ([("PUT", "canary", "answer 403 AccessDenied", -1)], "the store refuses this: the key needs .*s3:PutObject"),
    ],
)
def test_a_name_is_given_whole_or_not_whatever_happens_to_the_request(
    rules: list[Rule], said: str, open_registry: OpenRegistry, bucket: StoreServer, tmp_path: Path
) -> None:
    id_ = make_archive(tmp_path / "bundle.zip")
    open_registry().put(tmp_path / "bundle.zip")
    with run_front(bucket.url, tmp_path, *rules) as front:
        spoilt = open_registry(endpoint=front.url)
        if said:
            with pytest.raises(BundleError, match=said) as told:
                spoilt.assign("p", "v1", id_)
            assert SECRET not in repr(told.value) + repr(told.value.__cause__)
            assert open_registry().list_bundles("p") == []
        else:
            spoilt.assign("p", "v1", id_)
    open_registry().assign("p", "v1", id_)
    assert open_registry("there").resolve("p", "v1") == id_


def test_an_archive_that_is_swapped_damaged_or_cut_is_not_used(
    open_registry: OpenRegistry, bucket: StoreServer, tmp_path: Path
) -> None:
    registry = open_registry()
    id_, other = (make_archive(tmp_path / f"{notes}.zip", notes=notes) for notes in "ab")
    registry.put(tmp_path / "a.zip")
    registry.assign("p", "v1", id_)
    whole, blob = (tmp_path / "a.zip").read_bytes(), f"team/releases/blobs/{id_}.zip"
    for swapped, said in (((tmp_path / "b.zip").read_bytes(), f"another bundle, {other[:12]}…"), (whole[:-1], "")):
        bucket.put(blob, swapped)
        with pytest.raises(BundleError, match=f"is refused.*{said}"):
            registry.path_of(registry.resolve("p", "v1"))
    assert registry.put(tmp_path / "a.zip") == id_, "putting the bundle again repairs it"
    assert open_registry("there").path_of(id_).read_bytes() == whole
    with run_front(bucket.url, tmp_path, ("GET", "blobs/", "cut 100", -1)) as front:
        cut = open_registry("elsewhere", endpoint=front.url)
        with pytest.raises(BundleError, match="was lost"):
            cut.path_of(id_)
    assert not [one for one in (tmp_path / "elsewhere").rglob("*") if one.suffix == ".zip" or "parts/" in str(one)]
    bucket.put(f"team/releases/names/p/{id_}.json", b"[]")
    with pytest.raises(BundleError, match=r"is damaged: it must give a name of a project the id of a bundle"):
        registry.list_bundles("p")
    bucket.request("DELETE", blob)
    with pytest.raises(BundleError, match="is not in s3://"):
        registry.path_of(id_)


def test_signatures_are_added_and_never_lost(open_registry: OpenRegistry, tmp_path: Path) -> None:
    make_keys(tmp_path, "ada")
    make_keys(tmp_path, "bob")
    make_archive(tmp_path / "plain.zip")
    id_ = make_archive(tmp_path / "ada.zip", private=tmp_path / "ada.private.pem")
    make_archive(tmp_path / "bob.zip", private=tmp_path / "bob.private.pem")
    registry = open_registry()
    for archive in ("plain.zip", "ada.zip", "plain.zip"):
        registry.put(tmp_path / archive)
    with pytest.raises(BundleError, match="has the same bundle with signatures of other keys, which would be lost"):
        registry.put(tmp_path / "bob.zip")
    assert open_registry("there").path_of(id_).read_bytes() == (tmp_path / "ada.zip").read_bytes()


def describe_sections(bucket: StoreServer) -> str:
    """Return the sections of a spec with a registry in a bucket, whose key is a secret."""
    connection = {**bucket.connection(), "secret_key": "${secret.store_key}"}
    sections = {
        "secrets": {"store_key": {"env": "STORE_KEY"}},
        "connections": {"minio": connection},
        "registry": {"connection": "minio", "path": "releases"},
    }
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in sections.items())


@pytest.mark.slow
def test_what_is_published_is_verified_exported_imported_and_deployed_elsewhere(
    bucket: StoreServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_KEY", SECRET)
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    make_project(here, more=describe_sections(bucket), deployment="bundle: v3")
    said = run_engine(here, "bundle", "publish", "spec.yaml", "v3").stdout
    assert f"v3: published in s3://{bucket.bucket}/releases as " in said
    spec = load(write_spec(there, describe_sections(bucket), care=HOOK, deployment="bundle: v3"))
    listed = json.loads(run_engine(there, "bundle", "list", "spec.yaml", "--format", "json").stdout)
    assert [(one["name"], one["where"]) for one in listed] == [("v3", "published")]
    found = find_bundle(spec, "v3")
    copy_archive(found.path, there / "out.zip")
    assert import_bundle(spec, there / "out.zip", "kept") == found.id
    assert [(one.name, one.where) for one in list_project_bundles(spec)] == [("kept", "local"), ("v3", "published")]
    deployed = run_engine(there, "deploy", "spec.yaml", "production", "--now")
    assert "HEALTHY" in deployed.stdout
    assert check_infrastructure(there / "automation")[0] == 1
    refused = run_engine(there, "bundle", "list", "spec.yaml", code=2, STORE_KEY="")
    assert "STORE_KEY" in refused.stderr
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert SECRET.encode() not in written


NODE = "version: 1\nnode: factory\nfolder: data\nlisten: 127.0.0.1:0\nallow_code: true\n"


@pytest.mark.slow
def test_what_is_published_is_deployed_to_a_node(
    bucket: StoreServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_KEY", SECRET)
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    (there / "node.yaml").write_text(NODE)
    with Node.open(there / "data") as node:
        token = node.tokens.create("deployer", "deployer", "tests")[0]
    without = {name: value for name, value in os.environ.items() if name != "STORE_KEY"}
    monkeypatch.setattr(os, "environ", without)
    server = Served(there, "--node", "node.yaml", "--drain", "1")
    try:
        url = server.wait_for("listening")["url"]
        node_sections = f"""
            infrastructures: {{factory: {{kind: node, url: "{url}", token: "${{secret.token}}"}}}}
            deployments: {{production: {{infrastructure: factory, bundle: v3}}}}
        """
        sections = (
            describe_sections(bucket)
            .replace('"secrets": {', "")
            .replace('"store_key"', '"token": {"env": "TOKEN"}, "store_key"', 1)
        )
        for folder in (here, there):
            write_spec(folder, sections)
            spec = folder / "spec.yaml"
            spec.write_text(spec.read_text().partition("infrastructures:")[0] + textwrap.dedent(node_sections))
        make_bundle(load(here / "spec.yaml"), "v3")
        given = {"STORE_KEY": SECRET, "TOKEN": token}
        run_engine(here, "bundle", "publish", "spec.yaml", "v3", **given)
        deployed = run_engine(there, "deploy", "spec.yaml", "production", **given)
        assert "HEALTHY" in deployed.stdout
        status = run_engine(there, "status", "spec.yaml", "--format", "json", **given)
        assert json.loads(status.stdout)[0]["deployment"]["state"] == "HEALTHY"
    finally:
        server.process.kill()
        server.process.wait()
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert SECRET.encode() not in written

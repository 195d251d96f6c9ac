"""Each proof of a preload refuses what it is for, with a message that says what to do; and in their order."""

import os
import shutil
import sys
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path

import pytest

import engine
from engine.bundles.manifest import BundledFile, BundledModel, Manifest, Provenance, parse_manifest
from engine.pipeline.actions import FrozenModel
from engine.scenarios.preload.machine_proofs import prove_disk, prove_state
from engine.scenarios.preload.proofs import PROOFS, prove_revision
from engine.scenarios.preload.release_proofs import prove_packages
from engine.scenarios.preload.revision import ProofFailed, Revision
from engine.scenarios.requests import PreloadRequest, ProofReply
from engine.service.deployments.settings import Care
from engine.service.deployments.updates.hooks import HookError, run_hook
from engine.service.deployments.updates.preloading import PreloadError, preload_revision
from engine.spec import load
from engine.spec.secrets.redaction import Redactor
from engine.store.node import OperationState

from .deployed import make_bundle, write_spec


def prove(
    folder: Path, more: str = "", *, files: dict[str, tuple[str, bytes]] | None = None, **of_manifest: object
) -> list[ProofReply]:
    """Lay a bundle down, and return the proofs of its revision."""
    path = write_spec(folder, more, deployment=str(of_manifest.pop("deployment", "")))
    make_bundle(load(path), "v1", files, **of_manifest)
    project = engine.load(path)
    assert project.deploy("production", "v1", now=True).state is OperationState.HEALTHY
    return prove_again(folder)


def prove_again(folder: Path, *, probe_channels: bool = False, dry_run: tuple[str, ...] = ()) -> list[ProofReply]:
    place = folder / "automation/deployments/production"
    released = next((place / "releases").iterdir())
    replies: list[FrozenModel] = []
    request = PreloadRequest(
        spec=place / "revisions/1.yaml",
        released=released,
        scenarios=("probe",),
        probe_channels=probe_channels,
        dry_run=dry_run,
    )
    prove_revision(request, replies.append)
    return [one for one in replies if isinstance(one, ProofReply)]


@pytest.fixture(autouse=True)
def _keep_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo at the end what masks secrets in the streams."""
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)


def get_problem(proofs: list[ProofReply], name: str) -> str:
    """Return the problem of the last proof, which must have this name; those before it have none."""
    assert [one.name for one in proofs] == list(PROOFS)[: list(PROOFS).index(name) + 1]
    assert not any(one.problem for one in proofs[:-1])
    return proofs[-1].problem


def test_all_proofs_are_made_in_order_and_what_is_not_proved_is_said(tmp_path: Path) -> None:
    proofs = prove(tmp_path)
    assert [one.name for one in proofs] == [
        "spec", "secrets", "code", "packages", "connections", "schemas", "models", "channels", "state", "disk",
        "dry runs", "not proved",
    ]  # fmt: skip
    assert not any(one.problem for one in proofs)
    assert "that data will come" in proofs[-1].text


def test_a_bundle_for_another_engine_is_refused(tmp_path: Path) -> None:
    problem = get_problem(prove(tmp_path, engine=">=99.1"), "spec")
    assert problem.startswith("the bundle needs engine >=99.1, but this is engine ")


def test_a_spec_that_is_not_valid_here_is_refused(tmp_path: Path) -> None:
    prove(tmp_path, "variables: {days: 3}\n")
    revision = tmp_path / "automation/deployments/production/revisions/1.yaml"
    revision.write_text(revision.read_text().replace('"replaced": {', '"replaced": {"timezone": {"no": 1},'))
    assert '"timezone"' in get_problem(prove_again(tmp_path), "spec")


def test_a_secret_without_a_value_is_named_with_its_source(tmp_path: Path) -> None:
    more = """
    secrets: {hook: {env: NOT_SET_HERE}}
    channels: {team: {kind: webhook, url: "${secret.hook}"}}
    """
    problem = get_problem(prove(tmp_path, more), "secrets")
    assert problem.startswith("without a value: hook (variable NOT_SET_HERE); provide it")


def test_code_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    prove(tmp_path)
    module = next((tmp_path / "automation/deployments/production/releases").glob("*/mine.py"))
    module.parent.chmod(0o755)
    module.chmod(0o644)
    module.write_text("import a_library_that_is_not_installed\n")
    assert "a_library_that_is_not_installed" in get_problem(prove_again(tmp_path), "code")


def test_a_connection_whose_folder_is_not_there_is_named(tmp_path: Path) -> None:
    more = """
    connections: {local: {kind: file, root: data}}
    datasets: {t: {path: t.csv, connection: local}}
    """
    spec = write_spec(tmp_path, more)
    spec.write_text(spec.read_text().replace('kind: python, function: "mine:fine"', "kind: build, target: t"))
    make_bundle(load(spec), "v1")
    assert engine.load(spec).deploy("production", "v1", now=True).state is OperationState.HEALTHY
    proofs = prove_again(tmp_path)
    assert proofs[-1].name in ("connections", "schemas")
    assert "home/data" in proofs[-1].problem


def test_data_that_do_not_fit_are_named(tmp_path: Path) -> None:
    more = "datasets: {t: {path: t.csv, columns: {a: {type: integer}}}}\n"
    spec = write_spec(tmp_path, more)
    spec.write_text(spec.read_text().replace('kind: python, function: "mine:fine"', "kind: build, target: t"))
    make_bundle(load(spec), "v1")
    assert engine.load(spec).deploy("production", "v1", now=True).state is OperationState.HEALTHY
    home = tmp_path / "automation/deployments/production/home"
    (home / "t.csv").write_text("b\n1\n")
    problem = get_problem(prove_again(tmp_path), "schemas")
    assert "there is no column 'a'; there is only 'b'" in problem


def test_a_channel_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    more = 'channels: {team: {kind: mail, url: "smtp://127.0.0.1:9?tls=none", from: a@example.org}}\n'
    assert prove(tmp_path, more)[-1].name == "not proved"  # nobody has greeted the server
    problem = get_problem(prove_again(tmp_path, probe_channels=True), "channels")
    assert problem.startswith("team: 127.0.0.1:9: ")


def test_a_state_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    prove(tmp_path)
    place = tmp_path / "automation/deployments/production"
    shutil.rmtree(place / "state")
    (place / "state").write_text("a file")
    revision = make_revision(tmp_path, parse_manifest(next((place / "releases").glob("*/manifest.json")).read_bytes()))
    revision.project = load(place / "current.yaml")
    with pytest.raises(ProofFailed, match=r"cannot be written .*: give this user write access"):
        prove_state(revision)


def test_a_dry_run_that_fails_is_a_problem(tmp_path: Path) -> None:
    more = "datasets: {t: {path: t.csv, columns: {a: {type: integer, max: 5}}}}\n"
    spec = write_spec(tmp_path, more)
    spec.write_text(spec.read_text().replace('kind: python, function: "mine:fine"', "kind: build, target: t"))
    make_bundle(load(spec), "v1")
    assert engine.load(spec).deploy("production", "v1", now=True).state is OperationState.HEALTHY
    home = tmp_path / "automation/deployments/production/home"
    (home / "t.csv").write_text("a\n9\n")
    problem = get_problem(prove_again(tmp_path, dry_run=("probe",)), "dry runs")
    assert problem.startswith("the dry run of 'probe' ended FAILED: step 'call': ")


def make_revision(folder: Path, manifest: Manifest, packages: dict[str, str] | None = None) -> Revision:
    """Return what the proofs share, for a bundle that is not laid down."""
    request = PreloadRequest(spec=folder / "1.yaml", released=folder)
    provenance = Provenance(packages=packages or {})
    return Revision(request, lambda _: None, manifest, provenance, ExitStack())


def test_another_major_version_of_a_package_is_refused(tmp_path: Path) -> None:
    file = BundledFile(size=1, sha256="0" * 64, role="spec")
    model = BundledModel(folder="models/m", version=1, identity="x")
    manifest = Manifest(project="p", spec="s.yaml", files={"s.yaml": file}, models={"m": model})
    with pytest.raises(ProofFailed, match=r"made with scikit-learn 0\.24\.1, but this is scikit-learn "):
        prove_packages(make_revision(tmp_path, manifest, {"scikit-learn": "0.24.1"}))
    now = metadata.version("scikit-learn")
    assert prove_packages(make_revision(tmp_path, manifest, {"scikit-learn": now})) == "the same"
    other = f"{now.partition('.')[0]}.0.99"
    assert "instead of" in prove_packages(make_revision(tmp_path, manifest, {"scikit-learn": other}))


def test_a_disk_without_room_for_twice_the_release_is_refused(tmp_path: Path) -> None:
    file = BundledFile(size=shutil.disk_usage(tmp_path).free, sha256="0" * 64, role="spec")
    manifest = Manifest(project="p", spec="s.yaml", files={"s.yaml": file})
    with pytest.raises(ProofFailed, match=r"twice the release are .* MB: free some space"):
        prove_disk(make_revision(tmp_path, manifest))


@pytest.mark.slow
def test_proofs_that_take_too_long_are_stopped(tmp_path: Path) -> None:
    prove(tmp_path)
    place = tmp_path / "automation/deployments/production"
    with pytest.raises(PreloadError, match=r"took longer than 0\.2 s and were stopped"):
        preload_revision(
            place / "revisions/1.yaml", next((place / "releases").iterdir()), Care(preload_seconds=0.2), os.environ
        )


def test_a_hook_gives_the_end_of_what_it_has_printed(tmp_path: Path) -> None:
    assert run_hook(["sh", "-c", "echo fine"], 10, tmp_path, os.environ, str) == "fine"


def test_what_a_hook_prints_is_masked_also_where_it_is_cut(tmp_path: Path) -> None:
    environ = {**os.environ, "TOKEN": "0123456789abcdefghij"}
    redactor = Redactor()
    redactor.add(environ["TOKEN"])
    printed = 'printf %s "$TOKEN"; head -c 3990 /dev/zero | tr "\\0" x'  # what is kept begins inside the value
    for end in ("", "; exit 3"):
        try:
            said = run_hook(["sh", "-c", printed + end], 20, tmp_path, environ, redactor.redact)
        except HookError as problem:
            said = str(problem)
        assert "abcdefghij"[-4:] not in said
        assert said.endswith("xxx")

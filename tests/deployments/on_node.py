"""A node with what its owner keeps on it, and bundles of others that are deployed there, for tests."""

import os
import sqlite3
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from engine.bundles.archive_writing import describe_content, write_archive
from engine.bundles.manifest import Manifest, Needs, Provenance
from engine.bundles.signatures import sign_bundle
from engine.errors import EngineError
from engine.pipeline.log import LogLine
from engine.scenarios.session import run_scenarios
from engine.service.deployments.updates.order import UpdateContext, UpdateOrder
from engine.service.deployments.updates.updater import Updater
from engine.spec import load
from engine.store.node import Node, OperationRow

CARE = {
    "dry_run": [],
    "probe_channels": False,
    "preload_seconds": 120,
    "health_run": [],
    "health_seconds": 120,
    "before": [],
    "after": [],
    "hook_folder": ".",
    "keep": 5,
}


def pack_bundle(path: Path, spec: str, files: Mapping[str, str], key: Path | None = None) -> Manifest:
    """Write the archive of a bundle whose spec nobody has looked at, signed if a key is given."""
    declared = _read_sections(spec)
    contents = {"spec.yaml": spec.encode(), **{name: text.encode() for name, text in files.items()}}
    roles = {name: "code" if name.endswith(".py") else "spec" if name == "spec.yaml" else "file" for name in contents}
    manifest = Manifest(
        project="p",
        spec="spec.yaml",
        files={name: describe_content(content, roles[name]) for name, content in contents.items()},
        scenarios=tuple(declared.get("scenarios", {})),
        needs=Needs(
            connections=dict.fromkeys(declared.get("connections", {}), "file"),
            channels=dict.fromkeys(declared.get("channels", {}), "file"),
        ),
    )
    provenance = Provenance()
    signatures = [sign_bundle(manifest.id, provenance, key)] if key else []
    write_archive(path, manifest, contents, provenance, signatures)
    return manifest


def _read_sections(spec: str) -> dict[str, Any]:
    found = yaml.safe_load(spec)
    return found if isinstance(found, dict) and "version" in found else {}


@dataclass
class Deployed:
    """What has become of a bundle: the operation, the folder of the deployment, and all that was said."""

    operation: OperationRow
    folder: Path
    said: list[str] = field(default_factory=list)

    @property
    def revision(self) -> Path:
        return self.folder / "revisions" / f"{self.operation.to_revision}.yaml"

    def run(self) -> list[str]:
        """Run every scenario of the revision as a process of the engine does, and return what was said of it."""

        def listen(line: LogLine) -> None:
            self.said.append(line.text)

        try:
            project = load(self.revision)
            done = run_scenarios(project, list(project.scenarios), environ=os.environ, listeners=[listen])
            self.said += [step.reason for run in done.runs for step in run.all_steps() if step.reason]
            self.said += [f"{one.channel}: {one.last_error}" for one in done.undelivered]
        except EngineError as problem:
            self.said.append(str(problem))
        return self.said


def deploy(
    folder: Path,
    spec: str,
    files: Mapping[str, str] | None = None,
    *,
    node_file: Path | None,
    settings: Mapping[str, Any] | None = None,
    care: Mapping[str, Any] | None = None,
    key: Path | None = None,
    name: str = "mine",
    now: bool = True,
) -> Deployed:
    """Deploy a bundle into the folder of a node, or of an infrastructure that is none, as whoever asks for it wants."""
    archive = folder.parent / f"{name}-{os.urandom(4).hex()}.zip"
    manifest = pack_bundle(archive, textwrap.dedent(spec), files or {}, key)
    values: dict[str, Any] = {"variables": {}, "connections": {}, "channels": {}, "secrets": {}, "scenarios": {}}
    order = UpdateOrder(
        deployment=name,
        project="p",
        bundle=manifest.id,
        bundle_name="v1",
        settings={"values": {**values, **(settings or {})}, "care": {**CARE, **(care or {})}},
        archive=archive,
        expected=None,
        by="mallory",
        now=now,
        again=True,
    )
    told: list[str] = []
    with Node.open(folder) as node, node.lock(name):
        row = node.ensure_deployment(name, "p")
        context = UpdateContext(environ=os.environ, report=told.append, node_file=node_file)
        updater = Updater(node, row, context)
        operation = updater.update(order)
        said = [one.log + one.problem for one in operation.steps]
        return Deployed(operation, updater.places.folder, [*told, *said, operation.reason])


def list_leaks(planted: Mapping[str, str], folder: Path, texts: list[str]) -> set[str]:
    """Return the places whose planted values are in a file of a folder, or in one of the texts."""
    contents = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    contents += [text.encode("utf-8", "replace") for text in texts]
    for database in folder.rglob("*.db"):
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            contents += [line.encode() for line in connection.iterdump()]
        connection.close()
    return {place for place, value in planted.items() if any(value.encode() in content for content in contents)}

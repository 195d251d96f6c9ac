"""A project with bundles and a deployment for tests, and what must hold of an infrastructure at any time."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import engine
from engine.bundles.archive_writing import describe_content, write_archive
from engine.bundles.manifest import Manifest, Needs, Provenance
from engine.bundles.project_bundles import list_registries
from engine.spec import ProjectSpec, load
from engine.store.node import Node, OperationState, RevisionState

MODULE = """
def fine():
    return "ok"

def broken():
    raise ValueError("this release is broken")

def wait():
    import time
    time.sleep(60)
"""
SCENARIO = """
scenarios:
  probe:
    steps: [{{name: call, kind: python, function: "mine:{function}"}}]
"""
HEALTH = "health: {run: [probe], within: 120s}"
HOOK = """hooks: {after: [{argv: [sh, -c, "! grep -q v4 automation/deployments/production/current.yaml"]}]}"""
"""A health check that costs no process of Python: the release v4 is not healthy."""


def write_spec(folder: Path, more: str = "", *, care: str = "", function: str = "fine", deployment: str = "") -> Path:
    """Write the spec of the project `tiny` with a deployment `production`, and return its path."""
    text = "version: 1\nproject: tiny\n" + SCENARIO.format(function=function) + textwrap.dedent(more)
    text += "infrastructures: {automation: {path: automation}}\ndeployments:\n  production:\n"
    text += "    infrastructure: automation\n"
    text += textwrap.indent(f"{care}\n{textwrap.dedent(deployment)}", "    ")
    path = folder / "spec.yaml"
    path.write_text(text)
    (folder / "mine.py").write_text(MODULE)
    return path


def make_bundle(
    project: ProjectSpec, name: str, files: Mapping[str, tuple[str, bytes]] | None = None, **of_manifest: Any
) -> str:
    """Pack the spec of a project with its module under a name, and return the id of the bundle."""
    provenance = of_manifest.pop("provenance", Provenance())
    contents: dict[str, bytes] = {
        "spec.yaml": project.path.read_bytes(),
        "mine.py": (project.folder / "mine.py").read_bytes(),
    }
    roles = {"spec.yaml": "spec", "mine.py": "code"}
    for path, (role, content) in (files or {}).items():
        contents[path], roles[path] = content, role
    manifest = Manifest(
        project=project.name,
        spec="spec.yaml",
        files={path: describe_content(content, roles[path]) for path, content in contents.items()},
        scenarios=tuple(project.scenarios),
        secrets=tuple(project.secrets),
        needs=Needs(
            connections={one: found.kind for one, found in project.connections.items()},
            channels={one: found.kind for one, found in project.channels.items()},
        ),
        **of_manifest,
    )
    archive = project.folder / f"{name}.zip"
    write_archive(archive, manifest, contents, provenance)
    registry = list_registries(project)["local"]
    registry.assign(project.name, name, registry.put(archive))
    return manifest.id


def make_project(folder: Path, *, care: str = HOOK, more: str = "", deployment: str = "") -> "engine.Project":
    """Return a project with two bundles: v3, whose scenario runs, and v4, whose scenario fails."""
    for name, function in (("v4", "broken"), ("v3", "fine")):
        path = write_spec(folder, more, care=care, function=function, deployment=deployment)
        make_bundle(load(path), name)
    return engine.load(folder / "spec.yaml")


def check_infrastructure(folder: Path) -> tuple[int | None, list[OperationState]]:
    """Check what must hold when nobody works on an infrastructure; return the active revision and all ends.

    There is one active revision, and the link and the rows agree about it. Every operation has an end. No file or
    folder is there without a row.
    """
    with Node.open(folder) as node:
        assert node.operations.list_open() == []
        assert list((folder / "staging").iterdir()) == []
        known = {one.id for one in node.list_bundles()}
        assert {path.stem for path in (folder / "bundles").iterdir()} <= known
        active: int | None = None
        states: list[OperationState] = []
        for deployment in node.list_deployments():
            place = folder / "deployments" / deployment.name
            rows = {row.number: row for row in node.list_revisions(deployment.name)}
            states += [one.state for one in node.operations.list_all(deployment.name)]
            active = deployment.active_revision
            if place.exists():
                pointer = place / "current.yaml"
                target = int(pointer.resolve().stem) if pointer.is_symlink() else None
                assert target == active
                releases = {path.name for path in (place / "releases").glob("*")}
                assert releases <= {row.bundle for row in rows.values()}
                files = {path.name for path in (place / "revisions").glob("*")}
                assert files <= {f"{number}.yaml" for number in rows}
                assert [path.name for path in place.rglob(".*") if "state" not in path.parts] == []
            if active is not None:
                assert rows[active].state in (RevisionState.HEALTHY, RevisionState.OFF), rows[active]
                load(place / "current.yaml")
        assert {path.name for path in (folder / "deployments").iterdir()} <= {
            one.name for one in node.list_deployments()
        }
        return active, states

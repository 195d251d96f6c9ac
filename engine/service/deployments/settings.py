"""Snapshots of the settings of a deployment, which revisions keep.

A rollback restores earlier settings, so a snapshot does not refer to the spec: settings from elsewhere in the spec are
written out. References to variables and secrets stay references, so a snapshot never has the value of a secret, and a
variable has its value in the deployment.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from engine.digests import digest_json
from engine.errors import UsageError
from engine.formatting.hints import suggest_name
from engine.spec import ProjectSpec
from engine.spec.resources.connections import DuckdbConnection, FileConnection, S3Connection
from engine.spec.resources.deployments import Deployment, Hook
from engine.spec.variables.references import find_references

LONGEST_PRELOAD = timedelta(minutes=10)
LONGEST_HEALTH = timedelta(minutes=10)
LONGEST_HOOK = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Care:
    """The steps around an update, with their time limits in seconds."""

    dry_run: tuple[str, ...] = ()
    probe_channels: bool = False
    preload_seconds: float = LONGEST_PRELOAD.total_seconds()
    health_run: tuple[str, ...] = ()
    health_seconds: float = LONGEST_HEALTH.total_seconds()
    before: tuple[tuple[tuple[str, ...], float], ...] = ()
    after: tuple[tuple[tuple[str, ...], float], ...] = ()
    hook_folder: str = "."
    keep: int = 5

    def to_json(self) -> dict[str, Any]:
        """Return the steps as JSON data."""
        return {
            "dry_run": list(self.dry_run),
            "probe_channels": self.probe_channels,
            "preload_seconds": self.preload_seconds,
            "health_run": list(self.health_run),
            "health_seconds": self.health_seconds,
            "before": [[list(argv), seconds] for argv, seconds in self.before],
            "after": [[list(argv), seconds] for argv, seconds in self.after],
            "hook_folder": self.hook_folder,
            "keep": self.keep,
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Care":
        """Return the steps from JSON data; keys missing from older versions get defaults."""
        values: dict[str, Any] = dict(found)
        for key in ("dry_run", "health_run"):
            values[key] = tuple(values.get(key, ()))
        for key in ("before", "after"):
            values[key] = tuple((tuple(argv), seconds) for argv, seconds in values.get(key, ()))
        return cls(**values)


def get_deployment(project: ProjectSpec, name: str) -> Deployment:
    """Return a deployment of a spec; raise UsageError if the spec declares none of that name."""
    declared = project.resources.deployments
    if name not in declared:
        hint = suggest_name(name, list(declared)) if declared else "; declare it under deployments:"
        raise UsageError(f"the spec declares no deployment {name!r}{hint}")
    return declared[name]


def snapshot_settings(project: ProjectSpec, name: str) -> dict[str, Any]:
    """Return the current settings of a deployment: `values`, and the steps around an update.

    Only the values affect runs, so only they decide whether the deployment is in sync with its spec.
    """
    deployment = get_deployment(project, name)
    at = ("deployments", name)
    replaced: dict[str, dict[str, Any]] = {"connections": {}, "channels": {}}
    for section, resources in replaced.items():
        for own in getattr(deployment, section):
            resources[own] = _read_replacement(project, name, section, own)
    state = _read_state(project, deployment)
    used = {one for resources in (*replaced.values(), state) for one in _list_secrets(resources)}
    secrets = {one: _read_secret(project, one) for one in sorted(used & project.secrets.keys())}
    for one, source in deployment.secrets.items():
        declared = project.secrets.get(one)
        optional = {"optional": True} if declared is not None and declared.optional else {}
        secrets[one] = {**source.model_dump(exclude_none=True), **optional}
    values = {
        "variables": project.written_data(*at, "variables") or {},
        **replaced,
        "secrets": secrets,
        "server_url": deployment.server_url,
        "scenarios": {one: word == "active" for one, word in deployment.scenarios.items() if word != "unchanged"},
        **({"state": state} if state else {}),
    }
    return {"values": values, "care": _collect_care(project, name, deployment).to_json()}


def digest_settings(settings: Mapping[str, Any]) -> str:
    """Return the digest of the settings that affect runs."""
    return digest_json(settings["values"])


def _collect_care(project: ProjectSpec, name: str, deployment: Deployment) -> Care:
    def list_hooks(hooks: list[Hook]) -> tuple[tuple[tuple[str, ...], float], ...]:
        return tuple((tuple(one.argv), (one.timeout or LONGEST_HOOK).total_seconds()) for one in hooks)

    return Care(
        dry_run=tuple(deployment.preload.dry_run),
        probe_channels=deployment.preload.probe_channels,
        preload_seconds=(deployment.preload.within or LONGEST_PRELOAD).total_seconds(),
        health_run=tuple(deployment.health.run),
        health_seconds=(deployment.health.within or LONGEST_HEALTH).total_seconds(),
        before=list_hooks(deployment.hooks.before),
        after=list_hooks(deployment.hooks.after),
        hook_folder=str(project.folder_of("deployments", name).resolve()),
        keep=deployment.keep,
    )


def _read_replacement(project: ProjectSpec, deployment: str, section: str, own: str) -> dict[str, Any]:
    """Return the declaration that replaces a connection or a channel; its data folders are absolute.

    Channels write to the home of the deployment, so paths of channels stay relative.
    """
    given = getattr(get_deployment(project, deployment), section)[own]
    if isinstance(given, str):
        place: tuple[str, ...] = (section, given)
        resource = getattr(project, section)[given]
        folder = project.folder_of(section, given)
    else:
        place, resource = ("deployments", deployment, section, own), given
        folder = project.folder_of("deployments", deployment)
    written = dict(project.written_data(*place))
    written["kind"] = resource.kind
    if isinstance(resource, FileConnection):
        written["root"] = str((folder / resource.root).resolve())
    elif isinstance(resource, DuckdbConnection):
        written["path"] = str((folder / resource.path).resolve())
    elif isinstance(resource, S3Connection) and resource.certificate is not None:
        written["certificate"] = str((folder / resource.certificate).resolve())
    return written


def _read_state(project: ProjectSpec, deployment: Deployment) -> dict[str, Any]:
    """Return the place of the state's rows: the declaration of the connection, and the schema if set."""
    declared = deployment.state
    if declared is None:
        return {}
    connection = {**project.written_data("connections", declared.connection), "kind": "postgresql"}
    return {"connection": connection, **({"schema": declared.db_schema} if declared.db_schema else {})}


def _read_secret(project: ProjectSpec, name: str) -> dict[str, Any]:
    """Return the declaration of a secret of the spec, with an absolute path."""
    written = dict(project.written_data("secrets", name))
    if file := project.secrets[name].file:
        written["file"] = str((project.folder_of("secrets", name) / file).resolve())
    return written


def _list_secrets(value: Any) -> Iterator[str]:
    """Yield the names of the secrets referenced in texts of plain data."""
    if isinstance(value, str):
        yield from (one.parts[1] for one in find_references(value) if one.parts[0] == "secret" and len(one.parts) > 1)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _list_secrets(item)
    elif isinstance(value, list):
        for item in value:
            yield from _list_secrets(item)

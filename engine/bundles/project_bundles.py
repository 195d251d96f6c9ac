"""The bundles of a project: local ones in the folder of its state, and published ones in its registry."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from engine.bundles.archive_checks import open_archive, read_manifest
from engine.bundles.object_registry import ObjectRegistry
from engine.bundles.registry import BundleRegistry, FolderRegistry
from engine.connections.object_addresses import normalize_object_path
from engine.errors import BundleError, UsageError
from engine.spec import ProjectSpec
from engine.spec.opened_connections import open_object_copies
from engine.spec.resources.bundles import Registry
from engine.spec.resources.connections import S3Connection
from engine.spec.secrets.values import Secrets
from engine.store.location import resolve_state_folder

LOCAL, PUBLISHED = "local", "published"


@dataclass(frozen=True, slots=True)
class FoundBundle:
    """The id of a found bundle, and the path of its archive."""

    id: str
    path: Path


@dataclass(frozen=True, slots=True)
class ListedBundle:
    """A bundle in the list of a project.

    Attributes
    ----------
    where
        `local`, `published`, or both.
    size
        The bytes of its archive; this and the following are None if the archive cannot be read.
    signatures
        The number of its signatures, which are not checked for the list.
    problem
        Why its archive cannot be used; None if its records and its manifest are valid.
    """

    name: str
    id: str
    where: str
    size: int | None = None
    signatures: int | None = None
    created: str | None = None
    by: str | None = None
    release_notes: str | None = None
    problem: str | None = None


def list_project_bundles(project: ProjectSpec) -> list[ListedBundle]:
    """Return the named bundles of a project in both registries, by name; raise BundleError if a name is damaged."""
    places: dict[tuple[str, str], dict[str, BundleRegistry]] = {}
    for where, registry in list_registries(project).items():
        for one in registry.list_bundles(project.name):
            places.setdefault((one.name, one.id), {})[where] = registry
    return [_describe_listed(name, id_, found) for (name, id_), found in sorted(places.items())]


def _describe_listed(name: str, id_: str, found: dict[str, BundleRegistry]) -> ListedBundle:
    where = ", ".join(found)
    try:
        with contextlib.ExitStack() as opened:
            archives = [opened.enter_context(open_archive(one.path_of(id_))) for one in found.values()]
            first = archives[0]
            return ListedBundle(
                name,
                id_,
                where,
                first.bytes,
                max(len(one.envelope.signatures) for one in archives),
                first.provenance.created,
                first.provenance.by,
                first.manifest.release_notes,
            )
    except BundleError as error:
        return ListedBundle(name, id_, where, problem=str(error))


def list_registries(project: ProjectSpec) -> dict[str, BundleRegistry]:
    """Return the registries of a project: that of its state as `local`, that of `registry:` as `published`."""
    found: dict[str, BundleRegistry] = {LOCAL: FolderRegistry(resolve_state_folder(project) / "bundles")}
    if project.resources.registry is not None:
        found[PUBLISHED] = _open_published(project, project.resources.registry)
    return found


def _open_published(project: ProjectSpec, declared: Registry) -> BundleRegistry:
    folder = declared.path or ""
    if declared.connection is None:
        return FolderRegistry(project.home / folder)
    connection = project.connections[declared.connection]
    if not isinstance(connection, S3Connection):
        return FolderRegistry(project.root_of("connections", declared.connection, declared.connection) / folder)
    folder = normalize_object_path(folder)
    place = "/".join(one for one in ("s3:/", connection.bucket, connection.prefix.strip("/"), folder) if one)
    cache = resolve_state_folder(project) / "objects"
    name = declared.connection
    return ObjectRegistry(place, folder, lambda: open_object_copies(project, name, Secrets(project), cache))


def require_published(project: ProjectSpec) -> BundleRegistry:
    """Return the registry for published bundles; raise UsageError if the spec has none."""
    registry = list_registries(project).get(PUBLISHED)
    if registry is None:
        raise UsageError(
            f"{project.path} has no registry to publish in: add registry: {{path: FOLDER}}, or {{connection: NAME}} "
            "of kind s3"
        )
    return registry


def find_bundle(project: ProjectSpec, name_or_id: str) -> FoundBundle:
    """Return a bundle of the project by its name, its id or the first digits of it, from either registry.

    Raises
    ------
    UsageError
        There is no such bundle, or the name belongs to different bundles in the two registries.
    BundleError
        Its archive is damaged or is that of another bundle.
    """
    found: dict[str, FoundBundle] = {}
    reasons: list[str] = []
    for registry in list_registries(project).values():
        try:
            id_ = registry.resolve(project.name, name_or_id)
            found.setdefault(id_, FoundBundle(id_, registry.path_of(id_)))
        except UsageError as problem:
            reasons.append(str(problem))
    if len(found) > 1:
        ids = " and ".join(f"{id_[:12]}…" for id_ in found)
        raise UsageError(f'"{name_or_id}" is {ids}, here and in the registry: give the id of the one that is meant')
    if not found:
        raise UsageError("; ".join(reasons))
    return next(iter(found.values()))


def publish_bundle(project: ProjectSpec, name: str) -> str:
    """Copy a local bundle to the registry under its name, and return its id.

    Raises
    ------
    UsageError
        There is no such bundle, or no registry.
    BundleError
        The bundle is damaged, or the registry has another bundle of this name.
    """
    published = require_published(project)
    local = list_registries(project)[LOCAL]
    id_ = local.resolve(project.name, name)
    if id_.startswith(name):
        raise UsageError(f"bundles are published by their name: {_list_names(local, project.name)}")
    published.put(local.path_of(id_))
    published.assign(project.name, name, id_)
    return id_


def import_bundle(project: ProjectSpec, archive: Path, name: str) -> str:
    """Store an archive in the local registry under a name, and return its id.

    Raises
    ------
    BundleError
        The archive is damaged or belongs to another project, or the name belongs to another bundle.
    """
    manifest = read_manifest(archive)
    if manifest.project != project.name:
        raise BundleError(f'{archive} is a bundle of the project "{manifest.project}", not of "{project.name}"')
    local = list_registries(project)[LOCAL]
    id_ = local.put(archive)
    local.assign(project.name, name, id_)
    return id_


def _list_names(registry: BundleRegistry, project: str) -> str:
    return ", ".join(one.name for one in registry.list_bundles(project)) or "there is none yet"

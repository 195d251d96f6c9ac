"""Rules of bundles and of the registry: what can be packed, and under which names."""

import re
from collections.abc import Sequence

from engine.spec.diagnostics import Findings
from engine.spec.resources.connections import FilesConnection, S3Connection
from engine.spec.resources.models import PythonModel, ScoredModel
from engine.spec.rules.draft import Draft, locate_path
from engine.spec.variables.references import quote_value

_LIKE_AN_ID = re.compile(r"[0-9a-f]{8,64}")


def check_bundles(draft: Draft, findings: Findings) -> None:
    """Check the names of bundles, and that their parts can be packed and are listed once."""
    for name, bundle in draft.spec.bundles.items():
        if _LIKE_AN_ID.fullmatch(name):
            message = f"{quote_value(name)} looks like the id of a bundle"
            findings.error(draft.key_position("bundles", name), "name", message, "choose a name such as v1 or 2026-11")
        for part in ("datasets", "models", "files"):
            _report_doubles(draft, findings, getattr(bundle.include, part), ("bundles", name, "include", part))
        _check_files(draft, findings, name, bundle.include.files)
        for place, model in enumerate(bundle.include.models):
            if isinstance(draft.spec.models.get(model), ScoredModel | PythonModel):
                at = draft.value_position("bundles", name, "include", "models", place)
                message = f'the model "{model[:60]}" has no versions to pack'
                findings.error(
                    at, "unknown-name", message, "remove it: the bundle contains its dataset or its code instead"
                )


def check_registry(draft: Draft, findings: Findings) -> None:
    """Check that the registry has a folder, or a connection with one."""
    registry = draft.spec.registry
    if registry is None:
        return
    connection = draft.spec.connections.get(registry.connection or "")
    if connection is not None and not isinstance(connection, FilesConnection):
        named = f'the connection "{(registry.connection or "")[:60]}"'
        message = f"{named} is of kind {connection.kind}, which cannot contain bundles"
        at, also = (
            draft.value_position("registry", "connection"),
            draft.key_position("connections", registry.connection or ""),
        )
        findings.error(at, "connection", message, "use a connection of kind s3 or file", also=also)
    if registry.path is None and registry.connection is None:
        at = draft.key_position("registry")
        findings.error(at, "missing-key", "the registry has no path", "add path: FOLDER, or a connection of kind s3")
    elif registry.path is not None and not registry.path.strip():
        at = draft.value_position("registry", "path")
        findings.error(at, "path", "the path is empty", "write the path of a folder")
    elif ".." in (registry.path or "").split("/") and isinstance(connection, S3Connection):
        findings.error(draft.value_position("registry", "path"), "path", "the path leads outside of the bucket")


def _check_files(draft: Draft, findings: Findings, name: str, files: Sequence[str]) -> None:
    """Check that the paths are in the folder of the spec: a bundle cannot contain others."""
    folder = draft.folder_of("bundles", name)
    for place, path in enumerate(files):
        at = draft.value_position("bundles", name, "include", "files", place)
        if not path.strip():
            findings.error(at, "path", "the path is empty", "write the path of a file, or a pattern")
        elif not locate_path(folder, path).is_relative_to(locate_path(folder, ".")):
            message = f"{quote_value(path)} is outside of the folder of the spec"
            findings.error(at, "path", message, "a bundle can only contain files of this folder: copy it there")


def _report_doubles(draft: Draft, findings: Findings, names: Sequence[str], path: tuple[str, ...]) -> None:
    for place, name in enumerate(names):
        if name in names[:place]:
            message = f"{quote_value(name)} is listed twice"
            findings.error(draft.value_position(*path, place), "duplicate-name", message, "remove one of them")

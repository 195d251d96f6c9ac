"""Creates a bundle of the project: builds its parts, packs them, and adds the bundle to the local registry.

No value of a secret is packed: every file, and every text in the tables of the files, is searched.
"""

import platform
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from importlib.metadata import version
from pathlib import Path

from engine import __version__
from engine.acting_user import describe_acting_user
from engine.bundles.archive_writing import write_archive
from engine.bundles.manifest import Manifest, Provenance
from engine.bundles.project_bundles import LOCAL, PUBLISHED, list_registries, publish_bundle, require_published
from engine.bundles.signatures import sign_bundle
from engine.data.text_search import find_column_with
from engine.errors import BundleError, UsageError
from engine.formatting.hints import suggest_name
from engine.formatting.numbers import format_bytes
from engine.pipeline.actions import Action
from engine.pipeline.bundles.contents import BundleContents, BundleParts, collect_parts, pack_parts
from engine.pipeline.context import BuildContext
from engine.pipeline.decision import Decision, list_sources

PACKAGES = ("numpy", "polars", "scikit-learn", "skops")
"""The packages whose versions affect the results of models and the format of rows."""
_CHUNK_BYTES = 1 << 20
_GIT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class CreatedBundle:
    """A created bundle.

    Attributes
    ----------
    size
        Bytes of its archive.
    manifest
        Its manifest; None in a plan.
    leaving
        The data and models that leave the organisation with it, as sentences.
    notes
        Possible surprises at deployment.
    existed
        Whether the name belonged to this bundle already.
    published
        The registry in which it was published; None if it was not published.
    """

    name: str
    id: str = ""
    size: int = 0
    manifest: Manifest | None = None
    leaving: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    existed: bool = False
    published: str | None = None

    def describe(self) -> str:
        """Return a description of the bundle as one line."""
        done = "is there already" if self.existed else "created"
        where = f", published in {self.published}" if self.published else ""
        holds = f": {'; '.join(self.leaving)}" if self.leaving else ""
        return f"bundle {self.name} {done}, {self.id[:12]}, {format_bytes(self.size)}{where}{holds}"


def plan_bundle(
    declared: str, name: str, context: BuildContext, *, keys: Sequence[Path] = (), publish: bool = False
) -> Decision[CreatedBundle]:
    """Build the parts of a declared bundle, and plan to pack it under a name.

    Parameters
    ----------
    declared
        The name of the bundle in the spec.
    name
        The name of the created bundle.
    keys
        Files of private keys for its signatures.

    Raises
    ------
    UsageError
        The spec has no such bundle, or no registry to publish in.
    BundleError, DataError, ModelError, ChecksFailed
        A part cannot be built or packed.
    """
    bundles = context.project.resources.bundles
    if declared not in bundles:
        hint = suggest_name(declared, list(bundles)) if bundles else "; declare it under bundles:"
        raise UsageError(f"the spec declares no bundle {declared!r}{hint}")
    if publish:
        require_published(context.project)
    parts = collect_parts(bundles[declared], context)
    leaving = tuple(_describe_planned(parts))
    action = Action(
        kind="pack",
        target=f"bundle {declared}",
        result=name,
        because="always",
        reason=f"{len(parts.files):,} files of the project, {'; '.join(leaving) or 'no data and no model'}",
        reads=[source for one in parts.datasets.values() for source in list_sources(one.table, context)],
        notes=list(parts.notes),
    )
    planned = CreatedBundle(name, leaving=leaving, notes=parts.notes)

    def execute() -> CreatedBundle:
        with context.store.folders.stage() as staging:
            packed = pack_parts(parts, bundles[declared], context, staging)
            _refuse_secrets(packed, context)
            context.datasets.files.verify()
            return _store_bundle(name, packed, parts, context, staging, keys, publish=publish)

    return Decision(action, execute, lambda: planned)


def _store_bundle(
    name: str,
    packed: BundleContents,
    parts: BundleParts,
    context: BuildContext,
    staging: Path,
    keys: Sequence[Path],
    *,
    publish: bool,
) -> CreatedBundle:
    """Write the archive and add it to the registry under its name; in a dry run only describe that."""
    project, manifest = context.project, packed.manifest
    registries = list_registries(project)
    existed = False
    for where in [LOCAL, *([PUBLISHED] if publish else [])]:
        known = {one.name: one.id for one in registries[where].list_bundles(project.name)}
        if known.get(name, manifest.id) != manifest.id:
            raise BundleError(
                f'the name "{name}" belongs to another bundle of {project.name}, {known[name][:12]}…; what would be '
                f"packed now is {manifest.id[:12]}…: choose another name"
            )
        existed = existed or (where == LOCAL and name in known)
    provenance = _describe_provenance(context)
    archive = staging / "bundle.zip"
    signatures = [sign_bundle(manifest.id, provenance, key) for key in keys]
    write_archive(archive, manifest, packed.contents, provenance, signatures)
    size = archive.stat().st_size
    published = None
    if context.mode == "run":
        registries[LOCAL].put(archive)
        registries[LOCAL].assign(project.name, name, manifest.id)
        if publish:
            publish_bundle(project, name)
            published = registries[PUBLISHED].place
    leaving = tuple(describe_leaving(manifest))
    return CreatedBundle(name, manifest.id, size, manifest, leaving, parts.notes, existed, published)


def describe_leaving(manifest: Manifest) -> Iterator[str]:
    """Yield the data and models that leave the organisation with a bundle, as phrases."""
    listed = set()
    for name, dataset in manifest.datasets.items():
        if dataset.path not in listed:  # rows that one dataset keeps and another reads are packed once
            listed.add(dataset.path)
            yield f"{dataset.rows:,} rows of {name}"
    for name, model in manifest.models.items():
        held_out = f" with {model.held_out_rows:,} held-out rows" if model.held_out_rows else ""
        probe = f"{' and' if held_out else ' with'} {model.probe_rows:,} scored rows" if model.probe_rows else ""
        yield f"model {name}, version {model.version}{held_out}{probe}"
    for name in manifest.estimators:
        yield f"model {name}"


def _describe_planned(parts: BundleParts) -> Iterator[str]:
    for name, inspected in parts.datasets.items():
        rows = inspected.metrics["row_count"].value if "row_count" in inspected.metrics else None
        yield f"{f'{int(rows):,} rows' if rows is not None else 'the rows'} of {name}"
    for name, handle in parts.trained.items():
        yield f"model {name}, version {handle.trained.version}" if handle.trained else f"model {name}"
    yield from (f"model {name}" for name in parts.estimators)


def _refuse_secrets(packed: BundleContents, context: BuildContext) -> None:
    """Raise a BundleError if the value of a secret is in a file, or in the tables of the files."""
    search = context.secrets.search()
    if unknown := sorted(context.project.secrets.keys() - search.spellings.keys()):
        context.log.info(f"secrets without a value here, which the bundle was not searched for: {', '.join(unknown)}")
    if not search.longest:
        return
    where = None
    for file, content in [("its manifest", packed.manifest.content), *packed.contents.items()]:
        if secret := next(filter(None, map(search.find_name, _read_overlapping(content, search.longest))), None):
            where = secret, file
            break
    for what, table in packed.tables.items() if where is None else ():
        if column := find_column_with(table, search.list_texts()):
            secret = next(one for one, texts in search.spellings.items() if find_column_with(table, texts))
            where = secret, f"column {column!r} of {what}"
            break
    if where is not None:
        secret, place = where
        raise BundleError(
            f'the value of the secret "{secret}" is in {place}: no bundle is created. Remove it there, and write '
            f"${{secret.{secret}}} where the spec needs it"
        )


def _read_overlapping(content: Path | bytes, longest: int) -> Iterator[bytes]:
    """Yield the bytes of a file in overlapping chunks, so that no value is split."""
    if isinstance(content, bytes):
        yield content
        return
    before = b""
    with content.open("rb") as file:
        while piece := file.read(_CHUNK_BYTES):
            yield before + piece
            before = (before + piece)[-longest:]


def _describe_provenance(context: BuildContext) -> Provenance:
    return Provenance(
        created=context.clock().astimezone(UTC).isoformat(timespec="seconds"),
        by=describe_acting_user(),
        engine=__version__,
        python=platform.python_version(),
        packages={package: version(package) for package in PACKAGES},
        git=_find_commit(context.project.folder),
    )


def _find_commit(folder: Path) -> str | None:
    """Return the commit of a folder, with "+" if it has changes; None outside a repository, or without git."""
    try:
        commit, changes = (
            subprocess.run(  # noqa: S603  the arguments are fixed
                ["git", "--no-optional-locks", "-C", str(folder.absolute()), *asked],  # noqa: S607  that of the user's PATH
                capture_output=True,
                text=True,
                timeout=_GIT_SECONDS,
                check=True,
            ).stdout.strip()
            for asked in (["rev-parse", "HEAD"], ["status", "--porcelain", "--", "."])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}+" if changes else commit

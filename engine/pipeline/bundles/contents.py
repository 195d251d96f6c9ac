"""Collects the contents of a bundle: files of the spec, its code, rows of datasets and versions of models.

project/…          the folder of the spec: its files, the modules of functions, other files that are asked for
data/<name>/…      the files of a dataset, or rows.parquet with the rows of a function, a query or a table
models/<name>/…    a trained version, rows with the scores that it gives them, and the rows that were held out

A path in a bundle is relative to one of these folders, so it does not depend on the place of the project.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from glob import glob, has_magic
from pathlib import Path, PurePosixPath

import polars as pl

from engine import __version__, models
from engine.bundles.archive_writing import describe_content
from engine.bundles.manifest import BundledDataset, BundledFile, BundledModel, Manifest, Needs, Role
from engine.bundles.project_bundles import list_registries
from engine.bundles.registry import FolderRegistry
from engine.data import Table
from engine.data.output.frozen_rows import freeze_rows
from engine.data.user_code.module_files import list_module_files
from engine.discovery.path_patterns import find_fixed_folder, match_paths
from engine.errors import BundleError
from engine.formatting.lists import join_some
from engine.models.versions.bundled_versions import describe_for_bundle, score_probe
from engine.models.versions.version_files import PROBE_FILE
from engine.pipeline.context import BuildContext
from engine.pipeline.datasets import InspectedDataset, inspect_dataset
from engine.pipeline.models import ModelHandle, use_model
from engine.pipeline.rows_in_spark import require_packable_rows
from engine.spec import ProjectSpec
from engine.spec.diagnostics import Findings
from engine.spec.named_functions import list_functions
from engine.spec.reading.include import read_files
from engine.spec.resources.bundles import Bundle
from engine.spec.resources.connections import S3Connection
from engine.spec.resources.datasets import FileDataset, PythonDataset, QueryDataset, StoredDataset
from engine.spec.resources.deployments import DirectoryInfrastructure
from engine.spec.resources.evaluation_stores import ModelTestReference
from engine.spec.resources.models import SkopsModel, TrainModel
from engine.spec.used_connections import list_used_connections
from engine.spec.variables.references import find_references
from engine.store import safe_name
from engine.store.location import resolve_state_folder

PROJECT, DATA, MODELS = "project", "data", "models"
ROWS_FILE = "rows.parquet"


@dataclass(frozen=True, slots=True)
class BundleParts:
    """The parts of a bundle before rows are frozen and models are packed.

    Attributes
    ----------
    files
        The files that are packed unchanged, with their roles, by path in the bundle.
    datasets, trained, estimators
        The datasets and model versions to pack by name, and the paths in the bundle of models that are files.
    writers
        By name of a dataset that reads the kept rows of another one: the name of that other one. In the bundle both are
        the same file, so the function of the other one is not needed.
    notes
        Sentences about possible surprises at deployment.
    """

    files: Mapping[str, tuple[Path, Role]]
    datasets: Mapping[str, InspectedDataset]
    trained: Mapping[str, ModelHandle]
    estimators: Mapping[str, str]
    writers: Mapping[str, str]
    notes: tuple[str, ...]

    @property
    def included(self) -> set[str]:
        """The names of all datasets whose rows will be in the bundle."""
        return {*self.datasets, *self.writers.values()}


@dataclass(frozen=True, slots=True)
class BundleContents:
    """A manifest and the contents of the files that it lists, by path in the bundle.

    `tables` are the tables whose values are in these files, by their names in messages.
    """

    manifest: Manifest
    contents: Mapping[str, Path | bytes]
    tables: Mapping[str, Table] = field(default_factory=dict)


def collect_parts(declared: Bundle, context: BuildContext) -> BundleParts:
    """Collect the parts of a bundle; verify and check its datasets, and build its models.

    Raises
    ------
    BundleError
        A file is outside the folder of the spec, or missing.
    DataError, ModelError, ChecksFailed
        A dataset or a model cannot be built, or a function is in no module.
    """
    project, include = context.project, declared.include
    # Two targets may share a dataset or a model: each is built once.
    trained = {
        name: use_model(name, context) for name in include.models if isinstance(project.models[name], TrainModel)
    }
    datasets = {name: inspect_dataset(name, context) for name in include.datasets}
    writers = {name: writer for name in include.datasets if (writer := project.find_writer(name))}
    files: dict[str, tuple[Path, Role]] = {}
    for path, role in [*_list_spec_files(project), *_list_modules(project, {*datasets, *writers.values()})]:
        files.setdefault(f"{PROJECT}/{_place_beside_spec(path, project)}", (path, role))
    for path in _list_other_files(project, include.files):
        files.setdefault(f"{PROJECT}/{_place_beside_spec(path, project)}", (path, "file"))
    estimators = {}
    for name in include.models:
        model = project.models[name]
        if isinstance(model, SkopsModel):
            path = models.find_skops_file(project, name, model)
            estimators[name] = f"{MODELS}/{safe_name(name)}/{path.name}"
            files[estimators[name]] = (path, "model")
    notes = [note for name in include.datasets for note in _describe_fixed_values(name, project)]
    notes += [
        f"model {name}: version {handle.trained.version} is trained for it, since no version fits the spec and the data"
        for name, handle in trained.items()
        if handle.trained and not handle.reused
    ]
    return BundleParts(files, datasets, trained, estimators, writers, tuple(notes))


def pack_parts(parts: BundleParts, declared: Bundle, context: BuildContext, staging: Path) -> BundleContents:
    """Freeze rows and describe all files; new files are written into the folder `staging`.

    Raises
    ------
    DataError, ModelError
        A dataset cannot be read, or a model cannot be loaded.
    BundleError
        A file cannot be read, or its name is not allowed in a bundle.
    """
    project = context.project
    contents: dict[str, Path | bytes] = {name: path for name, (path, _) in parts.files.items()}
    roles: dict[str, Role] = {name: role for name, (_, role) in parts.files.items()}
    tables: dict[str, Table] = {}
    datasets = {}
    for name, inspected in parts.datasets.items():
        datasets[name], packed = _pack_dataset(name, inspected, context, staging)
        contents |= packed
        roles |= dict.fromkeys(packed, "data")
        if writer := parts.writers.get(name):
            entity = context.datasets.open(writer).entity
            datasets[writer] = datasets[name].model_copy(update={"entity": entity})
        tables[f"dataset {name}"] = inspected.table
    trained = {}
    for name, handle in parts.trained.items():
        trained[name], packed = _pack_model(name, handle, context, staging)
        contents |= packed
        roles |= dict.fromkeys(packed, "model")
        if trained[name].held_out_rows and handle.test is not None:
            tables[f"the held-out rows of model {name}"] = handle.test
    try:
        described: dict[str, BundledFile] = {name: describe_content(contents[name], roles[name]) for name in contents}
    except OSError as error:
        raise BundleError(f"{error.filename} cannot be read: {error.strerror}") from error
    try:
        manifest = Manifest(
            project=project.name,
            spec=f"{PROJECT}/{_place_beside_spec(_find_spec(project), project)}",
            engine=f">={'.'.join(__version__.split('.')[:2])}",
            release_notes=declared.release_notes,
            files=described,
            datasets=datasets,
            models=trained,
            estimators=parts.estimators,
            scenarios=tuple(project.scenarios),
            secrets=tuple(sorted(project.secrets)),
            needs=_list_needs(project, parts.included, declared.include.models),
        )
    except ValueError as problem:
        raise BundleError(f"the bundle cannot be created: {problem}") from problem
    return BundleContents(manifest, contents, tables)


def _find_spec(project: ProjectSpec) -> Path:
    """Return the file of the spec, which for a deployment is the released one."""
    return project.files[1] if project.revision else project.path


def _list_spec_files(project: ProjectSpec) -> Iterator[tuple[Path, Role]]:
    declared = set(read_files(_find_spec(project), Findings()).paths)
    for path in project.files[1:] if project.revision else project.files:
        yield path, "spec" if path in declared else "message"


def _list_modules(project: ProjectSpec, included: Collection[str]) -> Iterator[tuple[Path, Role]]:
    """Yield the module files that the functions of the spec need; functions of included rows are not needed."""
    by_folder: dict[Path, list[str]] = {}
    for section, name, function in list_functions(project):
        dataset = project.datasets.get(name) if section == "datasets" and name in included else None
        if not (isinstance(dataset, PythonDataset) and dataset.function == function):
            by_folder.setdefault(project.folder_of(section, name), []).append(function)
    for folder, functions in by_folder.items():
        yield from ((path, "code") for path in list_module_files(folder, functions))


def _list_registry_folders(project: ProjectSpec) -> Iterator[Path]:
    return (one.folder for one in list_registries(project).values() if isinstance(one, FolderRegistry))


def _list_other_files(project: ProjectSpec, patterns: Iterable[str]) -> Iterator[Path]:
    """Yield the files that match patterns, without output of the engine; raise a BundleError if none match."""
    folder = project.folder
    written = [resolve_state_folder(project), *_list_registry_folders(project)]
    infrastructures = project.resources.infrastructures.values()
    written += [project.home / one.path for one in infrastructures if isinstance(one, DirectoryInfrastructure)]
    own = [Path(os.path.normpath(one.absolute())) for one in (*written, project.home / project.state.path)]
    at = project.position("bundles")
    for pattern in patterns:
        try:
            files = _match_files(folder, pattern)
        except OSError as error:
            raise BundleError(
                f"{at.file}:{at.line}: include: files: {error.filename} cannot be read: {error.strerror}"
            ) from error
        kept = [
            path
            for path in files
            if not any(Path(os.path.normpath(path.absolute())).is_relative_to(one) for one in own)
        ]
        if not kept:
            raise BundleError(
                f"{at.file}:{at.line}: include: files: there is no file {pattern!r} in {folder.absolute()}"
            )
        yield from sorted(kept)


def _match_files(folder: Path, pattern: str) -> set[Path]:
    """Return the files that match a pattern or are in a folder that does; hidden ones only if the pattern names them.

    Raises
    ------
    OSError
        A folder cannot be read; `glob` and `rglob` leave out its files.
    """
    if has_magic(pattern):
        match_paths(folder / pattern)  # raises the error
    found = [folder / name for name in glob(pattern, root_dir=folder, recursive=True)]  # noqa: PTH207  no hidden files

    def refuse(error: OSError) -> None:
        raise error

    inside = [
        Path(below) / name
        for one in found
        if one.is_dir()
        for below, _, names in os.walk(one, onerror=refuse)
        if "__pycache__" not in Path(below).parts
        for name in names
    ]
    return {path for path in (*found, *inside) if path.is_file() and path.suffix != ".pyc"}


def _place_beside_spec(path: Path, project: ProjectSpec) -> str:
    """Return the path of a file relative to the folder of the spec; raise a BundleError if it is outside."""
    relative = PurePosixPath(os.path.relpath(path, project.folder))
    if ".." in relative.parts:
        raise BundleError(
            f"{path} is outside of {project.folder.absolute()}, the folder of the spec, and a bundle holds the files "
            "of this folder: move it there"
        )
    return str(relative)


def _describe_fixed_values(name: str, project: ProjectSpec) -> Iterator[str]:
    """Yield a note on a dataset whose rows depend on variables: the bundle contains those of the current values."""
    dataset = project.datasets[name]
    keys = {FileDataset: ("path",), StoredDataset: ("path", "table"), QueryDataset: ("sql",), PythonDataset: ()}
    texts = [project.written_text("datasets", name, key) for key in keys[type(dataset)]]
    if isinstance(dataset, PythonDataset):
        texts = [project.written_text("datasets", name, "arguments", argument) for argument in dataset.arguments]
    used = sorted({".".join(one.parts) for text in texts for one in find_references(text)})
    if used:
        yield f"dataset {name}: its rows are those for the present {join_some(used)}, also where that is another"


def _pack_dataset(
    name: str, inspected: InspectedDataset, context: BuildContext, staging: Path
) -> tuple[BundledDataset, dict[str, Path | bytes]]:
    """Return the description of a dataset and its files by path in the bundle."""
    table, place = inspected.table, f"{DATA}/{safe_name(name)}"
    require_packable_rows(table)
    path, files = _place_files(name, table, context.project, place)
    frozen = not files
    if frozen:
        target = staging / f"{safe_name(name)}.parquet"
        rows = freeze_rows(table, target)
        path, files = f"{place}/{ROWS_FILE}", {f"{place}/{ROWS_FILE}": target}
    else:
        rows = int(inspected.metrics["row_count"].value or 0)
    columns = tuple(table.frame.collect_schema())
    described = BundledDataset(
        path=path, rows=rows, columns=columns, fingerprint=table.fingerprint, frozen=frozen, entity=table.entity
    )
    return described, dict(files)


def _place_files(name: str, table: Table, project: ProjectSpec, place: str) -> tuple[str, dict[str, Path]]:
    """Return the path of a file dataset in the bundle, and its files by path there; no files if rows are frozen."""
    dataset = project.find_file_dataset(name)
    was_frozen = project.revision is not None and table.fingerprint in project.revision.frozen.values()
    of_store = isinstance(project.connections.get((dataset and dataset.connection) or ""), S3Connection)
    if dataset is None or table.files is None or was_frozen or of_store:
        return "", {}
    declared = project.root_of("datasets", name, dataset.connection) / dataset.path
    base = declared.parent
    if declared.is_dir():
        base = declared
    elif not declared.exists() and has_magic(str(declared)):
        base = find_fixed_folder(declared)
    inside = "" if declared == base else f"/{declared.relative_to(base).as_posix()}"
    return place + inside, {f"{place}/{file.relative_to(base).as_posix()}": file for file in table.files.paths}


def _pack_model(
    name: str, handle: ModelHandle, context: BuildContext, staging: Path
) -> tuple[BundledModel, dict[str, Path | bytes]]:
    """Return the description of a trained version and its files by path in the bundle."""
    version, spec = handle.trained, context.project.models[name]
    if version is None or not isinstance(spec, TrainModel):
        raise TypeError(f"model {name} has no version")
    folder = f"{MODELS}/{safe_name(name)}"
    held_out = version.folder / models.TEST_ROWS
    facts, algorithm = describe_for_bundle(version.folder)
    packed: dict[str, Path | bytes] = {
        f"{folder}/model.skops": version.folder / "model.skops",
        f"{folder}/model.json": facts,
    }
    probe_rows, rows = 0, 0
    if handle.test is not None:
        probe = staging / f"{safe_name(name)}-probe.parquet"
        scored = score_probe(name, spec, version.folder, version.files, held_out)
        scored.write_parquet(probe)
        packed[f"{folder}/{PROBE_FILE}"] = probe
        probe_rows = scored.height
        if _needs_held_out(name, context.project):
            packed |= {f"{folder}/{path.name}": path for path in sorted(version.folder.glob("*.parquet"))}
            rows = pl.scan_parquet(held_out, glob=False).select(pl.len()).collect().item()
    tables = version.facts.get("datasets", {})
    return BundledModel(
        folder=folder,
        # A new training with the same result gives the same bundle.
        version=(context.store.models.find_same(name, version.identity) or version).version,
        identity=version.identity,
        fingerprint=version.fingerprint,
        algorithm=algorithm,
        held_out=version.held_out,
        held_out_rows=rows,
        settings={**version.facts.get("spec", {}), "versions": version.facts.get("versions", {})},
        datasets=tuple((table, found["fingerprint"]) for table, found in tables.items()),
        probe=f"{folder}/{PROBE_FILE}" if probe_rows else None,
        probe_rows=probe_rows,
    ), packed


def _needs_held_out(name: str, project: ProjectSpec) -> bool:
    """Return whether a store compares with the held-out rows of a model, or may evaluate its training data."""
    model = project.models[name]
    return any(
        store.model == name
        and (
            store.reference is None
            or isinstance(store.reference, ModelTestReference)
            or (isinstance(model, TrainModel) and store.dataset == model.dataset)
        )
        for store in project.evaluation_stores.values()
    )


def _list_needs(project: ProjectSpec, datasets: Collection[str], trained: Collection[str]) -> Needs:
    """Return the needs of a deployment of the bundle: connections, channels, and data outside the bundle."""
    left = {name: one for name, one in project.datasets.items() if name not in datasets}
    others = [one for name, one in project.models.items() if name not in trained]
    named = set(list_used_connections([*left.values(), *others, *project.scenarios.values()]))
    return Needs(
        connections={name: project.connections[name].kind for name in sorted(named & project.connections.keys())},
        channels={name: project.channels[name].kind for name in sorted(project.channels)},
        datasets=tuple(sorted(name for name, one in left.items() if not isinstance(one, QueryDataset))),
    )

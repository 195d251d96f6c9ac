"""The files of datasets, in folders and in object stores, whose objects are downloaded."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.connections.object_store_errors import ObjectChangedError
from engine.data.files.dataset_files import DatasetFiles
from engine.data.files.hashes import FileChangedError
from engine.data.files.watched_files import WatchedFiles
from engine.spec import ProjectSpec
from engine.spec.resources.connections import S3Connection
from engine.spec.resources.datasets import FileDataset
from engine.spec.secrets.values import Secrets
from engine.spec.used_connections import describe_connection

if TYPE_CHECKING:
    from engine.connections.object_copies import ObjectCopies
    from engine.data.files.file_datasets import FoundBefore


class FileSources:
    """Finds the files of datasets.

    Parameters
    ----------
    scratch
        Returns a new folder that exists as long as the run.
    objects
        The folder for copies of objects of stores; by default in `scratch`.
    """

    def __init__(self, secrets: Secrets, scratch: Callable[[], Path], objects: Path | None) -> None:
        self._secrets = secrets
        self._scratch = scratch
        self._objects = objects
        self._found: FoundBefore = {}
        self._copies: dict[tuple[str, str], ObjectCopies] = {}
        self._noted_files: dict[tuple[int, str], tuple[DatasetFiles, DatasetFiles]] = {}

    def find_files(
        self, project: ProjectSpec, name: str, declared: FileDataset, watched: WatchedFiles
    ) -> tuple[Path, DatasetFiles]:
        """Return the folder to which a dataset's path is relative, and its files; those of a store are downloaded."""
        from engine.data.files.file_datasets import find_files

        def watch(path: Path) -> None:
            watched.watch(project.check_path(path), f"dataset {name!r}")

        copies = self.find_copies(project, declared.connection)
        if copies is None:
            root = project.root_of("datasets", name, declared.connection)
            project.check_path(root / declared.path)
            return root, find_files(declared, root, project.as_of, self._found, watch)
        try:
            with copies.explain():
                tree = copies.list_tree(declared.path)
                files = find_files(declared, copies.root, project.as_of, self._found, watch, tree)
        except ObjectChangedError as error:
            raise FileChangedError(str(error)) from error
        fetched = copies.describe_fetched(declared.path)
        key = (id(files), fetched)
        if fetched and key not in self._noted_files:
            self._noted_files[key] = files, replace(files, notes=(*files.notes, fetched))
        return copies.root, self._noted_files[key][1] if fetched else files

    def find_copies(self, project: ProjectSpec, connection: str | None) -> "ObjectCopies | None":
        """Return the objects of a connection with their copies; None if it is not an object store."""
        if connection is None or not isinstance(project.connections[connection], S3Connection):
            return None
        key = (connection, describe_connection(project, connection))
        if key not in self._copies:
            from engine.spec.opened_connections import open_object_copies

            self._copies[key] = open_object_copies(project, connection, self._secrets, self._make_folder())
        return self._copies[key]

    def name_object(self, path: Path) -> str:
        """Return the object of which a file is a copy, for messages; an empty text for any other file."""
        of = [one for one in self._copies.values() if path.is_relative_to(one.root)]
        return of[0].name_objects(str(path)) if of else ""

    def _make_folder(self) -> Path:
        """Return the folder for copies of objects: a folder of this run if the state cannot be written."""
        with suppress(OSError):
            if self._objects is not None:
                self._objects.mkdir(parents=True, exist_ok=True)
                if os.access(self._objects, os.W_OK):
                    return self._objects
        return self._scratch() / "objects"

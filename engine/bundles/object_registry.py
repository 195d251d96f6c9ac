"""A registry of bundles in an object store, with the same paths as a registry in a folder.

A name is assigned by a conditional put, which the store must refuse if the object exists. Some S3-compatible stores
ignore this condition without an error, so it is tested with a canary object before a name is assigned.
"""

import fnmatch
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path, PurePosixPath

from engine.bundles.archive_records import MOST_ARCHIVE_BYTES
from engine.bundles.registry import (
    MOST_NAME_BYTES,
    BundleRegistry,
    RegisteredBundle,
    brings_signatures,
    copy_checked,
    parse_name,
)
from engine.connections.object_copies import ObjectCopies
from engine.connections.object_store_errors import ObjectChangedError
from engine.errors import BundleError, DataError
from engine.formatting.numbers import format_bytes

CANARY = b"Whether this store refuses to put an object that exists already."


class ObjectRegistry(BundleRegistry):
    """A registry below a folder of a connection of kind s3.

    Parameters
    ----------
    place
        The name of the registry for messages.
    folder
        The folder, below the prefix of the connection; may be empty.
    open_copies
        Opens the connection; called at the first use, since most commands need no registry.
    """

    def __init__(self, place: str, folder: str, open_copies: Callable[[], ObjectCopies]) -> None:
        self.place, self._folder, self._open = place, PurePosixPath(folder), open_copies
        self._keeps_conditions = False

    @cached_property
    def _copies(self) -> ObjectCopies:
        with self._translate_errors():
            return self._open()

    def put(self, archive: Path) -> str:
        """Store an archive and return its id."""
        copies = self._copies
        with self._translate_errors(), copies.stage() as part:
            id_, signed = copy_checked(archive, part)
            path = self._name_object("blobs", f"{id_}.zip")
            stored = copies.source.find_object(path)
            if stored is None:
                copies.source.upload(part, path)
            elif brings_signatures(self._fetch(path), id_, signed, copies.source.name(path)):
                copies.source.upload(part, path, replaced=stored)
        return id_

    def _find_archive(self, id_: str) -> Path | None:
        path = self._name_object("blobs", f"{id_}.zip")
        with self._translate_errors():
            return self._fetch(path) if self._copies.source.find_object(path) else None

    def _fetch(self, path: str) -> Path:
        """Return a copy of the present archive; raise BundleError if it is too large."""
        found = self._copies.source.find_object(path)
        if found is not None and found.size > MOST_ARCHIVE_BYTES:
            most = format_bytes(MOST_ARCHIVE_BYTES)
            name = self._copies.source.name(path)
            raise BundleError(f"{name} has {format_bytes(found.size)}, but at most {most} are allowed")
        self._copies.refresh(path)
        return self._copies.root / path

    def _list_files(self, folder: str, pattern: str) -> list[str]:
        with self._translate_errors():
            return fnmatch.filter(self._copies.source.list_names(self._name_object(folder)), pattern)

    def _read_name(self, folder: str, stem: str) -> RegisteredBundle | None:
        path = self._name_object("names", folder, f"{stem}.json")
        with self._translate_errors():
            content = self._copies.source.read_bytes(path, MOST_NAME_BYTES)
        return None if content is None else parse_name(content, folder, stem, self._copies.source.name(path))

    def _create_name(self, folder: str, stem: str, content: bytes) -> bool:
        with self._translate_errors():
            self._prove_conditions()
            return self._copies.source.create(self._name_object("names", folder, f"{stem}.json"), content)

    def _prove_conditions(self) -> None:
        """Raise a BundleError unless the store refuses to create the canary, which stays there, a second time."""
        if self._keeps_conditions:
            return
        source, path = self._copies.source, self._name_object("canary")
        if source.create(path, CANARY) and source.create(path, CANARY):
            raise BundleError(
                f"the registry {self.place} cannot be used: the store ignores conditional writes (If-None-Match), "
                "so one name could be given to two bundles; use a store that keeps them, or a folder"
            )
        self._keeps_conditions = True

    def _name_object(self, *parts: str) -> str:
        return self._folder.joinpath(*parts).as_posix()

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except ObjectChangedError:
            raise BundleError(f"the registry {self.place}: the bundle was written meanwhile; try again") from None
        except DataError as error:
            raise BundleError(f"the registry {self.place} cannot be used: {error}") from error
        except OSError as error:
            raise BundleError(f"the registry {self.place} cannot be used: {error.strerror or error}") from error

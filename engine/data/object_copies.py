"""The objects of one connection with the copies of them: what datasets are read from."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from engine.connections.object_store import ObjectChangedError, ObjectFolder, StoredObject
from engine.connections.object_tree import ObjectTree, list_object_tree
from engine.data.fingerprints import FileChangedError
from engine.data.object_cache import ObjectCache
from engine.digests import digest_texts
from engine.errors import DataError
from engine.spec import ProjectSpec
from engine.spec.opened_connections import open_object_folder
from engine.spec.resources.connections import S3Connection
from engine.spec.secrets import Secrets


@dataclass(slots=True)
class ObjectCopies:
    """The objects below the prefix of a connection.

    Attributes
    ----------
    root
        The folder of the copies, which stands for the prefix.
    limit
        Bytes of the copies of a project that are kept.
    fetched
        The objects and bytes that were fetched by this process, by the path that they were fetched for.
    """

    source: ObjectFolder
    cache: ObjectCache
    root: Path
    limit: int
    fetched: dict[str, tuple[int, int]] = field(default_factory=dict)

    def list_tree(self, path: str) -> ObjectTree:
        """Return the objects that a path, folder or pattern may stand for; those that are opened are fetched.

        Raises
        ------
        DataError
            The store cannot be reached or refuses the request, or a copy cannot be written; FileChangedError, when it
            is opened, for an object that has changed since.
        """

        def fetch(objects: Sequence[StoredObject]) -> None:
            try:
                size = self.cache.fetch(self.source, self.root, objects, self.limit)
            except ObjectChangedError as error:
                raise FileChangedError(str(error)) from None
            if size:
                before = self.fetched.get(path, (0, 0))
                self.fetched[path] = len(objects), before[1] + size

        return list_object_tree(self.source, self.root, path, fetch)

    def describe_fetched(self, path: str) -> str:
        """Return how much was fetched for a path, as a sentence; an empty text if nothing was."""
        if path not in self.fetched:
            return ""
        count, size = self.fetched[path]
        objects = "1 object" if count == 1 else f"{count:,} objects"
        return f"{size:,} bytes were fetched from {self.source.place}, for {objects}"

    def refresh(self, path: str) -> None:
        """Let the copy of an object be as the object is now; without an object there is no copy."""
        found = self.source.find_object(path)
        if found is None:
            self.cache.forget(self.root, path)
        else:
            self.cache.fetch(self.source, self.root, [found], self.limit)

    @contextmanager
    def stage(self) -> Iterator[Path]:
        """Give the path of a new file, which is removed at the end unless it was sent."""
        with self.cache.stage(self.root) as part:
            yield part

    def send(self, file: Path, path: str) -> None:
        """Put a file in the place of an object, and keep it as its copy."""
        sent = self.source.upload(file, path)
        self.cache.adopt(self.root, self.source.find_object(path) or sent, file)

    def name_objects(self, text: str) -> str:
        """Return a message with the objects in the place of their copies."""
        return text.replace(f"{self.root}/", f"{self.source.place}/").replace(str(self.root), self.source.place)

    @contextmanager
    def explain(self) -> Iterator[None]:
        """Let the messages of errors name the objects and not their copies."""
        try:
            yield
        except DataError as error:
            raise type(error)(self.name_objects(str(error))) from error.__cause__


def open_object_copies(project: ProjectSpec, name: str, secrets: Secrets, cache: ObjectCache) -> ObjectCopies:
    """Return the objects of a connection; no request is made yet.

    Raises
    ------
    DataError
        The connection cannot be used.
    """
    declared = project.connections[name]
    if not isinstance(declared, S3Connection):
        raise TypeError(f"connection {name} is no object store")
    source = open_object_folder(project, name, secrets)
    place = digest_texts(source.endpoint or "", declared.region, source.bucket, source.prefix)[:16]
    folder = f"{source.bucket}.{place}"  # two connections of the same place share their copies
    return ObjectCopies(source, cache, cache.folder.absolute() / folder, round(declared.cache_gb * 1e9))

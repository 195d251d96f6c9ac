"""The objects of one connection and their copies, from which datasets are read."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from engine.connections.object_cache import ObjectCache
from engine.connections.object_store import ObjectFolder, StoredObject
from engine.connections.object_tree import ObjectTree, list_object_tree
from engine.errors import DataError
from engine.formatting.numbers import format_count


@dataclass(slots=True)
class ObjectCopies:
    """The objects below the prefix of a connection.

    Attributes
    ----------
    root
        The folder of the copies, which stands for the prefix.
    limit
        Most bytes of copies that a project keeps.
    fetched
        The objects and bytes that this process has fetched, by requested path.
    """

    source: ObjectFolder
    cache: ObjectCache
    root: Path
    limit: int
    fetched: dict[str, tuple[int, int]] = field(default_factory=dict)

    def list_tree(self, path: str) -> ObjectTree:
        """Return the objects that match a path, folder or pattern; objects that are opened are fetched.

        Raises
        ------
        DataError
            The store cannot be reached or refuses the request, or a copy cannot be written. Opening an object that has
            changed since raises an ObjectChangedError.
        """

        def fetch(objects: Sequence[StoredObject]) -> None:
            size = self.cache.fetch(self.source, self.root, objects, self.limit)
            if size:
                before = self.fetched.get(path, (0, 0))
                self.fetched[path] = len(objects), before[1] + size

        return list_object_tree(self.source, self.root, path, fetch)

    def describe_fetched(self, path: str) -> str:
        """Return how much was fetched for a path, as a sentence; an empty text if nothing was."""
        if path not in self.fetched:
            return ""
        count, size = self.fetched[path]
        return f"{size:,} bytes were fetched from {self.source.place}, for {format_count(count, 'object')}"

    def refresh(self, path: str) -> None:
        """Fetch the current content of an object; remove its copy if the object is gone."""
        found = self.source.find_object(path)
        if found is None:
            self.cache.forget(self.root, path)
        else:
            self.cache.fetch(self.source, self.root, [found], self.limit)

    @contextmanager
    def stage(self) -> Iterator[Path]:
        """Yield the path of a new file, which is removed at the end unless it was sent."""
        with self.cache.stage(self.root) as part:
            yield part

    def send(self, file: Path, path: str) -> None:
        """Upload a file as an object, and keep it as its copy."""
        sent = self.source.upload(file, path)
        self.cache.adopt(self.root, self.source.find_object(path) or sent, file)

    def name_objects(self, text: str) -> str:
        """Return a message with the paths of copies replaced by those of objects."""
        return text.replace(f"{self.root}/", f"{self.source.place}/").replace(str(self.root), self.source.place)

    @contextmanager
    def explain(self) -> Iterator[None]:
        """Make error messages name the objects and not their copies."""
        try:
            yield
        except DataError as error:
            raise type(error)(self.name_objects(str(error))) from error.__cause__

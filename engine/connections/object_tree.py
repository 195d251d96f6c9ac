"""Objects of a store as a tree of files, so that the rules of `engine.discovery` apply to them."""

from collections.abc import Callable, Iterable, Sequence
from glob import has_magic
from pathlib import Path, PurePosixPath

from engine.connections.object_addresses import normalize_object_path
from engine.connections.object_store import ObjectFolder, StoredObject
from engine.discovery.path_patterns import find_fixed_folder, match_parts
from engine.errors import DataError


class ObjectTree:
    """Objects by the path of their copies, which need not exist.

    Parameters
    ----------
    root
        The folder that stands for the prefix of the connection.
    siblings
        The folder of a missing file, and the names in it, for a hint.
    fetch
        Copies objects.

    Attributes
    ----------
    objects
        The objects by path.
    """

    def __init__(
        self,
        root: Path,
        objects: Iterable[StoredObject],
        fetch: Callable[[Sequence[StoredObject]], None] = lambda _: None,
        siblings: tuple[Path, Sequence[str]] | None = None,
    ) -> None:
        self.objects = {root / one.path: one for one in objects}
        self._fetch, self._siblings = fetch, siblings
        self._folders = {root} | ({siblings[0]} if siblings and siblings[1] else set())
        for path in self.objects:
            for folder in path.parents:
                if folder in self._folders:
                    break
                self._folders.add(folder)
        for folder in self._folders & self.objects.keys():
            if not self.objects[folder].size:  # some tools create such an object for a folder
                del self.objects[folder]

    def is_file(self, path: Path) -> bool:
        """Return whether a path is an object."""
        return path in self.objects

    def is_folder(self, path: Path) -> bool:
        """Return whether there are objects below a path."""
        return path in self._folders

    def list_files(self, folder: Path) -> list[Path]:
        """Return the objects below a folder."""
        return [path for path in self.objects if folder in path.parents]

    def match_files(self, pattern: Path) -> list[Path]:
        """Return the objects that match a pattern."""
        return [path for path in self.objects if match_parts(pattern.parts, path.parts)]

    def list_names(self, folder: Path) -> list[str]:
        """Return the names in a folder."""
        return list(self._siblings[1]) if self._siblings else [one.name for one in self.objects if one.parent == folder]

    def read_size(self, path: Path) -> int:
        """Return the size of an object in bytes."""
        return self._get(path).size

    def read_changed(self, path: Path) -> int:
        """Return when an object was last written, in nanoseconds; stores report whole seconds."""
        return round(self._get(path).modified.timestamp() * 1e9)

    def provide(self, paths: Sequence[Path]) -> None:
        """Fetch objects; raise DataError for an empty one, FileNotFoundError for a missing one."""
        wanted = [self._get(path) for path in paths]
        for path, one in zip(paths, wanted, strict=True):
            if not one.size:
                raise DataError(f"{path} is empty (0 bytes)")
        self._fetch(wanted)

    def _get(self, path: Path) -> StoredObject:
        if path not in self.objects:
            raise FileNotFoundError(2, "No such object", str(path))
        return self.objects[path]


def list_object_tree(
    source: ObjectFolder,
    root: Path,
    path: str,
    fetch: Callable[[Sequence[StoredObject]], None] = lambda _: None,
) -> ObjectTree:
    """Return the objects that match a path, folder or pattern of a dataset, with at most one paged list.

    Raises
    ------
    ObjectStoreError
        The store cannot be reached, refuses the request, or the path leaves the prefix.
    """
    path = normalize_object_path(path)
    if has_magic(path):
        fixed = find_fixed_folder(Path(path)).as_posix()
        return ObjectTree(root, source.list_objects("" if fixed == "." else fixed), fetch)
    if path and (found := source.find_object(path)) is not None and found.size:
        return ObjectTree(root, [found], fetch)
    tree = ObjectTree(root, source.list_objects(path), fetch)
    if not tree.objects and path:
        above = PurePosixPath(path).parent.as_posix()
        names = source.list_names("" if above == "." else above)
        tree = ObjectTree(root, [found] if found else [], fetch, (root / above, names))
    return tree

"""What the passes see: the project before it is known to be right."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.errors import Position
from engine.spec.include import Files
from engine.spec.resources.project import ProjectSpec
from engine.spec.shape import Text
from engine.spec.tree import MapNode, place
from engine.spec.variables import Resolver


@dataclass(frozen=True, slots=True)
class Draft:
    """A project that has been read: its tree, the resources that have a legal shape, and every special text."""

    path: Path
    files: Files
    spec: ProjectSpec
    variables: Resolver
    texts: list[Text]

    def names(self, section: str) -> list[str]:
        """Return the names declared in a section, whether or not their resources have a legal shape."""
        node = self.files.root.get(section)
        return list(node.entries) if isinstance(node, MapNode) else []

    def position(self, *path: str | int) -> Position:
        """Return where the spec says something."""
        return place(self.files.root, path)

    def folder_of(self, section: str, name: str) -> Path:
        return self.files.folders.get((section, name), self.path.parent)

    def read_as(self, reading: str) -> Iterator[Text]:
        """Yield the texts of one reading."""
        return (text for text in self.texts if text.reading == reading)

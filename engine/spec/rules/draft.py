"""What the passes see: the project before it is known to be right, with its tree."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.errors import Position
from engine.spec.diagnostics import Findings
from engine.spec.include import Files
from engine.spec.problem import Problem
from engine.spec.resolver import Resolver
from engine.spec.resources.models import AnyModel
from engine.spec.resources.project import ProjectSpec
from engine.spec.shape import Text
from engine.spec.tree import ListNode, MapNode, Node, ScalarNode, follow, place


@dataclass(frozen=True, slots=True)
class Draft:
    """A project that has been read: its tree, the resources that have a legal shape, and every special text."""

    path: Path
    files: Files
    spec: ProjectSpec
    variables: Resolver
    texts: list[Text]

    def names(self, *path: str | int) -> list[str]:
        """Return the names declared in a mapping, whether or not what they name has a legal shape."""
        node = self.node(*path)
        return list(node.entries) if isinstance(node, MapNode) else []

    def node(self, *path: str | int) -> Node | None:
        """Return the node at a path."""
        return follow(self.files.root, path)

    def text(self, *path: str | int) -> str | None:
        """Return the text of the scalar at a path."""
        node = self.node(*path)
        return node.text if isinstance(node, ScalarNode) else None

    def length(self, *path: str | int) -> int:
        """Return how many items the list at a path has."""
        node = self.node(*path)
        return len(node.items) if isinstance(node, ListNode) else 0

    def position(self, *path: str | int) -> Position:
        """Return where the spec says something: the key of a mapping entry, the value of a list item."""
        return place(self.files.root, path)

    def value(self, *path: str | int) -> Position:
        """Return where a value stands; where the spec does not say it, the nearest key above."""
        node = self.node(*path)
        return self.position(*path) if node is None else node.position

    def read_as(self, *readings: str) -> Iterator[Text]:
        """Yield the texts of these readings."""
        return (text for text in self.texts if text.reading in readings)

    def model_of(self, store: str) -> AnyModel | None:
        """Return the model of an evaluation store, if both have a legal shape."""
        declared = self.spec.evaluation_stores.get(store)
        return self.spec.models.get(declared.model or "") if declared else None


def report(findings: Findings, text: Text, problem: Problem) -> None:
    """Add a problem inside a text at its place in the file; where the text was filled in, at the text."""
    at = text.node.position
    if text.value == text.node.text:
        at = text.node.at(problem.offset, problem.length)
    findings.error(at, problem.code, problem.message, problem.help)

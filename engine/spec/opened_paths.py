"""Lists the paths in a spec that the engine opens, each with its place."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from engine.spec.resources.project import ProjectResource
from engine.spec.resources.resource import Opens, Resource

CHECKED_WHEN_OPENED = ("include", "secrets", "state", "bundles", "registry", "infrastructures", "deployments")
"""Sections whose paths are not used in a deployment, or are not taken from the spec there.

Included files and message files are checked when they are read, before resources exist. Registries and infrastructures
are checked when a step uses one. Secrets belong to the node, and the state to the deployment."""


@dataclass(frozen=True, slots=True)
class OpenedPath:
    """A path, its place in the spec, and how it is opened."""

    place: tuple[str | int, ...]
    path: str
    how: str

    @property
    def section(self) -> str:
        """The top-level key of its place."""
        return str(self.place[0])

    @property
    def resource(self) -> tuple[str, str]:
        """The section and the name of its resource."""
        return self.section, str(self.place[1]) if len(self.place) > 1 else ""


def list_opened_paths(spec: ProjectResource) -> Iterator[OpenedPath]:
    """Yield every path of a spec that has a marker `Opens`."""
    yield from _find_paths(spec, (), ())


def _find_paths(value: Any, place: tuple[str | int, ...], marks: tuple[Opens, ...]) -> Iterator[OpenedPath]:
    if isinstance(value, Resource):
        for key, info in type(value).model_fields.items():
            found = tuple(find_marks(info.annotation, info.metadata))
            yield from _find_paths(getattr(value, key), (*place, info.alias or key), found)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _find_paths(item, (*place, key), marks)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _find_paths(item, (*place, number), marks)
    elif isinstance(value, str) and marks:
        yield OpenedPath(place, value, marks[0].how)


def find_marks(hint: Any, metadata: Any) -> Iterator[Opens]:
    """Yield the markers of a type hint, at any depth: those of the items of a list too."""
    yield from (one for one in metadata if isinstance(one, Opens))
    for inner in get_args(hint):
        yield from find_marks(inner, getattr(hint, "__metadata__", ()))

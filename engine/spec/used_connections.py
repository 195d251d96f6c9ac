"""The connections that resources name, at any depth, and what they are: nothing is opened."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from engine.spec.resources.resource import Resource
from engine.spec.variables.references import find_references

if TYPE_CHECKING:
    from engine.spec.project import ProjectSpec


def list_used_connections(value: object) -> Iterator[str]:
    """Yield the name of each connection that a resource, or one of several, reads from or writes to."""
    if isinstance(value, Resource):
        for key in type(value).model_fields:
            inside = getattr(value, key)
            if key == "connection" and isinstance(inside, str):
                yield inside
            else:
                yield from list_used_connections(inside)
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from list_used_connections(item)


def describe_connection(project: "ProjectSpec", name: str) -> str:
    """Return the declaration of a connection with the present values of the variables in it, and without secrets."""
    declared = project.connections[name]
    options: dict[str, str] = getattr(declared, "options", {})
    used = {
        one.parts[0]: project.names.get(one.parts[0])
        for text in (getattr(declared, "url", ""), *options.values())
        for one in find_references(text)
        if one.parts[:1] != ("secret",)
    }
    return f"{declared.model_dump_json()} {used!r}"

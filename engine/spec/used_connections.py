"""The connections that resources name, at any depth."""

from collections.abc import Iterator, Mapping

from engine.spec.resources.resource import Resource


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

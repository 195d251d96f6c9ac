"""Lists the Python functions named in a project, each with its resource."""

from collections.abc import Iterator
from typing import Any

from engine.spec.project import ProjectSpec
from engine.spec.resources.resource import Reading, Resource


def list_functions(project: ProjectSpec) -> Iterator[tuple[str, str, str]]:
    """Yield the section, the resource and the function (`module:function`) of each function named in the spec."""
    for section in type(project.resources).model_fields:
        declared = getattr(project.resources, section)
        for name, resource in declared.items() if isinstance(declared, dict) else ():
            for function in _find_functions(resource):
                yield section, name, function


def _find_functions(value: Any) -> Iterator[str]:
    if isinstance(value, Resource):
        for key, info in type(value).model_fields.items():
            inner = getattr(value, key)
            if any(isinstance(one, Reading) and one.name == "function" for one in info.metadata):
                if isinstance(inner, str):
                    yield inner
            else:
                yield from _find_functions(inner)
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _find_functions(item)

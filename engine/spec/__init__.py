"""The spec language: turns the text of a spec into a frozen project, or reports all of its problems.

The names are imported when they are first used, so that a part of the language, such as its dates, can be used without
the rest.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.spec.project import ProjectSpec, load
    from engine.spec.reading.project_reading import list_spec_files
    from engine.spec.secrets.values import Secrets

__all__ = ["ProjectSpec", "Secrets", "list_spec_files", "load"]
_MODULES = {
    **dict.fromkeys(("ProjectSpec", "load"), "engine.spec.project"),
    "Secrets": "engine.spec.secrets.values",
    "list_spec_files": "engine.spec.reading.project_reading",
}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)

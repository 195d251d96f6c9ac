"""The spec language: turns the text of a spec into a frozen project, or reports all of its problems.

The names are imported when they are first used, so that a part of the language, such as its dates, can be used without
the rest.
"""

from typing import TYPE_CHECKING

from engine.lazy_exports import export_lazily

if TYPE_CHECKING:
    from engine.spec.project import ProjectSpec, load
    from engine.spec.reading.project_reading import list_spec_files
    from engine.spec.secrets.values import Secrets

_LAZY_EXPORTS = {
    "ProjectSpec": "project",
    "Secrets": "secrets.values",
    "list_spec_files": "reading.project_reading",
    "load": "project",
}
__getattr__, __dir__ = export_lazily(__name__, _LAZY_EXPORTS)

__all__ = ["ProjectSpec", "Secrets", "list_spec_files", "load"]

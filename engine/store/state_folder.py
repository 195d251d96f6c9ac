"""Where the state of a project is."""

from pathlib import Path

from engine.spec import ProjectSpec
from engine.store.folders import safe_name


def resolve_state_folder(project: ProjectSpec) -> Path:
    """Return the folder of the project's state.

    Each project has a folder of its own, so two specs in the same folder share no state.
    """
    return project.home / project.state.path / safe_name(project.name)

"""Where the state of a project is."""

import os
from pathlib import Path

from engine.spec import ProjectSpec
from engine.store.folders import safe_name


def resolve_state_folder(project: ProjectSpec) -> Path:
    """Return the folder of the project's state.

    Each project has a folder of its own, so two specs in the same folder share no state. That of a deployment stays
    when its release changes.
    """
    folder = project.home / project.state.path
    if project.revision is not None:  # a way that leads through `home` needs that folder, and is no way to show
        folder = Path(os.path.normpath(folder))
    return folder / safe_name(project.name)

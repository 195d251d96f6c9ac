"""The content of the files of a project: the merged tree of its resources, and their origins."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, get_origin

from engine.spec.resources.project import ProjectResource
from engine.spec.revisions.revision_file import Revision
from engine.spec.yaml.yaml_tree import MapNode

if TYPE_CHECKING:
    from engine.spec.revisions.confinement import Confinement

SECTIONS = tuple(name for name, info in ProjectResource.model_fields.items() if get_origin(info.annotation) is dict)
"""The sections of a spec whose entries are resources by name."""


@dataclass(slots=True)
class SpecFiles:
    """The merged tree, the files that it was read from, and per resource the folder of the file that declares it.

    `folder` is that of the spec. Output is written to `home`, which is another folder only in a deployment. `revision`
    is that of the deployment, if the spec was released, and `confinement` that of the node, if there is one. `missing`
    are named files that cannot be read. `digests` are those of the read texts, in order. `complete` is False if a file
    could not be read: its declarations are unknown, so no name can be checked.
    """

    root: MapNode
    folder: Path
    home: Path
    revision: Revision | None = None
    confinement: "Confinement | None" = None
    paths: list[Path] = field(default_factory=list)
    missing: list[Path] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    folders: dict[tuple[str, str], Path] = field(default_factory=dict)
    complete: bool = True


def find_home(files: SpecFiles, folder: Path) -> Path:
    """Return the folder that replaces a folder of the spec, or one below it, for output."""
    inside = Path(os.path.relpath(folder, files.folder))
    return files.home if ".." in inside.parts else files.home / inside

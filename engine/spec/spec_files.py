"""What was read from the files of a project: the merged tree of its resources, and where each is from."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_origin

from engine.spec.resources.project import ProjectResource
from engine.spec.revisions.confinement import Confinement
from engine.spec.revisions.revision_file import Revision
from engine.spec.yaml.yaml_tree import MapNode

SECTIONS = tuple(name for name, info in ProjectResource.model_fields.items() if get_origin(info.annotation) is dict)
"""The sections of a spec whose entries are resources by name."""


@dataclass(slots=True)
class SpecFiles:
    """The merged tree, the files that it was read from, and per resource the folder of the file that declares it.

    `folder` is that of the spec. What is written goes to `home` instead, which is another folder in a deployment alone.
    `revision` is that of the deployment, if the spec was released, and `confinement` what it may reach, if it is on a
    node. `missing` are files that are named, but cannot be read. `digests` are those of the texts that were read, in
    order. `complete` is false if a file could not be read: what it declares is unknown, so that no name can be checked.
    """

    root: MapNode
    folder: Path
    home: Path
    revision: Revision | None = None
    confinement: Confinement | None = None
    paths: list[Path] = field(default_factory=list)
    missing: list[Path] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    folders: dict[tuple[str, str], Path] = field(default_factory=dict)
    complete: bool = True


def find_home(files: SpecFiles, folder: Path) -> Path:
    """Return the folder that takes what would be written to a folder of the spec, or to one below it."""
    inside = Path(os.path.relpath(folder, files.folder))
    return files.home if ".." in inside.parts else files.home / inside

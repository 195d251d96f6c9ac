"""Reading the files of a project: the spec, and the files that it includes, merged into one tree.

The entries of a section of an included file are added to the same section of the project, and never merged with each
other: a resource is declared completely in one file, and its paths are relative to that file's folder. Every node keeps
its position in its own file.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_origin

from engine.errors import Position
from engine.spec.diagnostics import Findings
from engine.spec.resources.project import ProjectSpec
from engine.spec.source import read
from engine.spec.tree import Entry, ListNode, MapNode, Node, ScalarNode, parse

SECTIONS = tuple(name for name, info in ProjectSpec.model_fields.items() if get_origin(info.annotation) is dict)
MAX_FILES = 100


@dataclass(slots=True)
class Files:
    """The merged tree, the files that it was read from, and per resource the folder of the file that declares it.

    `complete` is false if a file could not be read. What it declares is then unknown, so that no name can be checked.
    """

    root: MapNode
    paths: list[Path] = field(default_factory=list)
    folders: dict[tuple[str, str], Path] = field(default_factory=dict)
    whole: bool = True


def read_files(path: Path, findings: Findings) -> Files:
    """Read the spec and all files that it includes. A file that cannot be read is a finding."""
    files = Files(MapNode(Position(str(path))))
    _add(path, None, files, (), findings)
    return files


def _add(path: Path, included_at: Position | None, files: Files, chain: tuple[Path, ...], findings: Findings) -> None:
    """Read a file into `files`, and then the files that it includes.

    `included_at` is the entry of `include:` that names the file, None for the spec itself. `chain` holds the files
    from the spec to the one that includes this one.
    """
    real = _absolute(path)
    if real in chain:
        names = " → ".join(p.name for p in (*chain[chain.index(real) :], real))
        help_ = "remove one of these entries of include"
        findings.error(
            included_at or Position(str(path)), "include-cycle", f"these files include each other: {names}", help_
        )
        files.whole = False
        return
    if real in map(_absolute, files.paths):
        return  # two files may include a third, which is read once
    if len(files.paths) >= MAX_FILES:
        findings.error(included_at or Position(str(path)), "include", f"a project may have at most {MAX_FILES} files")
        files.whole = False
        return
    # A missing file is a problem of the entry that names it; any other problem has its position in the file itself.
    reading = Findings()
    source = read(path, reading)
    if included_at and reading and reading[0].code == "file":
        findings.error(included_at, "include", f"{path}: {reading[0].message}", reading[0].help)
        files.whole = False
        return
    findings += reading
    tree = parse(source, findings) if source else None
    files.paths.append(path)
    if tree is None:
        files.whole = False
        return
    if not isinstance(tree, MapNode):
        files.whole = False
        what = "a list" if isinstance(tree, ListNode) else "a text"
        findings.error(
            tree.position,
            "wrong-value",
            f"a spec must be a mapping of keys to values, found {what}",
            "start with: version: 1",
        )
        return
    if not chain:
        files.root.position = tree.position
    for key, entry in tree.entries.items():
        if key == "include":
            if not chain:  # the project shows the entries of the spec itself
                files.root.entries[key] = entry
        elif key in SECTIONS and isinstance(entry.value, MapNode):
            _unite(key, entry, entry.value, path, files, findings)
        elif key == "version" and key in files.root.entries and isinstance(entry.value, ScalarNode):
            _same_version(entry, entry.value, files, findings)
        else:
            _place(files.root, entry, f'"{key}"', findings)
    for item in _included(tree):
        _add(path.parent / item.text, item.position, files, (*chain, real), findings)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100  Path.resolve raises ValueError if the name contains a NUL


def _included(tree: MapNode) -> list[ScalarNode]:
    """Return the entries of `include:`. The validator reports entries of a wrong type."""
    value = tree.get("include")
    return [i for i in value.items if isinstance(i, ScalarNode) and i.text] if isinstance(value, ListNode) else []


def _unite(section: str, entry: Entry, value: MapNode, path: Path, files: Files, findings: Findings) -> None:
    """Add the entries of a section of one file to the section of the project."""
    into = files.root.entries.setdefault(section, Entry(entry.key, MapNode(value.position)))
    if not isinstance(into.value, MapNode):  # another file has left the section empty
        files.root.entries[section] = into = Entry(entry.key, MapNode(value.position))
    for name, resource in value.entries.items():
        files.folders.setdefault((section, name), path.parent)
        if isinstance(into.value, MapNode):
            _place(into.value, resource, f'{section}: "{name}"', findings)


def _place(into: MapNode, entry: Entry, what: str, findings: Findings) -> None:
    """Add an entry to a mapping, or report that an earlier file declares the same key."""
    first = into.entries.setdefault(entry.key.text, entry)
    if first is not entry:
        findings.error(
            entry.key.position,
            "duplicate-key",
            f"{what} is already declared in {first.key.position.file}, line {first.key.position.line}",
            "a name must be declared in one file only: remove or rename one of the two",
            also=first.key.position,
        )


def _same_version(entry: Entry, value: ScalarNode, files: Files, findings: Findings) -> None:
    first: Node | None = files.root.get("version")
    if isinstance(first, ScalarNode) and first.value != value.value:
        findings.error(
            value.position,
            "duplicate-key",
            f"this file declares version {value.text}, but {first.position.file} declares version {first.text}",
            "use the same version in all files, or declare it in the first one only",
            also=first.position,
        )

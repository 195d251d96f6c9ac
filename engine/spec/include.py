"""The files of a project: the spec and what it includes, united by name.

Sections are united entry by entry and never merged deeper: a resource is whole where it stands, in one file, whose
folder its paths start from. Every node keeps the place in its own file.
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
    """The united tree, the files that it was read from, and the folder of the file that declares each resource.

    `whole` is false where a file cannot be read: what it declares is not known, so no name can be checked.
    """

    root: MapNode
    paths: list[Path] = field(default_factory=list)
    folders: dict[tuple[str, str], Path] = field(default_factory=dict)
    whole: bool = True


def read_files(path: Path, findings: Findings) -> Files:
    """Read the spec and everything that it includes; what cannot be read is a finding."""
    files = Files(MapNode(Position(str(path))))
    _add(path, None, files, (), findings)
    return files


def _add(path: Path, said_at: Position | None, files: Files, chain: tuple[Path, ...], findings: Findings) -> None:
    real = _absolute(path)
    if real in chain:
        names = " → ".join(p.name for p in (*chain[chain.index(real) :], real))
        findings.error(said_at or Position(str(path)), "include-cycle", f"files that include each other: {names}")
        files.whole = False
        return
    if real in map(_absolute, files.paths):
        return
    if len(files.paths) >= MAX_FILES:
        findings.error(said_at or Position(str(path)), "include", f"a project has at most {MAX_FILES} files")
        files.whole = False
        return
    reading = Findings()
    source = read(path, reading)
    if said_at and reading and reading[0].code == "file":
        findings.error(said_at, "include", f"{path}: {reading[0].message}", reading[0].help)
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
        findings.error(tree.position, "wrong-value", f"a spec is a mapping, found {what}", "start with: version: 1")
        return
    if not chain:
        files.root.position = tree.position
    for key, entry in tree.entries.items():
        if key == "include":
            if not chain:
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
    return Path(os.path.abspath(path))  # noqa: PTH100  Path.resolve raises where the name holds a NUL


def _included(tree: MapNode) -> list[ScalarNode]:
    value = tree.get("include")
    return [i for i in value.items if isinstance(i, ScalarNode) and i.text] if isinstance(value, ListNode) else []


def _unite(section: str, entry: Entry, value: MapNode, path: Path, files: Files, findings: Findings) -> None:
    into = files.root.entries.setdefault(section, Entry(entry.key, MapNode(value.position)))
    if not isinstance(into.value, MapNode):
        files.root.entries[section] = into = Entry(entry.key, MapNode(value.position))
    for name, resource in value.entries.items():
        files.folders.setdefault((section, name), path.parent)
        if isinstance(into.value, MapNode):
            _place(into.value, resource, f'{section}: "{name}"', findings)


def _place(into: MapNode, entry: Entry, what: str, findings: Findings) -> None:
    first = into.entries.setdefault(entry.key.text, entry)
    if first is not entry:
        findings.error(
            entry.key.position,
            "duplicate-key",
            f"{what} is already declared in {first.key.position.file}, line {first.key.position.line}",
            "included files are united by name: remove or rename one of the two",
            also=first.key.position,
        )


def _same_version(entry: Entry, value: ScalarNode, files: Files, findings: Findings) -> None:
    first: Node | None = files.root.get("version")
    if isinstance(first, ScalarNode) and first.value != value.value:
        findings.error(
            value.position,
            "duplicate-key",
            f"version {value.text} here, version {first.text} there",
            also=first.position,
        )

"""Reads the files of a project: the spec and its included files, merged into one tree.

The entries of a section of an included file are added to the same section of the project, and never merged with each
other: a resource is declared completely in one file, and its paths are relative to that file's folder. Every node keeps
its position in the file that it is from.
"""

import os
from pathlib import Path

from engine.digests import digest_json, digest_texts
from engine.errors import Position, SpecError
from engine.spec.diagnostics import Findings
from engine.spec.revisions.revision_file import (
    RELEASES_FOLDER,
    Revision,
    is_revision_text,
    parse_revision,
    replace_resources,
)
from engine.spec.spec_files import SECTIONS, SpecFiles, find_home
from engine.spec.yaml.source import Source, read_source
from engine.spec.yaml.yaml_tree import ListNode, MapEntry, MapNode, ScalarNode, YamlNode, parse_yaml

MAX_FILES = 100


def read_files(path: Path, findings: Findings) -> SpecFiles:
    """Read the spec and all files that it includes. A file that cannot be read is a finding."""
    files = SpecFiles(MapNode(Position(str(path))), path.parent, path.parent)
    _read_into(path, None, files, (), findings)
    return files


def read_released_files(path: Path, release: Path, findings: Findings) -> SpecFiles:
    """Read the spec of a release, and all files that it includes; none of them may lie elsewhere."""
    files = SpecFiles(MapNode(Position(str(path))), path.parent, path.parent)
    _read_into(path, None, files, (), findings, release.resolve())
    return files


def leads_inside(path: Path, folder: Path) -> bool:
    """Return whether a path, with all links resolved, is inside a real folder."""
    try:
        return path.resolve().is_relative_to(folder)
    except (OSError, RuntimeError, ValueError):  # links that refer to each other, a NUL in the name
        return False


def _read_into(
    path: Path,
    included_at: Position | None,
    files: SpecFiles,
    chain: tuple[Path, ...],
    findings: Findings,
    release: Path | None = None,
) -> None:
    """Read a file into `files`, and then the files that it includes.

    `included_at` is the entry of `include:` that names the file, None for the spec itself. `chain` holds the files
    from the spec to the one that includes this one. `release` is the folder of a release, in which all must lie.
    """
    real = _make_absolute(path)
    if real not in chain and real in map(_make_absolute, files.paths):
        return  # two files may include a third, which is read once
    source = None
    if _may_be_read(path, included_at or Position(str(path)), files, chain, findings, release):
        source = _read_file(path, included_at, files, findings)
    if (
        source is not None
        and not chain
        and release is None
        and files.revision is None
        and is_revision_text(source.text)
    ):
        _read_released(path, source, files, findings)
        return
    tree = _parse_spec(source, findings) if source else None
    if tree is None:
        files.complete = False
        return
    if not chain:
        files.root.position = tree.position
    for key, entry in tree.entries.items():
        if key == "include":
            if not chain:  # the tree keeps the `include:` of the spec itself; those of included files are only followed
                files.root.entries[key] = entry
        elif key in SECTIONS and isinstance(entry.value, MapNode):
            _merge_section(key, entry, entry.value, path, files, findings)
        elif key == "version" and key in files.root.entries and isinstance(entry.value, ScalarNode):
            _check_same_version(entry.value, files, findings)
        else:
            _add_unique_entry(files.root, entry, f'"{key}"', findings)
    for item in _list_included_files(tree):
        _read_into(path.parent / item.text, item.position, files, (*chain, real), findings, release)


def _may_be_read(
    path: Path, at: Position, files: SpecFiles, chain: tuple[Path, ...], findings: Findings, release: Path | None
) -> bool:
    """Check that a file does not include itself, is not one too many, and is part of the release."""
    real = _make_absolute(path)
    if real in chain:
        names = " → ".join(p.name for p in (*chain[chain.index(real) :], real))
        message, help_ = f"these files include each other: {names}", "remove one of these entries of include"
        findings.error(at, "include-cycle", message, help_)
    elif len(files.paths) >= MAX_FILES:
        findings.error(at, "include", f"a project may have at most {MAX_FILES} files")
    elif release is not None and not leads_inside(path, release):
        message = f"{path} is not part of the release {release}: a spec includes only files of its bundle"
        findings.error(at, "reach", message, "pack the file into the bundle")
    else:
        return True
    return False


def _read_file(path: Path, included_at: Position | None, files: SpecFiles, findings: Findings) -> Source | None:
    """Return the source of a file; None if it cannot be read.

    A missing file is a problem of the entry that names it; any other problem has its position in the file itself.
    """
    reading = Findings()
    source = read_source(path, reading)
    if included_at and reading and reading[0].code == "file":
        help_ = "a path in include starts from the folder of the file that names it"
        findings.error(included_at, "include", f"{path}: {reading[0].message}", help_)
        files.missing.append(path)
        return None
    findings += reading
    files.paths.append(path)
    files.digests.append(digest_texts(source.text if source else ""))
    return source


def _parse_spec(source: Source, findings: Findings) -> MapNode | None:
    """Return the tree of a file of a spec; None if it is not YAML or not a mapping."""
    tree = parse_yaml(source, findings)
    if tree is None or isinstance(tree, MapNode):
        return tree
    what = "a list" if isinstance(tree, ListNode) else "a text"
    message = f"a spec must be a mapping of keys to values, found {what}"
    findings.error(tree.position, "wrong-value", message, "start with: version: 1")
    return None


def _read_released(path: Path, source: Source, files: SpecFiles, findings: Findings) -> None:
    """Read the released spec of the revision in a file, and apply the replacements of the revision."""
    found = parse_revision(source, findings)
    if found is None:
        files.complete = False
        return
    files.revision, replaced = found
    spec, files.home = (Path(os.path.normpath(path.parent / one)) for one in (files.revision.spec, files.revision.home))
    files.folder = spec.parent
    release = path.parent / ".." / RELEASES_FOLDER / files.revision.bundle
    _read_into(spec, None, files, (), findings, release.resolve() if files.revision.node else None)
    replace_resources(files.root, replaced, files.revision.active)
    _place_data(files, files.revision)
    if files.revision.node:
        _confine(files, files.revision, path.parent, release, findings)


def _confine(files: SpecFiles, revision: Revision, folder: Path, release: Path, findings: Findings) -> None:
    """Replace declarations of the spec and its settings by those of node.yaml."""
    from engine.spec.reading.node_file import load_node  # only a release on a node has one
    from engine.spec.revisions.confinement import confine_deployment, select_given

    try:
        node = load_node(Path(os.path.normpath(folder.absolute() / revision.node)))
    except SpecError as wrong:
        findings += wrong.diagnostics
        files.complete = False
        return
    # node.yaml counts in the digests, but it is not among the files of the project: a bundle would hold it
    files.digests.append(digest_json(node.written_data()))
    given = select_given(node, revision.deployment, files.root)
    replace_resources(files.root, given, {})
    if node.address is not None and (node.resources.url is not None or "server" not in revision.replaced):
        _place_server(files.root, node.address, Position(str(node.path)))
    files.confinement = confine_deployment(node, revision, release, files.home)
    for place in files.confinement.given:
        files.folders[place] = node.path.parent


def _place_server(root: MapNode, address: str, at: Position) -> None:
    """Set the address of links in messages, whatever the bundle declares."""
    url = MapEntry(ScalarNode(at, "url", "url"), ScalarNode(at, address, address, '"'))
    root.entries["server"] = MapEntry(ScalarNode(at, "server", "server"), MapNode(at, {"url": url}))


def _place_data(files: SpecFiles, revision: Revision) -> None:
    """Make paths of data outside the release relative to the home of the deployment."""
    for section in ("connections", "datasets"):
        declared = files.root.get(section)
        for name, entry in declared.entries.items() if isinstance(declared, MapNode) else ():
            kind = entry.value.get("kind") if isinstance(entry.value, MapNode) else None
            if section == "datasets" and name in revision.included:
                files.folders[section, name] = files.folder
            elif section == "connections" or not isinstance(kind, ScalarNode) or kind.value in ("file", "stored"):
                files.folders[section, name] = find_home(files, files.folders.get((section, name), files.folder))


def _make_absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100  Path.resolve raises ValueError if the name contains a NUL


def _list_included_files(tree: MapNode) -> list[ScalarNode]:
    """Return the entries of `include:`. The validator reports entries of a wrong type."""
    value = tree.get("include")
    return [i for i in value.items if isinstance(i, ScalarNode) and i.text] if isinstance(value, ListNode) else []


def _merge_section(
    section: str, entry: MapEntry, value: MapNode, path: Path, files: SpecFiles, findings: Findings
) -> None:
    """Add the entries of a section of one file to the section of the project."""
    into = files.root.entries.setdefault(section, MapEntry(entry.key, MapNode(value.position)))
    if not isinstance(into.value, MapNode):  # another file has left the section empty
        files.root.entries[section] = into = MapEntry(entry.key, MapNode(value.position))
    for name, resource in value.entries.items():
        files.folders.setdefault((section, name), path.parent)
        if isinstance(into.value, MapNode):
            _add_unique_entry(into.value, resource, f'{section}: "{name}"', findings)


def _add_unique_entry(into: MapNode, entry: MapEntry, what: str, findings: Findings) -> None:
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


def _check_same_version(value: ScalarNode, files: SpecFiles, findings: Findings) -> None:
    first: YamlNode | None = files.root.get("version")
    if isinstance(first, ScalarNode) and first.value != value.value:
        findings.error(
            value.position,
            "duplicate-key",
            f"this file declares version {value.text}, but {first.position.file} declares version {first.text}",
            "use the same version in all files, or declare it in the first one only",
            also=first.position,
        )

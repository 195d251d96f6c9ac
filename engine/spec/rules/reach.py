"""Variables whose values come from a request: what they may not change.

Whoever may ask a server for a run may not be who wrote the spec. The values of a request fill SQL, names, labels,
messages and arguments. A path that holds one must stay in the folder that the spec gives it: the one that its text
begins with, or the one that it starts from. Addresses of others, receivers, tables of databases, secrets and the place
of the state are the spec's alone.
"""

from collections.abc import Iterator
from glob import has_magic
from pathlib import Path

from engine.spec.diagnostics import Findings
from engine.spec.resources.connections import FileConnection, S3Connection
from engine.spec.rules.draft import Draft
from engine.spec.stored_data import name_object_root
from engine.spec.validator import SpecPath
from engine.spec.variable_references import (
    VariableReference,
    fill_references,
    find_references,
    format_value,
    quote_value,
)
from engine.spec.yaml_tree import ListNode, MapNode, ScalarNode, YamlNode

FILLED_SECTIONS = ("project", "description", "variables", "datasets", "models", "evaluation_stores", "scenarios")
"""The top-level keys whose texts a request may fill."""

RECEIVERS = {"to", "cc", "bcc", "from"}


def check_reach(draft: Draft, findings: Findings) -> None:
    """Check that the values of a request lead out of no folder and change no address."""
    if not draft.confined:
        return
    given = _find_given_variables(draft)
    for path, node in _walk_scalars((), draft.files.root):
        held = [one for one in find_references(node.text) if one.parts and one.parts[0] in given]
        if not held:
            continue
        root = _find_root(draft, path)
        if root is not None:
            _check_path(draft, findings, node, root, held)
        elif path[0] not in FILLED_SECTIONS or _is_receiver(path) or path[-1] == "table":
            message = f'the variable "{held[0].parts[0]}" decides {".".join(map(str, path))}, which a request may not'
            findings.error(node.position, "reach", message, "ask for a run without this variable")


def _find_given_variables(draft: Draft) -> set[str]:
    """Return the variables of the request, and those whose values are made of theirs anywhere in the spec."""
    made = [
        (str(path[-1]), {one.parts[0] for one in find_references(node.text) if one.parts})
        for path, node in _walk_scalars((), draft.files.root)
        if "variables" in path[-2:-1] or "for_each" in path[-3:-2]
    ]
    made += [
        (str(path[1]), {one.parts[0] for one in find_references(node.text) if one.parts})
        for path, node in _walk_scalars(("variables",), draft.find_node("variables"))
        if len(path) == 3
    ]
    given = set(draft.confined)
    while more := {name for name, parts in made if name not in given and parts & given}:
        given |= more
    return given


def _find_root(draft: Draft, path: SpecPath) -> Path | None:
    """Return the folder that a path starts from, if what stands at this place of the spec is one."""
    match path:
        case ("connections", str(name), "root" | "path"):
            return draft.folder_of("connections", name)
        case ("datasets" | "models" as section, str(name), "path"):
            declared = getattr(draft.spec, section).get(name)
            connection = draft.spec.connections.get(getattr(declared, "connection", None) or "")
            if isinstance(connection, S3Connection):
                return name_object_root(connection)
            if not isinstance(connection, FileConnection):
                return draft.folder_of(section, name)
            return draft.folder_of("connections", declared.connection) / connection.root
        case ("channels" | "scenarios" as section, str(name), *_, "path"):
            return draft.folder_of(section, name)
    return None


def _check_path(draft: Draft, findings: Findings, node: ScalarNode, root: Path, held: list[VariableReference]) -> None:
    """Check that a path stays in the folder that it starts from, or in that which its text before a variable names.

    `held` are the references of its text to variables of the request. None may hold a pattern, which could match a link
    that leads elsewhere.
    """
    names = draft.variables.names
    try:
        filled = fill_references(node.text, names)
        fixed = fill_references(node.text[: held[0].offset], names).rpartition("/")[0]
        folders = [(root / folder).resolve() for folder in ("", fixed)]
        real = (root / filled).resolve()
        in_circle = any(part.is_symlink() for part in (real, *real.parents))  # an error before Python 3.13
        inside = not in_circle and any(real.is_relative_to(folder) for folder in folders)
    except KeyError:
        return  # the variable has no value, which is reported
    except (OSError, ValueError, RuntimeError):  # a name that no file can have; links that lead in a circle
        filled, inside = node.text, False
    found = f'with the variable "{held[0].parts[0]}", the path {quote_value(filled)}'
    if any(has_magic(format_value(names.get(one.parts[0]))) for one in held):
        findings.error(node.position, "reach", f"{found} has a pattern", "a request may not use any of * ? [ in a path")
    elif not inside:
        findings.error(node.position, "reach", f"{found} leads out of {root}", "a request may only name what is inside")


def _is_receiver(path: SpecPath) -> bool:
    """Tell whether an address stands at a place, as `to` of a reporter or a step or in its list."""
    return path[0] == "scenarios" and len(path) > 4 and not RECEIVERS.isdisjoint(path[4:])


def _walk_scalars(path: SpecPath, node: YamlNode | None) -> Iterator[tuple[SpecPath, ScalarNode]]:
    if isinstance(node, ScalarNode):
        yield path, node
    elif isinstance(node, MapNode):
        for key, entry in node.entries.items():
            yield from _walk_scalars((*path, key), entry.value)
    elif isinstance(node, ListNode):
        for place, item in enumerate(node.items):
            yield from _walk_scalars((*path, place), item)

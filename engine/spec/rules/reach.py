"""Rules of the targets of paths: in a deployment on a node, and with variables of a request.

A deployment on a node may only open paths in its release, in its home or in folders from the node; see
`revisions.confinement`. This is checked again when a file is opened, since links may change.

The requester of a run may not be the author of the spec. Values of a request fill SQL, names, labels, messages and
arguments. A path with such a value must stay in the folder of the spec for it: the one at the beginning of its text, or
the one to which it is relative. Addresses, recipients, tables of databases, secrets and the place of the state cannot
contain values of a request.
"""

from collections.abc import Iterator
from glob import has_magic
from itertools import takewhile
from pathlib import Path

from engine.spec.diagnostics import Findings
from engine.spec.resources.connections import FileConnection, S3Connection
from engine.spec.resources.scenarios import ExportStep
from engine.spec.rules.draft import Draft
from engine.spec.stored_data import name_object_root
from engine.spec.used_connections import list_used_connections
from engine.spec.validation.validator import SpecPath
from engine.spec.variables.references import (
    VariableReference,
    fill_references,
    find_references,
    format_value,
    quote_value,
)
from engine.spec.yaml.yaml_tree import ScalarNode, walk_values

FILLED_SECTIONS = ("project", "description", "variables", "datasets", "models", "evaluation_stores", "scenarios")
"""The top-level keys whose texts a request may fill."""

RECEIVERS = {"to", "cc", "bcc", "from"}


def check_reach(draft: Draft, findings: Findings) -> None:
    """Check that paths of a deployment are allowed, and that values of a request do not change targets."""
    _check_confined_paths(draft, findings)
    if not draft.confined:
        return
    given = _find_given_variables(draft)
    for path, node in walk_values((), draft.files.root):
        held = [one for one in find_references(node.text) if one.parts and one.parts[0] in given]
        if not held:
            continue
        root = _find_root(draft, path)
        if root is not None:
            _check_path(draft, findings, node, root, held)
        elif path[0] not in FILLED_SECTIONS or _is_recipient(path) or path[-1] == "table":
            message = f'a request may not change {".".join(map(str, path))} by the variable "{held[0].parts[0]}"'
            findings.error(node.position, "reach", message, "request a run without this variable")


def _check_confined_paths(draft: Draft, findings: Findings) -> None:
    """Check that a deployment on a node only opens allowed paths.

    An unused connection may have any path, as it is not opened. A dataset with its own path may belong to the training
    of a model elsewhere: this is a warning, and an error if a run needs the dataset.
    """
    confinement = draft.files.confinement
    if confinement is None:
        return
    from engine.spec.opened_paths import CHECKED_WHEN_OPENED, list_opened_paths

    used = set(list_used_connections([draft.spec.datasets, draft.spec.models, draft.spec.scenarios]))
    for one in list_opened_paths(draft.spec):
        unused = one.section == "connections" and one.resource[1] not in used
        if one.section in CHECKED_WHEN_OPENED or one.resource in confinement.given or unused:
            continue
        root = _find_root(draft, one.place)
        if root is None:
            continue  # it is unused, such as the path of a dataset whose rows are in a table
        path = root / _cut_pattern(one.path)
        if refusal := confinement.find_path_refusal(path, writes=one.how == "writes"):
            at = draft.value_position(*one.place)
            report = findings.warning if one.section == "datasets" and one.place[2:] == ("path",) else findings.error
            report(at, "reach", refusal)


def _cut_pattern(path: str) -> str:
    """Return the folder below which the names matched by a pattern vary; return a path without a pattern unchanged."""
    parts = path.split("/")
    fixed = list(takewhile(lambda part: not has_magic(part), parts))
    return path if len(fixed) == len(parts) else "/".join(fixed) or ("/" if path.startswith("/") else ".")


def _find_given_variables(draft: Draft) -> set[str]:
    """Return the variables of the request, and those whose values are derived from them anywhere in the spec."""
    made = [
        (str(path[-1]), {one.parts[0] for one in find_references(node.text) if one.parts})
        for path, node in walk_values((), draft.files.root)
        if "variables" in path[-2:-1] or "for_each" in path[-3:-2]
    ]
    made += [
        (str(path[1]), {one.parts[0] for one in find_references(node.text) if one.parts})
        for path, node in walk_values(("variables",), draft.find_node("variables"))
        if len(path) == 3
    ]
    given = set(draft.confined)
    while more := {name for name, parts in made if name not in given and parts & given}:
        given |= more
    return given


def _find_root(draft: Draft, path: SpecPath) -> Path | None:
    """Return the folder to which a path is relative, if there is a path at this place of the spec."""
    match path:
        case ("connections", str(name), "root" | "path"):
            return draft.folder_of("connections", name)
        case ("datasets" | "models" as section, str(name), *inside, "path" | "marker"):
            declared = getattr(draft.spec, section).get(name)
            declared = getattr(declared, "materialize", None) if inside == ["materialize"] else declared
            connection = getattr(declared, "connection", None)
            if connection is None:
                return draft.folder_of(section, name)
            return _find_connected_root(draft, connection) or draft.folder_of(section, name)
        case ("channels", str(name), *_, "path"):
            return draft.home_of("channels", name)
        case ("scenarios", str(name), *inside, "path"):
            step = next((one for one in _list_steps(draft, name, inside) if isinstance(one, ExportStep)), None)
            connection = step.connection if step else None
            return _find_connected_root(draft, connection or "") or draft.home_of("scenarios", name)
    return None


def _find_connected_root(draft: Draft, connection: str) -> Path | None:
    """Return the folder of a connection, or the placeholder for an object store; None if it has none."""
    declared = draft.spec.connections.get(connection)
    if isinstance(declared, S3Connection):
        return name_object_root(declared)
    return draft.folder_of("connections", connection) / declared.root if isinstance(declared, FileConnection) else None


def _list_steps(draft: Draft, scenario: str, inside: list[str | int]) -> Iterator[object]:
    """Yield the step at a place in a scenario, if there is one with a valid shape."""
    declared = draft.spec.scenarios.get(scenario)
    match inside:
        case ["steps", int(number)] if declared and number < len(declared.steps):
            yield declared.steps[number]


def _check_path(draft: Draft, findings: Findings, node: ScalarNode, root: Path, held: list[VariableReference]) -> None:
    """Check that a path stays in the folder to which it is relative, or in the folder before its first variable.

    `held` are the references in its text to variables of the request. None may contain a pattern, which could match a
    link to another place.
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
    except (OSError, ValueError, RuntimeError):  # a name that no file can have; links that refer to each other
        filled, inside = node.text, False
    found = f'with the variable "{held[0].parts[0]}", the path {quote_value(filled)}'
    if any(has_magic(format_value(names.get(one.parts[0]))) for one in held):
        findings.error(
            node.position, "reach", f"{found} contains a pattern", "a request may not use *, ? or [ in a path"
        )
    elif not inside:
        findings.error(
            node.position, "reach", f"{found} leads out of {root}", "a request may only name files inside this folder"
        )


def _is_recipient(path: SpecPath) -> bool:
    """Return whether a place has an address, as `to` of a reporter or a step or in its list."""
    return path[0] == "scenarios" and len(path) > 4 and not RECEIVERS.isdisjoint(path[4:])

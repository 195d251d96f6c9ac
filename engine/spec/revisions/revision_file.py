"""The file of a deployed revision: a released spec, and the replacements of its deployment.

Every command accepts this file as a spec. `engine deploy` writes it as JSON, which is YAML too. Inputs are read from
the release, a folder that is never written; output is written to the home of the deployment.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from engine.errors import Diagnostic, Position, SpecError
from engine.spec.diagnostics import Findings
from engine.spec.observations import look_again, note_fact, note_unknown
from engine.spec.yaml.source import Source
from engine.spec.yaml.yaml_tree import MapEntry, MapNode, ScalarNode, YamlNode, parse_yaml

REVISIONS_FOLDER = "revisions"
RELEASES_FOLDER = "releases"
STATE_CONNECTION = "state of the deployment"
"""The connection to the rows of the state, which a bundle can neither choose nor read."""

_KEY = "revision_of"
_START = f'{{\n  "{_KEY}"'


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision of a deployment. Paths are relative to the folder of the file.

    Attributes
    ----------
    deployment, number
        The name of the deployment, and the number of the revision, from 1.
    bundle, bundle_name
        The id of the released bundle, and the name with which it was deployed.
    spec
        Path of the released spec.
    home
        Folder for output, and for data that are not part of the release.
    included
        Names of the datasets whose files are part of the release.
    frozen
        Fingerprints of the rows of a function, a query or a table, by digest of the included file with these rows.
    replaced
        Resources that replace those of the spec, by section and name: complete declarations. Under `variables` they are
        values. A section without names, such as `state` or `server`, is replaced completely.
    active
        Whether triggers start a scenario, by its name; for other scenarios the spec decides.
    node
        Path of the node.yaml that confines the deployment (`confinement.py`); empty without a node.
    signers
        Digests of the files of the node's keys that signed the bundle, by name of the key.
    """

    deployment: str
    number: int
    bundle: str
    bundle_name: str
    spec: str
    home: str = "../home"
    included: tuple[str, ...] = ()
    frozen: Mapping[str, str] = field(default_factory=dict)
    replaced: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    active: Mapping[str, bool] = field(default_factory=dict)
    node: str = ""
    signers: Mapping[str, str] = field(default_factory=dict)

    @property
    def release(self) -> str:
        """The name and the id of the bundle, as in rows of the state."""
        return f"{self.bundle_name} {self.bundle}" if self.bundle_name != self.bundle else self.bundle

    def to_text(self) -> str:
        """Return the text of the file: the same for equal revisions."""
        return json.dumps({_KEY: asdict(self)}, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def follow_link(path: Path) -> Path:
    """Return the file of the revision behind a link to the active one; return any other path unchanged.

    A run and its processes must stay with one revision, while the link may change to another.
    """
    linked = look_again("link", str(path)) is not None
    note_fact("link", str(path), b"" if linked else None)
    real = path.resolve() if linked else path
    if linked:
        note_unknown()
    return real if real.parent.name == REVISIONS_FOLDER else path


def is_revision_text(text: str) -> bool:
    """Return whether the text of a file is that of a revision, and not of a spec."""
    return text.startswith(_START)


def find_node_path(path: Path) -> Path | None:
    """Return the node.yaml that confines the revision in a file; None if there is none.

    Raises
    ------
    SpecError
        The file cannot be read as that of a revision.
    """
    try:
        node = json.loads(path.read_text(encoding="utf-8"))[_KEY].get("node", "")
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        message = "this file of a deployed revision is damaged"
        raise SpecError((Diagnostic(Position(str(path)), "file", message, "deploy again: engine deploy"),)) from None
    return Path(os.path.normpath(path.parent.absolute() / node)) if node else None


def parse_revision(source: Source, findings: Findings) -> tuple[Revision, MapNode] | None:
    """Return the revision in a file, and the tree of its replacements; None, with a finding, if it is damaged."""
    note_unknown()  # inputs from a deployment and its node
    try:
        keys = json.loads(source.text)[_KEY]
        revision = Revision(**{**keys, "included": tuple(keys["included"])})
    except (ValueError, TypeError, KeyError):
        allowed = ", ".join(one.name for one in fields(Revision))
        message = f"this file of a deployed revision is damaged: it must be JSON with the keys {allowed}"
        findings.error(Position(source.file), "file", message, "deploy again: engine deploy")
        return None
    tree = parse_yaml(source, findings)
    for key in (_KEY, "replaced"):
        tree = tree.get(key) if isinstance(tree, MapNode) else None
    return revision, tree if isinstance(tree, MapNode) else MapNode(Position(source.file))


def replace_resources(root: MapNode, replaced: MapNode, active: Mapping[str, bool]) -> None:
    """Replace resources in the tree of a spec by those of a revision."""
    for section, entry in replaced.entries.items():
        present = root.get(section)
        if not isinstance(present, MapNode) or section in ("state", "server"):
            root.entries[section] = entry
        elif isinstance(entry.value, MapNode):
            for name, resource in entry.value.entries.items():
                _replace_entry(present, name, resource, of_variable=section == "variables")
    _leave_replaced_places(root, replaced)
    scenarios = root.get("scenarios")
    for name, started in active.items():
        scenario = scenarios.get(name) if isinstance(scenarios, MapNode) else None
        if isinstance(scenario, MapNode):
            at = scenario.position
            key = ScalarNode(at, "active", "active")
            scenario.entries["active"] = MapEntry(key, ScalarNode(at, started, str(started).lower()))


def _leave_replaced_places(root: MapNode, replaced: MapNode) -> None:
    """Keep no rows in a replaced connection of the deployment, whose data must only be read."""
    connections, datasets = replaced.get("connections"), root.get("datasets")
    if not isinstance(connections, MapNode) or not isinstance(datasets, MapNode):
        return
    for dataset in (entry.value for entry in datasets.entries.values()):
        kept = dataset.get("materialize") if isinstance(dataset, MapNode) else None
        place = kept.get("connection") if isinstance(kept, MapNode) else None
        if isinstance(dataset, MapNode) and isinstance(place, ScalarNode) and place.text in connections.entries:
            del dataset.entries["materialize"]


def _replace_entry(section: MapNode, name: str, entry: MapEntry, *, of_variable: bool) -> None:
    """Replace or add an entry; a variable with a declared type keeps the type."""
    declared: YamlNode | None = section.get(name)
    if of_variable and isinstance(declared, MapNode) and "value" in declared.entries:
        declared.entries["value"] = MapEntry(declared.entries["value"].key, entry.value)
    else:
        section.entries[name] = entry

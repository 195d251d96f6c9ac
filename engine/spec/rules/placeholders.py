"""Rules of missing values, marked with `TODO` by `engine import`."""

from engine.spec.diagnostics import Findings
from engine.spec.rules.draft import Draft
from engine.spec.yaml.yaml_tree import MapNode, ScalarNode, walk_scalars

PLACEHOLDER = "TODO"

_KEYS = frozenset(
    {"path", "root", "table", "dataset", "model", "target", "prediction", "from", "to", "connection", "bucket"}
)
"""Keys whose value is a name, a place or an address. Elsewhere TODO may be a value of the data."""


def check_placeholders(draft: Draft, findings: Findings) -> None:
    """Report each name, place, address and variable that is TODO, unless something else is wrong with it."""
    known = {one.position for one in findings}
    for key, node in walk_scalars(draft.files.root):
        if key in _KEYS and node.text == PLACEHOLDER and node.position not in known:
            _report(node, findings)
    variables = draft.find_node("variables")
    for entry in variables.entries.values() if isinstance(variables, MapNode) else ():
        if isinstance(entry.value, ScalarNode) and entry.value.text == PLACEHOLDER:
            _report(entry.value, findings)


def _report(node: ScalarNode, findings: Findings) -> None:
    findings.error(
        node.position,
        "placeholder",
        "TODO is a placeholder for a value that is still missing",
        "replace TODO by the value",
    )

"""Rules of missing values, marked with `TODO` by `engine import`."""

from collections.abc import Iterator

from engine.spec.diagnostics import Findings
from engine.spec.rules.draft import Draft
from engine.spec.yaml.yaml_tree import ListNode, MapNode, ScalarNode, YamlNode

PLACEHOLDER = "TODO"

_KEYS = frozenset(
    {"path", "root", "table", "dataset", "model", "target", "prediction", "from", "to", "connection", "bucket"}
)
"""Keys whose value is a name, a place or an address. Elsewhere TODO may be a value of the data."""


def check_placeholders(draft: Draft, findings: Findings) -> None:
    """Report each name, place, address and variable that is TODO, unless something else is wrong with it."""
    known = {one.position for one in findings}
    for key, node in _iterate_values(draft.files.root, ""):
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


def _iterate_values(node: YamlNode, key: str) -> Iterator[tuple[str, ScalarNode]]:
    """Yield each scalar with the key that it is the value of, or an entry in the value of."""
    if isinstance(node, ScalarNode):
        yield key, node
    elif isinstance(node, ListNode):
        for item in node.items:
            yield from _iterate_values(item, key)
    elif isinstance(node, MapNode):
        for name, entry in node.entries.items():
            yield from _iterate_values(entry.value, name)

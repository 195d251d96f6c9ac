"""Tried settings of checks, which replace those in the tree of a spec for one reading.

The tree is then validated as usual, so tried settings have the same constraints as written ones.
"""

from collections.abc import Collection, Mapping
from typing import Any

from engine.errors import UsageError
from engine.formatting.hints import did_you_mean, suggest_name
from engine.spec.diagnostics import Findings
from engine.spec.resources.checks import CHECK_KINDS, Range
from engine.spec.validation.value_types import list_keys
from engine.spec.yaml.source import Source
from engine.spec.yaml.yaml_tree import MapEntry, MapNode, ScalarNode, YamlNode, node_at, parse_yaml

TriedSettings = Mapping[str, Mapping[str, str]]
"""The values as YAML text, by check and key, such as soft_max or except.drift.amount.soft_max."""

_NOT_BOUNDS = {"kind", "active", "metric", "segment", "function", "arguments"}
"""Keys that define the measurement: with another value it would be another check."""


def parse_tried_setting(text: str, checks: Collection[str]) -> tuple[str, str, Any]:
    """Return check, key and value of `CHECK.KEY=VALUE`; the name of the check may contain dots and `=`.

    Raises
    ------
    UsageError
        There is no such check, or a part is missing.
    """
    named = [check for check in checks if text.startswith(f"{check}.")]
    if not named:
        before, equals, _ = text.partition("=")
        check, dot, _ = before.rpartition(".")
        if not dot or not equals:
            raise UsageError(
                f"{text!r} is not CHECK.KEY=VALUE, such as '{next(iter(checks), 'my check')}.soft_max=0.2'"
            )
        raise UsageError(f"there is no check {check!r}{suggest_name(check, list(checks))}")
    check = max(named, key=len)
    key, equals, value = text.removeprefix(f"{check}.").partition("=")
    if not equals or not key.strip() or not value.strip():
        raise UsageError(f"{text!r} has no value: write {check}.KEY=VALUE; null removes a bound")
    return check, key.strip(), _to_plain(_parse_value(text, value))


def replace_check_settings(root: MapNode, section: str, owner: str, tried: TriedSettings) -> MapNode:
    """Return a copy of the tree in which the checks of a dataset or an evaluation store have the tried settings.

    Raises
    ------
    UsageError
        There is no such check or key, or a value is not YAML.
    """
    for check, settings in tried.items():
        declared = node_at(root, (section, owner, "checks"))
        known = list(declared.entries) if isinstance(declared, MapNode) else []
        if check not in known:
            raise UsageError(f"there is no check {check!r}{suggest_name(check, known)}")
        for key, text in settings.items():
            node = node_at(root, (section, owner, "checks", check))
            path = (section, owner, "checks", check, *_split_key(check, key, node))
            root = _replace_value(root, path, _parse_value(f"{check}.{key}={text}", text))
        if settings:  # a check that is switched off is tried all the same
            root = _replace_value(root, (section, owner, "checks", check, "active"), _parse_value(check, "true"))
    return root


def _split_key(check: str, key: str, node: YamlNode | None) -> tuple[str, ...]:
    """Return the path of a key in a check: `except.drift.amount.soft_max` is a bound of the exception drift.amount."""
    kind_node = node.get("kind") if isinstance(node, MapNode) else None
    kind = str(kind_node.value) if isinstance(kind_node, ScalarNode) else "range"
    keys = [name for name in list_keys(CHECK_KINDS[kind]) if name not in _NOT_BOUNDS]
    if not keys:
        raise UsageError(f"check {check!r} is of kind {kind}: it has no bounds that can be tried")
    first, _, rest = key.partition(".")
    if first not in keys:
        raise UsageError(
            f"{check}.{key}: a check of kind {kind} has no bound {first!r}; {did_you_mean(first, keys, 'there are')}"
        )
    if not rest:
        return (key,)
    metric, _, bound = rest.rpartition(".")
    bounds = list(list_keys(Range))
    if first != "except" or not metric or bound not in bounds:
        form = f"except.METRIC.KEY, where KEY is one of {', '.join(bounds)}" if first == "except" else first
        raise UsageError(f"{check}.{key} is not a key of a check; write {check}.{form}=VALUE")
    return first, metric, bound


def _parse_value(setting: str, text: str) -> YamlNode:
    findings = Findings()
    node = parse_yaml(Source(setting, text), findings)
    if node is None:
        raise UsageError(f"{setting}: {findings[0].message}")
    return node


def _to_plain(node: YamlNode) -> Any:
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, MapNode):
        return {key: _to_plain(entry.value) for key, entry in node.entries.items()}
    return [_to_plain(item) for item in node.items]


def _replace_value(node: MapNode, path: tuple[str, ...], value: YamlNode) -> MapNode:
    """Return a copy of a mapping with another value at a path; what lies beside the path is shared."""
    key, *rest = path
    entry = node.entries.get(key)
    if rest:
        inner = entry.value if entry and isinstance(entry.value, MapNode) else MapNode(value.position)
        value = _replace_value(inner, tuple(rest), value)
    name = entry.key if entry else ScalarNode(value.position, key, key)
    return MapNode(node.position, {**node.entries, key: MapEntry(name, value)})

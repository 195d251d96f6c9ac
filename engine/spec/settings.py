"""Other values for single keys of a spec, to try them without editing a file.

They replace nodes of the tree, so that the project is resolved and validated again with all its rules.
"""

from collections.abc import Mapping
from dataclasses import replace

from engine.spec.diagnostics import Findings
from engine.spec.include import SpecFiles
from engine.spec.source import Source
from engine.spec.yaml_tree import MapEntry, MapNode, ScalarNode, parse_yaml

SettingPath = tuple[str, ...]
"""The keys that lead to a value, such as `("evaluation_stores", "MES", "checks", "drift", "soft_max")`."""


def replace_settings(files: SpecFiles, settings: Mapping[SettingPath, str], findings: Findings) -> SpecFiles:
    """Return the files with other values, each written as YAML. All keys but the last of a path must exist.

    The position of a value that is wrong has the last two keys in the place of a file: `drift.soft_max:1:1`.
    """
    root = files.root
    for path, text in settings.items():
        source = Source(".".join(path[-2:]), text)
        if (value := parse_yaml(source, findings)) is not None:
            key = ScalarNode(source.position(0), path[-1], path[-1])
            root = _replace_entry(root, path, MapEntry(key, value))
    return replace(files, root=root)


def _replace_entry(node: MapNode, path: SettingPath, entry: MapEntry) -> MapNode:
    """Return a copy of the mapping with one entry replaced or added; what does not lead to it is shared."""
    if len(path) > 1:
        inner = node.entries[path[0]]
        if not isinstance(inner.value, MapNode):
            raise KeyError(path[0])
        entry = MapEntry(inner.key, _replace_entry(inner.value, path[1:], entry))
    return MapNode(node.position, {**node.entries, path[0]: entry})

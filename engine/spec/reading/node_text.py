"""Recognizes the file of a node, without the modules needed to read it."""

import re
from pathlib import Path

from engine.spec.diagnostics import Findings
from engine.spec.yaml.source import read_source

_NODE_KEY, _PROJECT_KEY = (re.compile(rf"^[\"']?{key}[\"']?\s*:", re.MULTILINE) for key in ("node", "project"))


def names_node(path: Path) -> bool:
    """Return whether a file is that of a node and not a spec, according to its keys; False if it is unreadable."""
    source = read_source(path, Findings())
    return source is not None and is_node_text(source.text)


def is_node_text(text: str) -> bool:
    """Return whether the text of a file is that of a node and not a spec, according to its keys."""
    return _NODE_KEY.search(text) is not None and _PROJECT_KEY.search(text) is None

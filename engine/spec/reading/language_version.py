"""The version of the language, of specs and of files of nodes."""

from engine.spec.diagnostics import Findings
from engine.spec.yaml.yaml_tree import MapNode, ScalarNode

LANGUAGE_VERSION = 1


def report_newer_version(root: MapNode, document: str, findings: Findings) -> bool:
    """Return whether a document has a newer version, and report it: its other problems would be misleading."""
    version = root.get("version")
    if not isinstance(version, ScalarNode) or not isinstance(version.value, int) or version.value <= LANGUAGE_VERSION:
        return False
    message = f"this {document} has version {version.value}, but this engine supports only version {LANGUAGE_VERSION}"
    findings.error(version.position, "newer-version", message, "upgrade the engine: pip install --upgrade engine")
    return True

"""Reads messages from files: their text replaces `message_file:` in the tree.

Later passes treat it like a message in the spec, so that an unknown name is reported at its place in the file. The path
is relative to the folder of the file that declares the scenario.
"""

from engine.digests import digest_texts
from engine.errors import Position
from engine.spec.diagnostics import Findings
from engine.spec.spec_files import SpecFiles
from engine.spec.yaml.source import read_source
from engine.spec.yaml.yaml_tree import ListNode, MapEntry, MapNode, ScalarNode, node_at

KEY = "message_file"


def read_message_files(files: SpecFiles, findings: Findings) -> None:
    """Replace each `message_file:` of a reporter or a step by the text of the file, or add a finding."""
    scenarios = files.root.get("scenarios")
    for name in scenarios.entries if isinstance(scenarios, MapNode) else ():
        for part in ("steps", "reporters"):
            owners = node_at(files.root, ("scenarios", name, part))
            for owner in owners.items if isinstance(owners, ListNode) else ():
                if isinstance(owner, MapNode) and KEY in owner.entries:
                    _read_message_file(owner, name, files, findings)


def _read_message_file(owner: MapNode, scenario: str, files: SpecFiles, findings: Findings) -> None:
    entry = owner.entries[KEY]
    node = entry.value
    if not isinstance(node, ScalarNode) or node.value is None:
        return  # the validator reports a list or a mapping; null is none
    del owner.entries[KEY]
    path = files.folders[("scenarios", scenario)] / node.text
    message = help_ = None
    if "message" in owner.entries:
        message, help_ = "message and message_file are both given", "keep one of them"
    elif not node.text.strip() or "${" in node.text:
        message, help_ = "this is not the path of a file", "write the name of a file, without variables"
    if message is not None:
        findings.error(node.position, "message-file", message, help_)
        return
    refusal = files.confinement.find_path_refusal(path) if files.confinement else ""
    if refusal:
        findings.error(node.position, "reach", refusal, "pack the file into the bundle")
        return
    reading = Findings()
    source = read_source(path, reading)
    if source is not None:
        text = ScalarNode(Position(str(path)), source.text, source.text, "", source, 0, len(source.text))
        owner.entries["message"] = MapEntry(entry.key, text)
        if path not in files.paths:
            files.paths.append(path)
            files.digests.append(digest_texts(source.text))
    elif reading[0].code == "file":
        help_ = "the path starts from the folder of the file that declares the scenario"
        findings.error(node.position, "message-file", f"{path}: {reading[0].message}", help_)
        files.missing.append(path)
    else:
        findings += reading

"""The address that links in messages begin with on a node: what its owner says, whatever a bundle says."""

from pathlib import Path

import pytest

from engine.spec import load

from .on_node import deploy

SPEC = """
version: 1
project: p
server: {url: "http://design.example"}
scenarios: {a: {steps: [{name: tell, kind: send_message, channel: c, subject: s, message: "${scenarioRunURL}"}]}}
channels: {c: {kind: file, path: outbox}}
"""


@pytest.mark.parametrize(
    ("of_node", "of_settings", "found"),
    [
        ("url: https://factory.example", None, "https://factory.example"),
        ("url: https://factory.example", "http://deployer.example", "https://factory.example"),
        ("", "http://deployer.example", "http://deployer.example"),
        ("", None, "http://127.0.0.1:7320"),
        ('listen: "[::1]:7000"', None, "http://[::1]:7000"),
        ("behind_proxy: true\nlisten: 0.0.0.0:7000", None, "http://design.example"),
    ],
)
def test_links_lead_to_the_node(tmp_path: Path, of_node: str, of_settings: str | None, found: str) -> None:
    node_file = tmp_path / "node.yaml"
    node_file.write_text(f"version: 1\nnode: n\nfolder: node\n{of_node}\n")
    settings = {"server_url": of_settings} if of_settings else {}
    done = deploy(tmp_path / "node", SPEC, node_file=node_file, settings=settings)
    assert done.operation.state == "HEALTHY", done.said
    server = load(done.revision).server
    assert (server.url if server else None) == found

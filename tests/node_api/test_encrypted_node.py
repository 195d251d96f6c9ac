"""A node that is asked over TLS, with a certificate that this machine trusts only if the spec names it."""

from pathlib import Path

from engine.errors import EngineError
from engine.service.deployments.deployment_list import describe_deployment
from engine.spec import load

from ..server.asked_node import AskedNode
from ..server.certificates import make_certificate

SPEC = """
version: 1
project: tiny
secrets: {{token: {{env: TOKEN}}}}
infrastructures: {{factory: {{kind: node, url: "{url}", token: "${{secret.token}}"{certificate}}}}}
deployments: {{production: {{infrastructure: factory}}}}
"""


def test_a_node_is_trusted_by_its_certificate_alone(tmp_path: Path) -> None:
    make_certificate(tmp_path)
    (tmp_path / "other").mkdir()
    make_certificate(tmp_path / "other")
    (tmp_path / "none.pem").write_text("no certificate")
    node = AskedNode(tmp_path, "tls: {certificate: cert.pem, key: key.pem}\n")
    token = node.tokens["viewer"]

    def ask(certificate: str, url: str = node.url) -> str:
        named = f", certificate: {certificate}" if certificate else ""
        (tmp_path / "spec.yaml").write_text(SPEC.format(url=url, certificate=named))
        environ = {"TOKEN": token}
        try:
            return describe_deployment(load(tmp_path / "spec.yaml"), "production", environ).state
        except EngineError as problem:
            return str(problem)

    try:
        assert ask("cert.pem") == "UNKNOWN"  # nothing is deployed there
        assert ask("").endswith("and set `certificate:` of the infrastructure to it")
        assert ask("other/cert.pem").endswith("other/cert.pem, which `certificate:` names, does not certify it")
        assert "none.pem, cannot be read" in ask("none.pem")
        assert "nowhere.pem, cannot be read: No such file" in ask("nowhere.pem")
        assert "if the node uses TLS, `url:` must begin with https" in ask("", node.url.replace("https", "http"))
        node.end()
    finally:
        node.kill()

"""Whose bundles are deployed: those that as many trusted keys have signed as are required, and no other."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.bundles.archive_checks import add_signature, open_archive
from engine.bundles.signatures import sign_bundle
from engine.service.deployments.deploying import deploy_bundle
from engine.spec import load
from engine.store.node import OperationRow

from ..bundles.made import make_keys
from ..node_api.node_server import (
    describe_update,
    make_archive,
    serve_node,
)
from .deployed import HOOK, make_project

Deploy = Callable[..., OperationRow]


def today() -> date:
    return datetime.now(UTC).date()


def sign(archive: Path, key: Path) -> None:
    with open_archive(archive) as opened:
        signature = sign_bundle(opened.id, opened.provenance, key)
    add_signature(archive, signature)


@pytest.fixture
def deploy(tmp_path: Path) -> Deploy:
    """Return what deploys v3 where ada and ben are trusted, ada until a day."""
    for name in ("ada", "ben", "eve"):
        make_keys(tmp_path, name)
    project = make_project(tmp_path, care=HOOK)
    text = (tmp_path / "spec.yaml").read_text()

    def deploy(*, until: date | None = None, require: int = 1) -> OperationRow:
        keys = (
            f"trusted_keys: {{ada: {{path: ada.pem, not_after: {until or today()}}}, ben: ben.pem}}, require: {require}"
        )
        (tmp_path / "spec.yaml").write_text(text.replace("{path: automation}", f"{{path: automation, {keys}}}"))
        return deploy_bundle(load(tmp_path / "spec.yaml"), "production", "v3", environ=project.environ, now=True)

    return deploy


def find_archive(folder: Path) -> Path:
    """Return the archive of v3 in the registry of the project."""
    with open_archive(folder / "v3.zip") as opened:
        (found,) = (one for one in folder.rglob(f"{opened.id}.zip") if "automation" not in one.parts)
    return found


def test_a_folder_takes_what_the_trusted_have_signed(tmp_path: Path, deploy: Deploy) -> None:
    archive = find_archive(tmp_path)
    unsigned = deploy()
    assert unsigned.state == "FAILED"
    assert "a signature of a trusted key is needed (trusted: ada, ben), but it is not signed" in unsigned.reason
    assert not (tmp_path / "automation/deployments/production/releases").exists()

    sign(archive, tmp_path / "eve.private.pem")
    strange = deploy()
    assert (strange.state, "is not trusted" in strange.reason) == ("FAILED", True), strange.reason

    sign(archive, tmp_path / "ada.private.pem")
    assert deploy().state == "HEALTHY"
    late = deploy(until=today() - timedelta(days=1))
    assert late.state == "FAILED"
    assert f"until {today() - timedelta(days=1)}" in late.reason
    alone = deploy(require=2)
    assert alone.state == "FAILED"
    sign(archive, tmp_path / "ben.private.pem")
    assert deploy(require=2).state == "HEALTHY"


@pytest.mark.slow
def test_a_node_takes_what_the_trusted_have_signed_as_long_as_they_are_trusted(tmp_path: Path) -> None:
    for name in ("ada", "ben", "eve"):
        make_keys(tmp_path, name)
    id_, unsigned = make_archive(tmp_path / "v1")
    archive = tmp_path / "v1/v1.zip"
    keys = "trusted_keys: {ada: {path: ada.pem, not_after: UNTIL}, ben: ben.pem}\nrequire: 1\n"
    with serve_node(tmp_path, keys.replace("UNTIL", str(today()))) as served, served.connect() as client:
        sign(archive, tmp_path / "eve.private.pem")
        for content in (unsigned, archive.read_bytes()):
            refused = client.put(f"/v1/bundles/{id_}", content=content)
            assert refused.status_code == 422
            assert "a signature of a trusted key is needed (trusted: ada, ben)" in refused.json()["error"]
        assert client.get("/v1/bundles").json() == {"bundles": []}

        sign(archive, tmp_path / "ada.private.pem")
        came = client.put(f"/v1/bundles/{id_}", content=archive.read_bytes())
        assert (came.status_code, came.json()["bundle"]["signers"]) == (201, ["ada"])
        file = tmp_path / "node.yaml"
        file.write_text(file.read_text().replace(str(today()), str(today() - timedelta(days=1))))

        def update() -> Any:
            body = describe_update(id_, None, now=True)
            asked = client.post("/v1/deployments/production/updates", json=body)
            return served.wait_for_end(asked.json()["operation"]["id"])

        done = update()
        assert (done["state"], done["steps"][-1]["name"]) == ("FAILED", "VERIFIED"), done
        assert f"until {today() - timedelta(days=1)}" in done["reason"]
        sign(archive, tmp_path / "ben.private.pem")
        came = client.put(f"/v1/bundles/{id_}", content=archive.read_bytes())
        assert (came.status_code, came.json()["bundle"]["signers"]) == (200, ["ben"])
        assert update()["state"] == "HEALTHY"

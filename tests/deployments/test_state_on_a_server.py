"""A deployment whose state has its rows on a server, whatever the bundle says."""

from pathlib import Path

import pytest

from engine.service.deployments.deploying import deploy_bundle
from tests.databases.postgres_server import Database

from .deployed import make_project


@pytest.mark.slow
def test_the_settings_say_where_the_rows_are(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESULTS", database.url())
    more = 'secrets: {results: {env: RESULTS}}\nconnections: {results: {kind: postgresql, url: "${secret.results}"}}\n'
    project = make_project(tmp_path, more=more, care="", deployment="state: {connection: results, schema: there}")
    done = deploy_bundle(project.spec, "production", "v3", environ=project.environ)
    assert done.state == "HEALTHY", done.reason
    assert database.execute("SELECT count(*) FROM there.state_owner") == "1"
    folders = database.execute("SELECT folder FROM there.state_owner")
    assert folders == str((tmp_path / "automation/deployments/production/state/tiny").resolve())
    assert not list((tmp_path / "automation/deployments/production/state").glob("**/state.db"))

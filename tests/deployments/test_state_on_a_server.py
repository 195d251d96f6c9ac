"""A deployment whose state has its rows on a server, whatever the bundle says."""

from pathlib import Path

import pytest

from engine.errors import UsageError
from engine.service.deployments.deploying import delete_deployment, deploy_bundle
from tests.databases.postgres_server import Database

from .deployed import HOOK, make_project


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


def test_the_rows_go_with_their_deployment_unless_they_are_to_stay(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESULTS", database.url())
    more = 'secrets: {results: {env: RESULTS}}\nconnections: {results: {kind: postgresql, url: "${secret.results}"}}\n'
    project = make_project(tmp_path, more=more, care=HOOK, deployment="state: {connection: results, schema: there}")
    state = tmp_path / "automation/deployments/production/state"

    def deploy() -> None:
        done = deploy_bundle(project.spec, "production", "v3", environ=project.environ, now=True)
        assert done.state == "HEALTHY", done.reason

    def count_schemas() -> int:
        return int(database.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'there'"))

    deploy()
    owner = database.execute("SELECT state_id FROM there.state_owner")
    kept = delete_deployment(project.spec, "production", project.environ, keep_state=True)
    assert "its state stays, with its rows in schema 'there'" in kept
    assert [one.name for one in state.parent.iterdir()] == ["state"]
    deploy()
    assert database.execute("SELECT state_id FROM there.state_owner") == owner

    database.execute("CREATE VIEW seen AS SELECT * FROM there.runs")
    with pytest.raises(UsageError, match=r"(?s)--keep-state.* something else in the database uses .*view public.seen"):
        delete_deployment(project.spec, "production", project.environ)
    assert count_schemas() == 1
    assert (state / "tiny/state_id").exists()
    deploy()

    database.execute("DROP VIEW seen; CREATE TABLE there.another (value int)")
    removed = delete_deployment(project.spec, "production", project.environ)
    assert "the rows of its state in schema 'there'" in removed
    assert not state.parent.exists()
    assert database.execute("SELECT string_agg(tablename, ' ') FROM pg_tables WHERE schemaname = 'there'") == "another"

    database.execute("DROP SCHEMA there CASCADE")
    deploy()
    delete_deployment(project.spec, "production", project.environ)
    assert count_schemas() == 0

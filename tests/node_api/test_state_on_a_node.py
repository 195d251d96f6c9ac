"""A node whose owner keeps the rows of all states in a database: a bundle neither chooses the place nor reads it."""

import textwrap
from pathlib import Path

import pytest

from engine.errors import SpecError
from engine.spec import load

from ..databases.postgres_server import Database
from ..deployments.deployed import make_bundle
from .design import MODULE, NODE, SPEC, design_tiny

RESULTS = 'results: {kind: postgresql, url: "${secret.results}"}'
SCHEMA = "engine_tiny_production"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_rows_are_where_the_node_says(database: Database, tmp_path: Path) -> None:
    more = "secrets: {results: {env: RESULTS}}\nstate: {connection: results}\n"
    node = NODE.replace("{root: stored}}", f"{{root: stored}}, {RESULTS}}}")
    with design_tiny(tmp_path, more, {"RESULTS": database.url()}, node=node) as design:
        done = design.engine("deploy", "spec.yaml", "production")
        assert done.returncode == 0, done.stdout + done.stderr
        run = design.engine("run", "spec.yaml", "probe", "--on", "production")
        assert run.returncode == 0, run.stdout + run.stderr
        assert int(database.execute(f"SELECT count(*) FROM {SCHEMA}.runs")) >= 2
        state = design.there / "data/deployments/production/state"
        assert not list(state.glob("**/state.db"))
        wrong = design.engine("deploy", "spec.yaml", "production", "--bundle", "v4", "--now")
        assert "ROLLED_BACK" in wrong.stdout, wrong.stdout + wrong.stderr

        text = textwrap.dedent(SPEC).format(function="fine", url=design.url)
        spec = design.here / "spec.yaml"
        stealing = "state: {kind: stored, connection: state of the deployment, table: runs}"
        theirs = f"state of the deployment: {{kind: postgresql, url: {database.url()}}}"
        wrong_text = text.replace("datasets:\n", f"datasets:\n  {stealing}\n")
        spec.write_text(wrong_text.replace("connections: {", f"connections: {{{theirs}, "))
        make_bundle(load(spec), "v6")
        spec.write_text(text)
        refused = design.engine("deploy", "spec.yaml", "production", "--bundle", "v6", "--now")
        assert refused.returncode == 3
        assert "no resource can use it" in refused.stdout + refused.stderr
        password = database.url().split(":")[2].split("@")[0]
        for path in (one for one in (design.there / "data").rglob("*") if one.is_file() and one.suffix != ".zip"):
            assert password.encode() not in path.read_bytes() or "releases" in path.parts, path

        removed = design.engine("deployments", "spec.yaml", "delete", "production", "--yes", token="admin")
        assert f"the rows of its state in schema '{SCHEMA}'" in removed.stdout, removed.stdout + removed.stderr
        assert not (design.there / "data/deployments/production").exists()
        assert database.execute(f"SELECT count(*) FROM pg_namespace WHERE nspname = '{SCHEMA}'") == "0"


def test_who_deploys_does_not_say_where_the_rows_are(tmp_path: Path) -> None:
    text = textwrap.dedent(SPEC).format(function="fine", url="http://127.0.0.1:7320")
    (tmp_path / "mine.py").write_text(MODULE)
    spec = tmp_path / "spec.yaml"
    spec.write_text(text.replace("bundle: v3,", "bundle: v3, state: {connection: local},"))
    with pytest.raises(SpecError, match="the node decides where the rows of a state are stored"):
        load(spec)

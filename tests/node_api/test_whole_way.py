"""The whole way by processes: a project is designed here, deployed to a node, runs there, fails there, goes back."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from .design import Design, design_tiny

pytestmark = pytest.mark.slow


@pytest.fixture
def design(tmp_path: Path) -> Iterator[Design]:
    with design_tiny(tmp_path) as made:
        yield made


def test_a_project_is_deployed_to_a_node_runs_there_and_is_rolled_back(design: Design) -> None:
    planned = design.engine("deploy", "spec.yaml", "production", "--plan")
    assert planned.returncode == 0, planned.stderr
    weak = design.engine("deploy", "spec.yaml", "production", token="viewer")
    assert (weak.returncode, "deployer" in weak.stderr) == (3, True), weak.stderr
    unknown = design.engine("deploy", "spec.yaml", "production", token="eng_00000000_" + "x" * 43)
    assert "does not accept the token" in unknown.stderr
    assert "x" * 43 not in unknown.stderr + unknown.stdout

    deployed = design.engine("deploy", "spec.yaml", "production")
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    assert "HEALTHY" in deployed.stdout
    assert "reached PRELOADED" in deployed.stderr

    run = design.engine("run", "spec.yaml", "probe", "--on", "production", "--format", "json")
    assert run.returncode == 0, run.stdout + run.stderr
    (ended,) = json.loads(run.stdout)
    assert (ended["state"], ended["scenario"]) == ("SUCCESS", "probe")
    home = design.there / "data/deployments/production/home"
    told = "".join(path.read_text() for path in (home / "outbox").rglob("*") if path.is_file())
    assert "from Ulm" in told  # the variable, and the rows, are the node's
    status = design.engine("status", "spec.yaml", "--format", "json")
    (found,) = json.loads(status.stdout)
    assert (found["deployment"]["state"], found["execution"]["state"]) == ("HEALTHY", "OK"), found

    judged = design.engine("run", "spec.yaml", "judge", "--on", "production")
    assert judged.returncode == 1, judged.stdout + judged.stderr  # as a run here, whose check is ERROR
    assert design.engine("run", "spec.yaml", "judge", "--on", "production", "--fail-on", "never").returncode == 0
    for scenario in ("stop", "pass on"):  # the check of a dataset stops a build, also in another run
        stopped = design.engine("run", "spec.yaml", scenario, "--on", "production")
        assert stopped.returncode == design.engine("run", "spec.yaml", scenario).returncode == 1, stopped.stderr
    # on_failure: warn takes a failure out of the exit code, also one of another run, but not a check that is ERROR
    for scenario, code in (("tolerate", 1), ("tolerate the failure", 0)):
        tolerated = design.engine("run", "spec.yaml", scenario, "--on", "production")
        assert tolerated.returncode == design.engine("run", "spec.yaml", scenario).returncode == code, tolerated.stderr
    told = design.server.wait_for("run", holds=lambda one: one["scenario"] == "judge")
    assert told["text"].endswith("look: by what its checks found"), told

    broken = design.engine("deploy", "spec.yaml", "production", "--bundle", "v4")
    assert broken.returncode == 3, broken.stdout + broken.stderr
    assert "ROLLED_BACK" in broken.stdout
    again = design.engine("deploy", "spec.yaml", "production", "--bundle", "v4")
    assert (again.returncode, "was rolled back here" in again.stderr) == (3, True), again.stderr
    listed = design.engine("deployments", "spec.yaml", "--format", "json")
    assert '"HEALTHY"' in listed.stdout, listed.stdout + listed.stderr
    shown = design.engine("deployments", "spec.yaml", "show", "production")
    assert "ROLLED_BACK" in shown.stdout
    disabled = design.engine("deployments", "spec.yaml", "disable", "production", "--yes")
    assert disabled.returncode == 0, disabled.stdout + disabled.stderr
    removed = design.engine("deployments", "spec.yaml", "delete", "production", "--yes", token="deployer")
    assert "admin" in removed.stderr  # which this token is not
    for place in (design.here, design.there / "data"):
        for path in (one for one in place.rglob("*") if one.is_file()):
            content = path.read_bytes()
            assert not any(token.encode()[-43:] in content for token in design.tokens.values()), path


def test_a_node_that_is_down_is_reported_and_nothing_is_lost(design: Design) -> None:
    assert design.engine("deploy", "spec.yaml", "production", "--now").returncode == 0
    design.stop()
    for arguments in (["status", "spec.yaml"], ["deployments", "spec.yaml"], ["rollback", "spec.yaml", "production"]):
        said = design.engine(*arguments)
        assert said.returncode != 0
        assert "the node 'factory'" in said.stderr
        assert "is it running?" in said.stderr
        assert "Traceback" not in said.stderr

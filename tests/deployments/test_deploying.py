"""Updates of a deployment: what is refused, what is rolled back and how, and what people are told."""

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

import engine
from engine.errors import UsageError
from engine.service.deployments.deploying import (
    delete_deployment,
    deploy_bundle,
    disable_deployment,
    plan_update,
)
from engine.service.deployments.updates.order import DeploymentRefusedError
from engine.spec import load
from engine.store.databases.sqlite import SqliteDatabase
from engine.store.node import Node, OperationState, RevisionState
from engine.store.schema import REVISION, prepare_schema

from ..command_line import call_engine
from ..processes import is_alive
from ..service.served import wait_until
from .deployed import HEALTH, check_infrastructure, make_bundle, make_project, write_spec


@pytest.mark.slow
def test_an_unhealthy_release_goes_back_to_the_settings_of_then(tmp_path: Path) -> None:
    more = "variables: {quarter: Q1}\n"
    make_project(tmp_path, care=HEALTH, more=more, deployment="bundle: v3\nvariables: {quarter: Q2}")
    first = call_engine(tmp_path, "deploy", "spec.yaml", "production")
    assert (first.returncode, "SUCCESS" in first.stdout) == (0, True), first.stdout + first.stderr

    write_spec(tmp_path, more, care=HEALTH, deployment="bundle: v4\nvariables: {quarter: Q3}")
    second = call_engine(tmp_path, "deploy", "spec.yaml", "production")
    assert second.returncode == 3
    assert "ROLLED_BACK: scenario 'probe' ended FAILED" in second.stdout
    assert "this release is broken" in second.stdout
    assert "rolled back to v3, as revision 3" in second.stdout
    assert check_infrastructure(tmp_path / "automation")[0] == 3

    active = engine.load(tmp_path / "spec.yaml").on("production")
    assert active.spec.variables["quarter"] == "Q2"
    assert list(active.runs()["trigger"]) == ["health check"] * 3
    assert [run.split()[0] for run in active.runs()["state"]] == ["SUCCESS", "FAILED", "SUCCESS"]

    refused = call_engine(tmp_path, "deploy", "spec.yaml", "production")
    assert refused.returncode == 3
    assert "the bundle v4 was rolled back here" in refused.stderr
    assert "--again" in refused.stderr
    status = call_engine(tmp_path, "status", "spec.yaml", "--format", "json")
    assert status.returncode == 1
    assert json.loads(status.stdout)[0]["deployment"]["state"] == "OUT_OF_SYNC"


def test_without_a_healthy_revision_triggers_start_nothing_any_more(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    done = project.deploy("production", "v4", now=True)
    assert done.state is OperationState.ERROR
    assert "there is no healthy revision to go back to" in done.reason
    active = project.on("production")
    assert [one.active for one in active.spec.scenarios.values()] == [False]
    assert project.status("production")[0].deployment.state == "ERROR"
    assert project.deploy("production", "v3", now=True).state is OperationState.HEALTHY
    assert project.status("production")[0].deployment.state == "HEALTHY"


def test_a_rollback_takes_the_revision_before_and_does_not_come_back(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    make_bundle(project.spec, "v5", {"more.md": ("file", b"more")})
    project.deploy("production", "v3", now=True)
    project.deploy("production", "v5", now=True)
    done = project.roll_back("production", now=True)
    assert (done.state, done.kind, done.to_revision) == (OperationState.HEALTHY, "rollback", 3)
    assert list(project.deployments()["bundle_name"]) == ["v3"]
    with pytest.raises(DeploymentRefusedError, match="no healthy revision before revision 3"):
        project.roll_back("production", now=True)
    with pytest.raises(DeploymentRefusedError, match="the bundle v5 was rolled back here"):
        project.deploy("production", "v5", now=True)
    assert project.deploy("production", "v5", now=True, again=True).state is OperationState.HEALTHY
    check_infrastructure(tmp_path / "automation")


def test_a_rollback_that_is_not_healthy_stays_and_is_reported(tmp_path: Path) -> None:
    project = make_project(tmp_path, care="hooks: {after: [{argv: [sh, -c, '! test -e spoilt']}]}")
    project.deploy("production", "v3", now=True)
    (tmp_path / "spoilt").touch()
    done = project.deploy("production", "v4", now=True)
    assert done.state is OperationState.ERROR
    assert "the rollback failed: the rollback to revision 3 is not healthy either" in done.reason
    with Node.open(tmp_path / "automation") as node:
        row = node.find_deployment("production")
        assert row is not None
        assert (row.active_revision, "not healthy either" in row.error) == (3, True)


@pytest.mark.slow
def test_one_of_two_deployers_at_once_is_refused_and_learns_who_the_other_is(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    project.deploy("production", "v3", now=True)
    make_bundle(project.spec, "v5", {"more.md": ("file", b"more")})
    begun = subprocess.Popen(
        [sys.executable, "-m", "engine", "deploy", "spec.yaml", "production", "--bundle", "v5", "--now"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    waited = subprocess.run(
        [sys.executable, "-c", SECOND_DEPLOYER, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert begun.wait() == 0
    assert "revision 2 is active, by" in waited.stdout, waited.stdout + waited.stderr
    check_infrastructure(tmp_path / "automation")


SECOND_DEPLOYER = """
import os, sys, time
from pathlib import Path
from engine.service.deployments.updates.order import UpdateContext, UpdateOrder
from engine.service.deployments.updates.updater import Updater
from engine.store.databases.sqlite import SqliteDatabase
from engine.store.node import Node
folder = Path(sys.argv[1]) / "automation"
with Node.open(folder) as node:
    while node.find_deployment("production").active_revision == 1 or node.operations.list_open():
        time.sleep(0.1)
    row = node.list_revisions("production")[0]  # it was looked at before the other one has ended
    with node.lock("production"):
        order = UpdateOrder(deployment="production", project="tiny", bundle=row.bundle, bundle_name="v3",
                            settings=row.settings, archive=None, expected=1, by="ada", now=True)
        try:
            Updater(node, node.find_deployment("production"), UpdateContext(environ=os.environ)).update(order)
        except Exception as error:
            print(error)
"""


def test_the_same_key_is_one_operation(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    once = deploy_bundle(project.spec, "production", "v3", environ=os.environ, now=True, key="k")
    again = deploy_bundle(project.spec, "production", "v3", environ=os.environ, now=True, key="k")
    assert once.id == again.id
    assert len(project.updates("production")) == 1


def test_a_hook_that_takes_too_long_is_killed_with_what_it_has_started(tmp_path: Path) -> None:
    hook = "hooks: {before: [{argv: [sh, -c, 'sleep 60 & echo $! > pid; wait'], timeout: 1s}]}"
    project = make_project(tmp_path, care=hook)
    done = project.deploy("production", "v3", now=True)
    assert done.state is OperationState.FAILED
    assert "hook 'sh' was killed after 1 s" in done.reason
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_a_deployment_can_be_switched_off_and_deleted(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    project.deploy("production", "v3", now=True)
    disable_deployment(project.spec, "production", environ=os.environ)
    assert project.status("production")[0].deployment.told[-1] == ("it is switched off: triggers start nothing")
    check_infrastructure(tmp_path / "automation")
    asked = call_engine(tmp_path, "deployments", "spec.yaml", "delete", "production")
    assert (asked.returncode, "use --yes" in asked.stderr) == (2, True)
    folder = delete_deployment(project.spec, "production", {})
    assert folder == str(tmp_path / "automation" / "deployments" / "production")
    assert not Path(folder).exists()
    assert check_infrastructure(tmp_path / "automation") == (None, [])


def test_releases_beyond_keep_are_removed_but_not_those_in_use(tmp_path: Path) -> None:
    project = make_project(tmp_path, care=f"{'hooks: {}'}\nkeep: 2")
    names = [f"n{number}" for number in range(5)]
    for name in names:
        make_bundle(project.spec, name, {"more.md": ("file", name.encode())})
        assert project.deploy("production", name, now=True).state is OperationState.HEALTHY
    releases = list((tmp_path / "automation/deployments/production/releases").iterdir())
    assert len(releases) == 2
    assert len(list((tmp_path / "automation/bundles").iterdir())) == 2
    with Node.open(tmp_path / "automation") as node:
        assert len(node.list_revisions("production")) == 5
    check_infrastructure(tmp_path / "automation")


@pytest.mark.slow
def test_a_running_run_keeps_only_its_own_release(tmp_path: Path) -> None:
    project = make_project(tmp_path, care="hooks: {}\nkeep: 1")
    (tmp_path / "mine.py").write_text(
        f"import time\nfrom pathlib import Path\ndef fine():\n    here = Path({str(tmp_path)!r})\n"
        "    (here / 'begun').touch()\n    while not (here / 'go').exists():\n        time.sleep(0.05)\n"
        "    from later import done\n    return done\n"
    )
    ids = {}
    for name in ("a", "b", "c", "d", "e"):
        files = {"more.md": ("file", name.encode()), "later.py": ("code", b"done = 'done'\n")}
        ids[name] = make_bundle(project.spec, name, files)

    def list_releases() -> set[str]:
        found = {path.name for path in (tmp_path / "automation/deployments/production/releases").iterdir()}
        return {name for name, id_ in ids.items() if id_ in found}

    project.deploy("production", "a", now=True)
    current = tmp_path / "automation/deployments/production/current.yaml"
    run = subprocess.Popen([sys.executable, "-m", "engine", "run", str(current), "probe"], cwd=tmp_path)
    try:
        wait_until((tmp_path / "begun").exists, "the run has not begun")
        for name in ("b", "c", "d"):
            assert project.deploy("production", name, now=True).state is OperationState.HEALTHY
        assert list_releases() == {"a", "c", "d"}  # of the run, active before, active
        (tmp_path / "go").touch()
        assert run.wait() == 0
    finally:
        run.kill()
    project.deploy("production", "e", now=True)
    assert list_releases() == {"d", "e"}
    assert project.roll_back("production", now=True).state is OperationState.HEALTHY
    assert list(project.deployments()["bundle_name"]) == ["d"]
    check_infrastructure(tmp_path / "automation")


def test_what_the_bundle_does_not_have_cannot_be_set(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    write_spec(
        tmp_path,
        "channels: {team: {kind: file, path: told}}\n",
        deployment="channels: {team: {kind: file, path: elsewhere}}",
    )
    done = engine.load(tmp_path / "spec.yaml").deploy("production", "v3", now=True)
    assert done.state is OperationState.FAILED
    assert "sets channels 'team', but the bundle v3 has none of that name" in done.reason
    assert project.deploy("production", "v3", now=True).state is OperationState.HEALTHY


def test_a_plan_says_what_would_change_in_the_words_of_the_spec(tmp_path: Path) -> None:
    project = make_project(tmp_path, more="variables: {quarter: Q1}\n", deployment="scenarios: {probe: active}")
    project.deploy("production", "v3", now=True)
    write_spec(
        tmp_path, "variables: {quarter: Q1}\n", deployment="variables: {quarter: Q4}\nscenarios: {probe: inactive}"
    )
    change = plan_update(load(tmp_path / "spec.yaml"), "production", "v4", {})
    assert change.settings == {"variable quarter": ("", "Q4"), "scenario probe": ("active", "inactive")}
    assert (change.before_name, change.bundle_name, change.keeps_state) == ("v3", "v4", True)
    assert len(project.updates("production")) == 1


def test_a_deployment_of_another_project_is_not_taken(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    project.deploy("production", "v3", now=True)
    path = tmp_path / "spec.yaml"
    path.write_text(path.read_text().replace("project: tiny", "project: other"))
    other = load(path)
    make_bundle(other, "o1")
    with pytest.raises(UsageError, match="belongs to the project tiny"):
        deploy_bundle(other, "production", "o1", environ=os.environ, now=True)


def test_secrets_are_in_a_revision_by_name_alone(tmp_path: Path) -> None:
    more = textwrap.dedent("""
        secrets: {hook: {env: HOOK_URL, optional: true}}
        channels: {team: {kind: webhook, url: "${secret.hook}", fallback: {kind: file, path: told}}}
    """)
    project = make_project(tmp_path, more=more, deployment="secrets: {hook: {env: OTHER_URL}}")
    project = replace(project, environ={**os.environ, "OTHER_URL": "https://example.org/s3cr3t-value"})
    project.deploy("production", "v3", now=True)
    written = b"".join(path.read_bytes() for path in (tmp_path / "automation").rglob("*") if path.is_file())
    assert b"OTHER_URL" in written
    assert b"s3cr3t-value" not in written


def test_a_revision_that_is_active_is_healthy_in_the_rows(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    project.deploy("production", "v3", now=True)
    with Node.open(tmp_path / "automation") as node:
        assert [row.state for row in node.list_revisions("production")] == [RevisionState.HEALTHY]


def test_an_update_tells_that_it_has_migrated_the_state_and_where_the_copy_is(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    state = tmp_path / "automation/deployments/production/state/tiny"
    (state / "locks").mkdir(parents=True)
    prepare_schema(SqliteDatabase(state), target="0009")
    told: list[str] = []
    done = deploy_bundle(project.spec, "production", "v3", environ=os.environ, now=True, report=told.append)
    assert done.state is OperationState.HEALTHY
    copy = state / "state.db.0009"
    assert copy.is_file()
    assert f"the tables of state.db were migrated from 0009 to {REVISION}" in told[0]
    assert str(copy) in told[0]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("null", "scenario 'probe' uses quarter, and that has no value"),
        ('"${env.NOT_SET_HERE}"', "the environment variable NOT_SET_HERE is not set"),
    ],
)
def test_a_health_check_that_cannot_run_is_refused_before_anything_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, found: str
) -> None:
    monkeypatch.setenv("NOT_SET_HERE", "Q1")
    spec = write_spec(tmp_path, f"variables: {{quarter: {value}}}\n", care=HEALTH)
    spec.write_text(spec.read_text().replace('"mine:fine"', '"mine:fine", arguments: {q: "${quarter}"}'))
    make_bundle(load(spec), "v1")
    project = engine.load(spec)
    monkeypatch.delenv("NOT_SET_HERE")
    done = deploy_bundle(project.spec, "production", "v1", environ={**os.environ}, now=True)
    assert done.state is OperationState.FAILED
    assert found in done.reason
    assert check_infrastructure(tmp_path / "automation") == (None, [OperationState.FAILED])


def test_a_health_check_that_would_read_no_rows_is_refused_before_anything_changes(tmp_path: Path) -> None:
    more = """
        variables: {day: null}
        datasets:
          orders: {path: orders.csv}
          orders of a day: {kind: query, sql: "SELECT * FROM orders WHERE day = ${day}"}
    """
    spec = write_spec(tmp_path, more, care="health: {run: [probe]}")
    step = '{name: more, kind: run_checks, target: "orders of a day"}'
    spec.write_text(spec.read_text().replace("steps: [", f"steps: [{step}, "))
    make_bundle(load(spec), "v1")
    done = deploy_bundle(load(spec), "production", "v1", environ={**os.environ}, now=True)
    assert done.state is OperationState.FAILED
    assert "scenario 'probe' reads the dataset 'orders of a day', and the variable \"day\" is null" in done.reason
    assert "check the health with another scenario" in done.reason


def test_a_scenario_of_the_health_check_that_the_bundle_does_not_have_is_named(tmp_path: Path) -> None:
    make_project(tmp_path)
    spec = write_spec(tmp_path, care="health: {run: [prove]}")
    spec.write_text(
        spec.read_text().replace(
            "  probe:", '  prove: {steps: [{name: call, kind: python, function: "mine:fine"}]}\n  probe:'
        )
    )
    done = engine.load(spec).deploy("production", "v3", now=True)
    assert (done.state, "the bundle has no scenario 'prove'; did you mean" in done.reason) == (
        OperationState.FAILED, True
    ), done.reason  # fmt: skip

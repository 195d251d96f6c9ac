"""The project of the README on a node with PostgreSQL: it warns from there, and survives releases that are not well."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from engine.store import Store

from ..databases.card_fraud_tables import load_tables, make_tables, write_project_text
from ..databases.postgres_server import Database
from ..mailboxes import Mailbox, read_text
from ..waiting import wait_for
from .design import Design

pytestmark = pytest.mark.slow

NODE = """
version: 1
node: factory
folder: data
listen: 127.0.0.1:0
secrets:
  warehouse: {env: WAREHOUSE_OF_THE_NODE}
  smtp_url: {env: MAIL_OF_THE_NODE}
connections:
  local: {kind: postgresql, url: "${secret.warehouse}"}
"""
QUARTER = {"quarter": "Q3 2017", "period_start": "2017-07-01", "period_end": "2017-10-01"}
MONITOR = "/v1/deployments/production/scenarios/Data%20drift%20monitor/runs"


@pytest.fixture
def design(tmp_path: Path, database: Database, mailbox: Mailbox) -> Iterator[Design]:
    tables = make_tables()
    load_tables(tables, database)
    made = Design(
        tmp_path,
        NODE,
        {"WAREHOUSE_OF_THE_NODE": database.url(), "MAIL_OF_THE_NODE": f"smtp://127.0.0.1:{mailbox.port}"},
    )
    try:
        file = made.there / "node.yaml"  # links in mails lead to where it answers
        file.write_text(f"url: {made.url}\n{file.read_text()}")
        made.stop()
        made.serve()
        (made.here / "data").mkdir()
        for name, frame in tables.items():
            frame.write_parquet(made.here / "data" / f"{name}.parquet")
        yield made
    finally:
        made.stop()


def write_spec(design: Design, name: str, *, old: str = "", new: str = "") -> None:
    """Write the spec of a release, which is the one of the README but for a text."""
    text = write_project_text().replace("  v3:\n", f"  {name}:\n").replace("bundle: v3", f"bundle: {name}")
    node = f'{{kind: node, url: "{design.url}", token: "${{secret.factory_token}}"}}'
    text = text.replace("{kind: directory, path: automation}", node)
    text = text.replace("secrets:\n", "secrets:\n  factory_token: {env: FACTORY_TOKEN}\n", 1)
    text = text.replace("    scenarios: {Data", "    health: {run: [Data drift monitor]}\n    scenarios: {Data")
    assert text.count("health:") == text.count("kind: node") == 1
    assert old in text
    (design.here / "spec.yaml").write_text(text.replace(old, new))


def command(design: Design, *arguments: str, code: int = 0) -> str:
    done = design.engine(*arguments)
    assert done.returncode == code, f"{arguments}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def list_evaluations(design: Design) -> set[tuple[str, str]]:
    """Return the id and the name of all evaluations on the node."""
    with Store.open(design.there / "data/deployments/production/state/card_fraud") as store:
        return {(one.id, one.name) for one in store.evaluations.history("the_MES")}


def get_active(design: Design) -> tuple[str, str]:
    (shown,) = json.loads(command(design, "deployments", "spec.yaml", "--format", "json"))
    return shown["bundle_name"], shown["state"]


@pytest.mark.timeout(1800)
def test_the_project_of_the_readme_on_a_node(design: Design, mailbox: Mailbox, database: Database) -> None:
    write_spec(design, "v3")
    command(design, "bundle", "create", "spec.yaml", "v3")
    database.execute("DELETE FROM transactions WHERE purchase_date >= DATE '2017-12-01'")  # so it is not the bundle's
    command(design, "deploy", "spec.yaml", "production")
    assert get_active(design) == ("v3", "HEALTHY")
    healthy = list_evaluations(design)
    assert [name for _, name in healthy] == ["Q4 2017"]  # of the health check

    asked = design.ask(MONITOR, "POST", token="operator", json={"variables": QUARTER})
    assert asked.status_code == 202, asked.text
    fire = f"/v1/deployments/production/fires/{asked.json()['fire']['number']}"
    run = wait_for(lambda: design.ask(fire).json()["run"], "the run", 400)
    mails = wait_for(lambda: [one for one in mailbox.mails if run in one.as_string()], "the mail", 400)
    assert mails[0]["Subject"] == 'DSS scenario "Data drift monitor" issued a warning'
    (link,) = re.findall(r"https?://\S+", read_text(mails[0]))
    assert link == f"{design.url}/runs/{run}"
    opened = design.ask(link)
    assert opened.status_code == 200
    assert (opened.json()["run"]["scenario"], opened.json()["run"]["id"]) == ("Data drift monitor", run)
    ended = wait_for(lambda: (found := design.ask(link).json()["run"])["ended"] and found, "the end of the run", 400)
    assert ended["state"] == "WARNING"
    evaluations = list_evaluations(design)
    assert sorted(name for _, name in evaluations) == ["Q3 2017", "Q4 2017"]
    assert healthy < evaluations
    rows = pl.read_parquet(design.here / "data/transactions.parquet")
    assert count_rows(design, "Q4 2017") == count_between(rows, "2017-10-01", "2017-12-01")

    write_spec(design, "v4", old="table: transactions}", new="table: transactions_of_2018}")
    command(design, "bundle", "create", "spec.yaml", "v4")  # here the rows are files, and all is well
    refused = command(design, "deploy", "spec.yaml", "production", code=3)
    assert "transactions_of_2018" in refused
    assert "FAILED" in refused

    write_spec(design, "v5", old="allowed: [0, 1]", new="allowed: [0]")
    command(design, "bundle", "create", "spec.yaml", "v5")
    undone = command(design, "deploy", "spec.yaml", "production", code=3)
    assert "ROLLED_BACK" in undone
    assert get_active(design)[0] == "v3"
    assert list_evaluations(design) >= evaluations

    write_spec(design, "v3", old="    health:", new="    variables: {period_end: 2017-12-31}\n    health:")
    command(design, "deploy", "spec.yaml", "production", "--now")
    assert get_active(design) == ("v3", "HEALTHY")
    command(design, "rollback", "spec.yaml", "production", "--now")
    assert list_evaluations(design) >= evaluations
    write_spec(design, "v3")
    (status,) = json.loads(design.engine("status", "spec.yaml", "--format", "json").stdout)
    assert (status["execution"]["state"], status["model"]["state"], status["data"]["state"]) == ("OK", "OK", "WARNING")
    password = database.url().split(":")[2].split("@")[0]
    written = [path for path in (design.there / "data").rglob("*") if path.is_file()]
    assert not [path for path in written if password.encode() in path.read_bytes()]


def count_rows(design: Design, evaluation: str) -> float | None:
    """Return how many rows an evaluation on the node has looked at."""
    with Store.open(design.there / "data/deployments/production/state/card_fraud") as store:
        return (
            next(one for one in store.evaluations.history("the_MES") if one.name == evaluation)
            .metrics["row_count"]
            .value
        )


def count_between(rows: pl.DataFrame, first: str, end: str) -> int:
    days = [pl.lit(one).str.to_date() for one in (first, end)]
    return rows.filter(pl.col("purchase_date").is_between(*days, closed="left")).height

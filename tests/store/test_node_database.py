"""node.db: its migration, the tokens, what operations say."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from engine.errors import StoreError, UsageError
from engine.store.node import Node
from engine.store.node.node_database import NODE_MIGRATIONS, NODE_REVISION, NodeDatabase
from engine.store.node.tables import node_metadata
from engine.store.schema import prepare_schema

from ..clocks import Clock

START = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> Clock:
    return Clock(START)


def add_revision(node: Node) -> dict[str, object]:
    node.ensure_deployment("production", "sales")
    return {
        "deployment": "production", "number": 1, "bundle": "b", "bundle_name": "v1", "settings": {}, "digest": "d",
        "made": START, "made_by": "ada", "state": "NEW",
    }  # fmt: skip


def test_a_node_of_the_first_revision_keeps_its_rows_and_gets_tokens(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    old = NodeDatabase(tmp_path, file="node.db")
    prepare_schema(old, NODE_MIGRATIONS, "0001")
    old.close()
    with closing(sqlite3.connect(tmp_path / "node.db")) as connection:
        connection.execute("INSERT INTO deployments VALUES ('production', 'sales', 3, 1, '', '{}')")
        connection.commit()
    with Node.open(tmp_path) as node:
        found = node.find_deployment("production")
        assert found is not None
        assert (found.project, found.active_revision) == ("sales", 3)
        assert node.tokens.list_all() == []
        assert f"{tmp_path / 'node.db.0001'}" in node.database.migration
        with node.database.begin_read() as connection:
            assert compare_metadata(MigrationContext.configure(connection), node_metadata) == []
        node.ensure_deployment("later", "sales")
    with closing(sqlite3.connect(tmp_path / "node.db.0001")) as copy:
        assert copy.execute("SELECT name, active_revision FROM deployments").fetchall() == [("production", 3)]


def test_a_node_of_a_later_engine_is_refused_with_the_copy_of_before(tmp_path: Path) -> None:
    Node.open(tmp_path).close()
    (tmp_path / "node.db").rename(tmp_path / f"node.db.{NODE_REVISION}")
    with closing(sqlite3.connect(tmp_path / "node.db")) as connection:
        connection.executescript(
            "CREATE TABLE alembic_version (version_num); INSERT INTO alembic_version VALUES ('0077')"
        )
    with pytest.raises(StoreError, match=rf"node\.db was written by a newer engine.*node\.db\.{NODE_REVISION}"):
        Node.open(tmp_path)


def test_what_an_operation_says_is_counted_and_goes_with_its_deployment(tmp_path: Path, clock: Clock) -> None:
    with Node.open(tmp_path, clock) as node:
        first = node.operations.begin("production", "deploy", None, add_revision(node), "ada")
        for text in ("unpacks", "proves", "moves"):
            node.operations.add_event(first, text)
            clock.forward(seconds=1)
        events = node.operations.list_events(first)
        assert [(one.number, one.text) for one in events] == [(1, "unpacks"), (2, "proves"), (3, "moves")]
        assert events[2].at == START + timedelta(seconds=2)
        assert [one.number for one in node.operations.list_events(first, after=2)] == [3]
        node.delete_deployment("production")
        assert node.operations.list_events(first) == []


def test_a_token_is_found_until_it_expires_or_is_revoked(tmp_path: Path, clock: Clock) -> None:
    with Node.open(tmp_path, clock) as node:
        token, row = node.tokens.create("ada", "deployer", "root", START + timedelta(days=90))
        other, second = node.tokens.create("ben", "viewer", "root")
        assert node.tokens.find(token) == row
        assert row.explain_end(clock()) == ""
        clock.forward(days=90)
        assert row.explain_end(clock()) == "has expired at 2027-02-27 12:00 UTC"
        assert second.explain_end(clock()) == ""
        node.tokens.revoke(second)
        clock.forward(days=1)
        node.tokens.revoke(second)  # the first end counts
        ended = node.tokens.find(other)
        assert ended is not None
        assert ended.explain_end(clock()) == "was revoked at 2027-02-27 12:00 UTC"


def test_nothing_but_the_whole_token_is_found(tmp_path: Path) -> None:
    with Node.open(tmp_path) as node:
        token, row = node.tokens.create("ada", "admin", "root")
        _, id_, secret = token.split("_", 2)
        assert id_ == row.id
        flipped = secret[:-2] + ("A" if secret[-2] != "A" else "B") + secret[-1]
        for wrong in (
            "", id_, secret, f"eng_{id_}_{flipped}", f"eng_{id_}_", f"{token}x", f" {token}", f"{token}\n",
            f"eng_{secret}", f"eng_00000000_{secret}", token.upper(),
            f"eng_{id_}_{secret[:-1]}é", "eng_' OR 1=1 --_" + "a" * 43,
        ):  # fmt: skip
            assert node.tokens.find(wrong) is None, wrong


def test_two_valid_tokens_of_a_name_are_enough(tmp_path: Path, clock: Clock) -> None:
    with Node.open(tmp_path, clock) as node:
        _, first = node.tokens.create("ada", "deployer", "root", START + timedelta(days=1))
        node.tokens.create("ada", "deployer", "root")
        with pytest.raises(UsageError, match=f"has 2 valid tokens already, {first.id} and "):
            node.tokens.create("ada", "deployer", "root")
        clock.forward(days=1)  # an expired one does not count
        node.tokens.create("ada", "deployer", "root")
        assert len(node.tokens.list_all()) == 3


def test_the_use_of_a_token_is_recorded_at_most_once_a_minute(tmp_path: Path, clock: Clock) -> None:
    with Node.open(tmp_path, clock) as node:
        token, _ = node.tokens.create("ada", "viewer", "root")
        recorded = []
        for _ in range(7):
            row = node.tokens.find(token)
            assert row is not None
            node.tokens.note_use(row)
            recorded.append(node.tokens.list_all()[0].last_used)
            clock.forward(seconds=30)
        minutes = [0, 0, 1, 1, 2, 2, 3]
        assert recorded == [START + timedelta(minutes=each) for each in minutes]


def test_the_database_holds_no_token(tmp_path: Path) -> None:
    with Node.open(tmp_path) as node:
        made = [node.tokens.create(f"caller {n}", "admin", "root")[0] for n in range(5)]
        for token in made:
            node.tokens.find(token)
        secrets = [token.split("_", 2)[2].encode() for token in made]
        kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        assert b"caller 0" in kept
        assert not [secret for secret in secrets if secret in kept or secret[:20] in kept]
        assert not any("digest" in repr(row) for row in node.tokens.list_all())

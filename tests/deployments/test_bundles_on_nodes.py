"""What a bundle and whoever deploys it reach on a node: nothing but what the owner of the node gives.

Values are planted where an owner keeps them. A bundle asks for each by every way that the language has. The same
bundle, deployed into a folder that is not a node, does get it: so a way that leads nowhere by itself proves nothing.
"""

import json
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from engine.errors import EngineError
from engine.service.deployments.places import DeploymentPlaces

from ..bundles.made import make_keys
from ..webhooks import receive_webhooks
from .on_node import Deployed, deploy, list_leaks

NODE = """
version: 1
node: test
folder: node
folders: ["{root}/shared", "{root}/node"]
trusted_keys: {{release: release.pem}}
environment: {{REGION: NODE_REGION}}
variables: {{region: north}}
deployments:
  other:
    secrets: {{token: {{env: OTHER_TOKEN}}, file: {{file: "{root}/owner/secret.txt"}}}}
    connections: {{data: {{root: "{root}/others"}}}}
    channels: {{hook: {{kind: webhook, url: "https://127.0.0.1/{yaml}"}}}}
"""


@dataclass
class Planted:
    """A node in a folder, with values that nobody may get; `values` has them by place."""

    root: Path
    values: dict[str, str]
    hook: str
    posted: list[str]

    @property
    def node_file(self) -> Path:
        return self.root / "node.yaml"

    @property
    def folder(self) -> Path:
        return self.root / "node"


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Planted]:
    places = (
        *("NODE_TOKEN", "OTHER_TOKEN", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "NODE_REGION_SECRET"),
        *("yaml", "secret.txt", "key.pem", "table.csv", "more.yaml", "others.csv", "table.duckdb", "link.csv"),
        *("home.csv", "state.csv", "release.csv", "node.db", "bundle.csv", "staging.csv", "pgpass"),
    )
    values = {place: f"PLANTED{number:02}{os.urandom(6).hex()}" for number, place in enumerate(places)}
    root = tmp_path / "machine"
    node, owner, other = root / "node", root / "owner", root / "node/deployments/other"
    for folder in (owner, root / "others", root / "shared", root / "user", other / "home", other / "state",
                   other / "releases/x", node / "bundles", node / "staging/y"):  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
    make_keys(root, "release")
    (root / "node.yaml").write_text(NODE.format(root=root, yaml=values["yaml"]))
    (owner / "secret.txt").write_text(values["secret.txt"])
    (owner / "key.pem").write_text(values["key.pem"])
    (owner / "more.yaml").write_text(f"variables: {{stolen: {values['more.yaml']}}}\n")
    (root / "user/.pgpass").write_text(f"*:*:*:*:{values['pgpass']}\n")
    tables = {
        "table.csv": owner, "others.csv": root / "others", "link.csv": root / "user", "home.csv": other / "home",
        "state.csv": other / "state", "release.csv": other / "releases/x", "bundle.csv": node / "bundles",
        "staging.csv": node / "staging/y",
    }  # fmt: skip
    for name, folder in tables.items():
        (folder / name).write_text(f"word\n{values[name]}\n")
    (root / "shared/link.csv").symlink_to(root / "user/link.csv")
    with duckdb.connect(str(owner / "table.duckdb")) as connection:
        connection.execute(f"CREATE TABLE words AS SELECT '{values['table.duckdb']}' AS word")
    with sqlite3.connect(owner / "tokens.db") as database:
        database.execute("CREATE TABLE tokens (hash TEXT)")
        database.execute("INSERT INTO tokens VALUES (?)", (values["node.db"],))
    database.close()
    (owner / "tokens.db").rename(node / "tokens.db")
    for name in ("NODE_TOKEN", "OTHER_TOKEN", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, values[name])
    monkeypatch.setenv("NODE_REGION", "north-1")
    monkeypatch.setenv("HOME", str(root / "user"))
    with receive_webhooks() as service:
        yield Planted(root, values, f"http://127.0.0.1:{service.port}", service.posted)


HEAD = "version: 1\nproject: p\n"
EXPORT = "scenarios: {s: {steps: [{name: e, kind: export, dataset: d, path: out.csv}]}}\n"
BUILD = "scenarios: {s: {steps: [{name: b, kind: build, target: d}]}}\n"
TELL = """
scenarios: {s: {steps: [{name: t, kind: send_message, channel: c, subject: it, message: "MESSAGE"}]}}
"""
HOOK = TELL + 'channels: {c: {kind: webhook, url: "HOOK/", headers: {Authorization: "${secret.s}"}}}\n'
FILES = "channels: {c: {kind: file, path: outbox}}\n"
TRY = "import os\ndef f(*_, **__):\n    print(os.environ['NODE_TOKEN'], flush=True)\n"
STEAL = (
    "import os\nfrom pathlib import Path\nimport polars as pl\n"
    "def step():\n    return os.environ['NODE_TOKEN'] + Path('ROOT/owner/secret.txt').read_text()\n"
    "def table():\n    return pl.DataFrame({'word': [os.environ['NODE_TOKEN']]})\n"
)


@dataclass(frozen=True)
class Way:
    """How a bundle asks for what was planted: its spec, its files, the settings; and what it is told instead."""

    spec: str
    told: str
    files: tuple[tuple[str, str], ...] = ()
    settings: dict[str, Any] | None = None
    care: dict[str, Any] | None = None
    signed: bool = False


OUTSIDE = "outside of what this deployment may reach"
ABSENT = "give it in node.yaml under secrets:"
UNSIGNED = "none of the trusted_keys"
WAYS = {
    "secret from the environment": Way(HOOK + "secrets: {s: {env: NODE_TOKEN}}", ABSENT),
    "secret of another deployment": Way(HOOK + "secrets: {s: {env: OTHER_TOKEN}}", ABSENT),
    "secret from a file": Way(HOOK + 'secrets: {s: {file: "ROOT/owner/secret.txt"}}', ABSENT),
    "secret from the file of another name": Way(HOOK + 'secrets: {s: {file: "ROOT/owner/key.pem"}}', ABSENT),
    "secret from node.yaml itself": Way(HOOK + 'secrets: {s: {file: "ROOT/node.yaml"}}', ABSENT),
    "secret from a database": Way(HOOK + 'secrets: {s: {file: "ROOT/node/tokens.db"}}', ABSENT),
    "secret from a login file": Way(HOOK + 'secrets: {s: {file: "ROOT/user/.pgpass"}}', ABSENT),
    "secret of the settings": Way(
        HOOK + "secrets: {s: {env: NOTHING}}", ABSENT, settings={"secrets": {"s": {"env": "AWS_SECRET_ACCESS_KEY"}}}
    ),
    "secret file of the settings": Way(
        HOOK + "secrets: {s: {env: NOTHING}}", ABSENT, settings={"secrets": {"s": {"file": "ROOT/owner/secret.txt"}}}
    ),
    "variable of the environment": Way(
        'variables: {v: "${env.PGPASSWORD}"}' + TELL.replace("MESSAGE", "${v}") + FILES, "under environment:"
    ),
    "variable of the settings": Way(
        "variables: {v: 1}" + TELL.replace("MESSAGE", "${v}") + FILES, "under environment:",
        settings={"variables": {"v": "${env.NODE_TOKEN}"}},
    ),
    "absolute path": Way('datasets: {d: {path: "ROOT/owner/table.csv"}}\n' + EXPORT, OUTSIDE),
    "home of another deployment": Way('datasets: {d: {path: "../../other/home/home.csv"}}\n' + EXPORT, OUTSIDE),
    "state of another deployment": Way('datasets: {d: {path: "../../other/state/state.csv"}}\n' + EXPORT, OUTSIDE),
    "release of another deployment": Way(
        'datasets: {d: {path: "ROOT/node/deployments/other/releases/x/release.csv"}}\n' + EXPORT, OUTSIDE
    ),
    "bundles of the node": Way('datasets: {d: {path: "ROOT/node/bundles/bundle.csv"}}\n' + EXPORT, OUTSIDE),
    "staging of the node": Way('datasets: {d: {path: "ROOT/node/staging/y/staging.csv"}}\n' + EXPORT, OUTSIDE),
    "pattern": Way('datasets: {d: {path: "ROOT/own*/table.c*v"}}\n' + EXPORT, OUTSIDE),
    "link in a folder of the node": Way('datasets: {d: {path: "ROOT/shared/link.csv"}}\n' + EXPORT, OUTSIDE),
    "links by a pattern": Way('datasets: {d: {path: "ROOT/shared/*.csv"}}\n' + EXPORT, OUTSIDE),
    "path by a variable": Way(
        'variables: {v: "../../other/home"}\ndatasets: {d: {path: "${v}/home.csv"}}\n' + EXPORT, OUTSIDE
    ),
    "connection": Way(
        'connections: {k: {root: "ROOT/owner"}}\ndatasets: {d: {connection: k, path: table.csv}}\n' + EXPORT, OUTSIDE
    ),
    "connection of another deployment": Way(
        'connections: {data: {root: "../../../../others"}}\n'
        "datasets: {d: {connection: data, path: others.csv}}\n" + EXPORT, OUTSIDE,
    ),
    "connection of the settings": Way(
        "connections: {k: {root: here}}\ndatasets: {d: {connection: k, path: table.csv}}\n" + EXPORT, OUTSIDE,
        settings={"connections": {"k": {"kind": "file", "root": "ROOT/owner"}}},
    ),
    "database file": Way(
        'connections: {k: {kind: duckdb, path: "ROOT/owner/table.duckdb"}}\n'
        "datasets: {d: {kind: stored, connection: k, table: words}}\n" + EXPORT, OUTSIDE,
    ),
    "included file": Way(
        'include: ["ROOT/owner/more.yaml"]\n' + TELL.replace("MESSAGE", "${stolen}") + FILES, "not part of the release"
    ),
    "message in a file": Way(
        TELL.replace('message: "MESSAGE"', 'message_file: "ROOT/owner/secret.txt"') + FILES, OUTSIDE
    ),
    "function of a step": Way(
        'scenarios: {s: {steps: [{name: x, kind: python, function: "mine:step"}]}}\n', UNSIGNED, (("mine.py", STEAL),)
    ),
    "function of a dataset": Way(
        'datasets: {d: {kind: python, function: "mine:table"}}\n' + EXPORT, UNSIGNED, (("mine.py", STEAL),)
    ),
    "program of a channel": Way(
        TELL + 'channels: {c: {kind: command, argv: [sh, -c, "env > HOME/leak; cat ROOT/owner/* >> HOME/leak"]}}\n',
        UNSIGNED,
    ),
    "program of the settings, the bundle is signed": Way(
        TELL + FILES, "does not contain allow_code", signed=True,
        settings={"channels": {"c": {"kind": "command", "argv": ["sh", "-c", "env > HOME/leak"]}}},
    ),
    "hook of the settings, the bundle is signed": Way(
        TELL + FILES, "does not contain allow_code", signed=True,
        care={"before": [[["sh", "-c", "env > HOME/leak"], 60]]},
    ),
}  # fmt: skip


def ask(planted: Planted, way: Way, *, confined: bool) -> tuple[Deployed, set[str]]:
    """Deploy and run a bundle; return what has become of it, and what was planted and has got out."""
    folder = planted.folder if confined else planted.root / "node/plain"
    folder.mkdir(exist_ok=True)
    home = DeploymentPlaces(folder, "mine").home

    def fill(value: Any) -> Any:
        text = json.dumps(value).replace("ROOT", str(planted.root)).replace("HOME", str(home))
        return json.loads(text.replace("HOOK", planted.hook))

    home.mkdir(parents=True, exist_ok=True)
    planted.posted.clear()
    try:
        done = deploy(
            folder,
            fill(HEAD + way.spec),
            fill(dict(way.files)),
            node_file=planted.node_file if confined else None,
            settings=fill(way.settings or {}),
            care=fill(way.care or {}),
            key=planted.root / "release.private.pem" if way.signed else None,
        )
    except EngineError as problem:
        raise AssertionError(f"refused before it began: {problem}") from problem
    done.run()
    return done, list_leaks(planted.values, done.folder, [*done.said, *planted.posted])


@pytest.mark.parametrize("name", WAYS)
def test_a_hostile_bundle_gets_nothing(planted: Planted, name: str) -> None:
    way = WAYS[name]
    done, leaks = ask(planted, way, confined=True)
    assert leaks == set()
    assert way.told in " ".join(done.said), done.said


LEADS_NOWHERE = {"included file", "path by a variable", "secret from a database", "secret from node.yaml itself"}
"""Ways that give nothing elsewhere either: a bundle includes its own files alone, and a header is one line."""


@pytest.mark.parametrize("name", [name for name in WAYS if "another" not in name and name not in LEADS_NOWHERE])
def test_the_same_bundle_gets_the_secret_where_there_is_no_node(planted: Planted, name: str) -> None:
    done, leaks = ask(planted, WAYS[name], confined=False)
    assert leaks, "\n".join(done.said)[-600:]

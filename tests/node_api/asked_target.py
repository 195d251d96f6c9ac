"""The endpoints of a node with right requests to them, and a node at which each of them finds something to change."""

import json
import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from ..server.asked_node import AskedNode
from ..waiting import wait_for
from .node_server import describe_update, make_archive

JSON = {"content-type": "application/json"}
UNKNOWN_EVALUATION = "20260101T000000-unknown"
LISTED = "/v1/deployments/production"
PROJECT = "/projects/tiny@production"


@dataclass(frozen=True)
class Expected:
    """Which role an endpoint needs, and how it answers a right request of that role.

    `body` is the right one: JSON, or the bytes of a bundle for the text "bundle"; None without one.
    """

    role: str
    status: int
    body: Any = None
    key: bool = False
    """Whether requests of one Idempotency-Key are one request."""


ENDPOINTS = {
    ("GET", "/healthz"): Expected("viewer", 200),
    ("GET", "/metrics"): Expected("viewer", 200),
    ("POST", "/reload"): Expected("admin", 200, {}),
    ("GET", "/projects/{project}/fires"): Expected("viewer", 200),
    ("GET", "/projects/{project}/fires/{number:int}"): Expected("viewer", 200),
    ("GET", "/projects/{project}/triggers"): Expected("viewer", 200),
    ("GET", "/projects/{project}/runs"): Expected("viewer", 200),
    ("GET", "/projects/{project}/runs/{run}"): Expected("viewer", 200),
    ("GET", "/runs/{run}"): Expected("viewer", 200),
    ("POST", "/projects/{project}/runs/{run}/abort"): Expected("operator", 409, {}),  # it has ended
    ("POST", "/projects/{project}/scenarios/{scenario}/pause"): Expected("operator", 200, {"reason": "rest"}),
    ("POST", "/projects/{project}/scenarios/{scenario}/resume"): Expected("operator", 200, {}),
    ("POST", "/projects/{project}/scenarios/{scenario}/runs"): Expected("operator", 202, {"variables": {}}, key=True),
    ("PUT", "/v1/bundles/{id}"): Expected("deployer", 201, "bundle"),
    ("GET", "/v1/bundles"): Expected("viewer", 200),
    ("GET", "/v1/bundles/{id}"): Expected("viewer", 200),
    ("GET", "/v1/deployments"): Expected("viewer", 200),
    ("GET", "/v1/deployments/{name}"): Expected("viewer", 200),
    ("GET", "/v1/deployments/{name}/operations"): Expected("viewer", 200),
    ("GET", "/v1/operations/{id}"): Expected("viewer", 200),
    ("GET", "/v1/operations/{id}/events"): Expected("viewer", 200),
    ("POST", "/v1/deployments/{name}/scenarios/{scenario}/pause"): Expected("operator", 200, {"reason": "rest"}),
    ("POST", "/v1/deployments/{name}/scenarios/{scenario}/resume"): Expected("operator", 200, {}),
    ("POST", "/v1/deployments/{name}/scenarios/{scenario}/runs"): Expected(
        "operator", 202, {"variables": {}}, key=True
    ),
    ("GET", "/v1/deployments/{name}/fires/{number}"): Expected("viewer", 200),
    ("GET", "/v1/deployments/{name}/runs"): Expected("viewer", 200),
    ("GET", "/v1/deployments/{name}/runs/{run}"): Expected("viewer", 200),
    ("GET", "/v1/deployments/{name}/runs/{run}/log"): Expected("viewer", 200),
    ("POST", "/v1/deployments/{name}/runs/{run}/abort"): Expected("operator", 409, {}),  # it has ended
    ("GET", "/v1/deployments/{name}/evaluations"): Expected("viewer", 200),
    ("GET", "/v1/deployments/{name}/evaluations/{id}"): Expected("viewer", 404),  # it has made none
    ("GET", "/v1/deployments/{name}/evaluations/{id}/files/{file}"): Expected("viewer", 404),
    ("GET", "/v1/status"): Expected("viewer", 200),
    ("GET", "/v1/deployments/{name}/status"): Expected("viewer", 200),
    ("GET", "/v1/openapi.json"): Expected("viewer", 200),
    ("POST", "/v1/deployments/{name}/updates"): Expected("deployer", 202, "update", key=True),
    ("POST", "/v1/deployments/{name}/rollback"): Expected("deployer", 202, "rollback", key=True),
    ("POST", "/v1/deployments/{name}/disable"): Expected("deployer", 202, {"expected_revision": None}, key=True),
    ("DELETE", "/v1/bundles/{id}"): Expected("admin", 200),
    ("DELETE", "/v1/deployments/{name}"): Expected("admin", 200),
}
"""What each endpoint expects, in an order in which all can be asked. One that is new must be entered here."""


class Target:
    """A node with an active deployment, two bundles, and a run that has ended: something to change by each endpoint."""

    def __init__(self, folder: Path) -> None:
        self.node = AskedNode(folder, "allow_code: true\n")
        self.bundles = [
            make_archive(folder / name, name, more=f"variables: {{note: {name}}}\n") for name in ("v1", "v2", "v3")
        ]
        self.addresses = iter(range(1, 60_000))
        for number, (id_, content) in enumerate(self.bundles[:2], 1):
            self.send("deployer", "PUT", f"/v1/bundles/{id_}", content).raise_for_status()
            body = describe_update(id_, number - 1 or None, now=True, bundle_name=f"v{number}")
            asked = self.send("deployer", "POST", f"{LISTED}/updates", body)
            asked.raise_for_status()
            self.operation = self.wait_for_end(asked)
        run = f"{LISTED}/scenarios/probe/runs"
        asked = wait_for(lambda: self._ask_for_run(run), "the deployment as a project of the server")
        self.fire = asked["fire"]["number"]
        self.run = wait_for(self._find_ended_run, "the end of the run")
        fires = f"{PROJECT}/fires"
        wait_for(lambda: self.send("viewer", "GET", fires).json()["fires"][0]["state"] == "DONE", "the end of the fire")

    def _ask_for_run(self, path: str) -> Any:
        answer = self.send("operator", "POST", path, {})
        return answer.json() if answer.status_code == 202 else None

    def _find_ended_run(self) -> Any:
        run = self.send("viewer", "GET", f"{LISTED}/fires/{self.fire}").json()["run"]
        found = run and self.send("viewer", "GET", f"{LISTED}/runs/{run}")
        return run if found and found.status_code == 200 and found.json()["run"]["ended"] else None

    def wait_for_end(self, asked: httpx2.Response) -> str:
        id_ = str(asked.json()["operation"]["id"])
        path = f"/v1/operations/{id_}"
        wait_for(lambda: self.send("viewer", "GET", path).json()["ended"], f"the end of {id_}")
        return id_

    def send(self, role: str | None, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        """Send a request with the token of a role; each from another address, since failures of one are limited."""
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        number = next(self.addresses)
        address = f"127.0.{3 + number // 250}.{number % 250 + 1}"
        kind = {} if isinstance(body, bytes) or body is None else JSON
        token = None if role is None else self.node.tokens[role]
        return self.node.ask(path, token, method, address, content, **{**kind, **headers})

    def fill(self, method: str, template: str) -> str:
        """Return the path of an endpoint that leads to what is there."""
        bundle = self.bundles[2] if (method, template) == ("PUT", "/v1/bundles/{id}") else self.bundles[0]
        values = {"project": "tiny@production", "name": "production", "scenario": "probe", "number": str(self.fire),
                  "run": self.run, "id": self.operation if "operations" in template else bundle[0],
                  "file": "snapshot.json"}  # fmt: skip
        if "evaluations" in template:
            values["id"] = UNKNOWN_EVALUATION
        if (method, template) == ("DELETE", "/v1/bundles/{id}"):
            values["id"] = self.bundles[2][0]  # which nothing uses
        return re.sub(r"\{(\w+)(?::int)?\}", lambda found: values[found[1]], template)

    def build_body(self, method: str, template: str) -> Any:
        """Return the body of a right request."""
        body = ENDPOINTS[method, template].body
        match body:
            case "bundle":
                return self.bundles[2][1]
            case "update":
                return describe_update(self.bundles[0][0], self.active, now=True)
            case "rollback":
                return {"expected_revision": self.active, "now": True}
        return body

    @property
    def active(self) -> int:
        found = self.send("viewer", "GET", LISTED).json()["state"]["row"]["active_revision"]
        assert isinstance(found, int)
        return found

    def describe_all(self) -> dict[str, Any]:
        """Return all that a request may change: what the node lists, its files, and the rows of its databases."""
        paths = ("/v1/bundles", "/v1/deployments", f"{LISTED}/operations", f"{PROJECT}/fires", f"{PROJECT}/triggers")
        data = self.node.folder / "data"
        found: dict[str, Any] = {path: self.send("viewer", "GET", path).json() for path in paths}
        for place in ("bundles", "staging", "deployments/production/releases", "deployments/production/revisions"):
            found[place] = sorted(str(one) for one in (data / place).rglob("*"))
        (state,) = data.glob("deployments/production/state/**/state.db")
        for path, tables in ((data / "node.db", ("operations", "revisions", "deployments", "bundles")),
                             (state, ("fires", "pauses", "runs"))):  # fmt: skip
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
                for table in tables:
                    found[table] = connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
            connection.close()
        return found

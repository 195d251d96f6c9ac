"""The deployments of a node with their history, and the bundles that it has received."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from engine.bundles.archive_checks import open_archive, read_manifest
from engine.bundles.bundle_diff import compare_bundles
from engine.bundles.manifest import Manifest
from engine.server.answers import AnswerError
from engine.server.node_api.deployments import DeploymentRequests, find_deployment_row
from engine.server.pages import links
from engine.server.pages.page import Page, Table
from engine.server.served_status import describe_deployed
from engine.service.control import ServerControl
from engine.service.deployments.node_folder import NodeFolder
from engine.service.deployments.node_requests import DisableRequest, RollbackRequest, UpdateRequest
from engine.service.deployments.places import DeploymentPlaces
from engine.service.deployments.update_order import DeploymentRefusedError
from engine.store import LockBusy, utc_now
from engine.store.node import Node, ReceivedBundle, RevisionRow

OPERATIONS = 50
MOST_DIFF_LINES = 500


@dataclass(frozen=True, slots=True)
class NodePages:
    """The pages of a node, and what their forms ask for."""

    node: Node
    folder: NodeFolder
    control: ServerControl
    requests: DeploymentRequests

    def list_deployments(self, _request: Request) -> Page:
        """Return all deployments with how they stand."""
        rows = self.node.list_deployments()
        statuses = [describe_deployed(row, self.node, self.control, utc_now()) for row in rows]
        return Page(
            template="deployments.html",
            title="Deployments",
            content={"deployments": [{"row": a, "status": b} for a, b in zip(rows, statuses, strict=True)]},
            table=Table(
                ("name", "project", "revision", *("deployment", "model", "execution", "data")),
                [
                    (row.name, row.project, row.active_revision,
                     *((getattr(status, one) and getattr(status, one).state)
                       for one in ("deployment", "model", "execution", "data")))
                    for row, status in zip(rows, statuses, strict=True)
                ],
            ),
        )  # fmt: skip

    def show_deployment(self, request: Request) -> Page:
        """Return a deployment: how it stands, its revisions, and the operations on it, newest first."""
        row = find_deployment_row(self.node, request.path_params["name"])
        revisions = self.node.list_revisions(row.name)
        operations = self.node.operations.list_all(row.name)[::-1]
        active = next((one for one in revisions if one.number == row.active_revision), None)
        served = [one.name for one in self.control.list_projects()]
        name = f"{row.project}@{row.name}"
        return Page(
            template="deployment.html",
            title=row.name,
            content={
                "deployment": row,
                "status": describe_deployed(row, self.node, self.control, utc_now()),
                "revisions": [_describe_revision(one) for one in reversed(revisions)],
                "operations": operations[:OPERATIONS],
            },
            values={
                "active": active,
                "bundles": [one for one in self.node.list_bundles() if one.project == row.project],
                "served_as": name if name in served else None,
                "is_open": any(one.ended is None for one in operations),
                "key": secrets.token_hex(16),
            },
            table=Table(
                ("id", "kind", "state", "from", "to", "by", "started", "ended", "reason"),
                [
                    (one.id, one.kind, str(one.state), one.from_revision, one.to_revision, one.by, one.started,
                     one.ended, one.reason)
                    for one in operations
                ],
            ),
        )  # fmt: skip

    def update(self, request: Request, form: Mapping[str, str]) -> str:
        """Update a deployment to another bundle, with the settings that it has."""
        row = find_deployment_row(self.node, request.path_params["name"])
        active = self.node.find_revision(row.name, row.active_revision)
        bundle = self.folder.find_bundle(form.get("bundle", ""))
        if active is None or bundle is None:
            raise AnswerError(422, "there is no such bundle, or nothing is deployed yet", "engine deploy does it first")
        asked = UpdateRequest(
            project=row.project,
            bundle=bundle.id,
            bundle_name=bundle.name,
            settings=dict(active.settings),
            expected_revision=_read_revision(form),
            again="again" in form,
        )
        return self._begin(request, lambda: self.requests.update_deployment(request, asked))

    def roll_back(self, request: Request, form: Mapping[str, str]) -> str:
        """Go back to the last healthy revision of a deployment."""
        asked = RollbackRequest(expected_revision=_read_revision(form))
        return self._begin(request, lambda: self.requests.roll_back_deployment(request, asked))

    def disable(self, request: Request, form: Mapping[str, str]) -> str:
        """Switch a deployment off."""
        asked = DisableRequest(expected_revision=_read_revision(form))
        return self._begin(request, lambda: self.requests.disable_deployment(request, asked))

    def list_bundles(self, _request: Request) -> Page:
        """Return the bundles of a node, newest first."""
        found = sorted(self.node.list_bundles(), key=lambda bundle: bundle.received, reverse=True)
        used = self._list_uses()
        return Page(
            template="bundles.html",
            title="Bundles",
            content={"bundles": found},
            values={"used": used},
            table=Table(
                ("id", "project", "name", "bytes", "received", "by", "signers"),
                [
                    (one.id, one.project, one.name, one.size, one.received, one.by, ", ".join(one.signers))
                    for one in found
                ],
            ),
        )

    def show_bundle(self, request: Request) -> Page:
        """Return what a bundle holds and needs, its notes, and what differs from another one."""
        bundle = self._get_bundle(request.path_params["id"])
        others = [one for one in self.node.list_bundles() if one.project == bundle.project and one.id != bundle.id]
        against = request.query_params.get("against")
        manifest = read_manifest(self._find_archive(bundle))
        return Page(
            template="bundle.html",
            title=f"Bundle {bundle.name}",
            content={
                "bundle": bundle,
                "manifest": manifest.model_dump(mode="json", exclude={"files"}),
                "files": _count_files(manifest),
                "differences": self._compare(self._get_bundle(against), bundle) if against else None,
            },
            values={"manifest": manifest, "others": others, "against": against or "", "uses": self._list_uses()},
            table=Table(
                ("path", "role", "bytes", "sha256"),
                [(path, str(file.role), file.size, file.sha256) for path, file in manifest.files.items()],
            ),
        )

    def _begin(self, request: Request, ask: Any) -> str:
        try:
            ask()
        except (DeploymentRefusedError, LockBusy) as problem:
            raise AnswerError(409, str(problem), "look at the deployment again") from None
        return links.build_link(links.DEPLOYMENT, name=request.path_params["name"])

    def _list_uses(self) -> dict[str, list[str]]:
        """Return the deployments in which each bundle is active, by the ids of bundles."""
        found: dict[str, list[str]] = {}
        for row in self.node.list_deployments():
            active = self.node.find_revision(row.name, row.active_revision)
            if active is not None:
                found.setdefault(active.bundle, []).append(row.name)
        return found

    def _get_bundle(self, id_: str) -> ReceivedBundle:
        found = next((one for one in self.node.list_bundles() if one.id == id_), None)
        if found is None:
            raise AnswerError(404, "there is no bundle of this id", "it may have been removed")
        return found

    def _find_archive(self, bundle: ReceivedBundle) -> Any:
        return DeploymentPlaces(self.node.folder, "").archive_of(bundle.id)

    def _compare(self, before: ReceivedBundle, after: ReceivedBundle) -> dict[str, Any]:
        with open_archive(self._find_archive(before)) as old, open_archive(self._find_archive(after)) as new:
            found = compare_bundles(old, new)
        texts = {path: lines[:MOST_DIFF_LINES] for path, lines in found.texts.items()}
        told = [*found.datasets, *found.models, *found.other]
        return {"texts": texts, "files": found.files, "told": told, "cut": texts != dict(found.texts)}


def _describe_revision(row: RevisionRow) -> dict[str, Any]:
    """Return a revision without its settings, which may be long."""
    names = ("number", "bundle", "bundle_name", "made", "made_by", "state")
    return {name: getattr(row, name) for name in names}


def _count_files(manifest: Manifest) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for file in manifest.files.values():
        of_role = found.setdefault(str(file.role), {"files": 0, "bytes": 0})
        of_role["files"] += 1
        of_role["bytes"] += file.size
    return found


def _read_revision(form: Mapping[str, str]) -> int:
    text = form.get("expected_revision", "")
    if not text.isdecimal() or len(text) > 9:
        raise AnswerError(422, "the form does not say which revision is active", "load the page again")
    return int(text)

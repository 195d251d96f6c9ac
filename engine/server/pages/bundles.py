"""The pages of a node's bundles: their contents, needs and origins, and the differences between two of them."""

import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from starlette.requests import Request

from engine.bundles.archive_checks import BundleArchive, open_archive
from engine.bundles.bundle_diff import compare_bundles
from engine.server import links
from engine.server.answers import AnswerError
from engine.server.node_api.application import NodeApi, explained_problems
from engine.server.pages.deployment_settings import FIRST_SETTINGS, list_fields
from engine.server.pages.page import Page, Table
from engine.store.node import ReceivedBundle

FILES = 500
"""Most files of a bundle that are listed; a bundle can have 10,000."""

BUNDLE_COLUMNS = ("id", "project", "name", "size", "received", "by", "signers")


@dataclass(frozen=True, slots=True)
class BundlePages:
    """The pages of bundles and their actions."""

    api: NodeApi

    def list_bundles(self, _request: Request) -> Page:
        """Return the bundles of the node, newest first, with the deployments in which each is active."""
        bundles = self.api.node.list_bundles()[::-1]
        return Page(
            template="bundles.html",
            title="Bundles",
            content={"bundles": bundles, "active": self._find_active()},
            table=Table(BUNDLE_COLUMNS, [[getattr(one, name) for name in BUNDLE_COLUMNS] for one in bundles]),
        )

    def show_bundle(self, request: Request) -> Page:
        """Return the contents of a bundle, what it needs when deployed, and its origin."""
        bundle = self._find(request.path_params["bundle"])
        with explained_problems(), ExitStack() as opened:
            archive = self._open(bundle, opened)
            manifest, provenance = archive.manifest, archive.provenance
        files = sorted(manifest.files.items())
        others = [one for one in self.api.node.list_bundles()[::-1] if one.project == bundle.project]
        return Page(
            template="bundle.html",
            title=f"Bundle {bundle.name}",
            content={
                "bundle": bundle,
                "manifest": manifest.model_dump(mode="json"),
                "provenance": provenance.model_dump(mode="json"),
                "active": self._find_active().get(bundle.id, []),
            },
            values={
                "files": files[:FILES],
                "more_files": max(len(files) - FILES, 0),
                "fields": list_fields(FIRST_SETTINGS, manifest.scenarios, str),
                "key": secrets.token_hex(16),
                "others": [one for one in others if one.id != bundle.id],
            },
            table=Table(
                ("path", "role", "size", "sha256"),
                [(path, file.role, file.size, file.sha256) for path, file in files],
            ),
        )

    def compare(self, request: Request) -> Page:
        """Return the differences between a bundle and another one, which is described as the older one."""
        after, before = self._find(request.path_params["bundle"]), self._find(request.query_params.get("with", ""))
        with explained_problems(), ExitStack() as opened:
            difference = compare_bundles(self._open(before, opened), self._open(after, opened))
        return Page(
            template="bundle_diff.html",
            title=f"From {before.name} to {after.name}",
            content={"before": before, "after": after, "difference": difference},
            table=Table(("path", "change"), list(difference.files.items())),
        )

    def remove_bundle(self, request: Request, _form: Mapping[str, str]) -> str:
        """Remove a bundle that is not in use."""
        bundle = self._find(request.path_params["bundle"])
        with explained_problems():
            self.api.folder.delete_bundle(bundle.id)
        return links.BUNDLES

    def _find(self, id_: str) -> ReceivedBundle:
        found = next((one for one in self.api.node.list_bundles() if one.id == id_), None)
        if found is None:
            raise AnswerError(404, "there is no bundle of this id on this node", "it may be removed")
        return found

    def _open(self, bundle: ReceivedBundle, opened: ExitStack) -> BundleArchive:
        path = self.api.folder.get_archive(bundle.id)
        if not path.exists():
            raise AnswerError(409, f"the archive of the bundle {bundle.name} is not here any more")
        return opened.enter_context(open_archive(path))

    def _find_active(self) -> dict[str, list[str]]:
        """Return the deployments in which each bundle is active, by the id of the bundle."""
        node, found = self.api.node, dict[str, list[str]]()
        for row in node.list_deployments():
            if (active := node.find_revision(row.name, row.active_revision)) is not None:
                found.setdefault(active.bundle, []).append(row.name)
        return found

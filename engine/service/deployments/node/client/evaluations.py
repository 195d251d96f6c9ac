"""Reads the evaluations of a deployment on an automation node over HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.service.deployments.evaluation_sources import Wanted
from engine.service.deployments.node.client.client import NodeClient, quote_name
from engine.service.deployments.node.client.failures import NodeError
from engine.store.transfer import EvaluationPage, TravellingEvaluation, read_evaluation


@dataclass(frozen=True, slots=True)
class NodeSource:
    """The evaluations of a deployment on a node."""

    client: NodeClient
    deployment: str

    def list_page(self, wanted: Wanted, after: int) -> EvaluationPage:
        """Return a page of entries of evaluations after a number."""
        given = {"store": wanted.store, "since": wanted.since and wanted.since.isoformat()}
        params: Mapping[str, str] = {"after": str(after), **{key: text for key, text in given.items() if text}}
        return self.client.ask("GET", self._path(), EvaluationPage, params=params)

    def find(self, id_: str) -> TravellingEvaluation | None:
        """Return a complete evaluation; None if it no longer exists."""
        try:
            return read_evaluation(self.client.fetch("GET", self._path(id_)), id_)
        except NodeError as problem:
            if problem.status != 404:
                raise
            return None

    def receive_file(self, id_: str, name: str, target: Path, size: int) -> bool:
        """Write a file of an evaluation; return False if it no longer exists."""
        try:
            self.client.receive_file(self._path(id_, "files", name), target, size)
        except NodeError as problem:
            if problem.status != 404:
                raise
            return False
        return True

    def _path(self, *parts: str) -> str:
        return "/".join((f"/v1/deployments/{quote_name(self.deployment)}/evaluations", *map(quote_name, parts)))

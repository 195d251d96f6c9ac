"""The methods of a project for bundles and deployments."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from engine.api import tabulation
from engine.api.deployment_status import describe_deployed, describe_here, load_deployed
from engine.api.opened_project import OpenedProject
from engine.bundles.project_bundles import list_project_bundles
from engine.errors import DataError
from engine.pipeline.log import LogLine
from engine.scenarios import session
from engine.service.deployments.deploying import deploy_bundle, roll_back_deployment
from engine.service.deployments.deployment_list import list_deployments, list_operations
from engine.service.deployments.project_status import ProjectStatus
from engine.service.deployments.pulling import Pulled, pull_evaluations
from engine.store import utc_now
from engine.store.node import OperationRow as Update

if TYPE_CHECKING:
    import polars as pl

    from engine.pipeline.bundles.creation import CreatedBundle


class ProjectDeployments(OpenedProject):
    """The bundles and deployments of a project."""

    __slots__ = ()

    def create_bundle(self, name: str, *, keys: Sequence[Path] = ()) -> "CreatedBundle":
        """Build the contents of a declared bundle, pack it, and store it in the local registry under its name.

        Parameters
        ----------
        keys
            Files of private Ed25519 keys (PEM) to sign it with.

        Raises
        ------
        UsageError
            The spec has no such bundle, or a key cannot be read.
        BundleError
            The name belongs to a bundle with other contents, a file cannot be packed, or one holds a secret.
        DataError, ModelError
            A dataset or a model cannot be built, or a check of a dataset is ERROR.
        """
        from engine.pipeline.bundles.creation import plan_bundle
        from engine.pipeline.datasets import ChecksFailed

        with session.open_session(self.spec, environ=self.environ, listeners=self.listeners) as context:
            try:
                return context.read_unchanged(
                    lambda attempt: plan_bundle(name, name, attempt, keys=keys).apply(attempt)
                )
            except ChecksFailed as failed:
                raise DataError(str(failed)) from failed

    def bundles(self) -> "pl.DataFrame":
        """Return the local and the published bundles, by name.

        Returns
        -------
        name, id, where (local, published or both), size (bytes), signatures (their number; they are not checked),
        created (ISO 8601, UTC), by, release_notes, problem (why its archive cannot be used, else null).

        Raises
        ------
        BundleError
            The file of a name is damaged.
        """
        return tabulation.tabulate_bundles(list_project_bundles(self.spec)).to_frame()

    def on(self, deployment: str) -> Self:
        """Return the active revision of a deployment as a project, with the state of the deployment.

        Raises
        ------
        UsageError
            The spec has no such deployment, or nothing is deployed there.
        SpecError
            The deployed spec is not valid any more.
        """
        return replace(self, spec=load_deployed(self.spec, deployment, self.environ))

    def deploy(self, deployment: str, bundle: str | None = None, *, again: bool = False, now: bool = False) -> Update:
        """Make a bundle the active one of a deployment, after proving that it can run there; see `engine deploy`.

        Parameters
        ----------
        bundle
            Its name or id; by default that of the deployment in the spec.
        again
            Deploy it even if it was rolled back there before.
        now
            Skip the proofs.

        Returns
        -------
        The operation: `state` is HEALTHY, or FAILED, ROLLED_BACK or ERROR with the `reason`; `steps` have the logs.

        Raises
        ------
        UsageError
            There is no such deployment or bundle.
        EngineError
            The update was refused: the bundle was rolled back there, or another update was faster.
        """
        return deploy_bundle(
            self.spec, deployment, bundle, environ=self.environ, again=again, now=now, report=self._report_deployment
        )

    def roll_back(self, deployment: str, *, now: bool = False) -> Update:
        """Roll a deployment back to its last healthy revision with the settings of that time; returns as `deploy`.

        Raises
        ------
        UsageError
            There is no such deployment, or nothing is deployed.
        EngineError
            There is no healthy revision to go back to, or another update was faster.
        """
        return roll_back_deployment(
            self.spec, deployment, environ=self.environ, now=now, report=self._report_deployment
        )

    def pull(self, deployment: str, store: str | None = None, *, since: date | datetime | None = None) -> Pulled:
        """Pull the evaluations of a deployment that are not in this state yet; return a summary.

        They are a separate history, marked with their origin: they are never used by checks, alerts or references of
        this project.

        Parameters
        ----------
        store
            The evaluation store to pull; by default all.
        since
            Pull only evaluations whose time, or else creation, is at this day or moment or later; without a time zone,
            in UTC.

        Raises
        ------
        UsageError
            The spec has no such deployment or store, or nothing is deployed.
        StoreError
            Received data are not valid, or cannot be stored; evaluations that were stored before stay.
        """
        moment = None
        if since is not None:
            moment = since if isinstance(since, datetime) else datetime.combine(since, time())
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        with self.open_state() as context:
            return pull_evaluations(
                self.spec,
                deployment,
                context.store,
                environ=self.environ,
                of_store=store,
                since=moment,
                report=self._report_deployment,
            )

    def deployments(self) -> "pl.DataFrame":
        """Return the present state of the deployments of the spec.

        Returns
        -------
        name, infrastructure, state (HEALTHY, OUT_OF_SYNC, ERROR, UNKNOWN), reasons, revision, bundle, bundle_name,
        since, by.
        """
        return tabulation.tabulate_deployments(list_deployments(self.spec, self.environ)).to_frame()

    def updates(self, deployment: str) -> list[Update]:
        """Return the operations on a deployment, oldest first; raise UsageError if the spec has no such deployment."""
        return list_operations(self.spec, deployment, self.environ)

    def status(self, deployment: str | None = None) -> list[ProjectStatus]:
        """Return the status of one or all deployments of the spec; if it has none, that of the project.

        Raises
        ------
        UsageError
            The spec has no such deployment.
        """
        names = [deployment] if deployment is not None else list(self.spec.resources.deployments)
        if not names:
            return [describe_here(self.spec, self.environ, self.listeners)]
        return [describe_deployed(name, self.spec, self.environ, self.listeners) for name in names]

    def _report_deployment(self, text: str) -> None:
        line = LogLine(at=utc_now(), level="info", scenario="", step="", text=text)
        for listen in self.listeners:
            listen(line)

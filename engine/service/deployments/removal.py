"""Removes deployments. The state has files and locks in the deployment's folder; its rows may be on a server."""

from collections.abc import Mapping
from pathlib import Path

from engine.errors import EngineError, UsageError
from engine.service.deployments.places import DeploymentPlaces
from engine.spec import load
from engine.store.databases.ownership import ID_FILE, read_state_id
from engine.store.location import locate_state
from engine.store.state.server_rows import remove_server_rows


def find_server_rows(places: DeploymentPlaces) -> str:
    """Return the place of the state's rows for messages; empty if they are in the folder of the deployment."""
    known = [read_state_id(path.parent) for path in places.state.glob(f"*/{ID_FILE}")]
    return next((one["rows"] for one in known if one is not None), "")


def describe_state(rows: str, *, kept: bool) -> str:
    """Return the part of a message about the state of a removed deployment; `rows` is its place if on a server."""
    if kept:
        where = f", with its rows in {rows}" if rows else ""
        return f"; its state stays{where}: a new deployment of this name continues it"
    return f", and the rows of its state in {rows}" if rows else ""


def remove_rows(deployment: str, spec: Path | None, environ: Mapping[str, str]) -> None:
    """Remove the rows of the state of a deployment from their server.

    Parameters
    ----------
    spec
        The revision with the connection to the server.

    Raises
    ------
    UsageError
        They cannot be removed; nothing was removed.
    """
    try:
        if spec is None:
            raise UsageError("there is no revision here with the address of the server")
        location = locate_state(load(spec, environ=environ), environ)
        if location.rows is None:
            raise UsageError("its settings do not name that server any more")
        remove_server_rows(location)
    except EngineError as problem:
        raise UsageError(
            f"{deployment}: the rows of its state cannot be removed, so nothing was; `engine deployments SPEC delete "
            f"{deployment} --keep-state` removes the rest. {problem}"
        ) from problem

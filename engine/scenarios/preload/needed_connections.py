"""The connections that a deployment reads from or writes to, and the secrets in them."""

from engine.spec import ProjectSpec
from engine.spec.resources.connections import (
    Connection,
)
from engine.spec.used_connections import list_used_connections


def list_needed_connections(project: ProjectSpec) -> dict[str, Connection]:
    """Return the connections that datasets, models, scenarios and the state refer to."""
    used = {*list_used_connections([project.datasets, project.models, project.scenarios, project.state])}
    return {name: one for name, one in project.connections.items() if name in used}


def list_logins(connection: Connection) -> list[str]:
    """Return the settings of a connection that may contain secrets."""
    keys = ("url", "access_key", "secret_key", "session_token")
    options: dict[str, str] = getattr(connection, "options", {})
    return [*(getattr(connection, key, None) or "" for key in keys), *options.values()]

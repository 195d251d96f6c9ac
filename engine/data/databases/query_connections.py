"""Finds out which queries a database can run itself. Most projects have none, and load nothing that reads databases."""

from collections.abc import Sequence

from engine.spec import ProjectSpec
from engine.spec.resources.connections import PostgresqlConnection


def find_query_connection(project: ProjectSpec, inputs: Sequence[str]) -> str | None:
    """Return the connection to PostgreSQL that has all inputs of a query as tables; None if the query is computed here.

    An input with a contract, metrics or checks is read itself: they are about all of its rows.
    """
    tables = [project.find_table(name) for name in inputs]
    connections = {table[0] if table else None for table in tables}
    declared = [project.datasets[name] for name in inputs]
    if len(connections) != 1 or any(one.columns or one.checks or one.metrics for one in declared):
        return None
    (name,) = connections
    return name if name is not None and isinstance(project.connections[name], PostgresqlConnection) else None

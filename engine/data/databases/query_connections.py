"""Find the queries that a database can run itself, without importing database modules: most projects have none."""

from collections.abc import Sequence

from engine.spec import ProjectSpec
from engine.spec.resources.connections import PostgresqlConnection


def find_query_connection(project: ProjectSpec, inputs: Sequence[str]) -> str | None:
    """Return the PostgreSQL connection that has all inputs of a query as tables; None if there is none.

    An input with a contract, metrics or checks is read here, because they need all of its rows.
    """
    tables = [project.find_table(name) for name in inputs]
    connections = {table[0] if table else None for table in tables}
    declared = [project.datasets[name] for name in inputs]
    if len(connections) != 1 or any(one.columns or one.checks or one.metrics for one in declared):
        return None
    (name,) = connections
    return name if name is not None and isinstance(project.connections[name], PostgresqlConnection) else None

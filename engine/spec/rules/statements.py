"""Rules of the statements that steps execute: each is one statement that its database can parse."""

from engine.spec.diagnostics import Findings
from engine.spec.resources.connections import FilesConnection
from engine.spec.resources.scenarios import SqlStep
from engine.spec.rules.draft import Draft, report_problem
from engine.spec.rules.sql import find_shift_problems
from engine.spec.sql.statements import find_statement_problems
from engine.spec.variable_references import find_references

_HOLDS = {"file": "is a folder", "s3": "is an object store"}


def check_statements(draft: Draft, findings: Findings) -> None:
    """Check each statement in the dialect of its connection."""
    variables = draft.declared_names("variables")
    for text in draft.texts_read_as("statement"):
        draft.variables.used_names.update(r.parts[0] for r in find_references(text.value) if r.parts)
        connection = draft.spec.connections.get(draft.scalar_text(*text.path[:-2], "connection") or "")
        if connection is None or isinstance(connection, FilesConnection):
            continue
        for problem in find_statement_problems(text.value, connection.kind, variables):
            report_problem(findings, text, problem)
        for problem in find_shift_problems(text.value, draft):
            report_problem(findings, text, problem)


def check_statement_connections(draft: Draft, findings: Findings) -> None:
    """Check that the connection of a step with statements is a database."""
    for scenario, spec in draft.spec.scenarios.items():
        for i, step in enumerate(spec.steps):
            declared = draft.spec.connections.get(step.connection) if isinstance(step, SqlStep) else None
            if isinstance(step, SqlStep) and isinstance(declared, FilesConnection):
                at = draft.value_position("scenarios", scenario, "steps", i, "connection")
                message = f'the connection "{step.connection[:60]}" {_HOLDS[declared.kind]}, and SQL needs a database'
                also = draft.key_position("connections", step.connection)
                findings.error(at, "connection", message, "name a connection of kind postgresql or duckdb", also=also)

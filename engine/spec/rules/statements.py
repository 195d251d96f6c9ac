"""Rules of the statements that steps execute: each is one statement that its database can parse."""

from engine.spec.diagnostics import Findings
from engine.spec.problem import Problem
from engine.spec.resources.connections import FilesConnection, SparkConnection
from engine.spec.resources.scenarios import SqlStep
from engine.spec.resources.triggers import QueryChangedTrigger
from engine.spec.rules.draft import Draft, report_problem
from engine.spec.rules.sql import find_shift_problems, find_trigger_connection
from engine.spec.variables.references import find_references

_HOLDS = {"file": "is a folder", "s3": "is an object store", "spark": "is Spark"}


def check_statements(draft: Draft, findings: Findings) -> None:
    """Check each statement, and each query of a trigger with a connection, in the dialect of its connection."""
    variables = draft.declared_names("variables")
    named = [(text, draft.scalar_text(*text.path[:-2], "connection")) for text in draft.texts_read_as("statement")]
    queries = [(text, find_trigger_connection(draft, text.path)) for text in draft.texts_read_as("sql")]
    for text, name in [*named, *((text, name) for text, name in queries if name is not None)]:
        draft.variables.used_names.update(r.parts[0] for r in find_references(text.value) if r.parts)
        connection = draft.spec.connections.get(name or "")
        if connection is None or isinstance(connection, FilesConnection | SparkConnection):
            continue
        from engine.spec.sql.statements import find_statement_problems, read_statement

        word = read_statement(text.value, connection.kind).word
        if text.path[2] == "triggers" and word not in ("SELECT", "WITH"):
            message = f"a query must start with SELECT or WITH, not with {word}"
            help_ = "a query can only read data; select the rows to keep with WHERE"
            report_problem(
                findings, text, Problem(text.value.upper().find(word), len(word), "sql-statement", message, help_)
            )
            continue
        for problem in find_statement_problems(text.value, connection.kind, variables):
            report_problem(findings, text, problem)
        for problem in find_shift_problems(text.value, draft):
            report_problem(findings, text, problem)


def check_statement_connections(draft: Draft, findings: Findings) -> None:
    """Check that the connection of a step with statements, or of a trigger with a query, is a database."""
    for scenario, spec in draft.spec.scenarios.items():
        used = [("steps", i, one.connection) for i, one in enumerate(spec.steps) if isinstance(one, SqlStep)]
        of_triggers = [("triggers", i, one) for i, one in enumerate(spec.triggers)]
        used += [(key, i, one.connection) for key, i, one in of_triggers
                 if isinstance(one, QueryChangedTrigger) and one.connection is not None]  # fmt: skip
        for key, i, name in used:
            declared = draft.spec.connections.get(name)
            if isinstance(declared, FilesConnection | SparkConnection):
                at = draft.value_position("scenarios", scenario, key, i, "connection")
                message = f'the connection "{name[:60]}" {_HOLDS[declared.kind]}, but SQL needs a database'
                also = draft.key_position("connections", name)
                findings.error(at, "connection", message, "use a connection of kind postgresql or duckdb", also=also)

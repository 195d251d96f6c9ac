"""Step `sql`: executes statements in a database, in one transaction."""

from collections.abc import Callable

from engine.connections.database_errors import DatabaseError
from engine.connections.duckdb import DuckdbSession
from engine.data.databases.writing import retry_transient
from engine.errors import DataError
from engine.formatting.numbers import format_count
from engine.outcome import Outcome
from engine.pipeline.actions import Action
from engine.pipeline.decision import Decision
from engine.scenarios.context import RunContext
from engine.scenarios.result import StepResult
from engine.spec.opened_connections import DatabaseSession, open_connection
from engine.spec.resources.scenarios import SqlStep
from engine.spec.sql.statements import bind_statement, read_statement


def run(step: SqlStep, context: RunContext) -> StepResult:
    """Execute the statements; a plan or a dry run only lists them.

    Raises
    ------
    DataError
        A variable cannot be inserted, or the database cannot be reached or refuses a statement; then nothing is
        changed.
    """
    kind = context.project.connections[step.connection].kind
    bound = [_bind_statement(step, number, kind, context) for number in range(len(step.statements))]
    words = ", ".join(read_statement(one, kind).word for one in step.statements)
    count = format_count(len(bound), "statement")
    action = Action(kind="call", target=step.connection, because="always", reason=f"{count}: {words}")

    def skip() -> StepResult:
        reason = f"a {context.mode} does not execute {count} in {step.connection}"
        return StepResult(name=step.name, kind=step.kind, outcome=Outcome.SKIPPED, reason=reason)

    def execute() -> StepResult:
        rows = _execute_statements(step, bound, context)
        reason = f"{count} in {step.connection}, {format_count(rows, 'row')} affected"
        return StepResult(name=step.name, kind=step.kind, outcome=Outcome.SUCCESS, reason=reason)

    return Decision(action, execute if context.mode == "run" else skip, skip).apply(context)


def _bind_statement(step: SqlStep, number: int, kind: str, context: RunContext) -> str:
    try:
        return bind_statement(step.statements[number], kind, context.project.names)
    except (ValueError, KeyError) as problem:
        raise DataError(f"{_name_statement(step, number, context)}: {problem}") from None


def _execute_statements(step: SqlStep, statements: list[str], context: RunContext) -> int:
    """Execute the statements and commit; return the total number of changed rows."""
    total = 0

    def connect() -> DatabaseSession:
        return open_connection(context.project, step.connection, context.secrets)

    with retry_transient(connect) as session:
        for number, statement in enumerate(statements):
            try:
                changed = session.execute(statement)
            except DataError as error:
                where = _name_statement(step, number, context)
                raise DataError(f"{where}: {error}; the statements of this step have changed nothing") from None
            total += max(0, changed)
            rows = format_count(changed, "row") if changed >= 0 else "done"
            context.log.info(f"statement {number + 1}: {rows}")
        _commit(session, connect)
    return total


def _commit(session: DatabaseSession, connect: Callable[[], DatabaseSession]) -> None:
    """Commit; if the connection is lost meanwhile, ask the server whether the transaction was committed.

    Without this, a retry could execute the statements twice.

    Raises
    ------
    DatabaseError
        The transaction was not committed, or the server cannot be asked.
    """
    if isinstance(session, DuckdbSession):
        session.commit()
        return
    [(transaction,)] = session.fetch_rows("SELECT txid_current()")

    def fetch_state() -> str:
        with connect() as another:
            [(state,)] = another.fetch_rows(f"SELECT txid_status({transaction})")
        if state == "in progress":
            raise DatabaseError(f"{session.place}: a commit has not ended yet, its connection was lost", transient=True)
        return str(state)

    try:
        session.commit()
    except DatabaseError as error:
        if not error.transient:
            raise
        try:
            state = retry_transient(fetch_state)
        except DatabaseError as problem:
            unknown = (
                "it is unknown whether the statements of this step were committed: check the database before you run "
                "the step again"
            )
            raise DatabaseError(f"{error}; {unknown} ({problem})") from None
        if state != "committed":
            raise DatabaseError(f"{error}; the statements of this step have changed nothing") from None


def _name_statement(step: SqlStep, number: int, context: RunContext) -> str:
    """Return the number of a statement in its step, and its position in the spec."""
    scenario = context.log.scenario
    place = [one.name for one in context.get_scenario(scenario).steps].index(step.name)
    at = context.project.value_position("scenarios", scenario, "steps", place, "statements", number)
    return f"statement {number + 1} of {len(step.statements)} ({at.file}:{at.line}:{at.column})"

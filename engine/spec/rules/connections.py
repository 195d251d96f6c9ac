"""Rules of connections and their uses: folders and object stores contain files, databases contain tables.

Spark has both, and is only read.
"""

from engine.connections.table_names import split_table_name
from engine.spec.diagnostics import Findings
from engine.spec.resources.connections import (
    FileConnection,
    FilesConnection,
    PostgresqlConnection,
    S3Connection,
    SparkConnection,
)
from engine.spec.resources.datasets import FileDataset, StoredDataset
from engine.spec.resources.deployments import NodeInfrastructure, StateRows
from engine.spec.resources.models import SkopsModel
from engine.spec.resources.project import State
from engine.spec.revisions.revision_file import STATE_CONNECTION
from engine.spec.rules.draft import Draft
from engine.spec.used_connections import list_used_connections
from engine.spec.validation.validator import SpecPath
from engine.spec.variables.references import find_references, quote_value


def check_connections(draft: Draft, findings: Findings) -> None:
    """Check that the address of each database and store is legal, and that no password is a part of the spec."""
    for name, connection in draft.spec.connections.items():
        if isinstance(connection, S3Connection):
            check_object_store(draft, findings, connection, ("connections", name))
        if isinstance(connection, SparkConnection):
            _check_spark(draft, findings, connection, name)
        if not isinstance(connection, PostgresqlConnection) or find_references(connection.url):
            continue
        from engine.connections.database_errors import DatabaseError
        from engine.connections.postgresql_errors import check_postgresql_url

        at = draft.value_position("connections", name, "url")
        try:
            check_postgresql_url(connection.url)
        except DatabaseError as problem:
            findings.error(at, "url", f"the address of the database cannot be used: {problem}")
            continue
        if ":" in connection.url.split("//", 1)[1].rpartition("@")[0]:
            help_ = "put the url into a secret, and write ${secret.name}"
            findings.warning(at, "password", "this url contains a password", help_)


def check_state(draft: Draft, findings: Findings) -> None:
    """Check that the rows of the state are in a database with several concurrent writers."""
    for name, deployment in draft.spec.deployments.items():
        if deployment.state is None:
            continue
        _check_rows(draft, findings, deployment.state, ("deployments", name, "state"))
        if isinstance(draft.spec.infrastructures.get(deployment.infrastructure), NodeInfrastructure):
            message = "the node decides where the rows of a state are stored"
            help_ = "remove it; the owner of the node can write state: in the file of the node"
            findings.error(draft.key_position("deployments", name, "state"), "connection", message, help_)
    state = draft.spec.state
    if state.connection is None:
        if state.db_schema is not None:
            message, help_ = "a schema needs a database", "add connection: with the name of a connection to PostgreSQL"
            findings.error(draft.key_position("state", "schema"), "needs-key", message, help_)
        return
    _check_rows(draft, findings, state, ("state",))


def check_withheld_state(draft: Draft, findings: Findings) -> None:
    """Check that a deployed spec does not use the connection to the rows of its own state."""
    if draft.files.revision is None:
        return
    for section in ("datasets", "models", "evaluation_stores", "scenarios"):
        for name, resource in getattr(draft.spec, section).items():
            if STATE_CONNECTION in list_used_connections(resource):
                message = f'the connection "{STATE_CONNECTION}" contains the rows of the state; no resource can use it'
                findings.error(draft.key_position(section, name), "reach", message, "use another connection")


def _check_rows(draft: Draft, findings: Findings, state: State | StateRows, path: SpecPath) -> None:
    name, schema = state.connection or "", state.db_schema
    declared = draft.spec.connections.get(name)
    if declared is not None and not isinstance(declared, PostgresqlConnection):
        message = f'the connection "{name[:60]}" is of kind {declared.kind}'
        also = draft.key_position("connections", name)
        help_ = "use a connection of kind postgresql, or remove connection to store the rows in the folder"
        findings.error(draft.value_position(*path, "connection"), "connection", message, help_, also=also)
    if schema is not None and (schema.startswith("pg_") or len(schema.encode()) > 63):
        message = f"{quote_value(schema)} cannot be the name of a schema"
        help_ = "write a name of at most 63 bytes that does not begin with pg_"
        findings.error(draft.value_position(*path, "schema"), "wrong-value", message, help_)


def check_object_store(draft: Draft, findings: Findings, connection: S3Connection, path: SpecPath) -> None:
    """Check that the address of an object store can be used, and that its key is complete and no part of the spec."""
    from engine.connections.object_addresses import find_address_problem

    address = find_address_problem(
        connection.bucket, connection.endpoint, path_style=connection.path_style, allow_http=connection.allow_http
    )
    if address:
        key = "endpoint" if "endpoint" in address else "bucket"
        findings.error(draft.value_position(*path, key), "url", address)
    if ".." in connection.prefix.split("/"):
        findings.error(draft.value_position(*path, "prefix"), "path", "the prefix leads outside of the bucket")
    given = {key for key in ("access_key", "secret_key", "session_token") if getattr(connection, key) is not None}
    for lacking in {"access_key", "secret_key"} - given if given else ():
        message = f"without {lacking}, the credentials of the object store are incomplete"
        findings.error(draft.key_position(*path), "needs-key", message, f"add {lacking}: ${{secret.name}}")
    for key in sorted(given - {"access_key"}):
        if not find_references(getattr(connection, key)):
            help_ = "put it into a secret, and write ${secret.name}"
            findings.warning(draft.value_position(*path, key), "password", f"the spec contains the {key}", help_)


def _check_spark(draft: Draft, findings: Findings, connection: SparkConnection, name: str) -> None:
    """Check where Spark runs, that no key is a part of the spec, and that a node lets the deployment start it."""
    from engine.connections.spark_settings import SPARK_SETTINGS_OF_ENGINE, find_spark_url_problem

    confinement = draft.files.confinement
    if confinement is not None and ("connections", name) not in confinement.given:
        message = (
            "only the owner of a node can declare a Spark connection, since Spark reads all that its user may read"
        )
        help_ = f"let the owner of the node declare it in {confinement.node_file} under connections:"
        findings.error(draft.key_position("connections", name), "reach", message, help_)
    if not find_references(connection.url) and (problem := find_spark_url_problem(connection.url)):
        findings.error(draft.value_position("connections", name, "url"), "url", problem)
    for key, text in connection.options.items():
        at = draft.key_position("connections", name, "options", key)
        if key in SPARK_SETTINGS_OF_ENGINE:
            message = f"the engine sets {key} itself, because its results depend on it"
            findings.error(at, "wrong-value", message, "remove it")
        elif key in ("spark.master", "spark.remote"):
            findings.error(at, "wrong-value", f"{key} is defined by url already", "write it in url, and remove it here")
        elif any(word in key.lower() for word in ("secret", "password", "token")) and not find_references(text):
            help_ = "put it into a secret, and write ${secret.name}"
            written = draft.value_position("connections", name, "options", key)
            findings.warning(written, "password", f"the spec contains the value of {key}", help_)


def check_stored_data(draft: Draft, findings: Findings) -> None:
    """Check that data read from a connection have the key for their place that its kind requires."""
    for name, dataset in draft.spec.datasets.items():
        if isinstance(dataset, FileDataset):
            _check_folder(draft, findings, dataset.connection, ("datasets", name))
        elif isinstance(dataset, StoredDataset):
            check_stored_place(draft, findings, dataset.connection, dataset.path, dataset.table, ("datasets", name))
    for name, model in draft.spec.models.items():
        if isinstance(model, SkopsModel):
            _check_folder(draft, findings, model.connection, ("models", name))


def check_written_place(
    draft: Draft, findings: Findings, connection: str, file: str | None, table: str | None, path: SpecPath
) -> None:
    """Check that a place in a connection can be written, and has the key that its kind requires."""
    if isinstance(draft.spec.connections.get(connection), SparkConnection):
        at, also = draft.value_position(*path, "connection"), draft.key_position("connections", connection)
        message = f'the connection "{connection[:60]}" is Spark, which can only be read'
        findings.error(at, "connection", message, "use a folder, an object store or a database", also=also)
        return
    check_stored_place(draft, findings, connection, file, table, path)


def check_stored_place(
    draft: Draft, findings: Findings, connection: str, file: str | None, table: str | None, path: SpecPath
) -> None:
    """Check that a place in a connection has the key that the kind of the connection requires."""
    declared = draft.spec.connections.get(connection)
    if isinstance(declared, SparkConnection):
        _check_spark_place(draft, findings, file, table, path)
        return
    needed = "path" if isinstance(declared, FilesConnection) else "table"
    if declared is not None and (file if needed == "path" else table) is None:
        what = "an object store" if isinstance(declared, S3Connection) else "a folder"
        what = f"{what}, so path is needed" if needed == "path" else "a database, so table is needed"
        message = f'the connection "{connection[:60]}" is {what}'
        also = draft.key_position("connections", connection)
        findings.error(draft.key_position(*path, "connection"), "needs-key", message, f"add {needed}: …", also=also)
    if table is not None and split_table_name(table) is None:
        message = f"{quote_value(table)} is not the name of a table"
        help_ = "write name or schema.name; put a name that contains a dot in double quotes"
        findings.error(draft.value_position(*path, "table"), "wrong-value", message, help_)


def _check_spark_place(draft: Draft, findings: Findings, file: str | None, table: str | None, path: SpecPath) -> None:
    if file is None and table is None:
        message = "Spark needs a table or a path to read"
        findings.error(draft.key_position(*path), "needs-key", message, "add table: … or path: …")
    elif table is not None and split_table_name(table) is None:
        message = f"{quote_value(table)} is not the name of a table"
        help_ = "write name, or schema.name; the catalog is set by spark.sql.defaultCatalog under options"
        findings.error(draft.value_position(*path, "table"), "wrong-value", message, help_)
    elif table is None and (file or "").lower().startswith("file:"):
        message = "a path on this machine must not start with file:"
        findings.error(draft.value_position(*path, "path"), "path", message, "write /folder/name, or a relative path")


def _check_folder(draft: Draft, findings: Findings, connection: str | None, path: SpecPath) -> None:
    declared = draft.spec.connections.get(connection or "")
    of_store = isinstance(declared, S3Connection)
    if declared is None or connection is None or isinstance(declared, FileConnection):
        return
    if of_store and path[0] == "datasets":
        return
    message = f'the connection "{connection[:60]}" is a database, which contains no files'
    help_ = "write kind: stored, and table: with the name of a table" if path[0] == "datasets" else None
    if isinstance(declared, SparkConnection):
        read = "its datasets must be of kind stored" if path[0] == "datasets" else "models are read from folders"
        message = f'the connection "{connection[:60]}" is Spark, and {read}'
        help_ = "write kind: stored" if path[0] == "datasets" else "copy the file of the model into a folder"
    if of_store:
        message = f'the connection "{connection[:60]}" is an object store, and models are read from folders'
        help_ = "copy the file of the model into a folder, or pack it into a bundle"
    at, also = draft.value_position(*path, "connection"), draft.key_position("connections", connection)
    findings.error(at, "connection", message, help_, also=also)

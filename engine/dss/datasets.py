"""`datasets/`: files and tables, their formats, columns and connections."""

from typing import Any

from engine.dss.checks import import_checks
from engine.dss.import_state import ImportState
from engine.dss.json_objects import JsonObject
from engine.dss.names import fill_references, make_name
from engine.dss.report import ObjectLine
from engine.dss.spec_writing import Part, Template
from engine.dss.variables import declare_unknown

_FILE_TYPES = frozenset(
    {"Filesystem", "UploadedFiles", "S3", "Azure", "GCS", "FTP", "HDFS", "SCP", "SFTP", "FilesInFolder"}
)
_SQL_TYPES = frozenset(
    {
        "PostgreSQL",
        "Snowflake",
        "BigQuery",
        "Redshift",
        "MySQL",
        "Oracle",
        "SQLServer",
        "Synapse",
        "Databricks",
        "Athena",
    }
)
_COLUMN_TYPES = {
    "string": "text",
    **dict.fromkeys(("tinyint", "smallint", "int", "bigint"), "integer"),
    **dict.fromkeys(("float", "double"), "number"),
    "boolean": "boolean",
    "date": "datetime",
    "dateonly": "date",
    "datetimenotz": "datetime",
}
_FORMATS = {"csv": "csv", "parquet": "parquet", "jsonl": "ndjson", "json": "ndjson"}


def import_datasets(state: ImportState) -> None:
    """Declare the datasets of the project and their connections."""
    for id_, found in state.read_folder("dataset", "datasets"):
        line = state.report.add("dataset", id_, found.place)
        type_ = found.get_text("type")
        if type_ not in _FILE_TYPES | _SQL_TYPES:
            line.leave_out(f"datasets of the type {type_[:60] or '(none)'} have no counterpart here")
            continue
        name = state.names.add_target("datasets", id_, id_)
        line.target = f"datasets.{name}"
        if name != id_:
            line.note(f"renamed {name}")
        part = Part(found.place)
        if type_ in _SQL_TYPES:
            _describe_table(state, part, found, type_, line)
        else:
            _describe_files(state, part, found, id_, line)
        if columns := _describe_columns(found, line):
            part["columns"] = columns
        if checks := import_checks(state, found, "dataset", line.target):
            part["checks"] = checks
        for dimension in found.get_object("partitioning").get_objects("dimensions"):
            line.note(f"it is partitioned by {dimension.get_text('name')[:60]}: all partitions are read as one table")
        _list_probes(state, found, id_)
        state.sections["datasets"][name] = part


def import_connection(state: ImportState, name: str, kind: str, place: str) -> str:
    """Declare a connection by its name in DSS, if it is not yet, and return its name here."""
    connections = state.sections["connections"]
    ours = make_name(name, (), "connection")
    if ours not in connections:
        line = state.report.add("connection", name, f"{place}.connection", f"connections.{ours}")
        part = Part(f"the connection {ours} of DSS")
        if kind == "postgresql":
            part |= {"kind": "postgresql", "url": state.add_secret(f"{name}_url")}
            line.note("its address is a secret: set the environment variable")
        else:
            part |= {"kind": "file", "root": f"data/{ours}"}
            part.add_todo("root is the folder that the connection has in DSS")
            line.note("TODO write the folder of the connection in root")
        connections[ours] = part
    return ours


def _describe_table(state: ImportState, part: Part, found: JsonObject, type_: str, line: ObjectLine) -> None:
    params = found.get_object("params")
    table, schema = params.get_text("table"), params.get_text("schema")
    if type_ != "PostgreSQL" or not table:
        what = f"tables of {type_} are not read" if type_ != "PostgreSQL" else "it names no table: a query, perhaps"
        part["path"] = f"data/{make_name(found.file.rpartition('/')[2].removesuffix('.json'), (), 'data')}.parquet"
        part.add_todo(f"{what}; export the rows to this file, or name another")
        line.note(f"TODO {what}: export its rows to {part['path']}")
        return
    texts = [table, schema]
    declare_unknown(state, texts, params.place)
    whole = ".".join(fill_references(text, state.names, line) for text in (schema, table) if text)
    part["kind"] = "stored"
    part["connection"] = import_connection(
        state, params.get_text("connection") or "postgresql", "postgresql", params.place
    )
    part["table"] = Template(whole)


def _describe_files(state: ImportState, part: Part, found: JsonObject, id_: str, line: ObjectLine) -> None:
    params = found.get_object("params")
    managed = state.files.list_other_files(f"fs_datasets_data/{id_}")
    uploads = state.files.list_other_files(f"uploads/{id_}")
    data = managed or uploads
    folder = make_name(id_, (), "data")
    if data and state.with_data:
        for path in data:
            below = path.partition(f"/{id_}/")[2].replace("/", "_")
            state.copies[path] = f"data/{folder}/{below}"
        part["path"] = f"data/{folder}"
        line.note(f"{len(data)} file(s) copied to data/{folder}")
    elif found.get_text("type") == "UploadedFiles" or not params.get_text("path"):
        part["path"] = f"data/{folder}"
        part.add_todo("put the uploaded files into this folder")
        line.note(f"TODO put its files into data/{folder}")
    else:
        declare_unknown(state, [params.get_text("path")], params.place)
        path = fill_references(params.get_text("path").lstrip("/"), state.names, line)
        part["connection"] = import_connection(
            state, params.get_text("connection") or "filesystem", "file", params.place
        )
        part["path"] = path
        if ".." in path.split("/"):
            part["path"] = f"data/{folder}"
            line.note("TODO its path leaves the folder of its connection: put the files into this one")
            del part["connection"]
    _describe_format(part, found, line)


def _describe_format(part: Part, found: JsonObject, line: ObjectLine) -> None:
    format_ = found.get_text("formatType")
    if format_ not in _FORMATS:
        if format_:
            part.add_todo(f"files of the format {format_[:40]} are not read: convert them")
            line.note(f"TODO files of the format {format_[:40]} are not read: convert them")
        return
    part["format"] = _FORMATS[format_]
    if format_ != "csv":
        return
    params = found.get_object("formatParams")
    csv: dict[str, Any] = {}
    separator = params.get_text("separator").replace("\\t", "\t")
    if len(separator) == 1 and separator != ",":
        csv["separator"] = separator
    elif len(separator) > 1:
        line.note("TODO a separator of several characters is not read")
    quote = params.get_text("quoteChar")
    if len(quote) == 1 and quote != '"':
        csv["quote"] = quote
    # a file of 2020 may have it as a text, or as an object that says how the header is found
    if not params.get_flag("parseHeaderRow", default=True):
        csv["header"] = False
        line.note("the files have no header: their columns are those under columns:, in this order")
    if skipped := params.get_whole("skipRowsBeforeHeader"):
        csv["skip_lines"] = max(0, skipped)
    if params.get_whole("skipRowsAfterHeader"):
        line.note("TODO lines after the header are skipped in DSS: that cannot be said here")
    charset = params.get_text("charset").lower()
    if charset not in ("", "utf8", "utf-8"):
        csv["encoding"] = charset
    if params.get_text("style") == "unix":
        line.note("DSS escapes a quote in it by a backslash; here quotes are doubled")
    if csv:
        part["csv"] = csv


def _describe_columns(found: JsonObject, line: ObjectLine) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for column in found.get_object("schema").get_objects("columns"):
        name, type_ = column.get_text("name"), column.get_text("type")
        if not name or "${" in name or name in columns:
            line.note(f"the column at {column.path} is left out: its name is missing, taken, or has a ${{")
        elif type_ in _COLUMN_TYPES:
            columns[name] = {"type": _COLUMN_TYPES[type_]}
        else:
            columns[name] = {"role": "ignore"}
            line.note(f"{name} is ignored: its type is {type_[:40] or 'missing'}")
    return columns


def _list_probes(state: ImportState, found: JsonObject, id_: str) -> None:
    """Report the probes that have no counterpart: those of code. All others are metrics that checks compute."""
    for probe in found.get_object("metrics").get_objects("probes"):
        type_ = probe.get_text("type")
        if type_ in ("python", "sql_query", "verify_col") and probe.get_flag("enabled", default=True):
            line = state.report.add("probe", f"{id_}: {type_}", probe.place)
            line.leave_out("TODO write a metric of kind: python")

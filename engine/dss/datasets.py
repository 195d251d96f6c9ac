"""Import `datasets/`: files and tables, with their formats, columns and connections."""

import re
from typing import Any

from engine.connections.table_names import quote_name
from engine.dss.checks.check_import import import_checks
from engine.dss.checks.rules import COLUMN_TYPES
from engine.dss.connections import import_connection
from engine.dss.import_state import ImportState
from engine.dss.json_objects import JsonObject
from engine.dss.names import fill_references, make_name
from engine.dss.report import ObjectLine
from engine.dss.spec_writing import Part, Template
from engine.dss.variables import declare_unknown
from engine.formatting.numbers import format_count
from engine.spec.rules.placeholders import PLACEHOLDER

_FILE_TYPES = frozenset({"Filesystem", "UploadedFiles"})
_OTHER_FILE_TYPES = frozenset({"S3", "Azure", "GCS", "FTP", "HDFS", "SCP", "SFTP", "HTTP", "FilesInFolder"})
_SQL_TYPES = frozenset(
    {
        *("PostgreSQL", "Snowflake", "BigQuery", "Redshift", "MySQL", "Oracle", "SQLServer", "Synapse", "Databricks"),
        *(
            "Athena",
            "Teradata",
            "Vertica",
            "Greenplum",
            "SAPHANA",
            "Netezza",
            "Trino",
            "Denodo",
            "JDBC",
            "FabricWarehouse",
        ),
    }
)
_COMPRESSIONS = frozenset({"", "none", "gz", "gzip", "zst", "zstd", "zip", "bz2", "bzip2"})
"""The compressions that can be read; they are recognized by the files' endings."""
_FORMATS = {"csv": "csv", "parquet": "parquet", "jsonl": "ndjson", "json": "ndjson"}


_DATA_FOLDERS = ("fs_datasets_data", "uploads", "uploaded_files", "datasets_data", "datasets")


def import_datasets(state: ImportState) -> None:
    """Declare the datasets of the project and their connections."""
    datasets = state.read_folder("dataset", "datasets")
    for id_, _ in datasets:  # names first, because the rules of a dataset may refer to another one
        state.names.add_target("datasets", id_, id_)
    for id_, found in datasets:
        line = state.report.add("dataset", id_, found.place)
        type_, _ = found.get_text("type"), found.get_text("name")
        name = state.names.targets[id_]
        line.target = f"datasets.{name}"
        line.note_name(name, id_)
        part = Part(found.place)
        if type_ in _SQL_TYPES:
            _describe_table(state, part, found, type_, line)
        elif type_ in _FILE_TYPES | _OTHER_FILE_TYPES:
            _describe_files(state, part, found, id_, line)
        else:
            state.unread_datasets[name] = line
            _ask_for_export(part, found, f"datasets of the type {type_[:60] or '(none)'}", line)
        if columns := _describe_columns(found, line):
            part["columns"] = columns
        state.sections["datasets"][name] = part
        import_checks(state, found, "dataset", line.target, part)
        for dimension in found.get_object("partitioning").get_objects("dimensions"):
            dimension.read_whole()
            line.note(f"it is partitioned by {dimension.get_text('name')[:60]}: all partitions are read as one table")
        _list_probes(state, found, id_)


def _describe_table(state: ImportState, part: Part, found: JsonObject, type_: str, line: ObjectLine) -> None:
    params = found.get_object("params")
    table, schema = params.get_text("table"), params.get_text("schema")
    if params.get_text("mode") not in ("", "table"):
        table = ""
    if type_ != "PostgreSQL" or not table:
        rows = (params.get_text("query") and "the rows of a query") or f"the rows of {type_}"
        _ask_for_export(part, found, rows, line)
        return
    texts = [table, schema]
    declare_unknown(state, texts, params.place)
    quoted = [quote_name(text) if re.search('[."]', text) else text for text in (schema, table) if text]
    whole = ".".join(fill_references(text, state.names, line) for text in quoted)
    part["kind"] = "stored"
    part["connection"] = import_connection(
        state, params.get_text("connection") or "postgresql", "postgresql", params.place
    )
    part["table"] = Template(whole)


def _ask_for_export(part: Part, found: JsonObject, what: str, line: ObjectLine) -> None:
    """Add a note that asks for files in place of data that the engine cannot read."""
    for key in ("params", "formatParams"):
        found.get_value(key)
    part["path"] = PLACEHOLDER
    todo = f"{what} are not read: export the rows, at best as Parquet by a recipe, and name the files in path"
    part.add_todo(todo)
    line.note(f"TODO {todo}")


def _describe_files(state: ImportState, part: Part, found: JsonObject, id_: str, line: ObjectLine) -> None:
    params = found.get_object("params")
    data = find_data(state, id_)
    folder = make_name(id_, (), "data")
    if data and state.with_data:
        for path in data:
            below = path.partition(f"/{id_}/")[2]
            state.copies[path] = f"data/{folder}/{below}"
        part["path"] = f"data/{folder}"
        params.read_whole()
        line.note(f"{format_count(len(data), 'file')} copied to data/{folder}")
    elif found.get_text("type") in _OTHER_FILE_TYPES:
        params.read_whole()
        part["path"] = PLACEHOLDER
        what = f"files of {found.get_text('type')}: write a connection and a path, or copy them"
        part.add_todo(what)
        line.note(f"TODO {what}")
    elif found.get_text("type") == "UploadedFiles" or not params.get_text("path"):
        part["path"] = f"data/{folder}"
        part.add_todo("put the uploaded files into this folder")
        line.note(f"TODO put its files into data/{folder}")
        if state.files.has_manifest and not data:
            line.note(f"the export has no files of it: other-files/ was searched for {', '.join(_DATA_FOLDERS)}")
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


def find_data(state: ImportState, id_: str) -> list[str]:
    """Return the paths of the files with the rows of a dataset, if the export contains them.

    It is not documented where an export keeps uploaded files: these are the folders that are searched.
    """
    found = (state.files.list_other_files(f"{folder}/{id_}") for folder in _DATA_FOLDERS)
    return next((files for files in found if files), [])


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
    skipped = [max(0, params.get_whole(key) or 0) for key in ("skipRowsBeforeHeader", "skipRowsAfterHeader")]
    if not params.get_flag("parseHeaderRow", default=True):
        csv["header"] = False
        line.note("the files have no header: their columns are those under columns:, in this order")
        if sum(skipped):
            csv["skip_lines"] = sum(skipped)
    elif skipped[0]:
        csv["skip_lines"] = skipped[0]
    if "header" not in csv and skipped[1]:
        part.add_todo("DSS skips lines after the header of its files: that cannot be said here")
        line.note("TODO lines after the header are skipped in DSS: that cannot be said here")
    charset = params.get_text("charset").lower()
    if charset not in ("", "utf8", "utf-8") and _is_encoding(charset):
        csv["encoding"] = charset
    elif charset not in ("", "utf8", "utf-8"):
        part.add_todo(f"the encoding {charset[:40]} is not known here: write another under csv:")
        line.note(f"TODO the encoding {charset[:40]} is not known here: write another under csv:")
    style, escape = params.get_text("style"), params.get_text("escapeChar") or "\\"
    if style in ("unix", "escape_only") and len(escape) == 1:
        csv["escape"] = escape
    if (compression := params.get_text("compress").lower()) not in _COMPRESSIONS:
        part.add_todo(f"files compressed by {compression[:20]} are not read: unpack them")
        line.note(f"TODO files compressed by {compression[:20]} are not read: unpack them")
    if csv:
        part["csv"] = csv


def _is_encoding(name: str) -> bool:
    try:
        "".encode(name)
    except (LookupError, ValueError):
        return False
    return True


def _describe_columns(found: JsonObject, line: ObjectLine) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for column in found.get_object("schema").get_objects("columns"):
        name, type_ = column.get_text("name"), column.get_text("type")
        if not name or "${" in name or name in columns:
            line.note(f"the column at {column.path} is left out: its name is missing, taken, or has a ${{")
        elif type_ in COLUMN_TYPES:
            columns[name] = {"type": COLUMN_TYPES[type_]}
        else:
            columns[name] = {"role": "ignore"}
            line.note(f"{name} is ignored: its type is {type_[:40] or 'missing'}")
    return columns


def _list_probes(state: ImportState, found: JsonObject, id_: str) -> None:
    """Report the probes without a counterpart, which are those with code. Checks compute the metrics of all others."""
    for probe in found.get_object("metrics").get_objects("probes"):
        type_, enabled = probe.get_text("type"), probe.get_flag("enabled", default=True)
        if type_ in ("python", "sql_query", "verify_col") and enabled:
            line = state.report.add("probe", f"{id_}: {type_}", probe.place)
            line.leave_out(
                "its code is not imported: the metrics of it that checks use are declared, their functions are to "
                "be written"
                if type_ == "python"
                else "TODO write a metric of kind: python"
            )

"""The rows that a model was tested on, which DSS compares batches with: `split/` of its version, in a full export."""

import re

from engine.dss.import_state import ImportState
from engine.dss.json_objects import JsonObject
from engine.dss.names import make_name
from engine.dss.rules import COLUMN_TYPES
from engine.dss.spec_writing import Part

_FORMAT = "csv1"
"""The format of the rows in `split.json`: no header, tabs, doubled quotes, the columns of its schema in their order."""


def import_test_rows(state: ImportState, found: JsonObject, id_: str, model: str) -> str | None:
    """Declare the test rows of a model as a dataset, if an export has them, and return its name."""
    versions: dict[str, str] = {}
    for path in state.files.list_other_files(f"saved_models/{id_}/versions"):
        if named := re.search(r"/versions/([^/]{1,60})/split/test\.csv\.gz$", path):
            versions[named[1]] = path
    if not versions:
        return None
    active = found.get_text("activeVersion")
    version = active if active in versions else max(versions, key=lambda name: (name.isdigit(), len(name), name))
    rows = versions[version]
    test = state.names.add_target("datasets", f"{id_}/test", f"{model}_test")
    path = f"data/{make_name(test, (), 'model')}/test.csv.gz"
    part = Part(rows, {"path": path, "format": "csv", "csv": {"separator": "\t", "header": False}})
    line = state.report.add("model test rows", model, rows, f"datasets.{test}")
    if version != active:
        line.note(f"they are those of version {version}: which one is active is in no file")
    description = rows.removesuffix("test.csv.gz") + "split.json"
    split = state.read_other(description) if description in state.files.files else None
    columns = split.get_object("schema").get_objects("columns") if split is not None else []
    if split is not None and split.get_text("format") == _FORMAT and columns:
        part["columns"] = {
            name: {"type": type_} if (type_ := COLUMN_TYPES.get(one.get_text("type"))) else {"role": "ignore"}
            for one in columns
            if (name := one.get_text("name"))
        }
    else:
        part.add_todo("look at its first lines: split.json, which names its columns, is not there or of another format")
        line.note("TODO name its columns under columns:, in their order: split.json does not say them")
    if state.with_data:
        state.copies[rows] = path
    else:
        line.note(f"TODO give --with-data, or copy the file to {path}")
    if any("predicted.csv" in one for one in state.files.list_other_files(f"saved_models/{id_}/versions/{version}")):
        line.note(
            "the order of the rows in predicted.csv is not documented: drift is computed, and the drift of predictions "
            "is not; to have it, score these rows in DSS too"
        )
    state.sections["datasets"][test] = part
    return test

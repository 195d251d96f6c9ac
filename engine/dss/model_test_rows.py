"""Import the rows on which a model was tested, DSS's reference for batches: `split/` of a version in a full export."""

import re

from engine.dss.checks.rules import COLUMN_TYPES
from engine.dss.import_state import ImportState
from engine.dss.json_objects import JsonObject
from engine.dss.names import make_name
from engine.dss.predicted_rows import join_predictions
from engine.dss.report import ObjectLine
from engine.dss.spec_writing import Part

_FORMAT = "csv1"
"""The format of the rows in `split.json`: no header, tabs, doubled quotes, columns in the order of its schema."""


def import_test_rows(state: ImportState, found: JsonObject, id_: str, model: str) -> str | None:
    """Declare the test rows of a model as a dataset, if the export has them, and return its name."""
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
        state.copies[rows] = path  # replaced by rows with predictions, if they can be joined
    else:
        line.note(f"TODO give --with-data, or copy the file to {path}")
    predicted = rows.removesuffix("split/test.csv.gz") + "predicted.csv"
    if predicted in state.files.files and "columns" in part and state.with_data:
        _add_predictions(state, part, test, (rows, predicted), line)
    state.sections["datasets"][test] = part
    return test


def _add_predictions(state: ImportState, part: Part, test: str, paths: tuple[str, str], line: ObjectLine) -> None:
    """Add the columns of the predictions to the test rows, whose copy then has both."""
    found = join_predictions(state.files, *paths, list(part["columns"]))
    if isinstance(found, str):
        line.note(
            f"the predictions in predicted.csv are not joined, because {found}: drift is computed, and the drift of "
            "predictions is not; to have it, score these rows in DSS too"
        )
        return
    line.note(f"with the predictions of {paths[1].rpartition('/')[2]}: {', '.join(found.added)}")
    part["columns"] |= {name: {} for name in found.added}
    state.joins[state.copies.pop(found.test)] = found
    state.predicted_columns[test] = list(found.added)

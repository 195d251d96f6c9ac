"""`saved_models/`, with the recipes that train them, and their test rows in a full export."""

import re
from typing import Any

from engine.dss.import_state import ImportState, list_references
from engine.dss.json_objects import JsonObject
from engine.dss.names import make_name
from engine.dss.report import ObjectLine
from engine.dss.spec_writing import Part

_TASKS = {
    "BINARY_CLASSIFICATION": "binary_classification",
    "MULTICLASS": "multiclass_classification",
    "REGRESSION": "regression",
}


def import_models(state: ImportState, recipes: dict[str, JsonObject]) -> dict[str, dict[str, Any]]:
    """Declare the models of the project as models that run elsewhere.

    Returns
    -------
    By name of the model, the reference of its stores.
    """
    references: dict[str, dict[str, Any]] = {}
    for id_, found in state.read_folder("model", "saved_models"):
        name = state.names.add_target("models", id_, found.get_text("name") or id_)
        line = state.report.add("model", found.get_text("name") or id_, found.place, f"models.{name}")
        training = _find_training(recipes, id_)
        part = _describe_model(state, found, training[1] if training else None, line)
        reference = _find_reference(state, id_, name, training[0] if training else None, line)
        state.sections["models"][name] = part
        references[name] = {"kind": "dataset", "dataset": reference}
        if found.get_object("metricsChecks").get_objects("checks"):
            line.note("checks of a model are made by its evaluation store here: they are not carried over")
    return references


def _find_training(recipes: dict[str, JsonObject], id_: str) -> tuple[JsonObject, str] | None:
    """Return the recipe that trains a model, and its name."""
    for name, recipe in recipes.items():
        if recipe.get_text("type") == "prediction_training" and id_ in list_references(recipe, "outputs", "main"):
            return recipe, name
    return None


def _describe_model(state: ImportState, found: JsonObject, recipe: str | None, line: ObjectLine) -> Part:
    part = Part(f"{found.place} (id {found.file.rpartition('/')[2].removesuffix('.json')})")
    settings = state.read_payload(recipe, "prediction_training") if recipe else None
    core = settings.get_object("core") if settings else None
    places = [one for one in (settings, core, found.get_object("miniTask"), found) if one is not None]
    target = next((text for one in places if (text := one.get_text("targetVariable", "target_variable"))), "")
    type_ = next((text for one in places if (text := one.get_text("predictionType", "prediction_type"))), "")
    part |= {"kind": "scored", "task": _TASKS.get(type_, "binary_classification"), "target": target or "TODO"}
    part["prediction"] = "prediction"
    part.add_todo("the rows must have the predictions of the model: score them in DSS, and name the columns here")
    line.note("TODO it runs elsewhere: its predictions must be a column of the rows, here called prediction")
    if not target:
        part.add_todo("name the column with the true value in target")
        line.note("TODO its target is not in the files of the project")
    if type_ not in _TASKS:
        part.add_todo("task is a guess")
        line.note(f"TODO its task is not in the files of the project or unknown ({type_[:40] or 'none'})")
    if settings is not None:
        excluded = _list_rejected(settings)
        if excluded:
            part["features"] = {"exclude": excluded}
    return part


def _list_rejected(settings: JsonObject) -> list[str]:
    """Return the columns that the training leaves out."""
    per_feature = next(
        (
            one
            for owner in (settings, settings.get_object("preprocessing"))
            if (one := owner.get_object("per_feature")).values
        ),
        settings.get_object("per_feature"),
    )
    return sorted(name for name in per_feature.values if per_feature.get_object(name).get_text("role") == "REJECT")


def _find_reference(state: ImportState, id_: str, name: str, training: JsonObject | None, line: ObjectLine) -> str:
    """Return the dataset that batches are compared with: the test rows of the newest version, or the training rows."""
    versions: dict[int, str] = {}
    for path in state.files.list_other_files(f"saved_models/{id_}/versions"):
        if found := re.search(r"/versions/([0-9]{1,18})/split/test\.csv\.gz$", path):
            versions[int(found[1])] = path
    if versions:
        newest = versions[max(versions)]
        test = state.names.add_target("datasets", f"{id_}/test", f"{name}_test")
        path = f"data/{make_name(test, (), 'model')}/test.csv.gz"
        part = Part(newest, {"path": path, "format": "csv", "csv": {"separator": "\t"}})
        part.add_todo("how DSS writes this file is not documented: look at its first lines")
        own = state.report.add("model test rows", name, newest, f"datasets.{test}")
        own.note("TODO look at its first lines: separator and header are a guess")
        if state.with_data:
            state.copies[newest] = path
        else:
            own.note(f"TODO give --with-data, or copy the file to {path}")
        state.sections["datasets"][test] = part
        return test
    for reference in list_references(training, "inputs", "main") if training else []:
        if rows := state.names.find_target(reference, "datasets"):
            line.note(
                "stores compare with all rows of the training: its test rows, which DSS compares with, are only in an "
                "export with saved models"
            )
            return rows
    line.note("TODO name the dataset to compare with in the reference of its stores")
    return "TODO"

"""Import `saved_models/`, with the recipes that train them, and their test rows in a full export."""

from typing import Any

from engine.dss.import_state import ImportState, list_references
from engine.dss.json_objects import JsonObject
from engine.dss.metric_names import translate_metric
from engine.dss.model_test_rows import import_test_rows
from engine.dss.report import ObjectLine
from engine.dss.spec_writing import Part
from engine.spec.metrics.catalogue import METRICS_BY_TASK
from engine.spec.metrics.definition import BINARY, REGRESSION
from engine.spec.rules.placeholders import PLACEHOLDER

_TASKS = {
    "BINARY_CLASSIFICATION": "binary_classification",
    "MULTICLASS": "multiclass_classification",
    "REGRESSION": "regression",
}
_ROLES = {"CATEGORY": "categorical", "NUMERIC": "numerical"}
_GAINS = {
    "tpGain": "true_positive",
    "fpGain": "false_positive",
    "tnGain": "true_negative",
    "fnGain": "false_negative",
}


def import_models(state: ImportState, recipes: dict[str, JsonObject]) -> dict[str, dict[str, Any]]:
    """Declare the models of the project as models whose scores are computed elsewhere.

    Returns
    -------
    By name of the model, the reference of its stores.
    """
    references: dict[str, dict[str, Any]] = {}
    for id_, found in state.read_folder("model", "saved_models"):
        name = state.names.add_target("models", id_, found.get_text("name") or id_)
        found.get_text("savedModelType", "type", "activeVersion")
        line = state.report.add("model", found.get_text("name") or id_, found.place, f"models.{name}")
        training = _find_training(recipes, id_)
        scored = _find_scored_columns(state, recipes, id_)
        part = _describe_model(state, found, training[1] if training else None, scored, line)
        reference = _find_reference(state, found, id_, name, training[0] if training else None, line)
        if probabilities := [one for one in state.predicted_columns.get(reference, []) if one.startswith("proba_")]:
            part.setdefault("probability", {one.removeprefix("proba_"): one for one in probabilities})
        _note_roles(state, name, training[1] if training else None)
        state.sections["models"][name] = part
        references[name] = {"kind": "dataset", "dataset": reference}
        state.models[name] = found
    return references


def declare_scored_model(state: ImportState, store: str, settings: JsonObject, found: JsonObject) -> str | None:
    """Declare the model of a standalone evaluation, whose predictions are in its rows; None if no column is named."""
    prediction, target = settings.get_text("predictionVariable"), settings.get_text("targetVariable")
    type_ = settings.get_text("predictionType")
    if not prediction:
        return None
    name = state.names.add_target("models", f"{settings.file}/model", f"{store} model")
    line = state.report.add("model", name, settings.place, f"models.{name}")
    line.note("DSS knows its predictions alone, which are columns of the rows")
    task = _TASKS.get(type_) or _guess_task(found)
    part = Part(settings.place, {"kind": "scored", "task": task, "target": target or PLACEHOLDER})
    if type_ not in _TASKS:
        part.add_todo("task is a guess")
        line.note(f"TODO its task is unknown ({type_[:40] or 'none'})")
    part["prediction"] = prediction
    columns = {one.get_text("key"): one.get_text("value") for one in settings.get_objects("probas")}
    if settings.get_flag("isProbaAware", default=bool(columns)) and columns and all(columns.values()):
        part["probability"] = columns
    weights = settings.get_object("metricParams").get_object("costMatrixWeights")
    part["cost_matrix"] = _read_weights(weights) or None
    state.sections["models"][name] = part
    return name


def _find_training(recipes: dict[str, JsonObject], id_: str) -> tuple[JsonObject, str] | None:
    """Return the recipe that trains a model, and its name."""
    for name, recipe in recipes.items():
        if recipe.get_text("type") == "prediction_training" and id_ in list_references(recipe, "outputs", "main"):
            return recipe, name
    return None


def _describe_model(
    state: ImportState, found: JsonObject, recipe: str | None, scored: tuple[str, list[str]], line: ObjectLine
) -> Part:
    part = Part(f"{found.place} (id {found.file.rpartition('/')[2].removesuffix('.json')})")
    settings = state.read_payload(recipe, "prediction_training") if recipe else None
    core = settings.get_object("core") if settings else None
    places = [one for one in (settings, core, found.get_object("miniTask"), found) if one is not None]
    target = next((text for one in places if (text := one.get_text("targetVariable", "target_variable"))), "")
    type_ = next((text for one in places if (text := one.get_text("predictionType", "prediction_type"))), "")
    part |= {"kind": "scored", "task": _TASKS.get(type_) or _guess_task(found), "target": target or PLACEHOLDER}
    part["prediction"] = "prediction"
    rows, predicted = scored
    if rows:
        line.note(f"it runs in DSS, which writes its predictions into {rows[:60]}")
    else:
        part.add_todo("the rows must have the predictions of the model: score them in DSS, and name the columns here")
        line.note("TODO it runs elsewhere: its predictions must be a column of the rows, here called prediction")
    if probabilities := [one for one in predicted if one != "prediction"]:
        part["probability"] = {one.removeprefix("proba_"): one for one in probabilities}
    if not target:
        part.add_todo("name the column with the true value in target")
        line.note("TODO its target is not in the files of the project")
    if type_ not in _TASKS:
        part.add_todo("task is a guess")
        line.note(f"TODO its task is not in the files of the project or unknown ({type_[:40] or 'none'})")
    if gains := _read_gains(places):
        part["cost_matrix"] = gains
    if settings is not None:
        excluded = _list_features(settings, "REJECT")
        if excluded:
            part["features"] = {"exclude": sorted(excluded)}
        settings.read_whole()  # the rest is about the training of the model
    return part


def _guess_task(found: JsonObject) -> str:
    """Return the likely task of a model, judged by the metrics of its checks."""
    checks = found.get_object("metricsChecks").get_objects("checks")
    names = {translate_metric(one.get_text("metricId"), "store") for one in checks}
    return REGRESSION if names & {*METRICS_BY_TASK[REGRESSION]} - {*METRICS_BY_TASK[BINARY]} else BINARY


def _read_gains(places: list[JsonObject]) -> dict[str, float]:
    """Return the gains by kind of prediction, from the settings of the training."""
    for one in places:
        weights = one.get_object("modeling").get_object("metrics").get_object("costMatrixWeights")
        if gains := _read_weights(weights):
            return gains
    return {}


def _read_weights(weights: JsonObject) -> dict[str, float]:
    return {ours: value for key, ours in _GAINS.items() if (value := weights.get_number(key)) is not None}


def _list_features(settings: JsonObject, role: str) -> dict[str, str]:
    """Return the columns with a role in the training, and their types there."""
    per_feature = next(
        (
            one
            for owner in (settings, settings.get_object("preprocessing"))
            if (one := owner.get_object("per_feature")).values
        ),
        settings.get_object("per_feature"),
    )
    features = {name: per_feature.get_object(name) for name in per_feature.values}
    return {name: one.get_text("type") for name, one in features.items() if one.get_text("role") == role}


def _note_roles(state: ImportState, model: str, recipe: str | None) -> None:
    """Store the roles of columns in the training, for the rows on which the model is evaluated."""
    settings = state.read_payload(recipe, "prediction_training") if recipe else None
    if settings is not None:
        types = _list_features(settings, "INPUT")
        state.roles[model] = {name: _ROLES[type_] for name, type_ in types.items() if type_ in _ROLES}


def _find_reference(
    state: ImportState, found: JsonObject, id_: str, name: str, training: JsonObject | None, line: ObjectLine
) -> str:
    """Return the dataset with which batches are compared: the test rows of the model, or the training rows."""
    if test := import_test_rows(state, found, id_, name):
        return test
    for reference in list_references(training, "inputs", "main") if training else []:
        if rows := state.names.find_target(reference, "datasets"):
            line.note(
                "stores compare with all rows of the training: its test rows, which DSS compares with, are only in an "
                "export with saved models"
            )
            return rows
    line.note("TODO name the dataset to compare with in the reference of its stores")
    return PLACEHOLDER


def _find_scored_columns(state: ImportState, recipes: dict[str, JsonObject], id_: str) -> tuple[str, list[str]]:
    """Return a dataset that DSS scores with a model, and the columns of its predictions; empty if none is known."""
    for recipe in recipes.values():
        if recipe.get_text("type") not in ("evaluation", "prediction_scoring"):
            continue
        if id_ not in list_references(recipe, "inputs", "model"):
            continue
        for name in list_references(recipe, "outputs", "main"):
            scored = state.objects.get(f"datasets/{name}.json")
            columns = scored.get_object("schema").get_objects("columns") if scored is not None else []
            named = [one.get_text("name") for one in columns]
            predicted = [one for one in named if one == "prediction" or one.startswith("proba_")]
            if "prediction" in predicted:
                return name, predicted
    return "", []

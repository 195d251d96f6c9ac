"""Import `model_evaluation_stores/`, with the recipes that evaluate into them."""

from typing import Any

from engine.dss.checks.check_import import import_checks
from engine.dss.import_state import ImportState, list_references
from engine.dss.json_objects import JsonObject
from engine.dss.metric_names import translate_metric
from engine.dss.models import declare_scored_model
from engine.dss.names import fill_references
from engine.dss.report import ObjectLine
from engine.dss.spec_writing import Part
from engine.spec.rules.placeholders import PLACEHOLDER

_OF_MODEL = "in DSS it checks the model's own test rows, here each batch that the store evaluates"
_ROLES = ("evaluationStore", "main")
"""The roles of a store in the outputs of a recipe: for the evaluation, and for the standalone evaluation."""


def import_evaluation_stores(
    state: ImportState, recipes: dict[str, JsonObject], references: dict[str, dict[str, Any]]
) -> None:
    """Declare the stores of the project.

    Parameters
    ----------
    references
        The reference of a model's stores, by the model's name.
    """
    for id_, found in state.read_folder("evaluation store", "model_evaluation_stores"):
        label = found.get_text("name") or id_
        name = state.names.add_target("evaluation_stores", id_, label)
        line = state.report.add("evaluation store", label, found.place, f"evaluation_stores.{name}")
        line.note_name(name, label)
        part = Part(f"{found.place} (id {id_})")
        recipe = _find_evaluation(recipes, id_)
        if recipe is None:
            part |= {
                "model": PLACEHOLDER,
                "dataset": PLACEHOLDER,
                "reference": {"kind": "dataset", "dataset": PLACEHOLDER},
            }
            part.add_todo(
                "name the dataset that is evaluated, and the model if there is one: no recipe of the project writes it"
            )
            line.note("TODO no recipe of the project evaluates into it: name its dataset, reference and model")
        else:
            _describe_inputs(state, part, (found, recipes[recipe]), recipe, references, line)
            _describe_settings(state, part, recipe, recipes[recipe], line)
        if display := _read_display(found, line):
            part["display"] = {"metrics": display}
        import_checks(state, found, "store", line.target, part)
        if (model := part.get("model")) in state.models:
            state.stores_of_model.setdefault(model, []).append(name)
            import_checks(state, state.models[model], "store", line.target, part, _OF_MODEL)
        state.sections["evaluation_stores"][name] = part
    for model in (one for one in state.models if one not in state.stores_of_model):
        if state.models[model].get_object("metricsChecks").get_objects("checks"):
            _declare_store_of_model(state, model, references[model])


def _declare_store_of_model(state: ImportState, model: str, reference: dict[str, Any]) -> None:
    """Declare a store for the checks of a model that no store of the project evaluates: in DSS the model has checks."""
    found = state.models[model]
    name = state.names.add_target("evaluation_stores", f"{found.file}/checks", f"{model} performance")
    target = f"evaluation_stores.{name}"
    state.stores_of_model[model] = [name]
    line = state.report.add("evaluation store", name, f"{found.place}.metricsChecks", target)
    tested = reference["dataset"] if reference["dataset"] in state.predicted_columns else PLACEHOLDER
    part = Part(found.place, {"model": model, "dataset": tested, "reference": reference})
    if tested == PLACEHOLDER:
        part.add_todo("name in dataset the rows with the predictions of the model")
        line.note("TODO no store of the project evaluates the model: name in dataset the rows with its predictions")
    else:
        line.note("no store of the project evaluates the model: its checks are applied to its test rows, as in DSS")
    import_checks(state, found, "store", target, part, _OF_MODEL)
    state.sections["evaluation_stores"][name] = part


def _find_evaluation(recipes: dict[str, JsonObject], id_: str) -> str | None:
    for name, recipe in recipes.items():
        if recipe.get_text("type") in ("evaluation", "standalone_evaluation") and any(
            id_ in list_references(recipe, "outputs", role) for role in _ROLES
        ):
            return name
    return None


def _describe_inputs(
    state: ImportState,
    part: Part,
    store_and_recipe: tuple[JsonObject, JsonObject],
    name: str,
    references: dict[str, dict[str, Any]],
    line: ObjectLine,
) -> None:
    store, recipe = store_and_recipe
    part.comments.append(f"evaluated by {recipe.place}")
    find = state.names.find_target
    models = [found for one in list_references(recipe, "inputs", "model") if (found := find(one, "models"))]
    # the rows with predictions are an output of the evaluation; its input has none
    scored = list_references(recipe, "outputs", "main") if models else []
    rows = [*scored, *list_references(recipe, "inputs", "main")]
    dataset = next((found for one in rows if (found := find(one, "datasets"))), None)
    given = next(
        (found for one in list_references(recipe, "inputs", "reference") if (found := find(one, "datasets"))), None
    )
    if models:
        part["model"] = models[0]
    elif recipe.get_text("type") == "evaluation":
        part["model"] = PLACEHOLDER
        line.note("TODO its model is not part of the project")
    elif settings := state.read_payload(name, recipe.get_text("type")):
        part["model"] = declare_scored_model(state, line.name, settings, store)
    if dataset is None:
        part.add_todo("name the dataset that is evaluated")
        line.note("TODO the dataset that is evaluated is not part of the spec: name another")
    part["dataset"] = dataset or PLACEHOLDER
    reference = {"kind": "dataset", "dataset": given} if given else references.get(models[0]) if models else None
    if reference is None or reference["dataset"] == PLACEHOLDER:
        part.add_todo("name the dataset to compare with")
        line.note("TODO the dataset to compare with is not known: name it in reference")
    part["reference"] = reference or {"kind": "dataset", "dataset": PLACEHOLDER}
    for rows_name in (part["dataset"], part["reference"]["dataset"]):
        _assign_roles(state.sections["datasets"].get(rows_name, {}), state.roles.get(models[0], {}) if models else {})


def _assign_roles(dataset: dict[str, Any], roles: dict[str, str]) -> None:
    """Give the columns of a dataset their roles in the training of the model."""
    for column, role in roles.items():
        if column in dataset.get("columns", {}):
            dataset["columns"][column].setdefault("role", role)


def _describe_settings(state: ImportState, part: Part, recipe: str, owner: JsonObject, line: ObjectLine) -> None:
    """Import the settings of the evaluation: labels, confidence, excluded columns."""
    settings = state.read_payload(recipe, owner.get_text("type"))
    if settings is None:
        line.note("the settings of its recipe are not in the project: the defaults count")
        return
    labels: dict[str, str] = {}
    for one in settings.get_objects("labels"):
        key = one.get_text("key")
        if key and "${" not in key:
            labels[key] = fill_references(one.get_text("value"), state.names, line)
    if labels:
        part["evaluation"] = {"labels": labels}
    drift: dict[str, Any] = {}
    confidence = settings.get_number("driftConfidenceLevel")
    if confidence is not None and 0 < confidence < 1 and confidence != 0.95:
        drift["confidence"] = confidence
    rejected = [one.get_text("name") for one in settings.get_objects("features") if one.get_text("role") == "REJECT"]
    handling = settings.get_object("dataDriftColumnHandling").read_whole()
    ignored = [name for name, how in handling.items() if how in ("IGNORE", "IGNORED")]
    if excluded := sorted({name for name in (*rejected, *ignored) if name}):
        drift["columns"] = {"exclude": excluded}
    if drift:
        part["drift"] = drift
    others = sorted({str(how)[:30] for how in handling.values() if how not in ("IGNORE", "IGNORED", "AUTO", None)})
    if others:
        line.note(f"the handling of columns for drift ({', '.join(others)}) is found from the data here")
    if settings.get_object("selection").read_whole() or settings.get_flag("limitSampling", default=False):
        line.note("all rows count here, not a sample")
    if settings.get_flag("overrideModelSpecifiedThreshold", default=False):
        threshold = settings.get_number("forcedClassifierThreshold")
        line.note(f"TODO the recipe forces the threshold {threshold}: write it as threshold: of the model")
    if settings.get_flag("dontComputePerformance", default=False):
        line.note("DSS computes no performance; here it is computed where the rows have the true values")
    if settings.get_text("modelVersionId"):
        line.note("a fixed version of the model is evaluated, not the active one: score the rows with that version")
    settings.get_value("metrics"), settings.get_value("evaluationDatasetType"), settings.get_value("outputs")
    if settings.get_objects("customMetrics"):
        line.note("TODO its custom metrics are Python code: write metrics of kind: python")
    if settings.get_flag("treatDriftFailureAsError", default=False):
        line.note("failures of drift as errors: not imported, since what cannot be measured is EMPTY here")


def _read_display(found: JsonObject, line: ObjectLine) -> list[str]:
    shown: list[str] = []
    listed = found.get_object("displayParams").get_texts("displayedMetrics")
    for id_ in listed:
        metric = translate_metric(id_, "store")
        if metric is None:
            line.note(f"the displayed metric {id_[:60]} has no counterpart")
        elif metric not in shown and not metric.endswith("*"):
            shown.append(metric)
    return shown

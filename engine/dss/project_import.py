"""Import a project: the spec and the report as texts, and the data files to copy."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.dss.bundles import import_bundles
from engine.dss.checks.check_import import leave_out_checks
from engine.dss.checks.mistakes import find_check_mistakes
from engine.dss.datasets import import_datasets
from engine.dss.evaluation_stores import import_evaluation_stores
from engine.dss.import_state import ImportState
from engine.dss.json_objects import JsonObject
from engine.dss.models import import_models
from engine.dss.names import ProjectNames, make_name
from engine.dss.predicted_rows import PredictedRows
from engine.dss.report import ImportReport, format_report
from engine.dss.scenarios.mistakes import find_scenario_mistakes
from engine.dss.scenarios.scenario_import import import_scenarios
from engine.dss.source import NEVER_READ, ProjectFiles
from engine.dss.spec_writing import Template, format_spec
from engine.dss.unread_keys import report_unread_keys
from engine.dss.variables import PROJECT_KEY, import_variables
from engine.errors import Severity, SpecError
from engine.spec import load
from engine.spec.diagnostics import render_diagnostics

_OTHER_FOLDERS = {
    "managed_folders": "managed folder",
    "model_comparisons": "model comparison",
    "zones": "zone of the flow",
    "lambda_services": "API service",
    "dashboards": "dashboard",
    "insights": "insight",
    "web_apps": "web application",
    "statistics_worksheets": "worksheet",
}
_READ_FOLDERS = ("datasets", "model_evaluation_stores", "recipes", "saved_models", "scenarios")
_QUIET_RECIPES = ("prediction_training", "evaluation", "standalone_evaluation")
"""Recipes whose content is imported into models and stores."""
_SQL_RECIPES = frozenset(
    {
        *("sql_query", "sql_script", "join", "grouping", "vstack", "window", "sync", "sampling", "split", "distinct"),
        *("sort", "topn", "pivot"),
    }
)
"""Recipes that a query can replace."""


@dataclass(frozen=True, slots=True)
class ImportedProject:
    """The texts of an import.

    Attributes
    ----------
    copies
        The path of a data file relative to the spec, by its path in the source.
    joins
        The rows and predictions to be joined, by the path of the file relative to the spec.
    """

    spec: str
    name: str
    report: ImportReport
    copies: dict[str, str]
    joins: dict[str, PredictedRows]


def import_project(files: ProjectFiles, *, with_data: bool) -> ImportedProject:
    """Import the files of a project.

    Parameters
    ----------
    with_data
        Whether the spec reads copies of the data files in the export.
    """
    report = ImportReport()
    state = ImportState(files, ProjectNames(), report, with_data)
    params = state.read_object("params.json") if files.has_content("params.json") else None
    if params is None:
        report.remarks.setdefault(
            "params.json", "it is not there: the name and the settings of the project are not known"
        )
        params = JsonObject("params.json", "$", {}, report.report_type)
    _name_project(state, params)
    state.triggers_off = params.get_object("settings").get_flag("disableAutomaticTriggers", default=False)
    import_variables(state)
    import_datasets(state)
    recipes = dict(state.read_folder("recipe", "recipes"))
    references = import_models(state, recipes)
    import_evaluation_stores(state, recipes, references)
    import_bundles(state, params)
    import_scenarios(state)
    _leave_out_unused(state)
    _report_recipes(state, recipes)
    _report_others(state)
    find_scenario_mistakes(state)
    find_check_mistakes(state)
    report_unread_keys(state)
    name = make_name(state.names.project, (), "project")
    spec = {"version": 1, "project": name, **_drop_unused(state)}
    return ImportedProject(format_spec(spec), name, report, state.copies, state.joins)


def check_spec(path: Path) -> tuple[str, bool]:
    """Return the output of `engine validate` for a spec, and whether it is valid."""
    try:
        project = load(path, environ={})
    except SpecError as wrong:
        errors = any(one.severity is Severity.ERROR for one in wrong.diagnostics)
        return render_diagnostics(wrong.diagnostics), not errors
    return render_diagnostics(project.warnings), True


def describe_import(imported: ImportedProject, source: str, findings: str) -> str:
    """Return the report of an import as Markdown; the parameters are those of `format_report`."""
    return format_report(imported.report, imported.name, source, findings)


def _name_project(state: ImportState, params: JsonObject) -> None:
    """Determine the key and the name of the project.

    The key is in the manifest of an export, and in the files of older versions; the name is in `params.json`.
    """
    manifest = state.read_manifest()
    owners = (
        one
        for folder in ("scenarios", "datasets", "recipes", "saved_models")
        for path in state.files.list_content(folder)
        if (one := state.read_object(path)) is not None
    )
    key = next((key for one in owners if (key := one.get_text("projectKey"))), "")
    given = (manifest and manifest.get_text("originalProjectKey"), params.get_text("projectKey", "originalProjectKey"))
    state.names.key = next((one for one in (*given, key) if one), "")
    name = params.get_text("name")
    state.names.project = state.names.key or name or state.files.name


def _drop_unused(state: ImportState) -> dict[str, object]:
    """Return the sections without variables that only other tools use; validate reports other unused ones."""
    text = format_spec({section: value for section, value in state.sections.items() if section != "variables"})
    variables = state.sections["variables"]
    others = " ".join(str(value) for value in variables.values() if isinstance(value, Template))
    if f"${{{PROJECT_KEY}}}" not in text and f"${{{PROJECT_KEY}}}" not in others:
        del variables[PROJECT_KEY]
    elif not state.names.key:
        line = state.report.add("variable", "projectKey", "params.json $", f"variables.{PROJECT_KEY}")
        line.note("TODO write the key of the project: no file has it")
    return dict(state.sections)


def _leave_out_unused(state: ImportState) -> None:
    """Leave out the datasets that the engine cannot read and that the spec neither uses nor checks."""
    others = {section: parts for section, parts in state.sections.items() if section != "datasets"}
    used = set(_list_texts(others))
    for name, line in state.unread_datasets.items():
        datasets = state.sections["datasets"]
        if not {name, f"dataset:{name}"} & used and "checks" not in datasets[name]:
            del datasets[name]
            line.leave_out(next(iter(line.notes)).removeprefix("TODO "))
            line.notes.clear()


def _list_texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _list_texts(one)
    elif isinstance(value, str):
        yield value


def _report_recipes(state: ImportState, recipes: dict[str, JsonObject]) -> None:
    for name, recipe in recipes.items():
        type_ = recipe.get_text("type")
        recipe.read_whole()
        line = state.report.add("recipe", f"{name} ({type_ or 'no type'})", recipe.place)
        if type_ in _QUIET_RECIPES:
            line.drop("its settings are those of the model or store that it makes")
        else:
            line.drop(_explain_recipe(type_))


def _explain_recipe(type_: str) -> str:
    """Return why a recipe is not needed in the spec, and what may replace it."""
    read = "its output is read where DSS writes it"
    if type_ in _SQL_RECIPES:
        return f"{read}; a dataset of kind: query may take its place"
    if type_ == "shaker":
        return f"{read}; the steps of a Prepare recipe cannot be written as one query"
    return f"{read}; its code or settings are not imported"


def _report_others(state: ImportState) -> None:
    """Report what is never imported."""
    for folder, kind in _OTHER_FOLDERS.items():
        for path in state.files.list_content(folder):
            line = state.report.add(kind, path.removeprefix(f"{folder}/").removesuffix(".json"), path)
            line.drop("it stays in DSS")
            if folder == "managed_folders" and (found := state.read_object(path)) is not None:
                leave_out_checks(state, found, "the files of a folder have no metrics here: declare a dataset of them")
    for folder, count in state.files.count_by_folder().items():
        if folder not in (*_READ_FOLDERS, *_OTHER_FOLDERS):
            files = "its file stays" if count == 1 else f"its {count} files stay"
            state.report.add("folder", folder, f"{folder}/").drop(f"{files} in DSS")
    for name in sorted(NEVER_READ):
        if state.files.has_content(name):
            state.report.add("keys", name, name).leave_out(
                "it holds keys: it was not read. Remove it from what you hand on, and change the keys"
            )
            state.report.add_mistake(name, "keys lie among the files of the project, where all who have them can read")
    for path, why in state.files.skipped.items():
        state.report.add("file", path, path).leave_out(why)

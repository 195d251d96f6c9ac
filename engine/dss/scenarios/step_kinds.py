"""Translate each type of step into keys of a step of the spec."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from engine.connections.table_names import quote_name, split_table_name
from engine.dss.connections import find_database
from engine.dss.deployments import declare_deployment
from engine.dss.import_state import ImportState, may_hold_password
from engine.dss.json_objects import JsonObject
from engine.dss.names import fill_references
from engine.dss.report import ObjectLine
from engine.dss.spec_writing import Part
from engine.dss.sql_texts import fill_sql
from engine.dss.variables import declare_variable, write_large_number
from engine.spec.secret_texts import may_be_secret

Keys = dict[str, Any]

_TARGETS = ("evaluation_stores", "models", "datasets")
_NOT_NEEDED = {
    "check_consistency": "engine validate and the contracts of columns do this",
    "reload_schema": "the columns of a dataset are found whenever it is read",
    "schema_propagation": "the columns of a dataset are found whenever it is read",
    "invalidate_cache": "there is no such cache here",
    "refresh_chart_cache": "there is no such cache here",
    "sync_hive": "files and tables are read where they are",
    "update_from_hive": "files and tables are read where they are",
}
_INSTEAD = {
    "custom_python": "it is Python code, which is not imported",
    "update_global_dss_variables": "variables of the DSS instance: set them under deployments: variables:",
    "run_global_vars_update": "variables of the DSS instance: set them under deployments: variables:",
    "kill_scenario": "nothing here ends the run of another scenario: give that scenario a timeout:",
    "prepare_lambda_package": "models are not served here: call the API of DSS",
    "update_apideployer_deployment": "models are not served here: call the API of DSS",
    "create_dashboard_export": "there are no dashboards: a step of kind: report writes an evaluation as one file",
    "create_jupyter_export": "there are no notebooks: a step of kind: report writes an evaluation as one file",
    "create_wiki_export": "there is no wiki: call the API of DSS",
    "create_saved_model_documentation_export": "models and flows are documented in DSS: call its API",
    "create_flow_documentation_export": "models and flows are documented in DSS: call its API",
    "restart_webapp": "there are no web applications: call the API of DSS",
    "runnable": "macros are code, which is not imported",
    "pull_git_refs": "the spec lies in a repository of its own: pull it where engine runs",
    "compute_data_drift": "a build of an evaluation store computes drift: name the store in a step of kind: build",
}
_FORCED = ("NON_RECURSIVE_FORCED_BUILD", "RECURSIVE_FORCED_BUILD", "NON_RECURSIVE_FORCED")


def translate_step(state: ImportState, type_: str, params: JsonObject, line: ObjectLine) -> list[Keys]:
    """Return the keys of the steps for a step: one or more; none if it is left out or unnecessary."""
    if translate := _KINDS.get(type_):
        return translate(state, params, line)
    params.read_whole()
    if type_ in _NOT_NEEDED:
        line.drop(_NOT_NEEDED[type_])
    else:
        line.leave_out(_INSTEAD.get(type_, f"steps of the type {type_[:60] or '(none)'} have no counterpart here"))
    return []


def _find_targets(state: ImportState, items: list[JsonObject], line: ObjectLine, *sections: str) -> list[str]:
    """Return the names of a step's targets; checks of a model are those of the stores that evaluate it."""
    found = []
    for item in items:
        id_, type_ = item.get_text("itemId", "smartName", "objectSmartName", "datasetName"), item.get_text("type")
        project, partitions = item.get_text("projectKey"), item.get_text("partitionsSpec")
        name = state.names.find_target(id_, *sections) if state.names.is_own(project) else None
        stores = state.stores_of_model.get(state.names.find_target(id_, "models") or "", [])
        if name:
            found.append(name)
        elif stores and "evaluation_stores" in sections:
            found += stores
            line.note(f"the checks of a model are those of its evaluation store here: {', '.join(stores)}")
        else:
            line.note(f"{type_[:40] or 'item'} {id_[:60] or '(none)'} is left out: it is not in the spec")
        if partitions and type_ in ("", "DATASET"):
            line.note(f"its choice of partitions ({partitions[:60]}) is not carried over")
    return list(dict.fromkeys(found))


def _join_targets(names: list[str]) -> str | list[str]:
    return names[0] if len(names) == 1 else names


def _translate_build(state: ImportState, params: JsonObject, line: ObjectLine) -> list[Keys]:
    items = params.get_objects("builds")
    names = _find_targets(state, items, line, *_TARGETS)
    forced = params.get_text("jobType") in _FORCED
    if any(state.names.sections[name] == "models" for name in names):
        line.note("DSS goes on training the model: here it is only looked at")
    if not names:
        if items and all(item.get_text("type") == "MANAGED_FOLDER" for item in items):
            line.drop("it builds folders alone, which are not watched: DSS goes on building them")
        else:
            _report_nothing(items, "build", line)
        return []
    return [{"kind": "build", "target": _join_targets(names), "mode": "force" if forced else None}]


def _translate_checks(state: ImportState, params: JsonObject, line: ObjectLine) -> list[Keys]:
    items = params.get_objects("checks")
    names = _find_targets(state, items, line, "evaluation_stores", "datasets")
    if not names:
        _report_nothing(items, "check", line)
        return []
    names = [state.queries_of_dataset.get(name, name) for name in names]
    return [{"kind": "run_checks", "target": _join_targets(names)}]


def _report_nothing(items: list[JsonObject], what: str, line: ObjectLine) -> None:
    if items:
        line.leave_out(f"nothing that it names to {what} is in the spec")
    else:
        line.drop(f"it names nothing to {what}, also in DSS")


def _translate_metrics(state: ImportState, params: JsonObject, line: ObjectLine) -> list[Keys]:
    items = [one for key in ("computes", "computations", "metrics") for one in params.get_objects(key)]
    types = {item.get_text("type") for item in items}
    if items and types <= {"SAVED_MODEL", "MODEL_EVALUATION_STORE"}:
        line.drop("the metrics of a model and of a store are computed by the build of the store")
        return []
    names = _find_targets(state, items, line, "datasets")
    if not names:
        _report_nothing(items, "compute", line)
        return []
    return [{"kind": "compute_metrics", "target": _join_targets(names)}]


def _translate_child(state: ImportState, params: JsonObject, line: ObjectLine) -> list[Keys]:
    name = state.names.find_scenario(params.get_text("scenarioId"))
    if not state.names.is_own(params.get_text("projectKey")):
        line.leave_out("the scenario that it runs belongs to another project: import that one too")
        return []
    if name is None:
        line.leave_out("the scenario that it runs is not part of the project")
        return []
    return [{"kind": "run_scenario", "scenario": name}]


def _translate_variables(state: ImportState, params: JsonObject, line: ObjectLine) -> list[Keys]:
    """Return a step that sets constants; formulas and lists are left out."""
    given, evaluated = read_variable_values(params)
    values: Keys = {}
    for name, value in given.items():
        constant = _read_formula(value) if evaluated else value
        if constant is None or isinstance(constant, list | dict):
            line.note(f"TODO {name[:60] or '(none)'} is set by a formula or to a list, which cannot be translated")
        elif may_be_secret(name, constant):
            line.note(f"{name[:60]} may be a secret: its value is not imported")
        else:
            if name not in state.names.variables:
                declare_variable(state, name, constant, line)
                line.note(f"{name[:60]} is declared with this value, because no file of the project declares it")
            values[state.names.variables[name]] = write_large_number(constant, line)
    if not values:
        line.leave_out("it sets no variable to a constant")
        return []
    line.note("the values hold until the end of the run, and no longer")
    return [{"kind": "set_variables", "variables": values}]


def read_variable_values(params: JsonObject) -> tuple[Mapping[str, Any], bool]:
    """Return the values that a step sets, and whether they are formulas.

    `variables` is an object of values, or a list of keys and values; `definitions` is such a list, depending on the
    type of the step. Values in both are used.
    """
    is_plain = isinstance(params.values.get("variables"), dict)
    listed = [] if is_plain else params.get_objects("variables")
    values: dict[str, Any] = dict(params.get_object("variables").read_whole()) if is_plain else {}
    formulas = not values
    for one in (*listed, *params.get_objects("definitions")):
        secret = one.get_flag("secret", default=False)
        values[one.get_text("key", "name")] = None if secret else one.get_value("value")
    return values, params.get_flag("evaluateValues", default=formulas)


def _read_formula(value: object) -> Any:
    """Return a number, or the text in the quotes of a formula; None if it is neither."""
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        if quoted := re.fullmatch(r"""\s*(?:"([^"\\]*)"|'([^'\\]*)')\s*""", value):
            return quoted[1] if quoted[1] is not None else quoted[2]
        if re.fullmatch(r"\s*-?[0-9]{1,15}(\.[0-9]+)?\s*", value):
            return float(value) if "." in value else int(value)
    return None


def _translate_sql(state: ImportState, params: JsonObject, line: ObjectLine) -> list[Keys]:
    sql = params.get_text("sql", "query")
    if may_hold_password(sql):
        line.leave_out("its statements may hold a password")
        return []
    name = find_database(state, params.get_text("connection"), params.place, line)
    if not name or not sql:
        line.leave_out("its connection is not a PostgreSQL database, or it has no statement")
        return []
    return [{"kind": "sql", "connection": name, "statements": [fill_sql(state, sql, state.names.variables, line)]}]


def _translate_clear(state: ImportState, params: JsonObject, line: ObjectLine) -> list[Keys]:
    items = params.get_objects("clears") or params.get_objects("items")
    names = _find_targets(state, items, line, "datasets")
    if not names:
        _report_nothing(items, "clear", line)
        return []
    line.note("TODO it is switched off, because it removes rows: switch it on if it shall do so here")
    return [{**_build_clearing(state, name, line), "active": False} for name in names]


def _build_clearing(state: ImportState, name: str, line: ObjectLine) -> Keys:
    """Return the keys of a step that empties a dataset, which is a table or has files."""
    dataset = state.sections["datasets"][name]
    if "table" not in dataset:
        return {"kind": "clear", "target": name}
    table = quote_name(*(split_table_name(dataset["table"]) or (dataset["table"],)))
    own = {variable: variable for variable in state.sections["variables"]}
    statement = fill_sql(state, f"DELETE FROM {table}", own, line)  # noqa: S608 # a quoted name of the project
    return {"kind": "sql", "connection": dataset["connection"], "statements": [statement]}


def _translate_bundle(state: ImportState, params: JsonObject, line: ObjectLine) -> list[Keys]:
    bundle = _find_bundle(state, line)
    called, numbered = params.get_text("bundleId"), params.get_flag("transmogrify", default=False)
    if params.get_flag("publishOnDeployer", default=False):
        line.note("TODO DSS publishes it on its deployer: name a folder under registry:, and add publish: true")
    if numbered:
        line.note("DSS adds a number to the name of the bundle; here ${as_of} makes it another one every day")
        called += "-${as_of}"
    filled = fill_references(called, state.names, line, ("as_of",)) if called else None
    return [{"kind": "create_bundle", "bundle": bundle, "called": filled}]


def _find_bundle(state: ImportState, line: ObjectLine) -> str:
    """Return the name of the project's bundle, declared without data if no file has its settings."""
    bundles = state.sections["bundles"]
    if not bundles:
        bundles["first"] = Part("")
        bundles["first"].add_todo("name under include: the datasets whose rows are part of it")
        line.note("TODO the bundle has no data: name its datasets under bundles: first: include:")
    return next(iter(bundles))


def _translate_deployment(state: ImportState, params: JsonObject, line: ObjectLine) -> list[Keys]:
    id_ = params.get_text("deploymentId")
    if not id_:
        line.leave_out("it names no deployment")
        return []
    bundle = _find_bundle(state, line)
    line.note("TODO it is switched off: say under infrastructures: where it deploys to, and switch it on")
    name = declare_deployment(state, id_, bundle, f"{params.place}.deploymentId")
    return [{"kind": "update_deployment", "deployment": name, "active": False}]


_KINDS: dict[str, Callable[[ImportState, JsonObject, ObjectLine], list[Keys]]] = {
    "build_flowitem": _translate_build,
    "check_dataset": _translate_checks,
    "compute_metrics": _translate_metrics,
    "run_scenario": _translate_child,
    "define_vars": _translate_variables,
    "set_project_vars": _translate_variables,
    "set_global_vars": _translate_variables,
    "exec_sql": _translate_sql,
    "clear_items": _translate_clear,
    "prepare_bundle": _translate_bundle,
    "update_projectdeployer_deployment": _translate_deployment,
}

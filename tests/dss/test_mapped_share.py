"""How much of a project is imported: every type that is seen in projects, in the keys of 2020 and of 2026.

Types that were read in files of real projects stand here five times, those that are only documented once.
"""

import json
from itertools import product
from typing import Any

import pytest

from engine.dss.project_import import import_project
from engine.dss.report import ImportReport
from tests.dss.project_documents import as_files

Json = dict[str, Any]
ORDERS, STORE, MODEL = (
    {"type": type_, "itemId": id_, "partitionsSpec": ""}
    for type_, id_ in (("DATASET", "orders"), ("MODEL_EVALUATION_STORE", "St0reAb1"), ("SAVED_MODEL", "Mod3lAb1"))
)
MAIL = {"type": "mail-scenario", "configuration": {"recipient": "a@example.com", "messageSource": "TEMPLATE_FILE"}}

SEEN_STEPS: list[tuple[str, Json]] = [
    ("build_flowitem", {"builds": [ORDERS], "jobType": "RECURSIVE_BUILD"}),
    ("build_flowitem", {"builds": [STORE, MODEL], "jobType": "NON_RECURSIVE_FORCED_BUILD"}),
    ("check_dataset", {"checks": [ORDERS, STORE]}),
    ("compute_metrics", {"computes": [ORDERS]}),
    ("check_consistency", {}),
    ("run_scenario", {"scenarioId": "OTHER"}),
    ("send_report", {"messaging": MAIL, "failOnMessageNotSent": False}),
    ("custom_python", {"script": "pass"}),
]
DOCUMENTED_STEPS: list[tuple[str, Json]] = [
    ("clear_items", {"clears": [ORDERS]}),
    ("exec_sql", {"connection": "pg", "sql": "DELETE FROM ${projectKey}_old WHERE day < '${day}'"}),
    ("define_vars", {"variables": {}, "definitions": [{"key": "day", "value": '"2026-01-01"'}]}),
    ("set_project_vars", {"variables": {"day": "2026-01-01"}}),
    ("set_global_vars", {"variables": [{"key": "day", "value": "2026-01-01"}], "evaluateValues": False}),
    ("reload_schema", {"items": [ORDERS]}),
    ("schema_propagation", {}),
    ("invalidate_cache", {}),
    ("refresh_chart_cache", {}),
    ("prepare_bundle", {"bundleId": "v1", "transmogrify": True}),
    ("update_projectdeployer_deployment", {"deploymentId": "orders-on-prod"}),
    ("prepare_lambda_package", {"serviceId": "s"}),
    ("update_apideployer_deployment", {"deploymentId": "s"}),
    ("restart_webapp", {"webAppId": "w"}),
    ("runnable", {"runnableType": "macro"}),
]
LEFT_STEPS = {"custom_python", "prepare_lambda_package", "update_apideployer_deployment", "restart_webapp", "runnable"}

TIMES: list[Json] = [
    {"frequency": "Minutely", "repeatFrequency": 15},
    {"frequency": "Hourly", "repeatFrequency": 1, "minute": 20},
    {"frequency": "Hourly", "repeatFrequency": 4},
    {"frequency": "Daily", "repeatFrequency": 1},
    {"frequency": "Daily", "repeatFrequency": 2},
    {"frequency": "Weekly", "repeatFrequency": 1, "daysOfWeek": ["Monday", "Friday"]},
    {"frequency": "Weekly", "repeatFrequency": 2, "daysOfWeek": ["Tuesday"]},
    {"frequency": "Monthly", "repeatFrequency": 1, "monthlyRunOn": "ON_THE_DAY"},
    {"frequency": "Monthly", "repeatFrequency": 5, "monthlyRunOn": "LAST_DAY_OF_THE_MONTH"},
    {"frequency": "Monthly", "repeatFrequency": 1, "monthlyRunOn": "FIRST_WEEK", "daysOfWeek": ["Monday"]},
    {"frequency": "Monthly", "repeatFrequency": 3, "monthlyRunOn": "LAST_WEEK", "daysOfWeek": ["Sunday"]},
]
OTHER_TRIGGERS: list[tuple[str, Json]] = [
    ("ds_modified", {"watches": [ORDERS], "triggerWhenAllFire": False}),
    ("ds_modified", {"watches": [ORDERS, {"type": "DATASET", "itemId": "elsewhere"}], "triggerWhenAllFire": True}),
    ("ds_modified", {"watches": [{"type": "MANAGED_FOLDER", "itemId": "F0lder01"}]}),
    ("sql_query", {"connection": "pg", "sql": 'SELECT max(day) FROM "${projectKey}_orders"', "hasLimit": True}),
    ("sql_query", {"connection": "snow", "sql": "SELECT 1"}),
    ("follow_scenariorun", {"scenarioId": "OTHER", "outcomeFilter": "FAILED"}),
    ("follow_scenariorun", {"scenarioId": "ELSEWHERE", "projectKey": "ANOTHER"}),
]
CONDITIONS = [
    "outcome == 'SUCCESS'",
    "outcome!='SUCCESS'",
    'outcome == "FAILED" ',
    " outcome == 'WARNING'",
    "outcome == 'ABORTED'",
    "outcome != ' SUCCESS'",
    "stepOutcome_Build_orders == 'SUCCESS'",
    "stepOutcome_Build_orders=='WARNING'",
    'stepOutcome_Build_orders != "FAILED"',
    "stepOutcome_Build_orders == 'FAILED' ",
    "stepOutcome_Build_orders != 'ERROR'",
    "outcome == 'FAILED' || outcome == 'WARNING'",
    "outcome != 'SUCCESS' && stepOutcome_Build_orders == 'WARNING'",
]
METRICS = [
    *("records:COUNT_RECORDS", "basic:COUNT_COLUMNS", "col_stats:MIN:amount", "col_stats:MAX:amount"),
    *("col_stats:MEAN:amount", "col_stats:COUNT_DISTINCT:id", "col_stats:COUNT_NULL:amount"),
]
STORE_METRICS = ["DATA_DRIFT", "DATA_DRIFT_PVALUE", "ROC_AUC", "ACCURACY", "MAX_PSI", "MIN_KS", "amount_PSI"]
RULES: list[Json] = [
    {"type": "RecordCountInRangeRule", "minimum": 1, "minimumEnabled": True},
    {"type": "ColumnMinInRangeRule", "columns": ["amount"], "minimum": 0, "minimumEnabled": True},
    {"type": "ColumnAvgInRangeRule", "columns": ["amount"], "softMaximum": 9, "softMaximumEnabled": True},
    {"type": "ColumnNotEmptyRule", "columns": ["id"], "thresholdType": "ENTIRE_COLUMN_NOT_EMPTY"},
    {"type": "ColumnUniqueValuesRule", "columns": ["id"], "thresholdType": "ENTIRE_COLUMN"},
    {"type": "ValuesInSetRule", "columns": ["state"], "values": ["A", "B"]},
    {"type": "ValuesInRangeRule", "columns": ["amount"], "minimum": 0, "minimumEnabled": True},
    {"type": "DatasetSchemaContainsRule", "expectedSchema": {"columns": [{"name": "id", "type": "bigint"}]}},
    {"type": "DriftRecordCountRule", "driftParams": {"iqrFactor": 1.5, "lookbackPeriod": 30, "periodUnit": "DAYS"}},
]
LEFT_CHECKS: list[Json] = [
    {"type": "python", "code": "def process(): pass"},
    {"type": "ColumnMeaningValidityRule", "columns": ["id"]},
]


@pytest.fixture(params=[2020, 2026])
def year(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def write_step(year: int, name: str, type_: str, params: Json, condition: str = "") -> Json:
    step: Json = {"id": name, "type": type_, "name": name, "maxRetriesOnFail": 0, "delayBetweenRetries": 10}
    step |= {"runConditionType": "RUN_IF_STATUS_MATCH", "runConditionStatuses": ["SUCCESS", "WARNING"]}
    step |= {"runConditionExpression": condition, "resetScenarioStatus": False}
    if condition:
        step["runConditionType"] = "RUN_CONDITIONALLY"
    old, new = {"warningsAsErrors": False}, {"handleWarningsAs": "WARNING"}
    step["params"] = {**params, "proceedOnFailure": False, **(old if year == 2020 else new)}
    return step if year == 2020 else {**step, "enabled": True}


def write_trigger(year: int, type_: str, params: Json) -> Json:
    if type_ == "temporal":
        params = {"startingFrom": "2019-12-31", "hour": 3, "minute": 0, **params}
        old = {"count": 1, "dayOfMonth": 1, "startingFrom": "2019-12-31T23:00:00.000Z"}
        params |= old if year == 2020 else {"timezone": "SERVER"}
    return {"id": "t", "type": type_, "name": "Time-based", "active": True, "delay": 60, "params": params}


def write_reporter(year: int, condition: str) -> Json:
    names = {} if year == 2020 else {"name": "told"}
    enabled = {"runConditionEnabled": bool(condition), "runCondition": condition}
    return {"id": "r", "active": True, "phase": "END", **names, **enabled, "messaging": MAIL}


def write_check(year: int, number: int, check: Json) -> Json:
    named = {"meta": {"label": f"check {number}"}} if year == 2020 else {"displayName": f"check {number}"}
    return {**check, **named, **({"computeOnBuildMode": "PARTITION"} if year == 2020 else {"enabled": True})}


def write_range(metric: str) -> Json:
    bounds = {"minimum": 0.0, "minimumEnabled": False, "softMaximum": 0.9, "softMaximumEnabled": True}
    return {"type": "numericRange", "metricId": metric, **bounds}


def write_project(year: int) -> dict[str, Json]:
    steps = [write_step(year, "Build orders", *SEEN_STEPS[0])]
    steps += [write_step(year, f"{t} {n}", t, p) for n, (t, p) in enumerate(SEEN_STEPS * 5 + DOCUMENTED_STEPS)]
    steps += [write_step(year, f"condition {n}", *SEEN_STEPS[0], text) for n, text in enumerate(CONDITIONS)]
    triggers = [write_trigger(year, "temporal", params) for params in TIMES]
    triggers += [write_trigger(year, type_, params) for type_, params in OTHER_TRIGGERS]
    reporters = [write_reporter(year, text) for text in ("", *CONDITIONS)]
    ranges = [write_range(metric) for metric in METRICS] * 5
    ranges += [{"type": "valueSet", "metricId": "basic:COUNT_COLUMNS", "values": ["3"]}]
    rules = [] if year == 2020 else RULES
    checks = [write_check(year, n, one) for n, one in enumerate([*ranges, *rules, *LEFT_CHECKS])]
    drifts = [write_check(year, n, write_range(f"model_perf:{one}")) for n, one in enumerate(STORE_METRICS)]
    columns = [{"name": "id", "type": "bigint"}, {"name": "amount", "type": "double"}, {"name": "state"}]
    owner = {"projectKey": "ORDERS"} if year == 2020 else {}
    table = {"connection": "pg", "mode": "table", "table": "${projectKey}_orders", "schema": "public"}
    probes: Json = {"metrics": {"probes": []}}
    dataset = {"type": "PostgreSQL", "params": table, "schema": {"columns": columns}, **owner, **probes}
    other = {"type": "step_based", "active": False, "params": {"steps": [write_step(year, "b", *SEEN_STEPS[0])]}}
    return {
        "params.json": {"name": "Orders"},
        "variables.json": {"standard": {"day": "2026-01-01"}, "local": {}},
        "datasets/orders.json": {**dataset, "metricsChecks": {"checks": checks}},
        "datasets/sales.json": {"type": "Snowflake", "params": {"connection": "snow", "table": "sales"}},
        "saved_models/Mod3lAb1.json": {"name": "risk", "metricsChecks": {"checks": [write_check(year, 1, drifts[2])]}},
        "model_evaluation_stores/St0reAb1.json": {"name": "risk store", "metricsChecks": {"checks": drifts}},
        "scenarios/OTHER.json": {**other, **owner},
        "scenarios/ALL.json": {
            **owner,
            "type": "step_based",
            "active": True,
            "triggers": triggers,
            "reporters": reporters,
            "params": {"steps": steps},
        },
    }


def import_documents(documents: dict[str, Json]) -> ImportReport:
    texts = {file: json.dumps(value).encode() for file, value in documents.items()}
    return import_project(as_files(texts), with_data=False).report


def measure_share(report: ImportReport, kind: str) -> float:
    lines = [line for line in report.lines if line.kind == kind]
    return sum(line.reason is None for line in lines) / len(lines)


def test_what_is_seen_in_projects_is_imported(year: int) -> None:
    report = import_documents(write_project(year))
    assert measure_share(report, "step") >= 0.87
    assert measure_share(report, "trigger") == 1
    assert measure_share(report, "reporter") == 1
    assert measure_share(report, "check") >= 0.87
    left = {line.name.split()[0] for line in report.left_out if line.kind == "step"}
    assert left == LEFT_STEPS
    conditional = [line for line in report.lines if line.kind in ("step", "reporter")]
    assert [
        line.name for line in conditional if any("condition" in note and "TODO" in note for note in line.notes)
    ] == []


def find_mistakes(report: ImportReport, *words: str) -> list[str]:
    return [f"{place} {text}" for place, text in report.mistakes if all(word in f"{place} {text}" for word in words)]


def test_the_mistakes_of_authors_are_reported(year: int) -> None:
    documents = write_project(year)
    steps = documents["scenarios/ALL.json"]["params"]["steps"]
    before = import_documents(documents).mistakes
    steps.append(write_step(year, "Build orders", *SEEN_STEPS[0]))
    steps.append(write_step(year, "stale", *SEEN_STEPS[0]) | {"runConditionExpression": "!step_"})
    report = import_documents(documents)
    found = [one for one in report.mistakes if one not in before]
    assert find_mistakes(report, "stepOutcome_Build_orders != 'ERROR'", "always true")
    assert find_mistakes(report, "it has the name of an earlier step, 'Build orders'")
    assert find_mistakes(report, "ALL.json $.triggers[16]", "'OTHER', which it itself runs: it starts itself again")
    assert find_mistakes(report, "'!step_' has no effect")
    assert len(found) == 2, found


@pytest.mark.parametrize(("missing", "kind"), list(product(["variables.json", "params.json"], ["step", "check"])))
def test_files_may_be_missing(missing: str, kind: str) -> None:
    documents = write_project(2026)
    del documents[missing]
    report = import_documents(documents)
    assert measure_share(report, kind) >= 0.85

"""The reference page of the language: the guide in `guide.md`, with tables generated from the code.

The guide has a marker such as `<!-- keys: FileDataset -->` where a table belongs. Only the prose is written by hand, so
the page cannot lack a key, kind, metric or code of the language, nor show one that does not exist.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import cache
from importlib.resources import files

from pydantic import BaseModel

from engine.discovery.file_endings import ENDINGS
from engine.formatting.lists import join_alternatives
from engine.formatting.numbers import format_number, format_seconds
from engine.outcome import CheckOutcome, ExitCode, Outcome
from engine.spec.conditions.syntax import GRAMMAR
from engine.spec.metrics.catalogue import CHALLENGER_METRICS, METRICS
from engine.spec.metrics.definition import MetricDefinition
from engine.spec.metrics.lookup import is_estimate
from engine.spec.reference.codes import DIAGNOSTIC_CODES
from engine.spec.resources.channels import CHANNEL_KINDS
from engine.spec.resources.checks import CHECK_KINDS
from engine.spec.resources.connections import CONNECTION_KINDS
from engine.spec.resources.datasets import DATASET_KINDS
from engine.spec.resources.deployments import INFRASTRUCTURE_KINDS
from engine.spec.resources.evaluation_stores import REFERENCE_KINDS
from engine.spec.resources.models import MODEL_KINDS
from engine.spec.resources.node import NodeResource
from engine.spec.resources.project import ProjectResource
from engine.spec.resources.resource import Resource
from engine.spec.resources.scenarios import STEP_KINDS
from engine.spec.resources.triggers import TRIGGER_KINDS
from engine.spec.rules.messages import MESSAGE_NAMES
from engine.spec.rules.references import describe_section
from engine.spec.validation.value_types import ValueType, list_keys
from engine.spec.variables.moment import FIRE_NAMES

KINDS_BY_SECTION: dict[str, dict[str, type[Resource]]] = {
    "connections": CONNECTION_KINDS,
    "datasets": DATASET_KINDS,
    "models": MODEL_KINDS,
    "references": REFERENCE_KINDS,
    "checks": CHECK_KINDS,
    "channels": CHANNEL_KINDS,
    "steps": STEP_KINDS,
    "triggers": TRIGGER_KINDS,
    "infrastructures": INFRASTRUCTURE_KINDS,
}

_MARKER = re.compile(r"<!-- (\w[\w ]*?)(?:: ([\w ]+))? -->")
_MESSAGE_NAME_MEANINGS = {
    "scenarioName": "Name of the scenario.",
    "projectKey": "Name of the project.",
    "outcome": "Outcome of the run.",
    "triggerName": "What started the run: manual, watch, the name of a trigger, or scenario and the name of another.",
    "scenarioRunURL": "Address of the run on the server; needs `server`.",
    "scenarioRunId": "Id of the run.",
    "warningsEventsSummary": "One line per warning, with the check, the value, the range and the dataset or store.",
    "errorsEventsSummary": "One line per error.",
    "checksSummary": "Number of checks with each outcome.",
    "changesSummary": "Changes since the last evaluation whose checks were OK: of the model, the reference, "
    "settings (with their lines), code, versions, variables and files.",
    "startTime": "Time when the run started, in UTC.",
    "duration": "Duration of the run.",
    "changed": "The names of the changed datasets, if their change has started the run.",
    "previous_as_of": "The date of the previous time of the trigger; in its first run, and in a run without a "
    "trigger, the date of the run itself.",
    "previous_as_of_time": "The same with the time of day.",
}
_EXIT_CODE_MEANINGS = {
    ExitCode.INTERRUPTED: "the run was interrupted",
    ExitCode.USAGE: "the spec or the command line is wrong; nothing was run",
    ExitCode.COULD_NOT_RUN: "something could not be run: because of the data, a model, the state, a timeout "
    "or a bug; or a bundle is damaged or refused",
    ExitCode.CHECK_ERROR: "a check is ERROR (see `--fail-on`); for `engine drill`: nothing would have alerted you",
    ExitCode.UNDELIVERED: "a message has not been delivered yet",
    ExitCode.OK: "none of the above",
}
_READING_MEANINGS = {
    "metric": "a metric",
    "condition": "a run condition",
    "message": "a message",
    "sql": "SQL",
    "statement": "SQL",
    "where": "a condition in SQL on the columns of a row",
    "function": "`module:function`",
    "secret": "text, which may contain secrets",
    "cron": "a cron expression",
    "trigger": "text, a number, true or false",
}
_PREDICTION_METRICS = ("prediction_drift", "predicted_share", "reference_predicted_share", "fugacity")
_METRIC_GROUPS: dict[str, Callable[[MetricDefinition], bool]] = {
    "dataset whole": lambda m: m.scope == "dataset" and m.member is None,
    "dataset column": lambda m: m.scope == "dataset" and m.member == "column",
    "store whole": lambda m: m.scope == "store" and m.member is None and not m.labels and not is_estimate(m.name),
    "store estimate": lambda m: is_estimate(m.name),
    "store column": lambda m: m.scope == "store" and m.member == "column",
    "store prediction": lambda m: m.name in _PREDICTION_METRICS,
    "store performance": lambda m: m.labels and m.member is None,
    "store change": lambda m: m.member == "performance" and m.name not in CHALLENGER_METRICS,
    "store challenger": lambda m: m.name in CHALLENGER_METRICS,
}


def render_reference_page() -> str:
    """Return the reference page as Markdown."""
    guide = files("engine.spec.reference").joinpath("guide.md").read_text(encoding="utf-8")
    return _MARKER.sub(lambda marker: _render_marker(marker[1], marker[2] or ""), guide)


def list_resources() -> dict[str, type[Resource]]:
    """Return all resources of specs and of files of nodes, and the base classes that kinds share, by class name."""
    return {resource.__name__: resource for resource in _label_resources()}


@cache
def _label_resources() -> dict[type[Resource], str]:
    """Return the place of each resource as the page shows it: `datasets.<name>`, `csv`, `drift.columns`."""
    found: dict[type[Resource], str] = {ProjectResource: "", NodeResource: ""}
    waiting: list[type[Resource]] = [ProjectResource, NodeResource]
    # Breadth first, so that a resource used at several places is shown at the outermost.
    while waiting:
        resource = waiting.pop(0)
        before = "" if "<" in found[resource] or not found[resource] else f"{found[resource]}."
        for key, field in list_keys(resource).items():
            for inner, label in _find_nested_resources(field.type, before + key):
                if inner not in found:
                    found[inner] = label
                    waiting.append(inner)
    for resource in tuple(found):
        if (base := _find_shared_base(resource)) is not None:
            found.setdefault(base, found[resource])
    return found


def _find_shared_base(resource: type[Resource]) -> type[Resource] | None:
    """Return the class whose keys all kinds of a resource have; None for a resource without kinds."""
    base = resource.__bases__[-1]
    has_kinds = "kind" in resource.model_fields and base is not Resource
    return base if has_kinds and issubclass(base, Resource) else None


def _find_nested_resources(type_: ValueType, label: str) -> Iterator[tuple[type[Resource], str]]:
    yield from ((resource, label) for resource in type_.resources)
    if type_.items is not None:
        yield from _find_nested_resources(type_.items, f"{label}.<each>")
    if type_.values is not None:
        yield from _find_nested_resources(type_.values, f"{label}.<name>")


def _render_marker(marker: str, argument: str) -> str:
    match marker:
        case "keys":
            return _render_keys(list_resources()[argument])
        case "kinds":
            return _render_kinds(KINDS_BY_SECTION[argument])
        case "metrics":
            return _render_metrics([metric for metric in METRICS if _METRIC_GROUPS[argument](metric)])
        case "endings":
            return ", ".join(f"`{ending}`" for ending in ENDINGS)
        case "outcomes":
            return ", ".join(f"`{outcome}`" for outcome in (Outcome if argument == "run" else CheckOutcome))
        case "message names":
            return _render_table(
                ("name", "value"),
                ((f"`${{{name}}}`", _MESSAGE_NAME_MEANINGS[name]) for name in (*MESSAGE_NAMES, *FIRE_NAMES)),
            )
        case "exit codes":
            return _render_table(
                ("code", "meaning"), ((str(int(code)), text) for code, text in _EXIT_CODE_MEANINGS.items())
            )
        case "condition grammar":
            return f"```text\n{GRAMMAR}```"
        case "codes":
            return _render_table(
                ("code", "meaning"), ((f"`{code}`", text) for code, text in sorted(DIAGNOSTIC_CODES.items()))
            )
    raise KeyError(marker)


def _render_table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *(tuple(map(_escape_cell, row)) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _escape_cell(text: str) -> str:
    """Escape what Markdown would take for the end of a cell, or for HTML outside of code."""
    text = text.replace("|", "\\|")
    return re.sub("`[^`]*`|<", lambda one: "&lt;" if one[0] == "<" else one[0], text)


def describe_resource(resource: type[Resource]) -> str:
    """Return the first line of the docstring of a resource, which describes it for users."""
    return (resource.__doc__ or "").strip().splitlines()[0]


def _render_kinds(kinds: dict[str, type[Resource]]) -> str:
    rows = (
        (f"`{kind}`" + (", the default" if i == 0 else ""), describe_resource(r))
        for i, (kind, r) in enumerate(kinds.items())
    )
    return _render_table(("kind", "what it is"), rows)


def _render_keys(resource: type[Resource]) -> str:
    """Return the table of the keys of a resource, without the keys of its base class."""
    base = _find_shared_base(resource)
    shared = list_keys(base) if base is not None else {}
    rows = []
    for key, field in list_keys(resource).items():
        if key in shared or key == "kind":
            continue
        info = next(i for name, i in resource.model_fields.items() if key in (i.alias, name))
        default = "*required*" if field.required else _format_default(info.default)
        rows.append((f"`{key}`", _describe_type(field.type), default, field.description))
    where = f"`kind: {resource.model_fields['kind'].default}`" if "kind" in resource.model_fields else ""
    title = f"{where or '`' + _label_resources()[resource] + '`'}: {describe_resource(resource)}".removeprefix("``: ")
    if shared:
        common = "the keys of all kinds" if len(shared) > 4 else ", ".join(f"`{key}`" for key in shared)
        title += f" In addition to {common}:"
    return (
        f"{title}\n\n{_render_table(('key', 'value', 'default', 'meaning'), rows)}"
        if rows
        else f"{title} No other keys."
    )


def plain_default(value: object) -> object:
    """Return the default of a key as a spec would write it."""
    return format_seconds(value.total_seconds()) if isinstance(value, timedelta) else value


def _format_default(value: object) -> str:
    if value is None or value in ([], {}) or isinstance(value, BaseModel):
        return ""
    value = plain_default(value)
    plain = isinstance(value, str) and re.fullmatch(r"[\w.]+", value)
    return f"`{value}`" if plain else f"`{json.dumps(value, ensure_ascii=False)}`"


def _describe_type(type_: ValueType) -> str:
    """Describe the values of a type, for a table."""
    if type_.sections:
        name = f"the name of {join_alternatives(describe_section(section) for section in type_.sections)}"
        return f"{name}, or a list of them" if type_.items else name
    words = []
    if type_.reading:
        words.append(_READING_MEANINGS[type_.reading])
    elif type_.scalars or type_.literals:
        words.append(ValueType(type_.scalars, type_.literals, constraints=type_.constraints).describe())
    if type_.items:
        words.append(f"a list; each item is {_describe_type(type_.items)}")
    if type_.values:
        words.append(
            f"a mapping by {'metric' if type_.key_reading else 'name'}; each value is {_describe_type(type_.values)}"
        )
    if len(type_.resources) > 1:
        words.append(f"a resource of kind {join_alternatives(r.model_fields['kind'].default for r in type_.resources)}")
    elif type_.resources:
        words.append(
            f"a mapping with {', '.join(f'`{key}`' for key in list_keys(type_.resources[0]) if key != 'kind')}"
        )
    return ", or ".join(words)


def _render_metrics(metrics: Iterable[MetricDefinition]) -> str:
    head = ("metric", "exists for", "range", "no drift", "worse", "meaning")
    return _render_table(
        head,
        (
            (
                _format_metric_name(m),
                _describe_metric_owner(m),
                _format_metric_range(m),
                _format_limit(m.neutral),
                m.worse or "",
                m.description,
            )
            for m in metrics
        ),
    )


def _format_metric_name(metric: MetricDefinition) -> str:
    return f"`{metric.name}.<{metric.member}>`" if metric.member else f"`{metric.name}`"


def _describe_metric_owner(metric: MetricDefinition) -> str:
    """Return the role of the columns, or the tasks of the models, for which a metric exists."""
    if metric.roles:
        return metric.roles[0] if len(metric.roles) == 1 else "any column"
    tasks = [task.removesuffix("_classification") for task in metric.tasks]
    return ", ".join(tasks) if len(tasks) < 3 else "any task"


def _format_metric_range(metric: MetricDefinition) -> str:
    if metric.low is None and metric.high is None:
        return ""
    return f"{_format_limit(metric.low) or '-∞'} to {_format_limit(metric.high) or '∞'}"


def _format_limit(value: float | None) -> str:
    return "" if value is None else format_number(value)

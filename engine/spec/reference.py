"""The reference page of the language: a guide in Markdown, and the tables that the code itself knows.

The guide holds `<!-- keys: FileDataset -->` where a table belongs. Prose is written where prose is read, and no table
by hand: a key, kind, metric or code that the page lacks or invents cannot pass the tests.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.resources import files

from pydantic import BaseModel

from engine.outcome import CheckOutcome, ExitCode, Outcome
from engine.spec.codes import CODES
from engine.spec.diagnostics import one_of
from engine.spec.metrics import METRICS, Metric
from engine.spec.resources.channels import CHANNEL_KINDS
from engine.spec.resources.checks import CHECK_KINDS
from engine.spec.resources.connections import CONNECTION_KINDS
from engine.spec.resources.datasets import DATASET_KINDS, ENDINGS
from engine.spec.resources.evaluation_stores import REFERENCE_KINDS
from engine.spec.resources.models import MODEL_KINDS
from engine.spec.resources.project import ProjectSpec
from engine.spec.resources.resource import Resource
from engine.spec.resources.scenarios import STEP_KINDS
from engine.spec.rules.messages import MESSAGE_NAMES
from engine.spec.rules.references import what
from engine.spec.types import Type, fields

KINDS: dict[str, dict[str, type[Resource]]] = {
    "connections": CONNECTION_KINDS,
    "datasets": DATASET_KINDS,
    "models": MODEL_KINDS,
    "references": REFERENCE_KINDS,
    "checks": CHECK_KINDS,
    "channels": CHANNEL_KINDS,
    "steps": STEP_KINDS,
}

_MARKER = re.compile(r"<!-- (\w[\w ]*?)(?:: ([\w ]+))? -->")
_MESSAGE_NAMES = {
    "scenarioName": "The scenario.",
    "projectKey": "The project.",
    "outcome": "How the run ended.",
    "triggerName": "What started it.",
    "scenarioRunURL": "Where the run can be seen; needs server.",
    "scenarioRunId": "The run's id.",
    "warningsEventsSummary": "One line a warning: what, value, range, where.",
    "errorsEventsSummary": "One line an error.",
    "checksSummary": "How many checks had which outcome.",
    "startTime": "When it started, UTC.",
    "duration": "How long it took.",
}
_EXITS = {
    ExitCode.INTERRUPTED: "interrupted",
    ExitCode.USAGE: "the spec or the command line is wrong; nothing ran",
    ExitCode.COULD_NOT_RUN: "something could not run: data, model, state, a timeout, a bug",
    ExitCode.CHECK_ERROR: "a check is ERROR (see `--fail-on`)",
    ExitCode.UNDELIVERED: "a message is still undelivered",
    ExitCode.OK: "none of these",
}
_READINGS = {
    "metric": "a metric",
    "condition": "a run condition",
    "message": "a message",
    "sql": "SQL",
    "function": "`module:function`",
    "secret": "a URL, in which secrets may stand",
}
_PREDICTION = ("prediction_drift", "predicted_share", "reference_predicted_share", "fugacity")
_METRICS: dict[str, Callable[[Metric], bool]] = {
    "dataset whole": lambda m: m.scope == "dataset" and m.member is None,
    "dataset column": lambda m: m.scope == "dataset" and m.member == "column",
    "store whole": lambda m: m.scope == "store" and m.member is None and not m.labels,
    "store column": lambda m: m.scope == "store" and m.member == "column",
    "store prediction": lambda m: m.name in _PREDICTION,
    "store performance": lambda m: m.labels and m.member is None,
    "store change": lambda m: m.member == "performance",
}


def page() -> str:
    """Return the reference page, Markdown."""
    guide = files("engine.spec").joinpath("guide.md").read_text(encoding="utf-8")
    return _MARKER.sub(lambda marker: _filled(marker[1], marker[2] or ""), guide)


def resources() -> dict[str, type[Resource]]:
    """Return every resource of the language, and the classes that kinds share, by class name."""
    return {resource.__name__: resource for resource in _labels()}


@cache
def _labels() -> dict[type[Resource], str]:
    """Return where each resource stands, as the page calls it: `datasets.<name>`, `csv`, `drift.columns`."""
    found: dict[type[Resource], str] = {ProjectSpec: ""}
    waiting: list[type[Resource]] = [ProjectSpec]
    while waiting:
        resource = waiting.pop(0)
        before = "" if "<" in found[resource] or not found[resource] else f"{found[resource]}."
        for key, field in fields(resource).items():
            for inner, label in _inner(field.type, before + key):
                if inner not in found:
                    found[inner] = label
                    waiting.append(inner)
    for resource in tuple(found):
        base = resource.__bases__[0]
        if issubclass(base, Resource) and base is not Resource:
            found.setdefault(base, found[resource])
    return found


def _inner(type_: Type, label: str) -> Iterator[tuple[type[Resource], str]]:
    yield from ((resource, label) for resource in type_.resources)
    if type_.items is not None:
        yield from _inner(type_.items, f"{label}.<each>")
    if type_.values is not None:
        yield from _inner(type_.values, f"{label}.<name>")


def _filled(marker: str, argument: str) -> str:
    match marker:
        case "keys":
            return _keys(resources()[argument])
        case "kinds":
            return _kinds(KINDS[argument])
        case "metrics":
            return _metrics([metric for metric in METRICS if _METRICS[argument](metric)])
        case "endings":
            return ", ".join(f"`{ending}`" for ending in ENDINGS)
        case "outcomes":
            return ", ".join(f"`{outcome}`" for outcome in (Outcome if argument == "run" else CheckOutcome))
        case "message names":
            return _table(("name", "is"), ((f"`${{{name}}}`", _MESSAGE_NAMES[name]) for name in MESSAGE_NAMES))
        case "exit codes":
            return _table(("code", "means"), ((str(int(code)), text) for code, text in _EXITS.items()))
        case "codes":
            return _table(("code", "means"), ((f"`{code}`", text) for code, text in sorted(CODES.items())))
    raise KeyError(marker)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *(tuple(map(_cell, row)) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(text: str) -> str:
    """Escape what Markdown would take for the end of a cell or, outside of code, for HTML."""
    text = text.replace("|", "\\|")
    return text if "`" in text else text.replace("<", "&lt;")


def _first_line(resource: type[Resource]) -> str:
    return (resource.__doc__ or "").strip().splitlines()[0]


def _kinds(kinds: dict[str, type[Resource]]) -> str:
    rows = (
        (f"`{kind}`" + (", the default" if i == 0 else ""), _first_line(r)) for i, (kind, r) in enumerate(kinds.items())
    )
    return _table(("kind", "is"), rows)


def _keys(resource: type[Resource]) -> str:
    """Return the table of the keys of a resource, without those that it shares with its base."""
    base = resource.__bases__[0]
    shared = fields(base) if issubclass(base, Resource) and base is not Resource else {}
    rows = []
    for key, field in fields(resource).items():
        if key in shared or key == "kind":
            continue
        info = next(i for name, i in resource.model_fields.items() if key in (i.alias, name))
        default = "*required*" if field.required else _default(info.default)
        rows.append((f"`{key}`", _words(field.type), default, field.description))
    where = f"`kind: {resource.model_fields['kind'].default}`" if "kind" in resource.model_fields else ""
    title = f"{where or '`' + _labels()[resource] + '`'}: {_first_line(resource)}".removeprefix("``: ")
    if shared:
        title += f" Besides {'the keys of every kind' if len(shared) > 4 else ', '.join(f'`{key}`' for key in shared)}:"
    return f"{title}\n\n{_table(('key', 'is', 'default', 'what it says'), rows)}" if rows else f"{title} No other keys."


def _default(value: object) -> str:
    if value is None or value in ([], {}) or isinstance(value, BaseModel):
        return ""
    plain = isinstance(value, str) and re.fullmatch(r"[\w.]+", value)
    return f"`{value}`" if plain else f"`{json.dumps(value, ensure_ascii=False)}`"


def _words(type_: Type) -> str:
    """Return what a value is, for a table."""
    if type_.sections:
        name = f"the name of {one_of(what(section) for section in type_.sections)}"
        return f"{name}, or a list of them" if type_.items else name
    words = []
    if type_.reading:
        words.append(_READINGS[type_.reading])
    elif type_.scalars or type_.literals:
        words.append(Type(type_.scalars, type_.literals, constraints=type_.constraints).expected())
    if type_.items:
        words.append(f"a list: each {_words(type_.items)}")
    if type_.values:
        words.append(f"a mapping of {'metrics' if type_.key_reading else 'names'}: each {_words(type_.values)}")
    if len(type_.resources) > 1:
        words.append(f"a mapping of kind {one_of(r.model_fields['kind'].default for r in type_.resources)}")
    elif type_.resources:
        words.append(f"a mapping: {', '.join(f'`{key}`' for key in fields(type_.resources[0]) if key != 'kind')}")
    return ", or ".join(words)


def _metrics(metrics: Iterable[Metric]) -> str:
    head = ("metric", "of", "range", "no drift", "worse", "is")
    return _table(
        head, ((_name(m), _of(m), _range(m), _number(m.neutral), m.worse or "", m.description) for m in metrics)
    )


def _name(metric: Metric) -> str:
    return f"`{metric.name}.<{metric.member}>`" if metric.member else f"`{metric.name}`"


def _of(metric: Metric) -> str:
    if metric.roles:
        return metric.roles[0] if len(metric.roles) == 1 else "any column"
    tasks = [task.removesuffix("_classification") for task in metric.tasks]
    return ", ".join(tasks) if len(tasks) < 3 else "any task"


def _range(metric: Metric) -> str:
    if metric.low is None and metric.high is None:
        return ""
    return f"{_number(metric.low) or '-∞'} to {_number(metric.high) or '∞'}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"

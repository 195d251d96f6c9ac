"""Import `variables.json`: the variables of a project."""

from collections.abc import Iterator, Mapping
from typing import Any

from engine.dss.import_state import ImportState
from engine.dss.names import make_identifier
from engine.dss.report import ObjectLine
from engine.dss.spec_writing import Day, Template
from engine.spec.rules.names import RESERVED_VARIABLES
from engine.spec.rules.placeholders import PLACEHOLDER
from engine.spec.secret_texts import may_be_secret
from engine.spec.variables.moment import FIRE_NAMES, MOMENT_NAMES
from engine.spec.variables.references import find_references, parse_iso_date

PROJECT_KEY = "project_key"
"""The variable for `${projectKey}`, a name that only messages have in the spec."""

_MOST_DEPTH = 8


def import_variables(state: ImportState) -> None:
    """Declare the variables of the project; those of a node are declared without a value."""
    names, variables = state.names.variables, state.sections["variables"]
    names["projectKey"] = PROJECT_KEY
    variables[PROJECT_KEY] = read_value(state.names.key or PLACEHOLDER)
    for file in ("variables.json", "localvariables.json"):
        found = state.read_object(file) if state.files.has_content(file) else None
        if found is None:
            continue
        # an export has them under "standard" and "local"
        whole = {"standard", "local"} >= set(found.values) and found.values
        for name, value, path in _flatten_values(found.read_whole(), "", "$"):
            if whole and value == {}:
                continue
            shown = name.removeprefix("standard.").removeprefix("local.") if whole else name
            line = state.report.add("variable", shown, f"{file} {path}")
            is_local = file.startswith("local") or (whole and name.startswith("local."))
            _import_variable(state, shown, value, line, is_local=bool(is_local))


def declare_unknown(state: ImportState, texts: list[str], place: str) -> None:
    """Declare variables that texts refer to but no file declares, such as `${NODE}`: variables of a DSS instance."""
    for text in texts:
        for reference in find_references(text):
            name = reference.text[2:-1].strip()
            if name and name not in state.names.variables:
                line = state.report.add("variable", name, place)
                line.note("TODO give it a value: no file of the project has one, so it is one of the DSS instance")
                declare_variable(state, name, PLACEHOLDER, line)


def read_value(text: str) -> Any:
    """Return a text as the value of a variable: a date is written without quotes, so that it stays a date."""
    return Day(text) if parse_iso_date(text) else text


def _import_variable(state: ImportState, name: str, value: object, line: ObjectLine, *, is_local: bool) -> None:
    if may_be_secret(name, value):
        state.add_secret(name)
        line.target = "secrets"
        line.note("it may be a secret: its value was not imported; set the environment variable of the secret")
    elif value is None or isinstance(value, list | dict):
        line.leave_out("a list, or a value that is missing, cannot be a variable here")
    elif name in state.names.variables:
        line.leave_out("a variable of this name is declared before it")
    elif is_local:
        line.note("TODO it belongs to the node: give each deployment its own value, under deployments: variables:")
        declare_variable(state, name, value, line)
        state.node_variables.append(state.names.variables[name])
    else:
        declare_variable(state, name, value, line)


def declare_variable(state: ImportState, name: str, value: object, line: ObjectLine) -> None:
    """Declare a variable of the spec under a valid name that no other one has."""
    taken = {*state.sections["variables"], *RESERVED_VARIABLES, *MOMENT_NAMES, *FIRE_NAMES}
    ours = make_identifier(name, taken)
    ours = ours if not ours.startswith("stepOutcome_") else f"v_{ours}"
    line.note_name(ours, name)
    if isinstance(value, str):
        text: Any = read_value(value)
        known = {ref.text[2:-1].strip() for ref in find_references(value)}
        if known and known <= set(state.names.variables):
            for one in known:
                text = str(text).replace(f"${{{one}}}", f"${{{state.names.variables[one]}}}")
            text = Template(text)
        value = text
    else:
        value = write_large_number(value, line)
    state.names.variables[name] = ours
    state.sections["variables"][ours] = value
    line.target = f"variables.{ours}"


def write_large_number(value: Any, line: ObjectLine) -> Any:
    """Return a number that a spec cannot represent as a text, and anything else unchanged."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) < 2**63:
        return value
    line.note("a number is too large, and becomes a text")
    return str(value)


def _flatten_values(
    values: Mapping[str, Any], prefix: str, path: str, depth: int = 0
) -> Iterator[tuple[str, Any, str]]:
    """Yield name, value and path of each value of nested objects; names are joined with dots."""
    for key, value in values.items():
        if isinstance(value, dict) and value and depth < _MOST_DEPTH:
            yield from _flatten_values(value, f"{prefix}{key}.", f"{path}.{key}", depth + 1)
        else:
            yield f"{prefix}{key}", value, f"{path}.{key}"

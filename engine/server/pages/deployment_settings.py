"""The settings of a deployment in forms: the scenarios whose triggers are active, and the values of variables.

Connections, channels and secrets are set in its spec or in node.yaml; a form leaves them unchanged.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from engine.server.answers import AnswerError
from engine.service.deployments.settings import Care
from engine.spec.rules.names import explain_illegal_name
from engine.spec.secrets.redaction import Redact

SCENARIO = "scenario."
"""The prefix of the form fields that say whether the triggers of a scenario are active."""

FIELD = "variables"
WORDS: Mapping[str, bool] = {"active": True, "inactive": False}
FIRST_SETTINGS: Mapping[str, Any] = {
    "values": {
        "variables": {}, "connections": {}, "channels": {}, "secrets": {}, "server_url": None, "scenarios": {},
    },
    "care": Care().to_json(),
}  # fmt: skip
"""The settings of a first deployment, which change nothing of the bundle."""


def list_fields(settings: Mapping[str, Any], scenarios: Iterable[str], redact: Redact) -> dict[str, Any]:
    """Return the values of a form's fields: a word for each scenario, empty if the spec decides, and the variables."""
    values = settings["values"]
    words = {given: word for word, given in WORDS.items()}
    names = dict.fromkeys([*scenarios, *values["scenarios"]])
    return {
        "scenarios": [(f"{SCENARIO}{name}", name, words.get(values["scenarios"].get(name), "")) for name in names],
        "words": list(WORDS),
        FIELD: "\n".join(_write_variables(values["variables"], redact).values()),
    }


def read_settings(form: Mapping[str, str], settings: Mapping[str, Any], redact: Redact) -> dict[str, Any]:
    """Return settings with the changes of a form; raise AnswerError if the form is not valid.

    A variable whose line is unchanged keeps its value, so that masked values are not lost.
    """
    shown = _write_variables(settings["values"]["variables"], redact)
    variables = {}
    lines = [line.strip() for line in form.get(FIELD, "").splitlines()]
    for number, line in enumerate(lines, 1):
        name, colon, text = (part.strip() for part in line.partition(":"))
        if not line:
            continue
        if not colon or explain_illegal_name(name) or name in variables:
            why = "there is a second value of" if name in variables else "no name and value are in"
            raise AnswerError(422, f'line {number} of the variables: {why} "{line[:60]}"', "write `name: value` a line")
        variables[name] = settings["values"]["variables"][name] if shown.get(name) == line else _parse_value(text)
    chosen = {key.removeprefix(SCENARIO): word for key, word in form.items() if key.startswith(SCENARIO)}
    if wrong := next((word for word in chosen.values() if word and word not in WORDS), None):
        raise AnswerError(422, f'"{wrong[:60]}" is not a word for a scenario', f"the words are {', '.join(WORDS)}")
    scenarios = {name: WORDS[word] for name, word in chosen.items() if word}
    kept = {key: value for key, value in settings.items() if key != "off"}
    return {**kept, "values": {**settings["values"], FIELD: variables, "scenarios": scenarios}}


def _write_variables(values: Mapping[str, Any], redact: Redact) -> dict[str, str]:
    return {name: redact(f"{name}: {_write_value(value)}") for name, value in values.items()}


def _write_value(value: object) -> str:
    """Return a value as text for a line: JSON, but a text without quotes if it is read back unchanged."""
    if isinstance(value, str) and value == value.strip() and value.isprintable() and _parse_value(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False)


def _parse_value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text

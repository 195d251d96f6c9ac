"""Writes a resolved project as YAML, which `engine render` prints.

The result is a spec too: reading it gives the same project, so it can be compared, kept and run. Passwords in URLs are
masked. The values of secrets are unknown here.
"""

import re
from datetime import date, timedelta
from typing import Any

import yaml

from engine.spec.resources.project import ProjectResource
from engine.spec.resources.resource import Resource
from engine.spec.validation.value_types import RAW_READINGS, list_keys
from engine.spec.variables.references import escape_references, parse_iso_date

MASK = "***"
"""Replaces a secret value in any text."""


def render_project(spec: ProjectResource) -> str:
    """Return the project as one YAML document, in the order of the reference page."""
    tree = {key: value for key, value in _resource_to_dict(spec).items() if key != "include"}
    tree["variables"] = {name: _variable_to_plain(value) for name, value in spec.variables.items()}
    return yaml.dump(
        {key: value for key, value in tree.items() if value not in ({}, None)},
        Dumper=_SpecDumper,
        sort_keys=False,
        allow_unicode=True,
        width=120,
    )


def _resource_to_dict(resource: Resource) -> dict[str, Any]:
    """Return the keys of a resource that the spec gives, and its kind. Defaults are not written."""
    types = {key: field.type for key, field in list_keys(type(resource)).items()}
    readings = {key: (type_.values or type_.items or type_).reading for key, type_ in types.items()}
    names = {info.alias or name: name for name, info in type(resource).model_fields.items()}
    given = resource.model_fields_set
    return {
        key: _value_to_plain(getattr(resource, names[key]), reading)
        for key, reading in readings.items()
        if names[key] in given
    }


def _value_to_plain(value: Any, reading: str | None) -> Any:
    if isinstance(value, Resource):
        return _resource_to_dict(value)
    if isinstance(value, dict):
        return {key: _value_to_plain(item, reading) for key, item in value.items()}
    if isinstance(value, list):
        return [_value_to_plain(item, reading) for item in value]
    if isinstance(value, timedelta):
        # not a plain number of seconds: as a bound of a metric, that would be read as a number
        return f"{value.total_seconds():f}".rstrip("0").rstrip(".") + "s"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        return (
            mask_url(value) if reading == "secret" else value if reading in RAW_READINGS else escape_references(value)
        )
    return value


def _variable_to_plain(value: Any) -> Any:
    """Return the value of a variable. A text that would be read as a date gets a declared type."""
    if isinstance(value, str) and parse_iso_date(value):
        return {"type": "text", "value": value}
    return _value_to_plain(value, None)


def mask_url(text: str) -> str:
    """Return the url of a channel or a connection with passwords masked: the login of a mail server, or all of it.

    The URL of Spark is not a secret, unless it contains a token.

    References are kept: they name a secret, and do not contain it.
    """
    from engine.connections.spark_settings import names_spark_without_login

    scheme, separator, rest = text.partition("://")
    if separator and scheme in ("smtp", "smtps"):
        login, at, host = rest.rpartition("@")
        return text if "${" in login or not at else f"{scheme}://{MASK}@{host}"
    if "${" in text or names_spark_without_login(text):
        return text
    return f"{scheme}://{MASK}" if separator else MASK


class _SpecDumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and quotes what YAML 1.1 or 1.2 could take for another type."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else _choose_quote_style(text)
    )


def _choose_quote_style(text: str) -> str | None:
    from_core = re.fullmatch(r"[-+.0-9].*|~|null|true|false|", text, re.IGNORECASE)
    return '"' if from_core or "${" in text else None


_SpecDumper.add_representer(str, _represent_text)

"""Writing a resolved project as YAML, which `engine render` prints.

The result is a spec too: reading it gives the same project, so it can be compared, kept and run. Passwords that the
author wrote into a URL are masked. The values of secrets are not known here at all.
"""

import re
from datetime import date, timedelta
from typing import Any

import yaml

from engine.spec.resources.project import ProjectSpec
from engine.spec.resources.resource import Resource
from engine.spec.types import RAW, fields
from engine.spec.variables import escape, iso_date

MASK = "***"
"""Replaces a secret value in any text."""


def render(spec: ProjectSpec) -> str:
    """Return the project as one YAML document, in the order of the reference page."""
    tree = {key: value for key, value in _plain(spec).items() if key != "include"}
    tree["variables"] = {name: _variable(value) for name, value in spec.variables.items()}
    return yaml.dump(
        {key: value for key, value in tree.items() if value not in ({}, None)},
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=120,
    )


def _plain(resource: Resource) -> dict[str, Any]:
    """Return the keys of a resource that the spec gives, and its kind. Defaults are not written."""
    readings = {key: field.type.reading for key, field in fields(type(resource)).items()}
    names = {info.alias or name: name for name, info in type(resource).model_fields.items()}
    given = resource.model_fields_set
    return {
        key: _value(getattr(resource, names[key]), reading) for key, reading in readings.items() if names[key] in given
    }


def _value(value: Any, reading: str | None) -> Any:
    if isinstance(value, Resource):
        return _plain(value)
    if isinstance(value, dict):
        return {key: _value(item, reading) for key, item in value.items()}
    if isinstance(value, list):
        return [_value(item, reading) for item in value]
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        return mask(value) if reading == "secret" else value if reading in RAW else escape(value)
    return value


def _variable(value: Any) -> Any:
    """Return the value of a variable. A text that would be read as a date gets a declared type."""
    if isinstance(value, str) and iso_date(value):
        return {"type": "text", "value": value}
    return _value(value, None)


def mask(text: str) -> str:
    """Return the url of a channel with passwords masked: the login of a mail server, or all of any other url.

    References are kept: they name a secret, and do not contain it.
    """
    scheme, separator, rest = text.partition("://")
    if separator and scheme in ("smtp", "smtps"):
        login, at, host = rest.rpartition("@")
        return text if "${" in login or not at else f"{scheme}://{MASK}@{host}"
    if "${" in text:
        return text
    return f"{scheme}://{MASK}" if separator else MASK


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and quotes what YAML 1.1 or 1.2 could take for another type."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else _quote(text))


def _quote(text: str) -> str | None:
    from_core = re.fullmatch(r"[-+.0-9].*|~|null|true|false|", text, re.IGNORECASE)
    return '"' if from_core or "${" in text else None


_Dumper.add_representer(str, _text)

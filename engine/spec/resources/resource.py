"""The base of the resources of the language: the frozen base model, and markers for special texts.

The type of a field decides how its text is read. A plain `str` has its variables filled in when the project is read. A
`SecretText` may also hold `${secret.name}` and is filled in only when it is used. A `Message`, `Condition`, `Sql`,
`Statement` or `RowCondition` keeps its text as written: the values of a message are known only during a run, a
condition names variables directly, and a variable in SQL becomes a literal. A `FireValue` of a trigger is kept until
the trigger starts a run. `Ref("datasets")` marks the name of a resource in that section, so that one pass can check
them all. `Opens` marks a path that the engine opens.
"""

from collections.abc import Set
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_jsonable_python

Scalar = bool | int | float | str | None


class Resource(BaseModel):
    """A mapping of the spec, with fixed keys. Instances are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, defer_build=True)


def facts_of(resource: Resource, keys: Set[str] | None = None) -> dict[str, Any]:
    """Return the settings of a resource as JSON data for a fingerprint: those of `keys` (or all) that are not defaults.

    So a new key in a later version of the language changes no existing fingerprint. When a default is changed, the
    version of the computation that it belongs to must be raised. `kind` is always included, because resources of
    different kinds may have equal keys.
    """
    facts = _dump_resource(resource, type(resource).model_fields.keys() if keys is None else keys)
    kind = getattr(resource, "kind", None)
    return {"kind": kind, **facts} if kind is not None and (keys is None or "kind" in keys) else facts


def _dump_resource(resource: Resource, keys: Set[str]) -> dict[str, Any]:
    """Return the same as `model_dump` without defaults, whose serializers are slow to build."""
    return {
        key: _dump_value(value)
        for key, field in type(resource).model_fields.items()
        if key in keys and (value := getattr(resource, key)) != field.get_default(call_default_factory=True)
    }


def _dump_value(value: Any) -> Any:
    if isinstance(value, Resource):
        return _dump_resource(value, type(value).model_fields.keys())
    if isinstance(value, dict):
        return {key: _dump_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_dump_value(item) for item in value]
    return to_jsonable_python(value)


def default_of(resource: Resource, key: str) -> Any:
    """Return the default of a key, in the form of `facts_of`; None if it has no default."""
    field = type(resource).model_fields.get(key)
    if field is None or field.is_required():
        return None
    default = field.get_default(call_default_factory=True)
    return facts_of(default) if isinstance(default, Resource) else default


@dataclass(frozen=True, slots=True)
class Ref:
    """Marks a text that names a resource of one of `sections`."""

    sections: tuple[str, ...]

    def __init__(self, *sections: str) -> None:
        object.__setattr__(self, "sections", sections)


@dataclass(frozen=True, slots=True)
class Reading:
    """Marks how a text is read: which `${…}` are allowed in it, and when they are filled in."""

    name: Literal[
        "message", "condition", "sql", "statement", "secret", "function", "metric", "trigger", "cron", "where"
    ]


@dataclass(frozen=True, slots=True)
class Opens:
    """Marks a path that the engine opens. On a node it must stay within the reach of the deployment.

    `places` is for a folder or a database whose content is read and written.
    """

    how: Literal["reads", "writes", "places"]


ReadPath = Annotated[str, Opens("reads")]
WrittenPath = Annotated[str, Opens("writes")]
DataPlace = Annotated[str, Opens("places")]

Message = Annotated[str, Reading("message")]
Condition = Annotated[str, Reading("condition")]
Sql = Annotated[str, Reading("sql")]
Statement = Annotated[str, Reading("statement")]
Function = Annotated[str, Reading("function")]
RowCondition = Annotated[str, Reading("where")]
CronText = Annotated[str, Reading("cron")]
MetricText = Annotated[str, Reading("metric")]
SecretText = Annotated[str, Reading("secret")]
FireValue = Annotated[bool | int | float | str, Reading("trigger")]

Names = list[str]
Share = Annotated[float, Field(gt=0, lt=1)]
Duration = Annotated[timedelta, Field(gt=timedelta(0))]
"""A duration: a number of seconds or a text such as 90s, 15m, 2h, 1d."""
Bound = float | timedelta
"""A bound of a metric: a number, or a duration if the metric is measured in seconds."""

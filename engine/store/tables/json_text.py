"""Serialization of values for JSON columns."""

import json
import math
import re
from collections.abc import Mapping
from datetime import date


def serialize_json(value: object) -> str:
    """Return `value` as JSON. NaN and infinities, which JSON lacks, become null; dates become ISO text.

    pydantic's serializer would also accept sets, whose order is not defined; here they are a TypeError.
    """
    try:
        text = json.dumps(value, allow_nan=False, default=_serialize_value, separators=(",", ":"), ensure_ascii=False)
    except ValueError:
        text = json.dumps(_replace_infinite(value), allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    # Lone surrogates cannot be encoded in UTF-8; they are stored as a visible escape, such as \udc80.
    return re.sub("[\ud800-\udfff]", lambda half: rf"\\u{ord(half[0]):04x}", text)


def _serialize_value(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not JSON")


def _replace_infinite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _replace_infinite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replace_infinite(item) for item in value]
    return value if value is None or isinstance(value, str | int) else _serialize_value(value)

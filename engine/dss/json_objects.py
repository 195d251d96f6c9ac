"""The JSON of a project's files, with the place of each value; values of an unexpected type are reported.

DSS writes and reads JSON that is not strict: single quotes, comments, and commas before a closing bracket occur in
files that people have edited.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

_LENIENT_TOKEN = re.compile(
    r"""(?P<double>"(?:[^"\\]|\\.)*")|(?P<single>'(?:[^'\\]|\\.)*')|(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<comma>,(?=\s*[}\]]))""",
    re.DOTALL,
)


def parse_lenient_json(text: str, repeated: list[str] | None = None) -> Any:
    """Parse JSON that may have single quotes, comments and commas before a closing bracket.

    Parameters
    ----------
    repeated
        A list to which the keys that occur twice in an object are added; the last value counts.

    Raises
    ------
    ValueError
        It is not even lenient JSON. The message contains only the position, nothing of the text.
    """
    found: list[str] = [] if repeated is None else repeated
    parse = partial(json.loads, object_pairs_hook=partial(_unite_pairs, found))
    try:
        return parse(text)
    except json.JSONDecodeError:
        found.clear()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    try:
        return parse(_LENIENT_TOKEN.sub(_to_strict, text))
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}, column {error.colno}: it is not JSON") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _unite_pairs(repeated: list[str], pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    united: dict[str, Any] = {}
    for key, value in pairs:
        if key in united:
            repeated.append(key)
        united[key] = value
    return united


def _to_strict(token: re.Match[str]) -> str:
    if token["single"] is not None:
        inner = token["single"][1:-1].replace("\\'", "'")
        return '"' + re.sub(r'(\\.)|"', lambda found: found[1] or '\\"', inner, flags=re.DOTALL) + '"'
    return token["double"] or ""


@dataclass(frozen=True, slots=True)
class JsonObject:
    """A JSON object with its file and path.

    Attributes
    ----------
    report_type
        Called with the place and the expected type, for a value of another type.
    read
        The paths that were read in the file; those in `whole` include everything inside.
    """

    file: str
    path: str
    values: Mapping[str, Any]
    report_type: Callable[[str, str], None] = field(repr=False)
    read: set[str] = field(default_factory=set, repr=False)
    whole: set[str] = field(default_factory=set, repr=False)

    @property
    def place(self) -> str:
        """The file and the path in it: `scenarios/DAILY.json $.triggers[0]`."""
        return f"{self.file} {self.path}"

    def get_text(self, *keys: str) -> str:
        """Return the text at the first key that has one; an empty text if none has."""
        for value in self._find_values(keys, "a text", str):
            if value:
                return str(value)
        return ""

    def get_value(self, key: str) -> Any:
        """Return the value at a key, of any type; None if there is none."""
        self.whole.add(f"{self.path}.{key}")
        return self.values.get(key)

    def read_whole(self) -> Mapping[str, Any]:
        """Return all values, and mark them as read with everything inside."""
        self.whole.add(self.path)
        return self.values

    def get_flag(self, key: str, default: bool) -> bool:
        """Return whether a flag is set: true or false, also as text."""
        value = self.get_value(key)
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        return next(iter(self._find_values((key,), "true or false", bool)), default)

    def get_number(self, *keys: str) -> float | int | None:
        """Return the finite number at the first key that has one, None if none has; numbers as texts count."""
        for key in keys:
            value = self.get_value(key)
            if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,15}(\.[0-9]+)?\s*", value):
                return float(value) if "." in value else int(value)
            for number in self._find_values((key,), "a number", int, float):
                if not isinstance(number, bool) and abs(number) < 2**63 and math.isfinite(number):
                    return number  # type: ignore[no-any-return] # one of the two types
                self.report_type(f"{self.file} {self.path}.{key}", "a finite number")
        return None

    def get_whole(self, *keys: str) -> int | None:
        """Return the whole number at the first key that has one; None if none has."""
        number = self.get_number(*keys)
        return None if number is None or not float(number).is_integer() else int(number)

    def get_object(self, key: str) -> "JsonObject":
        """Return the object at a key; an empty one if there is none."""
        found: dict[str, Any] = next(iter(self._find_values((key,), "an object", dict)), {})
        return self._make_child(f".{key}", found)

    def get_objects(self, key: str) -> list["JsonObject"]:
        """Return the objects in the list at a key; other entries are reported."""
        return [self._make_child(step, values) for step, values in self._find_items(key, "an object", dict)]

    def get_texts(self, key: str) -> list[str]:
        """Return the texts in the list at a key; other entries are reported."""
        return [text for _, text in self._find_items(key, "a text", str)]

    def _find_items(self, key: str, expected: str, type_: type) -> Iterator[tuple[str, Any]]:
        """Yield the items of a type in the list at a key, each with its step; other items are reported."""
        for place, value in enumerate(next(iter(self._find_values((key,), "a list", list)), [])):
            step = f".{key}[{place}]"
            if isinstance(value, type_):
                yield step, value
            else:
                self.report_type(f"{self.file} {self.path}{step}", expected)

    def _find_values(self, keys: tuple[str, ...], expected: str, *types: type) -> Iterator[Any]:
        self.read.update(f"{self.path}.{key}" for key in keys)
        for key in keys:
            value = self.values.get(key)
            if value is not None and (not isinstance(value, types) or (isinstance(value, bool) and bool not in types)):
                self.report_type(f"{self.file} {self.path}.{key}", expected)
            elif value is not None:
                yield value

    def _make_child(self, step: str, values: Mapping[str, Any]) -> "JsonObject":
        return JsonObject(self.file, self.path + step, values, self.report_type, self.read, self.whole)

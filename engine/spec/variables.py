"""`${name}`: the one resolver of references, and the typed values of a project's variables.

Names, dots, `['…']`, nothing more: no filters, loops or templates, so that a text can neither run code nor grow
without bound, and every name in it can be checked before anything runs. References are filled in after the YAML is
parsed, in text scalars only: a value can change neither the structure of a spec nor that of a query.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

from engine.spec.diagnostics import Findings
from engine.spec.problem import did_you_mean
from engine.spec.tree import Entry, MapNode, NumberError, Plain, ScalarNode, core

Value = Plain | date


class Invalid:
    """Stands for a value that a finding was made about."""


INVALID = Invalid()
MAX_TEXT = 1 << 20
MAX_REFERENCES = 1000
MAX_CHAIN = 100

_TOKEN = re.compile(
    r"\$\$\{|\$\{(?:\s*(?P<env>env\.[^}:]*)(?::-(?P<default>[^}]*))?|(?P<path>(?:\['[^']*'\]|[^}\[])*))\}|\$\{"
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PART = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\['([^']*)'\]")


@dataclass(frozen=True, slots=True)
class Reference:
    """A `${…}` in a text. `parts` are its names; none if it is malformed. `default` is what follows `:-`."""

    offset: int
    length: int
    text: str
    parts: tuple[str, ...]
    default: str | None = None


def is_identifier(name: str) -> bool:
    """Whether the name can stand in `${name}` and in a condition."""
    return _NAME.fullmatch(name) is not None


def references(text: str) -> list[Reference]:
    """Return every reference of the text, in order; `$${` is none."""
    found = []
    for token in _TOKEN.finditer(text):
        if token[0] == "$${":
            continue
        path = token["env"] or token["path"] or ""
        found.append(Reference(token.start(), len(token[0]), token[0], _parts(path.strip()), token["default"]))
    return found


def _parts(path: str) -> tuple[str, ...]:
    first = _NAME.match(path)
    if not first:
        return ()
    parts, at = [first[0]], first.end()
    while at < len(path):
        part = _PART.match(path, at)
        if not part:
            return ()
        parts.append(part[1] if part[1] is not None else part[2])
        at = part.end()
    return tuple(parts)


def lookup(parts: tuple[str, ...], names: Mapping[str, object]) -> object:
    """Return what the names lead to; raises KeyError with the first part that leads nowhere."""
    value: object = names
    for part in parts:
        if not isinstance(value, Mapping) or part not in value:
            raise KeyError(part)
        value = value[part]
    return value


def as_text(value: object) -> str:
    """Return a value as it stands in a text: `2017-10-01`, `0.45`, `true`; nothing for no value."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else str(value)


def shown(value: object) -> str:
    """Return a value as an error quotes it: `"text"`, `5`, `nothing`; long texts are cut."""
    if isinstance(value, str):
        return f'"{value[:60]}…"' if len(value) > 60 else f'"{value}"'
    return "nothing" if value is None else as_text(value).removesuffix(".0")


def fill(text: str, names: Mapping[str, object], otherwise: Callable[[Reference], str] | None = None) -> str:
    """Fill every reference of a text in.

    Parameters
    ----------
    text
        A text with `${…}`; `$${` becomes `${`.
    names
        What the first part of a reference names; mappings are walked by the parts that follow.
    otherwise
        What stands where a reference leads nowhere.

    Raises
    ------
    KeyError
        A reference leads nowhere and there is no `otherwise`.
    """
    out, at = [], 0
    for reference in references(text):
        out.append(text[at : reference.offset].replace("$${", "${"))
        try:
            out.append(as_text(lookup(reference.parts, names) if reference.parts else _nowhere(reference)))
        except KeyError:
            if otherwise is None:
                raise
            out.append(otherwise(reference))
        at = reference.offset + reference.length
    out.append(text[at:].replace("$${", "${"))
    return "".join(out)


def _nowhere(reference: Reference) -> object:
    raise KeyError(reference.text)


def only_reference(text: str) -> Reference | None:
    """Return the reference that is the whole text, if there is one."""
    found = references(text)
    return found[0] if len(found) == 1 and found[0].length == len(text) else None


def escape(text: str) -> str:
    """Return the text with `${` escaped, so that reading it gives the text again."""
    return text.replace("${", "$${")


def read_value(text: str) -> Value:
    """Read a text as a plain value of `variables:` reads: a number, true, an ISO date, else text."""
    try:
        value = core(text)
    except NumberError:
        return text
    return iso_date(value) or value if isinstance(value, str) else value


def iso_date(text: str) -> date | None:
    """Return the date of `2017-10-01`; None for any other text."""
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


EXPECTED = {
    "text": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "date": "a date such as 2017-10-01",
}


@dataclass(frozen=True, slots=True)
class Type:
    """The type of a variable: one of EXPECTED, or None for any; `said` if the spec says it."""

    name: str | None
    said: bool = False

    @classmethod
    def of(cls, value: Value) -> "Type":
        kinds: list[tuple[type, str]] = [
            (bool, "boolean"), (int, "integer"), (float, "number"), (date, "date"), (str, "text")
        ]  # fmt: skip
        return cls(next((name for kind, name in kinds if isinstance(value, kind)), None))

    def convert(self, value: Value) -> Value:
        """Return the value as this type; raises ValueError that says what was expected.

        A text (from the command line, too) is read: `"4"` is an integer where one is declared. A variable whose
        type is only read off its value takes a decimal in place of a whole number.
        """
        if value is None and not self.said:
            return None
        read = read_value(value) if isinstance(value, str) else value
        found = Type.of(read).name
        if self.name is None:
            return read
        if self.name == "text":
            return value if isinstance(value, str) else as_text(value)
        if self.name == found or (self.name == "integer" and found == "number" and not self.said):
            return read
        if self.name == "number" and isinstance(read, int) and not isinstance(read, bool):
            return float(read)
        raise ValueError(f"expected {EXPECTED[self.name]}, found {shown(value)}")


class Resolver:
    """Resolves the `variables:` of a project: references to the environment and to each other, types, overrides."""

    def __init__(
        self, declared: MapNode | None, overrides: Mapping[str, Value], environ: Mapping[str, str], findings: Findings
    ) -> None:
        self.values: dict[str, Value] = {}
        self.types: dict[str, Type] = {}
        self.used: set[str] = set()
        self.declared = declared.entries if declared else {}
        self._overrides = overrides
        self._environ = environ
        self._findings = findings
        self._under_way: list[str] = []
        for name in self.declared:
            self._resolve(name)

    def _resolve(self, name: str) -> None:
        if name in self.types:
            return
        entry = self.declared[name]
        if name in self._overrides:
            self._override(name, entry)
            return
        self._under_way.append(name)
        self.types[name], value = self._declared(entry)
        self._under_way.pop()
        if not isinstance(value, Invalid):
            self.values[name] = value

    def _override(self, name: str, entry: Entry) -> None:
        """Take the value given. References in the spec's own are not followed: they may lead to what is not there."""
        node = entry.value
        own = node.get("value") if isinstance(node, MapNode) else node
        if isinstance(own, ScalarNode) and (found := references(own.text)):
            self.used.update(reference.parts[0] for reference in found if reference.parts)
            kind = node.get("type") if isinstance(node, MapNode) else None
            said = kind.text if isinstance(kind, ScalarNode) and kind.text in EXPECTED else None
            self.types[name] = Type(said, said=said is not None)
        else:
            self.types[name], _ = self._declared(entry)
        try:
            self.values[name] = self.types[name].convert(self._overrides[name])
        except ValueError as problem:
            self._findings.error(entry.key.position, "variable-value", f'variable "{name}": {problem}')

    def _declared(self, entry: Entry) -> tuple[Type, Value | Invalid]:
        if isinstance(entry.value, ScalarNode):
            value = self._value(entry.value)
            if isinstance(value, str) and (day := iso_date(value)):
                value = day
            return Type(None) if isinstance(value, Invalid) else Type.of(value), value
        if not isinstance(entry.value, MapNode):
            return Type(None), INVALID  # the walk over the spec says so
        kind, inner = entry.value.get("type"), entry.value.get("value")
        if not isinstance(kind, ScalarNode) or kind.value not in EXPECTED or not isinstance(inner, ScalarNode):
            return Type(None), INVALID  # the same
        declared, value = Type(str(kind.value), said=True), self._value(inner)
        if isinstance(value, Invalid):
            return declared, INVALID
        text = inner.text if inner.value is not None and not isinstance(value, date) else value
        try:
            return declared, declared.convert(value if references(inner.text) else text)
        except ValueError as problem:
            self._findings.error(inner.position, "wrong-value", str(problem))
            return declared, INVALID

    def _value(self, node: ScalarNode) -> Value | Invalid:
        if not isinstance(node.value, str) or "${" not in node.value:
            return node.value
        if node.value.count("${") > MAX_REFERENCES:
            return INVALID  # said when the value is read
        names = {reference.text: self._refer(node, reference) for reference in references(node.value)}
        if any(isinstance(value, Invalid) for value in names.values()):
            return INVALID
        if only := only_reference(node.value):
            value = names[only.text]
            return read_value(value) if isinstance(value, str) and only.parts[0] == "env" else value
        filled = fill(node.value, {}, lambda reference: as_text(names[reference.text]))
        if len(filled) > MAX_TEXT:
            self._findings.error(
                node.position, "variable-value", "with its references filled in, this text is over 1 MB"
            )
            return INVALID
        return filled

    def _refer(self, node: ScalarNode, reference: Reference) -> Value | Invalid:
        at = node.at(reference.offset, reference.length)
        match reference.parts:
            case ("env", name):
                if name in self._environ or reference.default is not None:
                    return self._environ.get(name) or reference.default or ""
                help_ = f"set it, or say what it is otherwise: ${{env.{name}:-…}}"
                self._findings.error(at, "environment", f"the environment variable {name} is not set", help_)
            case ("secret", *_):
                self._findings.error(
                    at, "secret-here", "a secret cannot be put in a variable", "write ${secret.…} in the channel's url"
                )
            case (name,) if name in self._under_way:
                chain = " → ".join([*self._under_way[self._under_way.index(name) :], name])
                self._findings.error(at, "variable-cycle", f"variables that need each other: {chain}")
            case (name,) if name in self.declared and len(self._under_way) > MAX_CHAIN:
                self._findings.error(at, "variable-cycle", f"more than {MAX_CHAIN} variables that need each other")
            case (name,) if name in self.declared:
                self._resolve(name)
                self.used.add(name)
                return self.values.get(name, INVALID)
            case _:
                undeclared(node, reference, self.declared, self._findings)
        return INVALID


def too_many_references(node: ScalarNode, findings: Findings) -> bool:
    """Whether a text holds more references than anybody writes; says so."""
    if node.text.count("${") <= MAX_REFERENCES:
        return False
    findings.error(node.position, "malformed-reference", f"more than {MAX_REFERENCES} ${{…}} in one text")
    return True


def undeclared(node: ScalarNode, reference: Reference, declared: Mapping[str, object], findings: Findings) -> None:
    """Add the finding about a reference to no variable."""
    at = node.at(reference.offset, reference.length)
    if not reference.parts:
        help_ = "write ${name}, ${name.name} or ${name['any text']}; $${ stands for ${ itself"
        findings.error(at, "malformed-reference", f"{reference.text[:60]} is not a reference", help_)
        return
    name = ".".join(reference.parts)
    help_ = did_you_mean(name, declared, "the variables are") if declared else "declare it under variables:"
    findings.error(at, "undeclared-variable", f'no variable "{name[:60]}" is declared', help_)

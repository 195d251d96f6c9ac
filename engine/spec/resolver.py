"""Resolving the `variables:` of a project: their types, and their values.

This happens before anything else is validated, because every other text may refer to a variable. Values given by the
command line, a scenario or a caller replace those of the spec.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from engine.spec.diagnostics import Findings
from engine.spec.tree import Entry, MapNode, ScalarNode
from engine.spec.variables import (
    INVALID,
    MAX_REFERENCES,
    Invalid,
    Reference,
    Value,
    as_text,
    fill,
    iso_date,
    only_reference,
    read_value,
    references,
    shown,
    undeclared,
)

MAX_TEXT = 1 << 20
MAX_CHAIN = 100

EXPECTED = {
    "text": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "date": "a date such as 2017-10-01",
}


@dataclass(frozen=True, slots=True)
class Type:
    """The type of a variable: one of VARIABLE_TYPES, or None for any. `declared` is true if the spec declares it."""

    name: str | None
    said: bool = False

    @classmethod
    def of(cls, value: Value) -> "Type":
        """Return the type that a value has by itself."""
        kinds: list[tuple[type, str]] = [
            (bool, "boolean"), (int, "integer"), (float, "number"), (date, "date"), (str, "text")
        ]  # fmt: skip
        return cls(next((name for kind, name in kinds if isinstance(value, kind)), None))

    def convert(self, value: Value) -> Value:
        """Return the value as this type.

        A text is parsed, because values from the command line are texts: `"4"` becomes 4 for an integer. If the type
        was only inferred from a whole number, a decimal number is accepted in its place.

        Raises
        ------
        ValueError
            The value does not have this type. The message says what was expected.
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
    """Resolves the `variables:` of a project, each when it is first needed.

    Attributes
    ----------
    values, types
        The value and the type of each variable. A variable with a problem has no value.
    used
        Names of variables that something refers to. The passes over the spec add to it.
    declared
        The entries of `variables:`.
    """

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
        """Use the given value instead of the declared one.

        References in the declared value are not followed: what they refer to, such as an environment variable, may be
        absent for the very reason that the value is given.
        """
        node = entry.value
        declared_value = node.get("value") if isinstance(node, MapNode) else node
        if isinstance(declared_value, ScalarNode) and (found := references(declared_value.text)):
            self.used.update(reference.parts[0] for reference in found if reference.parts)
            kind = node.get("type") if isinstance(node, MapNode) else None
            type_name = kind.text if isinstance(kind, ScalarNode) and kind.text in EXPECTED else None
            self.types[name] = Type(type_name, said=type_name is not None)
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
            return Type(None), INVALID  # the validator reports it
        kind, inner = entry.value.get("type"), entry.value.get("value")
        if not isinstance(kind, ScalarNode) or kind.value not in EXPECTED or not isinstance(inner, ScalarNode):
            return Type(None), INVALID  # the validator reports it
        declared, value = Type(str(kind.value), said=True), self._value(inner)
        if isinstance(value, Invalid):
            return declared, INVALID
        text = inner.text if inner.value is not None and not isinstance(value, date) else value
        try:
            return declared, declared.convert(value if references(inner.text) else text)
        except ValueError as problem:
            self._findings.error(inner.position, "wrong-value", f'variable "{entry.key.text}": {problem}')
            return declared, INVALID

    def _value(self, node: ScalarNode) -> Value | Invalid:
        if not isinstance(node.value, str) or "${" not in node.value:
            return node.value
        if node.value.count("${") > MAX_REFERENCES:
            return INVALID  # the validator reports it
        # Resolve all references before the first problem ends this, so that each problem is reported.
        names = {reference.text: self._refer(node, reference) for reference in references(node.value)}
        if any(isinstance(value, Invalid) for value in names.values()):
            return INVALID
        if only := only_reference(node.value):
            value = names[only.text]
            return read_value(value) if isinstance(value, str) and only.parts[0] == "env" else value
        filled = fill(node.value, {}, lambda reference: as_text(names[reference.text]))
        if len(filled) > MAX_TEXT:
            self._findings.error(
                node.position, "variable-value", "with its references filled in, this text is larger than 1 MB"
            )
            return INVALID
        return filled

    def _refer(self, node: ScalarNode, reference: Reference) -> Value | Invalid:
        """Return what a reference in a variable's value stands for; INVALID with a finding if that is nothing."""
        at = node.at(reference.offset, reference.length)
        match reference.parts:
            case ("env", name):
                if name in self._environ or reference.default is not None:
                    return self._environ.get(name) or reference.default or ""
                help_ = f"set it, or give a default: ${{env.{name}:-…}}"
                self._findings.error(at, "environment", f"the environment variable {name} is not set", help_)
            case ("secret", *_):
                self._findings.error(
                    at,
                    "secret-here",
                    "a variable cannot contain a secret",
                    "write ${secret.…} in the url of the channel",
                )
            case (name,) if name in self._under_way:
                chain = " → ".join([*self._under_way[self._under_way.index(name) :], name])
                self._findings.error(at, "variable-cycle", f"these variables refer to each other: {chain}")
            case (name,) if name in self.declared and len(self._under_way) > MAX_CHAIN:
                self._findings.error(
                    at, "variable-cycle", f"this is a chain of more than {MAX_CHAIN} variables that refer to each other"
                )
            case (name,) if name in self.declared:
                self._resolve(name)
                self.used.add(name)
                return self.values.get(name, INVALID)
            case _:
                undeclared(node, reference, self.declared, self._findings)
        return INVALID

"""Resolving the `variables:` of a project: their types, and their values.

This happens before anything else is validated, because every other text may refer to a variable. Values given by the
command line, a scenario or a caller replace those of the spec.
"""

from collections import ChainMap
from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

from engine.spec.diagnostics import Findings
from engine.spec.observations import note_variable
from engine.spec.variables.references import (
    INVALID,
    MAX_TEXT_REFERENCES,
    Invalid,
    Value,
    VariableReference,
    fill_references,
    find_only_reference,
    find_references,
    format_value,
    parse_iso_date,
    parse_value,
    quote_value,
    report_shift,
    report_undeclared_variable,
)
from engine.spec.yaml.yaml_tree import MapEntry, MapNode, ScalarNode

MAX_TEXT_LENGTH = 1 << 20
MAX_VARIABLE_CHAIN = 100

VARIABLE_TYPES = {
    "text": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "date": "a date such as 2017-10-01",
}


class VariableType(NamedTuple):
    """The type of a variable: one of VARIABLE_TYPES, or None for any. `declared` is true if the spec declares it."""

    name: str | None
    declared: bool = False

    @classmethod
    def infer(cls, value: Value) -> "VariableType":
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
            The value does not have this type. The message names what was expected.
        """
        if value is None and not self.declared:
            return None
        read = parse_value(value) if isinstance(value, str) else value
        found = VariableType.infer(read).name
        if self.name is None:
            return read
        if self.name == "text":
            return value if isinstance(value, str) else format_value(value)
        if self.name == found or (self.name == "integer" and found == "number" and not self.declared):
            return read
        if self.name == "number" and isinstance(read, int) and not isinstance(read, bool):
            return float(read)
        # Quotes would say that 1.5 was written as a text.
        found_value = value if isinstance(value, str) and not isinstance(read, str) else quote_value(value)
        raise ValueError(f"expected {VARIABLE_TYPES[self.name]}, found {found_value}")


class VariableResolver:
    """Resolves the variables of a project; a variable that another refers to is resolved first.

    Attributes
    ----------
    values, types
        The value and the type of each variable. A variable with a problem has no value.
    names
        All names for references: the variables, and the names of the run's moment.
    used_names
        Names of variables that something refers to. The passes over the spec add to it.
    declarations
        The entries of `variables:`.

    Parameters
    ----------
    absent_help
        What to do about a variable of the environment that is not set; to set it, if left out.
    """

    def __init__(
        self,
        declared: MapNode | None,
        overrides: Mapping[str, Value],
        environ: Mapping[str, str],
        moment: Mapping[str, Value],
        findings: Findings,
        absent_help: str = "",
    ) -> None:
        self.values: dict[str, Value] = {}
        self.names: Mapping[str, Value] = ChainMap(self.values, dict(moment))
        self.types: dict[str, VariableType] = {}
        self.used_names: set[str] = set()
        self.declarations = declared.entries if declared else {}
        self._overrides = overrides
        self._environ = environ
        self._findings = findings
        self._absent_help = absent_help
        self._in_progress: list[str] = []
        for name in self.declarations:
            self._resolve_variable(name)

    def _resolve_variable(self, name: str) -> None:
        if name in self.types:
            return
        entry = self.declarations[name]
        if name in self._overrides:
            self._apply_override(name, entry)
            return
        self._in_progress.append(name)
        self.types[name], value = self._resolve_declaration(entry)
        self._in_progress.pop()
        if not isinstance(value, Invalid):
            self.values[name] = value

    def _apply_override(self, name: str, entry: MapEntry) -> None:
        """Use the given value instead of the declared one.

        References in the declared value are not followed: what they refer to, such as an environment variable, may be
        absent because the value is given.
        """
        node = entry.value
        declared_value = node.get("value") if isinstance(node, MapNode) else node
        if isinstance(declared_value, ScalarNode) and (found := find_references(declared_value.text)):
            self.used_names.update(reference.parts[0] for reference in found if reference.parts)
            kind = node.get("type") if isinstance(node, MapNode) else None
            type_name = kind.text if isinstance(kind, ScalarNode) and kind.text in VARIABLE_TYPES else None
            self.types[name] = VariableType(type_name, declared=type_name is not None)
        else:
            self.types[name], _ = self._resolve_declaration(entry)
        try:
            self.values[name] = self.types[name].convert(self._overrides[name])
        except ValueError as problem:
            message = f'the value given for variable "{name}": {problem}'
            self._findings.error(entry.key.position, "variable-value", message)

    def _resolve_declaration(self, entry: MapEntry) -> tuple[VariableType, Value | Invalid]:
        if isinstance(entry.value, ScalarNode):
            value = self._resolve_value(entry.value)
            if isinstance(value, str) and (day := parse_iso_date(value)):
                value = day
            return VariableType(None) if isinstance(value, Invalid) else VariableType.infer(value), value
        if not isinstance(entry.value, MapNode):
            return VariableType(None), INVALID  # the validator reports it
        kind, inner = entry.value.get("type"), entry.value.get("value")
        if not isinstance(kind, ScalarNode) or kind.value not in VARIABLE_TYPES or not isinstance(inner, ScalarNode):
            return VariableType(None), INVALID  # the validator reports it
        declared, value = VariableType(str(kind.value), declared=True), self._resolve_value(inner)
        if isinstance(value, Invalid):
            return declared, INVALID
        # The text as it is written is converted, so that 007 stays "007" for the type text. Except for null, a date,
        # and a value whose references were filled in.
        as_written = inner.value is not None and not isinstance(value, date) and not find_references(inner.text)
        try:
            return declared, declared.convert(inner.text if as_written else value)
        except ValueError as problem:
            self._findings.error(inner.position, "wrong-value", f'variable "{entry.key.text}": {problem}')
            return declared, INVALID

    def _resolve_value(self, node: ScalarNode) -> Value | Invalid:
        if not isinstance(node.value, str) or "${" not in node.value:
            return node.value
        if node.value.count("${") > MAX_TEXT_REFERENCES:
            return INVALID  # the validator reports it
        # Resolve all references before the first problem ends this, so that each problem is reported.
        names = {reference.text: self._resolve_reference(node, reference) for reference in find_references(node.value)}
        if any(isinstance(value, Invalid) for value in names.values()):
            return INVALID
        if only := find_only_reference(node.value):
            value = names[only.text]
            return parse_value(value) if isinstance(value, str) and only.parts[0] == "env" else value
        filled = fill_references(node.value, {}, lambda reference: format_value(names[reference.text]))
        if len(filled) > MAX_TEXT_LENGTH:
            self._findings.error(
                node.position,
                "variable-value",
                "with its variables filled in, this text is larger than 1 MB",
                "shorten it",
            )
            return INVALID
        return filled

    def _resolve_reference(self, node: ScalarNode, reference: VariableReference) -> Value | Invalid:
        """Return the value of a reference in a variable's value; INVALID with a finding if it has none."""
        at = node.position_of(reference.offset, reference.length)
        match reference.parts:
            case ("env", name):
                note_variable(name, self._environ.get(name))
                if name in self._environ or reference.default is not None:
                    return self._environ.get(name) or reference.default or ""
                what = f"the environment variable {name} is not set"
                help_ = f"set it, or give a default: ${{env.{name}:-…}}"
                if self._absent_help:
                    what, help_ = f"{what}: {self._absent_help}", f"or give a default: ${{env.{name}:-…}}"
                self._findings.error(at, "environment", what, help_)
            case ("secret", *_):
                self._findings.error(
                    at,
                    "secret-here",
                    "a variable cannot contain a secret",
                    "write ${secret.…} in the url of the channel",
                )
            case (name,) if name in self._in_progress:
                chain = " → ".join([*self._in_progress[self._in_progress.index(name) :], name])
                self._findings.error(at, "variable-cycle", f"these variables refer to each other: {chain}")
            case (name,) if name in self.declarations and len(self._in_progress) > MAX_VARIABLE_CHAIN:
                self._findings.error(
                    at,
                    "variable-cycle",
                    f"this is a chain of more than {MAX_VARIABLE_CHAIN} variables that refer to each other",
                    "shorten the chain: write some of the values out",
                )
            case (name,) if name in self.declarations:
                self._resolve_variable(name)
                self.used_names.add(name)
                if name in self.values:
                    return report_shift(node, reference, self.values[name], self._findings)
            case (name,) if name in self.names:
                return report_shift(node, reference, self.names[name], self._findings)
            case _:
                report_undeclared_variable(node, reference, self.declarations, self._findings)
        return INVALID

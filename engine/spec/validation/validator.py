"""From the tree to the resources: validates every key, kind and value, and fills in variables.

The resource classes are pydantic models, and this module validates the tree by their fields, constraints and markers.
Pydantic's own validation is not used: its errors name classes and union branches that users have never seen, it knows
no positions in the file and no partial results, and compiling its schemas takes longer than everything else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from engine.errors import Position
from engine.formatting.hints import did_you_mean, find_similar
from engine.formatting.lists import join_alternatives
from engine.spec.conditions.constant_parts import USE_ALWAYS, USE_INACTIVE
from engine.spec.diagnostics import Findings
from engine.spec.resources.project import ProjectResource, Secret
from engine.spec.resources.resource import Resource
from engine.spec.secret_texts import NOT_SHOWN, may_be_secret
from engine.spec.validation.key_aliases import hint_for_key, hint_for_kind
from engine.spec.validation.value_hints import hint_for_text, is_known_word
from engine.spec.validation.value_types import (
    RAW_READINGS,
    ResourceKey,
    ValueType,
    list_keys,
    satisfies_constraint,
)
from engine.spec.variables.references import (
    INVALID,
    Invalid,
    Value,
    VariableReference,
    fill_references,
    find_only_reference,
    find_references,
    format_value,
    parse_value,
    quote_value,
    report_shift,
    report_too_many_references,
    report_undeclared_variable,
)
from engine.spec.variables.resolver import VariableResolver
from engine.spec.yaml.missing_colons import suggest_colon
from engine.spec.yaml.yaml_tree import ListNode, MapEntry, MapNode, ScalarNode, YamlNode

SpecPath = tuple[str | int, ...]


class SpecText(NamedTuple):
    """A text for a later pass to check.

    `reading` says what kind of text it is, and so which pass checks it: message, condition, sql, statement, secret,
    metric, function, trigger, cron, or name. `sections` are the sections of the spec in one of which a name must be
    declared.
    """

    path: SpecPath
    node: ScalarNode
    value: str
    reading: str
    sections: tuple[str, ...] = ()


@dataclass(slots=True)
class SpecValidator:
    """Validates nodes by the types of the language, and collects findings, and the texts that later passes check."""

    variables: VariableResolver
    findings: Findings
    texts: list[SpecText] = field(default_factory=list)

    resolved_section: ClassVar[str] = "variables"
    """The section whose texts are the resolver's to fill in."""

    def validate_project(self, root: MapNode) -> ProjectResource:
        """Validate a whole project. What is wrong is left out of the result, so that the rest can still be checked."""
        values = self.validate_sections(root, ProjectResource) | {"variables": self.variables.values}
        return ProjectResource.model_construct(None, **values)

    def validate_sections(self, root: MapNode, document: type[Resource]) -> dict[str, Any]:
        """Return the values of the keys of a whole document; what is wrong is left out, also single entries."""
        keys = list_keys(document)
        values: dict[str, Any] = {}
        explained: set[str] = set()
        for key, entry in root.entries.items():
            if key not in keys:
                explained |= self._report_unknown_key((document,), document, entry, kind_given=True)
            elif (inner := keys[key].type.values) and isinstance(entry.value, MapNode):
                read = {
                    n: self.validate_node(inner, e.value, (key, n), e.key.position)
                    for n, e in entry.value.entries.items()
                }
                values[key] = {name: value for name, value in read.items() if value is not INVALID}
            elif not _is_empty_section(keys[key], entry.value):
                value = self.validate_node(keys[key].type, entry.value, (key,), entry.key.position)
                values |= {} if value is INVALID else {key: value}
        self._check_missing_keys(keys, root, root.position, explained)
        return values

    def validate_node(self, type_: ValueType, node: YamlNode, path: SpecPath, at: Position) -> Any:
        """Return the value of a node, or INVALID with a finding. `at` is the position of its key."""
        if isinstance(node, ScalarNode):
            return self._validate_scalar(type_, node, path)
        if isinstance(node, MapNode) and type_.resources:
            return self._validate_resource(type_, node, path, at)
        if isinstance(node, MapNode) and type_.values:
            return self._validate_mapping(type_, node, path)
        if isinstance(node, ListNode) and type_.items:
            items = [
                self.validate_node(type_.items, item, (*path, i), item.position) for i, item in enumerate(node.items)
            ]
            return INVALID if INVALID in items or not self._check_length(type_, node, path, len(items)) else items
        help_ = None
        if isinstance(node, ListNode) and type_.values:
            help_ = "give each entry a name: write name: {…} instead of - {…}"
        elif isinstance(node, MapNode) and type_.items:
            help_ = "write a list: start each entry with -"
        elif isinstance(node, ListNode) and len(node.items) == 1 and isinstance(node.items[0], ScalarNode):
            help_ = "write only the value, without a list"
        return self._report_wrong_value(type_, node, path, None, help_)

    def _report_wrong_value(
        self, type_: ValueType, node: YamlNode, path: SpecPath, found: str | None, help_: str | None = None
    ) -> Invalid:
        message = f"{_describe_subject(path)} must be {type_.describe()}, found {found or _describe_node(node)}"
        self.findings.error(node.position, "wrong-value", message, help_)
        return INVALID

    def _check_length(self, type_: ValueType, node: ListNode | MapNode, path: SpecPath, length: int) -> bool:
        if all(satisfies_constraint(constraint, range(length)) for constraint in type_.constraints):
            return True
        kind = "list" if isinstance(node, ListNode) else "mapping"
        self._report_wrong_value(type_, node, path, f"an empty {kind}" if length == 0 else f"a {kind} of {length}")
        return False

    def _validate_resource(self, type_: ValueType, node: MapNode, path: SpecPath, at: Position) -> Any:
        chosen = self._choose_resource(type_, node, path)
        if chosen is None:
            return INVALID
        keys = list_keys(chosen)
        values: dict[str, Any] = {"kind": chosen.model_fields["kind"].default} if "kind" in keys else {}
        valid = True
        explained: set[str] = set()
        for key, entry in node.entries.items():
            if key not in keys:
                explained |= self._report_unknown_key(type_.resources, chosen, entry, "kind" in node.entries)
                valid = False
            elif key != "kind" and not _is_empty_section(keys[key], entry.value):
                values[key] = self.validate_node(keys[key].type, entry.value, (*path, key), entry.key.position)
                if values[key] is None and keys[key].default is None:
                    values[key] = self._require_value(entry)
                valid = valid and values[key] is not INVALID
        valid = self._check_missing_keys(keys, node, at, explained) and valid
        return chosen.model_construct(None, **values) if valid else INVALID

    def _require_value(self, entry: MapEntry) -> Invalid | None:
        """Report a key whose variable is null: it would silently count as left out."""
        only = find_only_reference(entry.value.text) if isinstance(entry.value, ScalarNode) else None
        if only is None:
            return None
        message = f'"{entry.key.text}" has no value: the variable "{".".join(only.parts)}" is null'
        help_ = f'give it a value, or leave "{entry.key.text}" out'
        self.findings.error(entry.value.position, "missing-key", message, help_)
        return INVALID

    def _check_missing_keys(
        self, keys: Mapping[str, ResourceKey], node: MapNode, at: Position, explained: set[str]
    ) -> bool:
        """Report missing keys, except those in `explained`, for which an unknown key was probably written."""
        missing = [
            (key, field_)
            for key, field_ in keys.items()
            if field_.required
            and key not in explained
            and (key not in node.entries or _is_empty_section(field_, node.entries[key].value))
        ]
        for key, field_ in missing:
            where = node.entries[key].key.position if key in node.entries else at
            what, verb = ("has no value", "give a value to") if key in node.entries else ("is missing", "add")
            meaning = field_.type.describe() if field_.type.literals else field_.description
            self.findings.error(where, "missing-key", f'key "{key}" {what}', f'{verb} "{key}": {meaning}')
        return not missing

    def _choose_resource(self, type_: ValueType, node: MapNode, path: SpecPath) -> type[Resource] | None:
        """Return the resource that `kind:` selects, which is the first one if `kind:` is left out."""
        first, chosen_kind = type_.resources[0], node.get("kind")
        if chosen_kind is None or "kind" not in first.model_fields:
            return first
        kinds: dict[str, type[Resource]] = {r.model_fields["kind"].default: r for r in type_.resources}
        word = chosen_kind.text if isinstance(chosen_kind, ScalarNode) else None
        if word in kinds:
            return kinds[word]
        found = f'"{word[:60]}"' if word else _describe_node(chosen_kind)
        help_ = hint_for_kind(word or "", kinds) or did_you_mean(word or "", kinds, "the kinds are")
        message = f"{found} is not a kind of {_name_resource(path)}"
        self.findings.error(chosen_kind.position, "unknown-kind", message, help_)
        return None

    def _report_unknown_key(
        self, resources: tuple[type[Resource], ...], chosen: type[Resource], entry: MapEntry, kind_given: bool
    ) -> set[str]:
        """Report an unknown key. Return the keys for which it was probably written, which are then not missing."""
        allowed, word = list(list_keys(chosen)), entry.key.text
        others = [r.model_fields["kind"].default for r in resources if r is not chosen and word in list_keys(r)]
        near = find_similar(word, allowed)
        written = f"{word}: …}}" if "{" in word else word
        if colon := suggest_colon(written, allowed):
            self.findings.error(entry.key.position, "unknown-key", f'unknown key "{word[:60]}"', colon[1])
            return {colon[0]}
        if others:
            help_ = f"{'it is a key of' if kind_given else 'add'} kind: {join_alternatives(others)}"
        else:
            help_ = hint_for_key(word, allowed) or (
                f'did you mean "{near}"?' if near else f"the keys here are {join_alternatives(allowed)}"
            )
        self.findings.error(entry.key.position, "unknown-key", f'unknown key "{word[:60]}"', help_)
        # without `kind:`, the default kind is probably not the one meant, so its missing keys are not reported
        if others:
            return set() if kind_given else set(allowed)
        return {near} if near else set()

    def _validate_mapping(self, type_: ValueType, node: MapNode, path: SpecPath) -> Any:
        assert type_.values is not None  # noqa: S101  checked by the caller
        values = {}
        for key, entry in node.entries.items():
            if type_.key_reading:
                self.texts.append(SpecText((*path, key), entry.key, key, type_.key_reading))
            values[key] = self.validate_node(type_.values, entry.value, (*path, key), entry.key.position)
        if not self._check_length(type_, node, path, len(values)):
            return INVALID
        return {key: value for key, value in values.items() if value is not INVALID}

    def _validate_scalar(self, type_: ValueType, node: ScalarNode, path: SpecPath) -> Any:
        # First the value: references filled in, or kept for later; a number becomes text if only text is allowed.
        value: Value | Invalid = node.value
        if isinstance(value, str) and report_too_many_references(node, self.findings):
            return INVALID
        if path[0] != self.resolved_section and isinstance(value, str) and "${" in value:
            self._check_references(type_, node)
            if type_.reading not in RAW_READINGS:
                value = self._fill_variables(node)
        elif type_.takes_numbers_as_text and isinstance(value, int | float) and not isinstance(value, bool):
            value = node.text
        if isinstance(value, Invalid):
            return INVALID
        # Then its type and limits.
        read = type_.convert(value)
        if isinstance(read, Invalid) or not all(
            satisfies_constraint(constraint, read) for constraint in type_.constraints
        ):
            return self._report_wrong_scalar(type_, node, path, value)
        if isinstance(read, str) and (type_.reading or type_.sections):
            self.texts.append(SpecText(path, node, read, type_.reading or "name", type_.sections))
        return read

    def _report_wrong_scalar(self, type_: ValueType, node: ScalarNode, path: SpecPath, value: Value) -> Invalid:
        """Report a scalar of the wrong type, with a hint if it is a common mistake."""
        help_, section = None, str(path[0])
        if isinstance(value, str) and " {" in (written := str(path[-1])) and value.endswith("}"):
            section = ""  # the rest of a mapping says where a secret is
            help_ = f"a colon is missing: write {written.replace(' {', ': {', 1)}: {value[:60]}"
        elif type_.resources == (Secret,):  # the text may be the value itself, which no message repeats
            message = f"{_describe_subject(path)} must be a mapping that says where the value is"
            help_ = "write {env: NAME}, with the name of an environment variable, or {file: PATH}"
            self.findings.error(node.position, "secret-value", message, help_)
            return INVALID
        elif isinstance(value, str) and type_.resources and (colon := _suggest_colon_of(type_.resources, value)):
            help_ = colon
        elif isinstance(value, bool) and type_.reading == "condition":
            help_ = USE_ALWAYS if value else USE_INACTIVE
        elif isinstance(value, bool) and str in type_.scalars:
            help_ = f'put it in quotes to make it text: "{node.text}"'
        elif isinstance(value, str):
            help_ = hint_for_text(type_, value, path[-1])
            if help_ is None and node.quote and not isinstance(read := parse_value(value), str):
                help_ = None if isinstance(type_.convert(read), Invalid) else "write it without quotes"
        if isinstance(value, str) and is_known_word(type_, value):
            section = ""
        if may_be_secret(str(path[-1]), value, section):
            return self._report_wrong_value(type_, node, path, NOT_SHOWN, hint_for_text(type_, "…", path[-1]))
        found = quote_value(value) + (f", the value of {node.text}" if find_only_reference(node.text) else "")
        return self._report_wrong_value(type_, node, path, found, help_)

    def _fill_variables(self, node: ScalarNode) -> Value | Invalid:
        """Return the text with variables filled in; INVALID if one has no value, which has been reported before."""
        names: dict[str, Value] = {}
        for reference in find_references(node.text):
            name = reference.parts[0] if len(reference.parts) == 1 else ""
            if name not in self.variables.names:
                return INVALID
            try:
                names[reference.text] = reference.add_days(self.variables.names[name])
            except ValueError:
                return INVALID
        only = find_only_reference(node.text)
        return (
            names[only.text]
            if only
            else fill_references(node.text, {}, lambda reference: format_value(names[reference.text]))
        )

    def _check_references(self, type_: ValueType, node: ScalarNode) -> None:
        """Report references that are not allowed in this text, and note which variables are used.

        Variables are allowed, and in a text that is read as a secret, secrets too.
        """
        if type_.reading in ("message", "condition", "sql", "statement", "trigger", "where"):
            return  # these allow other names, which the rules check
        for reference in find_references(node.text):
            at = node.position_of(reference.offset, reference.length)
            match reference.parts:
                case (name,) if name in self.variables.declarations or name in self.variables.names:
                    self.variables.used_names.add(name)
                    if name in self.variables.names:
                        report_shift(node, reference, self.variables.names[name], self.findings)
                case ("secret", *_) if type_.reading == "secret":
                    pass  # the rules check that the secret is declared
                case ("secret", *_):
                    help_ = "write ${secret.…} in the url of a channel or connection, or in headers"
                    self.findings.error(at, "secret-here", "a secret is not allowed here", help_)
                case _:
                    self.report_unknown_reference(node, reference)

    def report_unknown_reference(self, node: ScalarNode, reference: VariableReference) -> None:
        """Report a reference that is neither a secret nor a declared variable."""
        if reference.parts[:1] == ("env",):
            help_ = f'declare a variable, as in my_name: "{reference.text[:60]}", and write ${{my_name}} here'
            at = node.position_of(reference.offset, reference.length)
            self.findings.error(at, "environment", "${env.…} is allowed under variables: only", help_)
        else:
            report_undeclared_variable(node, reference, self.variables.declarations, self.findings)


def _is_empty_section(field_: ResourceKey, node: YamlNode) -> bool:
    """Return whether a section is empty, as after its entries have been commented out."""
    container = field_.type.resources or field_.type.items or field_.type.values
    return isinstance(node, ScalarNode) and node.value is None and bool(container) and not field_.type.scalars


def _describe_subject(path: SpecPath) -> str:
    """Return the part of a message that names a value: `"steps"`, or `an entry of "steps"`."""
    name = f'"{next(part for part in reversed(path) if isinstance(part, str))[:60]}"'
    return f"an entry of {name}" if isinstance(path[-1], int) else name


def _name_resource(path: SpecPath) -> str:
    """Return what a resource is called: `step` for an item of `steps`, `reference` for the key `reference`."""
    named = len(path) > 1 and (isinstance(path[-1], int) or path[-2] in _RESOURCE_MAPPINGS)
    return str(path[-2] if named else path[-1]).removesuffix("s")


_RESOURCE_MAPPINGS = ("connections", "datasets", "models", "channels", "metrics", "checks", "infrastructures")
"""Keys whose values are mappings from names to resources of several kinds."""


def _suggest_colon_of(resources: tuple[type[Resource], ...], text: str) -> str | None:
    """Return the help for a text in place of a resource that begins with one of its keys, without a colon."""
    found = suggest_colon(text, {key for resource in resources for key in list_keys(resource)})
    return found[1] if found else None


def _describe_node(node: YamlNode) -> str:
    return (
        "a list"
        if isinstance(node, ListNode)
        else "a mapping"
        if isinstance(node, MapNode)
        else quote_value(node.value)
    )

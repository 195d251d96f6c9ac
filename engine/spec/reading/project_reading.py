"""Reads a spec in stages: text, tree, variables, resources, rules.

Each stage collects its findings, and only this module turns findings into a SpecError.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path
from typing import NamedTuple

from engine.errors import Diagnostic, Severity, SpecError
from engine.formatting.hints import did_you_mean
from engine.spec.diagnostics import Findings, TooManyFindings
from engine.spec.observations import note_day, note_unknown
from engine.spec.reading.include import read_files
from engine.spec.reading.language_version import report_newer_version
from engine.spec.reading.message_files import read_message_files
from engine.spec.resources.project import ProjectResource
from engine.spec.rules import Draft, check_rules
from engine.spec.spec_files import SpecFiles
from engine.spec.validation.validator import SpecValidator
from engine.spec.variables.moment import find_time_zone, list_moment_values, place_moment
from engine.spec.variables.references import Value, format_value
from engine.spec.variables.resolver import VariableResolver
from engine.spec.yaml.yaml_tree import MapNode, ScalarNode, position_at, walk_values


class ReadProject(NamedTuple):
    """The result of reading a spec: files, resources with variables filled in, variables, moment, warnings."""

    files: SpecFiles
    resources: ProjectResource
    variables: Mapping[str, Value]
    as_of: datetime
    warnings: tuple[Diagnostic, ...]


def read_project(
    path: Path,
    files: SpecFiles | None,
    overrides: Mapping[str, Value],
    environ: Mapping[str, str],
    as_of: date | datetime | None,
    confined: frozenset[str],
) -> ReadProject:
    """Read the files of a spec, unless they are given as read before, and validate them.

    Raises
    ------
    SpecError
        The spec has errors. The exception has all findings, in order of position.
    """
    findings = Findings()
    try:
        if files is None:
            files = read_files(path, findings)
            read_message_files(files, findings)
        if not files.complete or report_newer_version(files.root, "spec", findings):
            raise SpecError(findings.sorted_by_position())
        _report_unknown_overrides(files, overrides, findings)
        moment = place_moment(as_of, _read_time_zone(files.root, findings))
        if as_of is None:
            _note_moment(moment, files.root)
        resolver = resolve_variables(files, overrides, environ, list_moment_values(moment), findings)
        reader = SpecValidator(resolver, findings)
        spec = _switch_off_triggers(reader.validate_project(files.root))
        check_rules(Draft(path, files, spec, resolver, reader.texts, confined), findings)
    except TooManyFindings:
        raise SpecError(findings.sorted_by_position()) from None
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise SpecError(findings.sorted_by_position())
    return ReadProject(files, spec, resolver.values, moment, findings.sorted_by_position())


def resolve_variables(
    files: SpecFiles,
    overrides: Mapping[str, Value],
    environ: Mapping[str, str],
    moment: Mapping[str, Value],
    findings: Findings,
) -> VariableResolver:
    """Return the variables of a spec with their values, and report problems."""
    declared = files.root.get("variables")
    found = declared if isinstance(declared, MapNode) else None
    if files.confinement is None:
        return VariableResolver(found, overrides, environ, moment, findings)
    given = files.confinement.read_environment(environ)
    return VariableResolver(found, overrides, given, moment, findings, "give it in node.yaml under environment:")


def list_spec_files(path: Path) -> list[Path]:
    """Return the files of a spec, valid or not, including unreadable ones."""
    findings = Findings()
    with suppress(TooManyFindings):
        files = read_files(path, findings)
        read_message_files(files, findings)
        return list(dict.fromkeys([path, *files.paths, *files.missing]))
    return [path]


def _note_moment(moment: datetime, root: MapNode) -> None:
    """Record the day, on which all names of a moment except `as_of_time` depend."""
    note_day(str(moment.tzinfo), moment.date())
    if any("as_of_time" in node.text for _, node in walk_values((), root)):
        note_unknown()


def _switch_off_triggers(spec: ProjectResource) -> ProjectResource:
    """Return the project with the triggers of scenarios that are not active switched off."""
    off = {
        name: scenario.model_copy(
            update={"triggers": [one.model_copy(update={"active": False}) for one in scenario.triggers]}
        )
        for name, scenario in spec.scenarios.items()
        if not scenario.active
    }
    return spec.model_copy(update={"scenarios": {**spec.scenarios, **off}}) if off else spec


def _read_time_zone(root: MapNode, findings: Findings) -> tzinfo:
    """Return the project's time zone, before anything else is read: dates depend on it. By default it is UTC."""
    node = root.get("timezone")
    if isinstance(node, ScalarNode) and isinstance(node.value, str):
        try:
            return find_time_zone(node.value)
        except ValueError as problem:
            found = f'"timezone" must be the name of a time zone, found "{node.value[:60]}"'
            findings.error(node.position, "wrong-value", found, str(problem))
    return UTC


def _report_unknown_overrides(files: SpecFiles, overrides: Mapping[str, Value], findings: Findings) -> None:
    """Report given values of variables that the spec does not declare, or that are the node's."""
    root = files.root
    declared = root.get("variables")
    for name, value in files.confinement.variables.items() if files.confinement else ():
        if name in overrides and overrides[name] != value and format_value(overrides[name]) != format_value(value):
            at = position_at(root, ("variables", name))
            message = f'a value was given for the variable "{name[:60]}", but node.yaml gives it one'
            findings.error(at, "variable-value", message, "leave it out: what node.yaml gives stays as it is")
    names = declared.entries if isinstance(declared, MapNode) else {}
    for name in sorted(overrides.keys() - names.keys()):
        help_ = did_you_mean(name, names, "the variables are") if names else "declare it under variables:"
        at = position_at(root, ("variables",))
        # The value is not shown: it may be a secret, and there are no secrets yet to mask it with.
        message = f'a value was given for the variable "{name[:60]}", but the spec does not declare it'
        findings.error(at, "undeclared-variable", message, help_)

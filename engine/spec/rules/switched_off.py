"""Rules of `active: false`: lists what is switched off, and warns of uses of its outcome."""

from collections.abc import Iterator

from engine.spec.conditions import name_step_variable, parse_condition
from engine.spec.diagnostics import Findings
from engine.spec.resources.project import ProjectResource
from engine.spec.resources.scenarios import AnyStep, Reporter
from engine.spec.resources.triggers import AnyTrigger
from engine.spec.rules.draft import Draft
from engine.spec.validation.validator import SpecText
from engine.spec.variables.references import find_references


def list_inactive(project: ProjectResource) -> list[str]:
    """Return what a project switches off, as text: `check 'a' of dataset 'b'`, `step 'c' of scenario 'd'`."""
    owners = (("dataset", project.datasets), ("evaluation store", project.evaluation_stores))
    checks = [
        f"check {check!r} of {kind} {owner!r}"
        for kind, declared in owners
        for owner, spec in declared.items()
        for check, settings in spec.checks.items()
        if not settings.active
    ]
    parts: list[tuple[str, str, list[AnyStep] | list[Reporter] | list[AnyTrigger]]] = [
        part
        for name, scenario in project.scenarios.items()
        for part in (
            ("trigger", name, scenario.triggers),
            ("step", name, scenario.steps),
            ("reporter", name, scenario.reporters),
        )
    ]
    return checks + [
        f"{kind} {one.name!r} of scenario {name!r}" for kind, name, found in parts for one in found if not one.active
    ]


def warn_about_inactive_checks(draft: Draft, findings: Findings) -> None:
    """Warn of a condition or a message that uses the outcome of a check that is never applied."""
    states: dict[str, bool] = {}
    for owner in (*draft.spec.datasets.values(), *draft.spec.evaluation_stores.values()):
        for declared, check in owner.checks.items():
            states[declared] = states.get(declared, False) or check.active
    for text in draft.texts_read_as("condition", "message"):
        for offset, length, name in _find_named_checks(text):
            if not states.get(name, True):
                at = text.node.position_of(offset, length)
                message = f'the check "{name[:60]}" is switched off, so it has no outcome'
                findings.warning(at, "switched-off", message, "remove active: false from the check, or its name here")


def warn_about_inactive_triggers(draft: Draft, findings: Findings) -> None:
    """Warn of a condition that uses a trigger that starts nothing."""
    for text in draft.texts_read_as("condition"):
        scenario = draft.spec.scenarios.get(str(text.path[1]))
        inactive = {one.name for one in scenario.triggers if not one.active} if scenario else set()
        tree = parse_condition(text.value).tree if inactive else None
        for node in tree.walk() if tree else ():
            if not any(child.kind == "name" and child.value == "trigger" for child in node.children):
                continue
            for named in (one for child in node.children for one in child.walk() if one.value in inactive):
                at = text.node.position_of(named.start, named.end - named.start)
                message = f'the trigger "{str(named.value)[:60]}" is switched off, so it starts no run'
                help_ = "remove active: false from the trigger, or its name here"
                findings.warning(at, "switched-off", message, help_)


def warn_about_inactive_steps(draft: Draft, findings: Findings) -> None:
    """Warn of a condition that uses the outcome of a step that never runs."""
    for text in draft.texts_read_as("condition"):
        scenario = draft.spec.scenarios.get(str(text.path[1]))
        inactive = [one.name for one in scenario.steps if not one.active] if scenario else []
        names = {name_step_variable(name): name for name in inactive} | dict(zip(inactive, inactive, strict=True))
        tree = parse_condition(text.value).tree if inactive else None
        for node in tree.walk() if tree else ():
            is_step = node.kind == "name" and node.value in names
            is_item = node.value == "[]" and node.children[0].value == "steps" and node.children[1].value in names
            if is_step or is_item:
                name = names[str(node.value if is_step else node.children[1].value)]
                at = text.node.position_of(node.start, node.end - node.start)
                message = f'the step "{name[:60]}" is switched off, so its outcome is always SKIPPED'
                help_ = "remove active: false from the step, or its name here"
                findings.warning(at, "switched-off", message, help_)


def _find_named_checks(text: SpecText) -> Iterator[tuple[int, int, str]]:
    """Yield the offset and the length of each place where a text names a check, and the name."""
    if text.reading == "message":
        for reference in find_references(text.node.text):
            if reference.parts[:1] == ("checks",) and len(reference.parts) > 1:
                yield reference.offset, reference.length, reference.parts[1]
        return
    tree = parse_condition(text.value).tree
    for node in tree.walk() if tree else ():
        if node.value == "[]" and node.children[0].value == "checks":
            yield node.start, node.end - node.start, str(node.children[1].value)

"""Names of other resources: each must be declared, and none may need itself."""

from collections.abc import Iterator, Mapping

from engine.spec.diagnostics import Findings, one_of
from engine.spec.include import SECTIONS
from engine.spec.problem import did_you_mean
from engine.spec.rules.draft import Draft
from engine.spec.variables import references

ATTACHMENTS = ("scenario_log", "report", "chart", "dataset:<name>")


def what(section: str) -> str:
    """Return what a section holds, as a sentence has it: `evaluation_stores` → `an evaluation store`."""
    word = section.removesuffix("s").replace("_", " ")
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def declared(draft: Draft, findings: Findings) -> None:
    """Check that every name marked as one of a section is declared there."""
    for text in draft.texts:
        known = [name for section in text.sections for name in draft.names(section)]
        if not text.sections or text.value in known:
            continue
        kinds = one_of(what(section) for section in text.sections)
        elsewhere = next((section for section in SECTIONS if text.value in draft.names(section)), None)
        if elsewhere:
            message = f'"{text.value[:60]}" is {what(elsewhere)}; expected the name of {kinds}'
        else:
            message = f'"{text.value[:60]}" is not the name of {kinds}'
        help_ = did_you_mean(text.value, known, "the names are") if known else f"declare it under {text.sections[0]}:"
        findings.error(text.node.position, "unknown-name", message, help_)


def display(draft: Draft, findings: Findings) -> None:
    """Check that the checks that a store displays are its own."""
    for store, spec in draft.spec.evaluation_stores.items():
        for i, check in enumerate(spec.display.checks):
            if check not in (known := draft.names("evaluation_stores", store, "checks")):
                at = draft.value("evaluation_stores", store, "display", "checks", i)
                help_ = did_you_mean(check, known, "its checks are")
                findings.error(at, "unknown-name", f'this store has no check "{check[:60]}"', help_)


def attachments(draft: Draft, findings: Findings) -> None:
    """Check that what a reporter attaches can be attached."""
    for scenario, spec in draft.spec.scenarios.items():
        for r, reporter in enumerate(spec.reporters):
            for i, wanted in enumerate(reporter.attach):
                at = draft.value("scenarios", scenario, "reporters", r, "attach", i)
                name = wanted.removeprefix("dataset:")
                if wanted.startswith("dataset:") and name not in draft.names("datasets"):
                    help_ = did_you_mean(name, draft.names("datasets"), "the datasets are")
                    findings.error(at, "unknown-name", f'no dataset "{name[:60]}" is declared', help_)
                elif not wanted.startswith("dataset:") and wanted not in ATTACHMENTS:
                    help_ = did_you_mean(wanted, ATTACHMENTS, "what can be attached:")
                    findings.error(at, "unknown-attachment", f'"{wanted[:60]}" cannot be attached', help_)


def secret_texts(draft: Draft, findings: Findings) -> None:
    """Every secret that a text names is declared."""
    known = draft.names("secrets")
    for text in draft.read_as("secret"):
        for reference in references(text.node.text):
            if reference.parts[:1] == ("secret",) and (len(reference.parts) != 2 or reference.parts[1] not in known):
                name = ".".join(reference.parts[1:]) or "…"
                help_ = did_you_mean(name, known, "the secrets are") if known else "declare it under secrets:"
                at = text.node.at(reference.offset, reference.length)
                findings.error(at, "unknown-secret", f'no secret "{name[:60]}" is declared', help_)


def scenario_cycles(draft: Draft, findings: Findings) -> None:
    """Check that a scenario that runs itself, directly or through others, would never end."""
    needs = {
        name: {
            step.scenario: ("scenarios", name, "steps", i, "scenario")
            for i, step in enumerate(scenario.steps)
            if step.kind == "run_scenario"
        }
        for name, scenario in draft.spec.scenarios.items()
    }
    for path, chain in cycles(needs):
        names = " → ".join(chain)
        findings.error(
            draft.value(*path), "cycle", f"a scenario that runs itself: {names}", "take one of these steps out"
        )


def cycles(
    needs: Mapping[str, Mapping[str, tuple[str | int, ...]]],
) -> Iterator[tuple[tuple[str | int, ...], list[str]]]:
    """Yield each cycle once: the place of the edge that closes it, and the names on the way.

    Parameters
    ----------
    needs
        For each name those that it needs, with the place in the spec that says so.
    """
    done: set[str] = set()
    for start in needs:
        chain: list[str] = []
        todo = [(start, iter(needs[start].items()))] if start not in done else []
        chain = [start] if todo else []
        while todo:
            name, rest = todo[-1]
            for other, place in rest:
                if other in chain:
                    yield place, [*chain[chain.index(other) :], other]
                elif other in needs and other not in done:
                    todo.append((other, iter(needs[other].items())))
                    chain.append(other)
                    break
            else:
                done.add(name)
                todo.pop()
                chain.pop()

"""Rules of references to other resources: each is declared, and no scenario runs itself."""

from collections.abc import Iterator, Mapping

from engine.formatting.hints import did_you_mean
from engine.formatting.lists import join_alternatives
from engine.spec.diagnostics import Findings
from engine.spec.resources.scenarios import RunScenarioStep
from engine.spec.rules.draft import Draft
from engine.spec.spec_files import SECTIONS
from engine.spec.variables.references import fill_references, find_references

ATTACHMENTS = ("scenario_log", "report", "chart", "dataset:<name>")


def describe_section(section: str) -> str:
    """Return the singular of a section's name with its article: `evaluation_stores` → `an evaluation store`."""
    word = section.removesuffix("s").replace("_", " ")
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def check_declared_names(draft: Draft, findings: Findings) -> None:
    """Check that each name of another resource is declared in an allowed section."""
    for text in draft.texts:
        known = [name for section in text.sections for name in draft.declared_names(section)]
        if not text.sections or text.value in known:
            continue
        kinds = join_alternatives(describe_section(section) for section in text.sections)
        elsewhere = next((section for section in SECTIONS if text.value in draft.declared_names(section)), None)
        if elsewhere:
            message = f'"{text.value[:60]}" is {describe_section(elsewhere)}; expected the name of {kinds}'
        else:
            message = f'"{text.value[:60]}" is not the name of {kinds}'
        help_ = did_you_mean(text.value, known, "the names are") if known else f"declare it under {text.sections[0]}:"
        findings.error(text.node.position, "unknown-name", message, help_)


def check_displayed_checks(draft: Draft, findings: Findings) -> None:
    """Check that a store displays only checks that it declares."""
    for store, spec in draft.spec.evaluation_stores.items():
        for i, check in enumerate(spec.display.checks):
            if check not in (known := draft.declared_names("evaluation_stores", store, "checks")):
                at = draft.value_position("evaluation_stores", store, "display", "checks", i)
                help_ = did_you_mean(check, known, "its checks are")
                findings.error(at, "unknown-name", f'this store has no check "{check[:60]}"', help_)


def check_attachments(draft: Draft, findings: Findings) -> None:
    """Check that each attachment of a message exists."""
    for path, content in draft.iterate_messages():
        for i, wanted in enumerate(content.attach):
            at = draft.value_position(*path, "attach", i)
            name = wanted.removeprefix("dataset:")
            if wanted.startswith("dataset:") and name not in draft.declared_names("datasets"):
                help_ = did_you_mean(name, draft.declared_names("datasets"), "the datasets are")
                findings.error(at, "unknown-name", f'"{name[:60]}" is not a declared dataset', help_)
            elif not wanted.startswith("dataset:") and wanted not in ATTACHMENTS:
                help_ = did_you_mean(wanted, ATTACHMENTS, "the attachments are")
                findings.error(at, "unknown-attachment", f'"{wanted[:60]}" cannot be attached', help_)


def check_secret_references(draft: Draft, findings: Findings) -> None:
    """Check that each secret that a text uses is declared."""
    known = draft.declared_names("secrets")
    for text in draft.texts_read_as("secret"):
        for reference in find_references(text.node.text):
            if reference.parts[:1] == ("secret",) and (len(reference.parts) != 2 or reference.parts[1] not in known):
                name = ".".join(reference.parts[1:])
                help_ = did_you_mean(name, known, "the secrets are") if known else "declare it under secrets:"
                at = text.node.position_of(reference.offset, reference.length)
                message = f'"{name[:60]}" is not a declared secret' if name else "the name of the secret is missing"
                findings.error(at, "unknown-secret", message, help_)


def check_scenario_cycles(draft: Draft, findings: Findings) -> None:
    """Check that no scenario runs itself, directly or through others: it would never end."""
    needs = {
        name: {
            child: ("scenarios", name, "steps", i, "scenario")
            for i, step in enumerate(scenario.steps)
            if isinstance(step, RunScenarioStep)
            for child in (step.scenario, *list_iterated_children(draft, name, i))
        }
        for name, scenario in draft.spec.scenarios.items()
    }
    for path, chain in find_cycles(needs):
        names = " → ".join(chain)
        findings.error(
            draft.value_position(*path), "cycle", f"a scenario runs itself: {names}", "remove one of these steps"
        )


def list_iterated_children(draft: Draft, scenario: str, step: int) -> list[str]:
    """Return the scenarios that a step runs in the iterations of `for_each`, if their names contain variables."""
    text = draft.scalar_text("scenarios", scenario, "steps", step, "scenario") or ""
    if not find_references(text):
        return []
    iterations = draft.spec.scenarios[scenario].for_each or []
    known = draft.variables.names
    return [fill_references(text, {**known, **iteration}, lambda unknown: unknown.text) for iteration in iterations]


def find_cycles(
    needs: Mapping[str, Mapping[str, tuple[str | int, ...]]],
) -> Iterator[tuple[tuple[str | int, ...], list[str]]]:
    """Yield each cycle once: the path of the edge that closes it, and the names along the cycle.

    Parameters
    ----------
    needs
        The names required by each name, with their paths in the spec.
    """
    # Depth-first search with an explicit stack: `chain` is the current path from `start`, `done` what was finished.
    # An edge back into `chain` closes a cycle.
    done: set[str] = set()
    for start in needs:
        todo = [(start, iter(needs[start].items()))] if start not in done else []
        chain = {start: None} if todo else {}
        while todo:
            name, rest = todo[-1]
            for other, place in rest:
                if other in chain:
                    yield place, [*list(chain)[list(chain).index(other) :], other]
                elif other in needs and other not in done:
                    todo.append((other, iter(needs[other].items())))
                    chain[other] = None
                    break
            else:
                done.add(name)
                todo.pop()
                chain.popitem()
